//! Who is woken by what.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tailetc_core::LeaseId;
use tailetc_core::backend::{KvBackend, PutRequest, TxnRequest};
use tokio::task::coop::unconstrained;
use tokio::time::timeout;

use super::support::{Client, all, compact, imitating, one, put, put_many};
use crate::MemKv;
use crate::store::StreamResponse;

/// Counts how often a task would be polled.
#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn wait<T>(future: Pin<&mut impl Future<Output = T>>, wakes: &Arc<Wakes>) -> Poll<T> {
    let waker = Waker::from(Arc::clone(wakes));
    pin!(unconstrained(future)).poll(&mut Context::from_waker(&waker))
}

fn events(response: Poll<StreamResponse>) -> usize {
    match response {
        Poll::Ready(response) => response.events.len(),
        Poll::Pending => 0,
    }
}

// W22
#[tokio::test]
async fn write_wakes_the_streams_that_it_concerns_and_no_other() {
    let kv = MemKv::new();
    let [key, other, everything, filtered, later] =
        [one("a", 0), one("b", 0), all(0), all(0).with_no_put(), all(9)]
            .map(|request| Client::watching(&kv, [request]));
    let clients = [&key, &other, &everything, &filtered, &later];
    let mut waits = clients.map(|client| Box::pin(client.stream.next()));
    let wakes: [Arc<Wakes>; 5] = Default::default();
    for (wait_for, wakes) in waits.iter_mut().zip(&wakes) {
        assert!(wait(wait_for.as_mut(), wakes).is_pending());
    }
    put(&kv, "a").await;
    assert_eq!(wakes.each_ref().map(|wakes| wakes.count()), [1, 0, 1, 0, 0]);
    compact(&kv, 2).await;
    kv.lease_grant(LeaseId::new(1), 60).await.unwrap();
    let told: Vec<usize> = waits
        .iter_mut()
        .zip(&wakes)
        .map(|(wait_for, wakes)| events(wait(wait_for.as_mut(), wakes)))
        .collect();
    assert_eq!(told, [1, 0, 1, 0, 0]);
}

// W22
#[tokio::test]
async fn closed_streams_and_cancelled_watchers_are_forgotten() {
    let kv = MemKv::new();
    let gone = Client::watching(&kv, [all(0), one("a", 0)]);
    let cancelled = Client::watching(&kv, [all(0), one("a", 0)]);
    drop(gone);
    cancelled.cancel(0);
    cancelled.cancel(1);
    cancelled.rest();
    let wakes = Arc::default();
    let mut next = pin!(cancelled.stream.next());
    assert!(wait(next.as_mut(), &wakes).is_pending());
    put(&kv, "a").await;
    assert_eq!(wakes.count(), 0);
    kv.shared.with(|store, _| assert!(store.has_no_watchers()));
}

// W22
#[tokio::test]
async fn overflow_wakes_a_stream_without_a_buffer() {
    let kv = MemKv::builder().with_watch_buffer_revisions(0).build();
    let client = Client::watching(&kv, [all(0)]);
    let wakes = Arc::default();
    let mut next = pin!(client.stream.next());
    assert!(wait(next.as_mut(), &wakes).is_pending());
    put(&kv, "a").await;
    assert_eq!(wakes.count(), 1);
    assert_eq!(events(wait(next.as_mut(), &wakes)), 1);
}

// W1
#[tokio::test]
async fn request_of_one_task_wakes_the_one_that_waits_for_responses() {
    let kv = MemKv::new();
    let client = Client::of(&kv);
    let wakes = Arc::default();
    let mut next = pin!(client.stream.next());
    assert!(wait(next.as_mut(), &wakes).is_pending());
    client.create(0, all(0));
    assert_eq!(wakes.count(), 1);
    let created = wait(next.as_mut(), &wakes);
    assert!(matches!(created, Poll::Ready(response) if response.created));
}

// W22
#[tokio::test]
async fn client_that_takes_no_answers_has_no_room_for_requests() {
    let kv = imitating("3.5.1").build();
    let client = Client::of(&kv);
    for _ in 0..15 {
        client.create(0, all(0));
    }
    let wakes = Arc::default();
    assert!(wait(pin!(client.stream.room()), &wakes).is_ready());
    client.create(0, all(0));
    assert_eq!(client.stream.watchers(), 16);
    // Answers that nobody needs are not kept.
    client.request_progress();
    let mut room = pin!(client.stream.room());
    assert!(wait(room.as_mut(), &wakes).is_pending());
    assert!(client.next().is_some());
    assert_eq!(wakes.count(), 1);
    assert!(wait(room.as_mut(), &wakes).is_ready());
    assert_eq!(client.rest().len(), 15);
}

async fn lease_with_a_key(kv: &MemKv, id: i64, ttl_seconds: i64) {
    let lease = LeaseId::new(id);
    kv.lease_grant(lease, ttl_seconds).await.unwrap();
    let put = PutRequest::new("leased", "").with_lease(lease);
    kv.txn(TxnRequest::new([put.into()])).await.unwrap();
}

// L2
#[tokio::test(start_paused = true)]
async fn waiting_stream_sees_leases_expire() {
    let kv = MemKv::new();
    lease_with_a_key(&kv, 1, 10).await;
    let client = Client::watching(&kv, [all(0)]);
    let waited = timeout(Duration::from_secs(11), client.stream.next()).await;
    assert_eq!(waited.expect("a deletion").events.len(), 1);
}

// L2
#[tokio::test(start_paused = true)]
async fn waiting_stream_sees_a_lease_expire_that_was_granted_meanwhile() {
    let kv = MemKv::new();
    kv.lease_grant(LeaseId::new(1), 1000).await.unwrap();
    let client = Client::watching(&kv, [one("leased", 0).with_no_put()]);
    // Another stream waits, too, and is then not polled any more.
    let other = Client::watching(&kv, [all(100)]);
    let mut stuck = pin!(other.stream.next());
    assert!(wait(stuck.as_mut(), &Arc::default()).is_pending());
    let waiting = tokio::spawn(async move { client.stream.next().await });
    tokio::task::yield_now().await;
    lease_with_a_key(&kv, 2, 10).await;
    let waited = timeout(Duration::from_secs(11), waiting).await;
    assert_eq!(waited.expect("a deletion").unwrap().events.len(), 1);
}

// W22
#[tokio::test]
async fn slow_client_holds_no_more_than_its_buffer() {
    let kv = MemKv::builder().with_watch_buffer_revisions(4).build();
    let client = Client::watching(&kv, [all(0), one("a", 0)]);
    put_many(&kv, "a", 1000).await;
    assert_eq!(kv.shared.with(|store, _| store.waiting_responses()), 4);
    assert_eq!(client.rest().len(), 4 + 2);
}
