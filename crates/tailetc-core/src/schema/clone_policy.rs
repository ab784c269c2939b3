//! What leaves the cache when a value is read.

use std::sync::Arc;

/// Decides what a read of a collection gives. Whatever it is, nothing that the reader does with it
/// can change the cache.
///
/// ```
/// use std::sync::Arc;
///
/// use tailetc_core::{Bytes, ClonePolicy, Collection, Raw};
///
/// /// Reads give the length alone.
/// enum Length {}
///
/// impl ClonePolicy<Bytes> for Length {
///     type Out = usize;
///
///     fn out(value: &Arc<Bytes>) -> usize {
///         value.len()
///     }
/// }
///
/// const BLOBS: Collection<Raw> = Collection::new("blobs/");
/// const LENGTHS: Collection<Raw, Length> = BLOBS.with_policy();
/// ```
pub trait ClonePolicy<T>: Send + Sync + 'static {
    /// What a read gives.
    type Out;

    /// Makes it from the cached value. Runs at every read: keep it cheap.
    fn out(value: &Arc<T>) -> Self::Out;
}

/// Reads give an [`Arc`] of the cached value; nothing is copied. The default.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a type-level name without values")]
pub enum Shared {}

impl<T: Send + Sync + 'static> ClonePolicy<T> for Shared {
    type Out = Arc<T>;

    fn out(value: &Arc<T>) -> Arc<T> {
        Arc::clone(value)
    }
}

/// Reads give an owned copy.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a type-level name without values")]
pub enum Cloned {}

impl<T: Clone + Send + Sync + 'static> ClonePolicy<T> for Cloned {
    type Out = T;

    fn out(value: &Arc<T>) -> T {
        T::clone(value)
    }
}
