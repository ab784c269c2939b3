//! Who is alive. Each member holds one session key, `members/<id>`, which the store deletes when
//! the member leaves or dies, and watches those of the others.
//!
//! ```sh
//! cargo run --example membership                          # two members, in memory
//! cargo run --example membership --features etcd -- --url http://127.0.0.1:2379 --id a
//! ```
use std::collections::BTreeMap;
use std::time::Duration;

use clap::Parser;
use serde::{Deserialize, Serialize};
use tailetc::{Collection, Db, Error, Json, OnLoss, Session, Watch, WatchMode};

/// What the others need to know of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) addr: String,
}

pub(crate) const MEMBERS: Collection<Json<Member>> = Collection::new("members/");

pub(crate) async fn open(url: &str) -> Result<Db, Error> {
    tailetc::open(url).prefix("/membership/").collection(MEMBERS).connect().await
}

/// Is a member until the session is closed or dropped; again after an outage.
pub(crate) async fn join(
    db: &Db,
    id: &str,
    member: Member,
    ttl: Duration,
) -> Result<Session, Error> {
    let session = db.session(ttl).on_loss(OnLoss::Reestablish).open().await?;
    session.put(MEMBERS, id, member).await?;
    Ok(session)
}

/// A change of the membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Joined(String, Member),
    Left(String),
}

/// The members, and what changes: at first those that are there join.
pub(crate) struct Membership {
    watch: Watch<Json<Member>>,
    alive: BTreeMap<String, Member>,
}

impl Membership {
    pub(crate) fn watch(db: &Db) -> Result<Self, Error> {
        // Coalesced: a consumer that is slow gets what differs, and is never behind.
        let watch = db.watch(MEMBERS, .., WatchMode::Coalesced)?;
        Ok(Self { watch, alive: BTreeMap::new() })
    }

    pub(crate) fn alive(&self) -> &BTreeMap<String, Member> {
        &self.alive
    }

    /// The next changes; none when the `Db` is closed.
    pub(crate) async fn next(&mut self) -> Option<Vec<Change>> {
        let update = self.watch.next().await?.ok()?;
        let mut changes = Vec::new();
        for change in update.changes() {
            let id = change.key().to_string();
            match change.after() {
                Ok(Some(member)) => {
                    let member = Member::clone(&member);
                    if self.alive.insert(id.clone(), member.clone()).as_ref() != Some(&member) {
                        changes.push(Change::Joined(id, member));
                    }
                }
                // Gone, or not a member's value.
                _ => changes.extend(self.alive.remove(&id).map(|_| Change::Left(id))),
            }
        }
        Some(changes)
    }
}

#[derive(Parser)]
struct Arguments {
    #[arg(long, default_value = "memory://membership", help = "In memory a second one comes, too")]
    url: String,
    #[arg(long, default_value = "a")]
    id: String,
    #[arg(long, default_value = "127.0.0.1:80")]
    addr: String,
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let Arguments { url, id, addr } = Arguments::parse();
    let db = open(&url).await?;
    let session = join(&db, &id, Member { addr }, Duration::from_secs(5)).await?;
    if url.starts_with("memory://") {
        let db = open(&url).await?;
        tokio::spawn(async move {
            let second = Member { addr: "127.0.0.1:81".into() };
            let session = join(&db, "second", second, Duration::from_secs(5)).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            session.close().await
        });
    }
    let mut membership = Membership::watch(&db)?;
    let mut stopped = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        tokio::select! {
            changes = membership.next() => {
                let Some(changes) = changes else { return Ok(()) };
                println!("{changes:?}: {} alive", membership.alive().len());
            }
            _ = &mut stopped => return session.close().await,
        }
    }
}
