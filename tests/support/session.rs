//! Sessions, and what can be seen of them.

use std::time::Duration;

use bytes::Bytes;
use tailetc::backend::KvBackend;
use tailetc::{
    Collection, Db, LeaseId, LeaseLoss, Metadata, OnLoss, RAW, Raw, Session, SessionState,
};

use super::{Gate, Store, within};

/// Long enough that a machine that stands still for some seconds costs no session.
pub(crate) const TTL: Duration = Duration::from_secs(10);

/// For tests that wait until it is over.
pub(crate) const SHORT: Duration = Duration::from_secs(2);

pub(crate) async fn open(db: &Db, on_loss: OnLoss) -> Session {
    within("open", db.session(TTL).on_loss(on_loss).open())
        .await
        .expect("a session, a store and a copy that work")
}

pub(crate) async fn put(session: &Session, key: &str, value: &'static str) {
    within("put", session.put(RAW, key, Bytes::from(value)))
        .await
        .expect("a session, a store and a copy that work");
}

pub(crate) fn metadata(db: &Db, key: &str) -> Option<Metadata> {
    metadata_of(db, RAW, key)
}

pub(crate) fn metadata_of(db: &Db, collection: Collection<Raw>, key: &str) -> Option<Metadata> {
    db.snapshot().metadata(collection, key).expect("a session, a store and a copy that work")
}

pub(crate) fn live(session: &Session) -> LeaseId {
    session.lease().expect("the session is live")
}

pub(crate) async fn lives(store: &Store, lease: LeaseId) -> bool {
    store
        .backend
        .lease_time_to_live(lease, false)
        .await
        .expect("a session, a store and a copy that work")
        .is_some()
}

pub(crate) fn loss(state: &SessionState) -> Option<LeaseLoss> {
    match state {
        SessionState::Lost { reason, .. } => Some(*reason),
        _ => None,
    }
}

/// A store in memory behind a gate, on a clock that stands still while anything can be done.
pub(crate) async fn gated() -> (Store, Gate, Db) {
    let store = Store::memory();
    let gate = Gate::new(&store);
    let db = gate.builder().connect().await.expect("a session, a store and a copy that work");
    (store, gate, db)
}
