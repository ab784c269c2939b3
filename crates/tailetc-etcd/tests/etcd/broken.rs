//! What breaks on the way, by whatever name.

use h2::Reason;
use tailetc_core::backend::{
    BackendError, KeyRange, KvBackend, KvBackendExt, PutRequest, RangeRequest, WatchRequest,
};
use tailetc_core::{LeaseId, Revision};
use tailetc_etcd::{EtcdBackend, EtcdOptions};

use crate::common::{end, patient, soon};
use crate::stub::{Answer, Stub};

/// Cancelled, Unknown, Internal, Unavailable, DataLoss.
const CODES: [u8; 5] = [1, 2, 13, 14, 15];

const REASONS: [Reason; 5] = [
    Reason::NO_ERROR,
    Reason::CANCEL,
    Reason::INTERNAL_ERROR,
    Reason::REFUSED_STREAM,
    Reason::ENHANCE_YOUR_CALM,
];

fn breaks() -> Vec<Answer> {
    let mut breaks = vec![Answer::HangUp, Answer::Http(500), Answer::Http(502), Answer::Http(503)];
    breaks.extend(CODES.map(Answer::Status));
    breaks.extend(REASONS.map(Answer::Reset));
    breaks
}

async fn connect(stubs: &[&Stub]) -> EtcdBackend {
    let options = patient(stubs.iter().map(|stub| stub.url.clone()));
    soon(Box::pin(EtcdBackend::connect(options))).await.unwrap()
}

fn assert_transient(error: &BackendError, what: Answer) {
    assert!(error.kind().is_transient(), "{what:?}: {:?}, {error}", error.kind());
}

// D37
#[tokio::test]
async fn write_that_breaks_is_of_unknown_outcome_and_the_next_request_goes_elsewhere() {
    for answer in breaks() {
        let bad = Stub::start(answer).await;
        let good = Stub::start(Answer::Message(b"")).await;
        let etcd = connect(&[&bad, &good]).await;
        let error = soon(etcd.put(PutRequest::new("k", "v"))).await.unwrap_err();
        assert!(error.kind().is_outcome_unknown(), "{answer:?}: {:?}, {error}", error.kind());
        assert_transient(&error, answer);
        assert_eq!((bad.asked(), good.asked()), (1, 0), "{answer:?}: a write was sent again");
        let read = soon(etcd.range(RangeRequest::new(KeyRange::all()))).await;
        assert!(read.is_ok(), "{answer:?}: {read:?}");
        assert_eq!((bad.asked(), good.asked()), (1, 1), "{answer:?}");
    }
}

// D37
#[tokio::test]
async fn watches_and_renewals_that_break_may_be_tried_again() {
    for answer in breaks() {
        let stub = Stub::start(answer).await;
        let etcd = connect(&[&stub]).await;
        let request = WatchRequest::new(KeyRange::all(), Revision::new(1));
        let error = soon(etcd.watch(request)).await.unwrap_err();
        assert_transient(&error, answer);
        let error = soon(etcd.lease_keep_alive(LeaseId::new(7))).await.unwrap_err();
        assert_transient(&error, answer);
        assert_eq!(stub.asked(), 2, "{answer:?}: something was sent again");
    }
}

/// `created`, at revision 5.
const CREATED: &[u8] = b"\x0a\x02\x18\x05\x18\x01";

// D37 D38
#[tokio::test]
async fn open_watch_ends_for_good_however_it_breaks() {
    let mut ends = vec![Answer::MessageThenEnd(CREATED), Answer::MessageThenStatus(CREATED, 0)];
    ends.extend(CODES.map(|code| Answer::MessageThenStatus(CREATED, code)));
    ends.extend(REASONS.map(|reason| Answer::MessageThenReset(CREATED, reason)));
    for answer in ends {
        let stub = Stub::start(answer).await;
        let etcd = connect(&[&stub]).await;
        let request = WatchRequest::new(KeyRange::all(), Revision::new(1));
        // The end may be seen together with the beginning.
        let Ok(mut watcher) = soon(etcd.watch(request)).await.inspect_err(|error| {
            assert_transient(error, answer);
        }) else {
            continue;
        };
        let error = end(&mut *watcher).await;
        assert_transient(&error, answer);
        for _ in 0..3 {
            let error = soon(watcher.next()).await.unwrap_err();
            assert_transient(&error, answer);
            assert!(soon(watcher.request_progress()).await.is_err(), "{answer:?}");
        }
    }
}

/// A lease 7 with 60 seconds, at revision 5.
pub(crate) const RENEWED: &[u8] = b"\x0a\x02\x18\x05\x10\x07\x18\x3c";

// D38 D42
#[tokio::test]
async fn stream_of_renewals_is_not_used_again_once_it_has_failed() {
    for answer in [
        Answer::MessageThenStatus(RENEWED, 7),
        Answer::MessageThenStatus(RENEWED, 0),
        Answer::MessageThenReset(RENEWED, Reason::CANCEL),
    ] {
        let stub = Stub::start(answer).await;
        let etcd = connect(&[&stub]).await;
        for round in 1..4 {
            // The client takes the first answer for itself, and there is no second one.
            soon(etcd.lease_keep_alive(LeaseId::new(7))).await.unwrap_err();
            assert_eq!(stub.asked(), round, "{answer:?}");
        }
    }
    // A renewal that gets no answer ends in time, and leaves no stream on which a late answer would
    // be taken for the next one.
    let stub = Stub::start(Answer::Open(RENEWED)).await;
    let options = EtcdOptions::new([stub.url.clone()]);
    let options = options.with_request_timeout(std::time::Duration::from_secs(2));
    let etcd = soon(Box::pin(EtcdBackend::connect(options))).await.unwrap();
    for round in 1..3 {
        soon(etcd.lease_keep_alive(LeaseId::new(7))).await.unwrap_err();
        assert_eq!(stub.asked(), round);
    }
}
