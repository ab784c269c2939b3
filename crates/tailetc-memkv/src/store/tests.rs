//! A store that leaves much to do for later beside one that leaves nothing: over so many keys that
//! the tree of them is deep.

use std::fmt::Debug;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use tailetc_core::backend::{
    BackendError, Compare, CompareResult, CompareTarget, DeleteRequest, KeyRange, KvBackend,
    PutRequest, RangeRequest, TxnOp, TxnRequest, WatchRequest, Watcher,
};
use tailetc_core::{LeaseId, Revision};
use tokio::task::coop::unconstrained;

use crate::{EtcdVersion, ManualClock, MemKv};

/// Where a range of keys begins and how many there are in it.
type Span = (u8, u8);

#[derive(Clone, Debug)]
enum Step {
    Put(Span, i64),
    /// In one transaction, by ranges or from keys on, with what is put between them.
    Delete {
        spans: Vec<(Span, bool)>,
        put: Option<u8>,
        pairs: bool,
        drop: bool,
    },
    Grant(i64),
    Revoke(i64, bool),
    Advance(u64),
    Range(Span, u8),
    Compare(Span),
    Lease(i64),
    Compact {
        back: u8,
        drop: bool,
    },
    Watch {
        span: Span,
        back: u8,
        no_put: bool,
        no_delete: bool,
        prev_kv: bool,
    },
    Take(usize),
    Progress(usize),
    Measure,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let few = || (0_u8..90, 1_u8..4);
    let many = || (0_u8..90, 1_u8..90);
    let span = || prop_oneof![few(), many()];
    let drop = || prop::bool::weighted(0.8);
    let spans = || {
        prop_oneof![
            4 => (span(), prop::bool::weighted(0.1)).prop_map(|span| vec![span]),
            1 => prop::collection::vec((span(), prop::bool::weighted(0.3)), 2..4),
        ]
    };
    let lease = || prop_oneof![2 => Just(1_i64), 1 => 0_i64..4];
    let put = || prop::option::weighted(0.3, 0_u8..90);
    let step = prop_oneof![
        6 => (span(), lease()).prop_map(|(span, lease)| Step::Put(span, lease)),
        4 => (spans(), put(), any::<bool>(), drop())
            .prop_map(|(spans, put, pairs, drop)| Step::Delete { spans, put, pairs, drop }),
        2 => (1_i64..4).prop_map(Step::Grant),
        2 => (1_i64..4, drop()).prop_map(|(id, drop)| Step::Revoke(id, drop)),
        1 => (0_u64..6).prop_map(Step::Advance),
        3 => (span(), 0_u8..6).prop_map(|(span, back)| Step::Range(span, back)),
        1 => span().prop_map(Step::Compare),
        1 => (1_i64..4).prop_map(Step::Lease),
        2 => (0_u8..3, drop()).prop_map(|(back, drop)| Step::Compact { back, drop }),
        2 => (span(), 0_u8..4, prop::bool::weighted(0.2), prop::bool::weighted(0.2), any::<bool>())
            .prop_map(|(span, back, no_put, no_delete, prev_kv)| {
                Step::Watch { span, back, no_put, no_delete, prev_kv }
            }),
        4 => any::<usize>().prop_map(Step::Take),
        1 => any::<usize>().prop_map(Step::Progress),
        1 => Just(Step::Measure),
    ];
    prop::collection::vec(step, 1..60)
}

fn key(number: u8) -> Bytes {
    format!("{number:03}").into()
}

fn range((from, count): Span) -> KeyRange {
    KeyRange::span(key(from), key(from + count))
}

struct Twins {
    clock: ManualClock,
    slow: MemKv,
    quick: MemKv,
    watches: Vec<[Box<dyn Watcher>; 2]>,
}

impl Twins {
    fn new(slice: usize, buffer: usize, version: EtcdVersion) -> Self {
        let clock = ManualClock::new();
        let store = |slice| {
            let options = MemKv::builder().with_imitate(version).with_clock(clock.clone());
            let store = options.with_watch_buffer_revisions(buffer).with_slice(slice).build();
            store.keep_hashes();
            store
        };
        let (slow, quick) = (store(slice), store(usize::MAX));
        Self { clock, slow, quick, watches: Vec::new() }
    }

    fn both(&self) -> [&MemKv; 2] {
        [&self.slow, &self.quick]
    }

    /// Some revisions before the current one.
    fn back(&self, back: u8) -> Revision {
        let current = self.quick.shared.with(|store, _| store.header().revision);
        Revision::new((current.get() - i64::from(back)).max(0))
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Put((from, count), lease) => {
                let put = |number| PutRequest::new(key(number), "").with_lease(LeaseId::new(lease));
                let puts = (from..from + count).map(|number| put(number).into());
                txn(self.both(), TxnRequest::new(puts.collect::<Vec<TxnOp>>()), false).await;
            }
            Step::Delete { spans, put, pairs, drop } => {
                let mut ops: Vec<TxnOp> = Vec::new();
                for (span, is_from_key) in spans {
                    let range =
                        if is_from_key { KeyRange::from_key(key(span.0)) } else { range(span) };
                    let mut delete = DeleteRequest::new(range.clone());
                    delete.prev_kv = pairs;
                    ops.push(delete.into());
                    ops.push(RangeRequest::new(range).with_limit(3).into());
                }
                if let Some(put) = put {
                    ops.insert(ops.len() / 2, PutRequest::new(key(put), "again").into());
                }
                txn(self.both(), TxnRequest::new(ops), drop).await;
            }
            Step::Compare(span) => {
                let none = CompareTarget::Version(0);
                let compare = Compare::new(range(span), none, CompareResult::Equal);
                txn(self.both(), TxnRequest::default().when([compare]), false).await;
            }
            Step::Grant(id) => {
                let [slow, quick] = self.both().map(|kv| kv.lease_grant(LeaseId::new(id), 5));
                same(slow, quick, false).await;
            }
            Step::Revoke(id, drop) => {
                let [slow, quick] = self.both().map(|kv| kv.lease_revoke(LeaseId::new(id)));
                same(slow, quick, drop).await;
            }
            Step::Advance(seconds) => self.clock.advance(Duration::from_secs(seconds)),
            Step::Range(span, back) => {
                let request = RangeRequest::new(range(span)).with_revision(self.back(back));
                let [slow, quick] = self.both().map(|kv| kv.range(request.clone()));
                same(slow, quick, false).await;
            }
            Step::Lease(id) => {
                let [slow, quick] =
                    self.both().map(|kv| kv.lease_time_to_live(LeaseId::new(id), true));
                same(slow, quick, false).await;
            }
            Step::Compact { back, drop } => {
                let revision = self.back(back);
                let [slow, quick] = self.both().map(|kv| kv.compact(revision));
                same(slow, quick, drop).await;
            }
            Step::Watch { span, back, no_put, no_delete, prev_kv } => {
                let mut request = WatchRequest::new(range(span), self.back(back));
                (request.no_put, request.no_delete) = (no_put, no_delete);
                request.prev_kv = prev_kv;
                let slow = self.slow.watch(request.clone()).await;
                let quick = self.quick.watch(request).await;
                self.watches.extend(slow.ok().zip(quick.ok()).map(<[_; 2]>::from));
            }
            Step::Take(which) => self.take(which),
            Step::Progress(which) => {
                let count = self.watches.len().max(1);
                if let Some(twins) = self.watches.get_mut(which % count) {
                    for watcher in twins {
                        watcher.request_progress().await.expect("no transport");
                    }
                }
            }
            Step::Measure => self.measure(),
        }
    }

    /// Takes one response.
    fn take(&mut self, which: usize) {
        let count = self.watches.len().max(1);
        let Some([slow, quick]) = self.watches.get_mut(which % count) else {
            return;
        };
        let taken = |watcher: &mut Box<dyn Watcher>| {
            let mut next = watcher.next();
            let mut polls = (0..POLLS).map(|_| poll(&mut next));
            let taken = polls.find(Poll::is_ready).unwrap_or(Poll::Pending);
            taken.map(|taken| taken.map_err(|error| error.kind()))
        };
        assert_eq!(format!("{:?}", taken(slow)), format!("{:?}", taken(quick)));
    }

    fn measure(&self) {
        for back in 0..8 {
            let revision = self.back(back);
            let hash = |kv: &MemKv| kv.hash_kv(revision).map_err(|error| error.kind());
            assert_eq!(hash(&self.slow), hash(&self.quick));
        }
        let [slow, quick] = self.both().map(MemKv::full_status);
        assert_eq!(slow, quick);
    }

    async fn end(&mut self) {
        for back in 0..60 {
            self.step(Step::Range((0, 200), back)).await;
        }
        for id in 1..4 {
            self.step(Step::Lease(id)).await;
        }
        self.measure();
        for which in 0..self.watches.len() {
            (0..50).for_each(|_| self.take(which));
        }
    }
}

/// More than it takes to do all that is left to do.
const POLLS: usize = 2000;

async fn txn(twins: [&MemKv; 2], request: TxnRequest, drop: bool) {
    let [slow, quick] = twins.map(|kv| kv.txn(request.clone()));
    same(slow, quick, drop).await;
}

async fn same<T: Debug + PartialEq>(
    mut slow: impl Future<Output = Result<T, BackendError>> + Unpin,
    quick: impl Future<Output = Result<T, BackendError>>,
    drop: bool,
) {
    let quick = quick.await.map_err(|error| error.kind());
    let slow = match poll(&mut slow) {
        Poll::Ready(slow) => slow,
        Poll::Pending if drop => return assert!(quick.is_ok()),
        Poll::Pending => slow.await,
    };
    assert_eq!(slow.map_err(|error| error.kind()), quick);
}

fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
    pin!(unconstrained(future)).poll(&mut Context::from_waker(Waker::noop()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn what_is_left_to_do_is_told_by_nothing(
        steps in steps(),
        slice in prop::sample::select(vec![0, 1, 2, 7]),
        buffer in prop::sample::select(vec![0, 2, 128]),
        version in prop::sample::select(vec!["3.4.23", "3.5.30", "3.7.0"]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let mut twins = Twins::new(slice, buffer, version.parse().expect("a release"));
            for step in steps {
                twins.step(step).await;
            }
            twins.end().await;
        });
    }
}
