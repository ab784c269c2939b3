//! Following a watch.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use tailetc::{ChangeKind, Codec, Db, Error, RAW, Raw, Revision, Shared, Snapshot, Update, Watch};

use super::{Store, within};

pub(crate) fn utf8(bytes: Arc<Bytes>) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A consumer's own copy, kept by applying updates, each of which must follow on the last.
#[derive(Debug, Default)]
pub(crate) struct Replica {
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) revision: Revision,
    pub(crate) updates: Vec<ChangeKind>,
}

impl Replica {
    /// One that has seen a snapshot.
    pub(crate) fn of(snapshot: &Snapshot) -> Self {
        let revision = snapshot.revision();
        Self { values: values_of(snapshot), revision, updates: Vec::new() }
    }

    pub(crate) fn apply<C: Codec<Value = Bytes>>(&mut self, update: &Update<C, Shared>) {
        assert!(update.revision() > self.revision || update.kind() == ChangeKind::Initial);
        if update.kind() == ChangeKind::Initial {
            self.values.clear();
        }
        self.updates.push(update.kind());
        self.revision = update.revision();
        for change in update.changes() {
            let key = change.key().to_string();
            let before = change.before().unwrap().map(utf8);
            assert_eq!(before, self.values.get(&key).cloned(), "{key} at {}", self.revision);
            match change.after().unwrap() {
                Some(after) => self.values.insert(key, utf8(after)),
                None => self.values.remove(&key),
            };
        }
    }

    pub(crate) async fn follow(&mut self, watch: &mut Watch<Raw, Shared>, until: Revision) {
        while self.revision < until {
            let update = within("the next update", watch.next()).await.unwrap().unwrap();
            self.apply(&update);
        }
    }

    pub(crate) fn assert_is(&self, db: &Db) {
        assert_eq!(self.values, values_of(&db.snapshot()));
    }
}

/// All raw keys.
pub(crate) fn values_of(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let values = snapshot.range(RAW, ..).unwrap();
    values.map(|(key, value)| (key.to_string(), utf8(value))).collect()
}

/// The next item, which must come and be an update.
pub(crate) async fn next<C, P>(watch: &mut Watch<C, P>) -> Update<C, P> {
    within("the next update", watch.next()).await.unwrap().unwrap()
}

/// The next item, which must be the error.
pub(crate) async fn next_error<C, P>(watch: &mut Watch<C, P>) -> Error {
    within("the next item", watch.next()).await.unwrap().unwrap_err()
}

/// Puts and deletions of few keys. Returns the last revision.
pub(crate) async fn write_about(store: &Store, rounds: u32) -> Revision {
    let mut last = Revision::ZERO;
    for round in 0..rounds {
        let key = format!("/t/{}", round % 17);
        if round % 5 == 4 {
            store.delete(&key).await;
        }
        last = store.put(&key, round.to_string()).await;
    }
    last
}
