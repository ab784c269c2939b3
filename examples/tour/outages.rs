//! Outages: lost answers, broken connections and lost history, on a store that fails as it is told.

use tailetc::memkv::MemKv;
use tailetc::{BoxError, Bytes, ChangeKind, Db, Error, Phase, RAW, WatchMode};
use tailetc_testkit::faulty::FaultyBackend;

use super::error_of;

async fn put(db: &Db, key: &str, value: &str) -> Result<(), Error> {
    let value = Bytes::from(value.to_owned());
    db.transact(|txn| txn.put(RAW, key, value.clone())).await.map(drop)
}

pub(crate) async fn show() -> Result<(), BoxError> {
    // Two ways to one store. The first one fails.
    let way = FaultyBackend::new(MemKv::new());
    let other = Db::builder(way.cluster().store()).prefix("/app/").connect().await?;
    let db = Db::builder(way.clone()).prefix("/app/").connect().await?;

    // No answer to a commit: it is not sent again, and the error says what is not known.
    way.lose_next_commit_reply();
    let unknown = error_of(put(&db, "a", "1").await)?;
    println!("{unknown}");
    assert!(unknown.is_outcome_unknown());
    assert!(db.fresh().await?.contains(RAW, "a")?, "it was applied, as turns out");

    // With markers it is known.
    let marked = Db::builder(way.clone()).prefix("/marked/").commit_markers("/markers/");
    let marked = marked.connect().await?;
    way.lose_next_commit_reply();
    put(&marked, "b", "1").await?;
    way.lose_next_commit();
    let lost = error_of(put(&marked, "c", "1").await)?;
    println!("certainly not applied: {lost}");
    assert!(!lost.is_outcome_unknown() && lost.is_transient());

    // The store is away: reads go on, and `health` says so.
    let mut watch = db.watch(RAW, .., WatchMode::EXACT)?;
    watch.next().await.ok_or("closed")??;
    let mut phases = db.health_changes();
    way.disconnect();
    let away = loop {
        let health = phases.next().await.ok_or("closed")?;
        if health.phase != Phase::Tailing {
            break health;
        }
    };
    println!("{:?}, because of: {:?}", away.phase, away.last_error);
    let kept = db.get(RAW, "a")?.ok_or("it stays readable")?;

    // Meanwhile others write, and the operator compacts: the changes between are lost.
    put(&other, "d", "1").await?;
    put(&other, "d", "2").await?;
    way.compact_now().await?;
    way.reconnect();

    // The copy repairs itself by a difference. What has not changed is not touched.
    let update = watch.next().await.ok_or("closed")??;
    println!("{:?}: {:?}", update.kind(), update.changes());
    assert!(update.kind() == ChangeKind::Resync && update.changes().count() == 1);
    let now = db.get(RAW, "a")?.ok_or("it is still there")?;
    assert!(std::sync::Arc::ptr_eq(&kept, &now) && db.stats().resyncs == 1);
    Ok(())
}
