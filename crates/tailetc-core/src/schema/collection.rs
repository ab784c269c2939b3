//! Typed handles on the keys below a prefix.

use std::fmt;
use std::marker::PhantomData;

use crate::{Raw, Shared};

/// The keys below a prefix (relative to that of the [`Db`](crate::Db)), all of which hold values of
/// one codec. A name without data: declare it once, as a constant.
///
/// ```
/// use tailetc_core::{Cloned, Collection, Raw};
///
/// const BLOBS: Collection<Raw> = Collection::new("blobs/");
/// const COPIES: Collection<Raw, Cloned> = Collection::new("copies/").with_policy();
/// ```
///
/// `P` is the [`ClonePolicy`](crate::ClonePolicy): what a read gives.
pub struct Collection<C, P = Shared> {
    prefix: &'static str,
    separated: bool,
    marker: PhantomData<fn() -> (C, P)>,
}

/// The keys that belong to no registered collection, as bytes. Needs no registration.
///
/// Reading or writing a key of a registered collection through it is
/// [`Error::TypeMismatch`](crate::Error::TypeMismatch); ranges over it pass such keys by.
pub const RAW: Collection<Raw> = Collection::bare("");

impl<C> Collection<C> {
    /// The keys below `prefix`, which must end with `/`, so that `nodes/` never takes the keys of
    /// `nodes2/` (checked when the `Db` is built).
    pub const fn new(prefix: &'static str) -> Self {
        Self { prefix, separated: true, marker: PhantomData }
    }

    /// The keys that begin with `prefix`, whatever follows.
    pub const fn bare(prefix: &'static str) -> Self {
        Self { prefix, separated: false, marker: PhantomData }
    }
}

impl<C, P> Collection<C, P> {
    /// The same keys and codec, read with another clone policy. Needs no registration of its own.
    pub const fn with_policy<Q>(self) -> Collection<C, Q> {
        Collection { prefix: self.prefix, separated: self.separated, marker: PhantomData }
    }

    /// The prefix, relative to that of the `Db`.
    pub const fn prefix(&self) -> &'static str {
        self.prefix
    }

    pub(crate) fn must_be_separated(&self) -> bool {
        self.separated
    }
}

impl<C, P> Clone for Collection<C, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C, P> Copy for Collection<C, P> {}

impl<C, P> fmt::Debug for Collection<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Collection").field(&self.prefix).finish()
    }
}
