//! Reading with a bound on how old what is read may be.

use std::time::Duration;

use crate::{Db, Error, Snapshot, Token};

/// How old a snapshot may be: see [`Db::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Staleness {
    /// Whatever the copy shows, as [`Db::snapshot`] does: also when the store is unreachable, and
    /// after a close.
    Any,
    /// Everything that was committed, by anybody, longer ago than this must be visible. The copy's
    /// age is proven by linearizable answers: commits, [`Db::fresh`], and the look that the `Db`
    /// takes by itself every [`progress_interval`](crate::Options::progress_interval). While it is
    /// young enough nothing is asked; else as [`Linearizable`](Self::Linearizable).
    MaxAge(Duration),
    /// At least what a token speaks of must be visible, as with [`Db::at_least`].
    AtLeast(Token),
    /// Everything that was committed before the call must be visible, as with [`Db::fresh`].
    Linearizable,
}

impl Db {
    /// A snapshot that is as fresh as asked for. Waits only if the copy is not known to be.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use tailetc_core::{Db, Error, RAW, Staleness};
    /// # async fn route(db: &Db) -> Result<(), Error> {
    /// let snapshot = db.read(Staleness::MaxAge(Duration::from_secs(60))).await?;
    /// let route = snapshot.get(RAW, "route")?;
    /// # let _ = route;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// None for [`Staleness::Any`]. [`Error::TooStale`] for [`Staleness::MaxAge`], with the age and
    /// with what kept the copy from becoming fresher. Those of [`at_least`](Self::at_least) and
    /// [`fresh`](Self::fresh) for the others.
    pub async fn read(&self, staleness: Staleness) -> Result<Snapshot, Error> {
        match staleness {
            Staleness::Any => Ok(self.snapshot()),
            Staleness::AtLeast(token) => self.at_least(&token).await,
            Staleness::Linearizable => self.fresh().await,
            Staleness::MaxAge(allowed) => {
                let age = || self.shared().currency.known().age();
                if age() <= allowed {
                    return Ok(self.snapshot());
                }
                let source = match self.fresh().await {
                    Ok(snapshot) => return Ok(snapshot),
                    Err(error) => Box::new(error),
                };
                Err(Error::TooStale { allowed, age: age(), source })
            }
        }
    }
}
