//! The end of a program: a last look at everything, and back to an empty store.

use etcd_client::proto::{
    PbDeleteRequest, PbHashKvRequest, PbLeaseLeasesRequest, PbLeaseRevokeRequest, PbRangeRequest,
};

use super::{Divergence, Duel, STREAMS};
use crate::wire::Call;

/// How many of the program's revisions are read again.
const REVISIONS: i64 = 4;

impl Duel {
    pub(super) async fn finish(&mut self) -> Result<(), Divergence> {
        self.settle().await?;
        self.quiesce().await?;
        self.expire().await?;
        self.read_again().await?;
        for number in 0..STREAMS {
            self.end_stream(u8::try_from(number).unwrap_or(0)).await?;
        }
        self.exchange(0, Call::Delete(everything_deleted())).await?;
        self.exchange(0, Call::Leases(PbLeaseLeasesRequest {})).await?;
        let leases: Vec<_> = self.world.leases.keys().copied().collect();
        for id in leases {
            self.exchange(0, Call::Revoke(PbLeaseRevokeRequest { id })).await?;
        }
        self.quiesce().await
    }

    async fn read_again(&mut self) -> Result<(), Divergence> {
        let first = self.world.start.max(self.world.compacted);
        let span = self.world.revision - first;
        let mut revisions: Vec<_> =
            (0..REVISIONS).map(|n| first + span * n / REVISIONS).filter(|r| *r > 0).collect();
        revisions.push(0);
        revisions.dedup();
        for revision in revisions {
            self.exchange(0, Call::Range(everything_at(revision))).await?;
        }
        self.let_compaction_finish().await;
        let revision = self.world.revision;
        self.exchange(0, Call::HashKv(PbHashKvRequest { revision })).await
    }
}

fn everything_at(revision: i64) -> PbRangeRequest {
    PbRangeRequest { key: vec![0], range_end: vec![0], revision, ..Default::default() }
}

fn everything_deleted() -> PbDeleteRequest {
    PbDeleteRequest { key: vec![0], range_end: vec![0], prev_kv: true }
}
