//! Finding out whether a compaction has taken a deletion away from the watch.
//!
//! On some stores ([`compaction_keeps_deletions`]) a compaction at a revision also drops the
//! deletions made at that revision, and a watch that has yet to be sent exactly that revision goes
//! on without them. The copy would keep the keys for ever, without a sign.
//!
//! There a watch begins at the position and not after it, so that a compaction at the next revision
//! is above its start and ends it. What is left is a watch that is being sent a backlog, or that
//! was too slow and will be: nobody outside knows which revision it has got to. So each look at the
//! store reads at the revision that the copy had reached at the look before. If that is not
//! compacted, nothing above it can have lost a deletion before the look; if it is, it may have.
//!
//! [`compaction_keeps_deletions`]: crate::backend::Capabilities::compaction_keeps_deletions

use crate::Revision;
use crate::backend::{BackendError, BackendErrorKind, Header};
use crate::db::Shared;

/// How many proofs to try. One is void if the copy moves on at that moment.
const PROOFS: u32 = 3;

/// The first revision to ask a watch for that continues a state at `position`.
pub(super) fn watch_from(shared: &Shared, position: Revision) -> Revision {
    if keeps_deletions(shared) { position.next() } else { position }
}

/// The store's header, by a linearizable read.
///
/// # Errors
///
/// `Compacted` if a deletion may be lost.
pub(super) async fn header(shared: &Shared) -> Result<Header, BackendError> {
    if keeps_deletions(shared) {
        return shared.header_at(Revision::ZERO).await;
    }
    let mut proofs = 0;
    loop {
        // Before the read: what had arrived by then is what it vouches for.
        let position = *shared.position.borrow();
        let known = position.proven().unwrap_or_else(|| shared.vouched.get());
        match shared.header_at(known).await {
            Ok(header) => {
                shared.vouched.set(position.revision);
                return Ok(header);
            }
            Err(error) => match error.kind() {
                // Of a store that has lost its history, as its header will show.
                BackendErrorKind::FutureRevision => return shared.header_at(Revision::ZERO).await,
                // On an idle prefix, whose position may have stayed behind, this shows that nothing
                // is lost.
                BackendErrorKind::Compacted { .. } if proofs < PROOFS => {
                    proofs += 1;
                    shared.prove(Revision::new(i64::MAX)).await?;
                }
                _ => return Err(error),
            },
        }
    }
}

fn keeps_deletions(shared: &Shared) -> bool {
    shared.backend.capabilities().compaction_keeps_deletions
}
