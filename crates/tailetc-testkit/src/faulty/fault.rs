//! What can go wrong between a client and its store.

/// One kind of fault. Each is something that a network, an etcd server or its operator does; none
/// breaks what a [`KvBackend`](tailetc_core::backend::KvBackend) promises, but for those that say
/// so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// A write is applied, and its answer is lost: `Unavailable`.
    LoseReply,
    /// A write is not answered within the request timeout, and applied after it: `Timeout`.
    ApplyLate,
    /// A request is lost on the way: `Unavailable`, not applied.
    LoseRequest,
    /// A request is swallowed: `Timeout` after the request timeout, not applied.
    Stall,
    /// There is no connection: `Unreachable`, not sent.
    Unreachable,
    /// The server is busy: `TooManyRequests`, not applied.
    TooManyRequests,
    /// A transaction with puts is refused for want of space: `NoSpace`, not applied.
    NoSpace,
    /// A read or a new watch is refused, because the token has expired: `Unauthenticated`.
    Unauthenticated,
    /// An answer with more than one pair, or a watch response, is larger than the transport takes:
    /// `RequestTooLarge`.
    Oversize,
    /// The lease of a put ends just before the transaction.
    ExpireLease,
    /// Somebody compacts all history just before a page of a load, or before a watch is opened.
    CompactFirst,
    /// A watch breaks: before a response, after it, or after some of its revisions.
    CutWatch,
    /// A watch delivers nothing for up to two seconds: a backlog builds up.
    HoldWatch,
    /// From here on a watch delivers nothing, and no error: the other end of the connection is
    /// gone.
    HalfOpen,
    /// A watch is opened on a member that is up to three seconds behind; a serializable read is
    /// answered by one that is some revisions behind.
    LagMember,
    /// A watch response with several revisions comes in pieces of whole revisions, each under a
    /// header that is ahead of it, as in a backlog.
    SplitBatch,
    /// Progress, or the request for it, is dropped.
    DropProgress,
    /// Progress is kept back until after the next events.
    DeferProgress,
    /// Progress that was asked for comes at once, ahead of events under way. Only where the client
    /// was told that progress cannot be trusted (etcd before 3.4.25 and 3.5.8); elsewhere it
    /// breaks the contract.
    PrematureProgress,
    /// Progress at revision 0 (kine).
    ZeroProgress,
    /// A watch response comes twice.
    DuplicateEvents,
    /// An earlier watch response, from below the start of the watch, comes again (etcd issue
    /// 20221).
    StaleEvents,
    /// A watch response is lost and the watch goes on (etcd issues 17529 and 18089). Breaks the
    /// contract: to prove that a check of the copy against the store works.
    LoseEvents,
}

impl Fault {
    /// Every kind that leaves the contract of a backend intact.
    pub const HONEST: [Self; 21] = [
        Self::LoseReply,
        Self::ApplyLate,
        Self::LoseRequest,
        Self::Stall,
        Self::Unreachable,
        Self::TooManyRequests,
        Self::NoSpace,
        Self::Unauthenticated,
        Self::Oversize,
        Self::ExpireLease,
        Self::CompactFirst,
        Self::CutWatch,
        Self::HoldWatch,
        Self::HalfOpen,
        Self::LagMember,
        Self::SplitBatch,
        Self::DropProgress,
        Self::DeferProgress,
        Self::ZeroProgress,
        Self::DuplicateEvents,
        Self::StaleEvents,
    ];
}
