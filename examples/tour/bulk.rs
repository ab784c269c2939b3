//! Bulk writes: imports in chunks as large as the store takes, resumable.

use tailetc::{BoxError, Bulk, BulkError, BulkReport, Bytes, Collection, Raw};

use super::Open;

const LINES: Collection<Raw> = Collection::new("lines/");
const ALL: usize = 2_000;

/// A source that can be read again from its beginning.
fn source(damaged: bool) -> impl Iterator<Item = (String, Bytes)> {
    (0..ALL).map(move |line| {
        let value = if damaged && line == 700 { vec![b'x'; 2 << 20] } else { vec![b'x'; 100] };
        (format!("{line:05}"), value.into())
    })
}

async fn import(mut bulk: Bulk, damaged: bool) -> Result<BulkReport, BulkError> {
    for (key, value) in source(damaged) {
        bulk.put(LINES, key, value).await?; // waits while enough chunks are under way
    }
    bulk.finish().await
}

pub(crate) async fn show(open: Open<'_>) -> Result<(), BoxError> {
    let db = open().collection(LINES).connect().await?;

    // Line 700 is larger than any request may be: the error says what was done all the same.
    let bulk = db.bulk().concurrency(8);
    let Err(failed) = import(bulk, true).await else {
        return Err("etcd takes no 2 MiB".into());
    };
    println!("{failed}: {}", failed.reason());
    assert!(failed.applied() == 700 && failed.operation() == 700 && failed.unknown().is_empty());

    // Mended, it goes on where it has ended.
    let bulk = db.bulk().skip(failed.applied());
    let report = import(bulk.on_progress(|so_far| println!("{so_far:?}")), false).await?;
    println!("{report:?}");
    assert!(report.given == 2_000 && report.applied == 1_300);
    assert_eq!(db.snapshot().range(LINES, ..)?.count(), ALL);

    // What is there already can be left as it is.
    let report = import(db.bulk().if_absent(), false).await?;
    assert!(report.applied == 2_000 && report.written == 0);
    Ok(())
}
