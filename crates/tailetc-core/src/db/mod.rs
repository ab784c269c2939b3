//! The handle that users hold, and what stands behind it.

mod applier;
mod apply;
mod builder;
mod catch_up;
mod currency;
mod handle;
mod health;
mod history;
mod lost_history;
mod observers;
mod own_writes;
mod self_check;
mod shared;
mod staleness;
mod stats;
mod suspicion;
mod unique;
mod vouched;

pub(crate) use self::apply::{AppliedEvent, Difference, Refusal};
pub use self::builder::{Builder, Options};
pub(crate) use self::catch_up::{Arrival, prefix_range};
pub use self::handle::{Db, WriteDenial};
pub use self::health::{Health, HealthChanges, Phase};
pub use self::observers::ObserverGuard;
pub(crate) use self::observers::check_not_observing;
pub(crate) use self::own_writes::OwnWrites;
pub use self::self_check::SelfCheck;
pub(crate) use self::shared::{Handle, Shared};
pub use self::staleness::Staleness;
pub use self::stats::Stats;
pub(crate) use self::suspicion::OpenWatch;
pub use self::unique::{Duplicate, Reservation, UniqueCheck};
