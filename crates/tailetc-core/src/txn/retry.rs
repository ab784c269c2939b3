//! Running a transaction until it is committed.

use std::time::Duration;

use crate::txn::{Commit, Txn};
use crate::{Db, Error, Token};

/// The pause before the second attempt; it doubles with each further one, up to the longest.
const PAUSE: Duration = Duration::from_micros(500);
const PAUSE_MAX: Duration = Duration::from_millis(50);

impl Db {
    /// Runs `body` in a transaction and commits it; on a conflict, again on a newer snapshot. The
    /// next attempt waits (for [`catch_up_timeout`](crate::Options::catch_up_timeout) at most)
    /// until this `Db` shows what conflicted. Between
    /// attempts are growing pauses with jitter; after
    /// [`transact_attempts`](crate::Options::transact_attempts) it gives up.
    ///
    /// `body` must have no effect but on the transaction: it may run many times. It is not async,
    /// and the type of its error must be known: end it with `Ok::<_, Error>(..)`. An error that it
    /// returns abandons the transaction, unless it is caused by a conflict, which is then retried.
    /// An unknown outcome is never retried.
    ///
    /// ```
    /// # use tailetc_core::{Db, Error, RAW};
    /// # async fn claim(db: &Db) -> Result<(), Error> {
    /// let (won, commit) = db
    ///     .transact(|txn| {
    ///         let free = !txn.contains(RAW, "leader")?;
    ///         if free {
    ///             txn.put(RAW, "leader", bytes::Bytes::from("me"))?;
    ///         }
    ///         Ok::<_, Error>(free)
    ///     })
    ///     .await?;
    /// # let _ = (won, commit);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As for [`Txn::commit`].
    ///
    /// # Errors
    ///
    /// What `body` returns; [`Error::TooManyConflicts`]; everything else that [`Txn::commit`] fails
    /// with.
    pub async fn transact<T, E: From<Error>>(
        &self,
        mut body: impl FnMut(&mut Txn) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        let attempts = self.shared().options.transact_attempts;
        let mut attempt = 1;
        loop {
            let mut txn = self.txn();
            let outcome = body(&mut txn);
            let conflict = match (txn.conflict(), outcome) {
                (Some(conflict), _) => conflict,
                (None, Err(error)) => return Err(error),
                (None, Ok(value)) => match txn.commit().await {
                    Ok(commit) => return Ok((value, commit)),
                    Err(error @ Error::Conflict { .. }) => error,
                    Err(error) => return Err(error.into()),
                },
            };
            if attempt == attempts {
                let source = Box::new(conflict);
                return Err(Error::TooManyConflicts { attempts, source }.into());
            }
            let nominal = PAUSE.saturating_mul(1 << attempt.min(16)).min(PAUSE_MAX);
            tokio::time::sleep(nominal.mul_f64(self.shared().random())).await;
            attempt += 1;
        }
    }

    /// The same on a snapshot that shows at least what the token speaks of: waits as
    /// [`at_least`](Self::at_least) does, then runs `body` as [`transact`](Self::transact) does.
    ///
    /// ```
    /// # use tailetc_core::{Bytes, Commit, Db, Error, RAW, Token};
    /// /// Takes a step that another process has announced by the token of its own.
    /// async fn answer(db: &Db, token: &Token) -> Result<Commit, Error> {
    ///     let step = db.transact_after(token, |txn| {
    ///         let asked = txn.get(RAW, "question")?; // what was there at the token, or newer
    ///         txn.put(RAW, "answer", asked.map_or_else(Bytes::new, |asked| (*asked).clone()))
    ///     });
    ///     Ok(step.await?.1)
    /// }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// As for [`Txn::commit`].
    ///
    /// # Errors
    ///
    /// Those of [`at_least`](Self::at_least), before `body` is run: the token is of another cluster
    /// or of a lost history ([`Error::TokenMismatch`]), or the copy did not reach it by the
    /// deadline ([`Error::NotCaughtUp`] without a `committed`). [`Error::HistoryLost`] also if the
    /// history that the token is of is lost between two attempts. Then those of
    /// [`transact`](Self::transact).
    pub async fn transact_after<T, E: From<Error>>(
        &self,
        token: &Token,
        mut body: impl FnMut(&mut Txn) -> Result<T, E>,
    ) -> Result<(T, Commit), E> {
        let epoch = self.reach(token).await?.epoch;
        self.transact(|txn| {
            if txn.base.epoch != epoch {
                return Err(Error::HistoryLost { target: token.revision() }.into());
            }
            body(txn)
        })
        .await
    }
}
