//! The example `membership`: two members that see each other come and go.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as expected"
)]

mod support;

#[expect(dead_code, reason = "an example, with its `main`")]
#[path = "../examples/membership.rs"]
mod example;

use std::sync::Arc;
use std::time::Duration;

use example::{Change, MEMBERS, Member, Membership, join};
use support::{Store, within};
use tailetc::Db;

on_every_backend! {
    members_see_each_other_come_and_go,
}

async fn open(store: &Store) -> Db {
    let backend = Arc::clone(&store.backend);
    let connect = Db::builder(backend).prefix("/membership/").collection(MEMBERS).connect();
    connect.await.unwrap()
}

fn member(addr: &str) -> Member {
    Member { addr: addr.to_owned() }
}

fn joined(id: &str, addr: &str) -> Change {
    Change::Joined(id.to_owned(), member(addr))
}

/// The next changes that are any.
async fn next(membership: &mut Membership) -> Vec<Change> {
    loop {
        let changes = within("changes", membership.next()).await.unwrap();
        if !changes.is_empty() {
            return changes;
        }
    }
}

async fn members_see_each_other_come_and_go(store: Store) {
    let (one, two) = (open(&store).await, open(&store).await);
    let ttl = Duration::from_secs(5);
    let mut seen = Membership::watch(&one).unwrap();
    let a = join(&one, "a", member("a:80"), ttl).await.unwrap();
    assert_eq!(next(&mut seen).await, [joined("a", "a:80")]);
    let b = join(&two, "b", member("b:80"), ttl).await.unwrap();
    assert_eq!(next(&mut seen).await, [joined("b", "b:80")]);
    assert_eq!(seen.alive().keys().collect::<Vec<_>>(), ["a", "b"]);

    let mut seen_late = Membership::watch(&two).unwrap();
    assert_eq!(next(&mut seen_late).await, [joined("a", "a:80"), joined("b", "b:80")]);
    b.put(MEMBERS, "b", member("b:81")).await.unwrap();
    assert_eq!(next(&mut seen).await, [joined("b", "b:81")]);
    assert_eq!(next(&mut seen_late).await, [joined("b", "b:81")]);

    drop(a);
    assert_eq!(next(&mut seen_late).await, [Change::Left("a".into())]);
    b.close().await.unwrap();
    assert_eq!(next(&mut seen_late).await, [Change::Left("b".into())]);
    two.close();
    assert!(within("the end", seen_late.next()).await.is_none());
}
