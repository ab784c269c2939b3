//! A request to both sides.

use etcd_client::proto::PbStatusRequest;
use tokio::time::sleep;

use super::{Divergence, Duel};
use crate::wire::{Answer, Call, Refusal};

impl Duel {
    /// Sends a request to both sides and compares the answers.
    pub(super) async fn exchange(&mut self, client: u8, call: Call) -> Result<(), Divergence> {
        let (of_a, of_b) = self.answers(client, &call).await;
        self.compared.requests += 1;
        if let Ok(answer) = &of_a {
            self.world.learn(&call, answer);
        }
        let of_a = of_a.map(|answer| self.a.canonical(&call, answer));
        let of_b = of_b.map(|answer| self.b.canonical(&call, answer));
        if of_a != of_b {
            return Err(Divergence {
                at: format!("{}: {call:?}", self.now),
                a: format!("{of_a:?}"),
                b: format!("{of_b:?}"),
            });
        }
        Ok(())
    }

    async fn answers(
        &self,
        client: u8,
        call: &Call,
    ) -> (Result<Answer, Refusal>, Result<Answer, Refusal>) {
        let (a, b) = (self.a.client(client), self.b.client(client));
        let Call::Grant(request) = call else {
            return tokio::join!(a.call(call.clone()), b.call(call.clone()));
        };
        // An identifier that the server chooses is random: B gets that of A.
        let of_a = a.call(call.clone()).await;
        let mut request = *request;
        if let Ok(Answer::Grant(answer)) = &of_a {
            request.id = answer.id;
        }
        (of_a, b.call(Call::Grant(request)).await)
    }

    /// etcd removes old versions after it has answered a compaction.
    pub(super) async fn let_compaction_finish(&mut self) {
        if let Some(since) = self.world.compacting_since.take() {
            sleep(self.pauses.compaction.saturating_sub(since.elapsed())).await;
        }
    }

    /// What the raft indexes of this program are relative to.
    pub(super) async fn note_raft_indexes(&mut self) -> Result<(), Divergence> {
        let call = Call::Status(PbStatusRequest {});
        let (of_a, of_b) = self.answers(0, &call).await;
        for (side, answer) in [(&mut self.a, &of_a), (&mut self.b, &of_b)] {
            let Ok(Answer::Status(status)) = answer else {
                let (a, b) = (format!("{of_a:?}"), format!("{of_b:?}"));
                return Err(Divergence { at: "a status request".to_owned(), a, b });
            };
            side.raft_base = status.raft_index;
        }
        Ok(())
    }
}
