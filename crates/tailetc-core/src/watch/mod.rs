//! Streams of changes for consumers that run in their own time.
//!
//! The applier's end: [`Subscribers`] routes each published change set ([`Routes`](routes::Routes))
//! to the sinks whose [`Scope`] it touches, and to no others. The consumer's end: a [`Feed`] knows
//! what is due next, whatever the types; [`Watch`] and
//! [`IndexWatch`] give it its types. A sink and the source that a
//! feed reads are made as a pair, one for each mode: [`exact`] and [`coalesced`].

mod coalesced;
mod exact;
mod feed;
mod index;
mod mode;
mod reflect;
mod routes;
mod scope;
mod stream;
mod subscribers;
mod update;

#[cfg(test)]
mod tests;

pub use self::index::{IndexChange, IndexUpdate, IndexWatch};
pub use self::mode::WatchMode;
pub use self::reflect::Reflect;
pub(crate) use self::scope::Scope;
pub use self::stream::Watch;
pub(crate) use self::subscribers::{Sink, Subscribers};
pub use self::update::Update;
