//! User state that follows a watch.

use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::{ChangeKind, ClonePolicy, Codec, Error, Key, KeyRef, Token, Update};

/// What [`Watch::reflect_into`](crate::Watch::reflect_into) keeps up to date. Keys are relative to
/// the collection.
///
/// Implemented for maps, and for anything that is by reference or behind a shared lock, which is
/// held for a whole update, so that others never see half a transaction.
pub trait Reflect<C: Codec, P: ClonePolicy<C::Value>> {
    /// Everything that was put is void: the whole state follows, in the same update.
    fn reset(&mut self);

    /// A key has a new value.
    fn put(&mut self, key: KeyRef<'_>, value: P::Out);

    /// A key is gone. May be called for one that was never put.
    fn delete(&mut self, key: KeyRef<'_>);

    /// A key's value does not decode. By default it is taken for gone.
    fn refused(&mut self, key: KeyRef<'_>, error: Error) {
        let _ = error;
        self.delete(key);
    }

    /// An update is complete: this is now the state at the token.
    fn done(&mut self, token: Token) {
        let _ = token;
    }

    /// Applies an update by the other methods. A target that others see overrides it to let them
    /// see whole updates only.
    fn apply(&mut self, update: &Update<C, P>) {
        if update.kind() == ChangeKind::Initial {
            self.reset();
        }
        for change in update.changes() {
            match change.after() {
                Ok(Some(value)) => self.put(change.key(), value),
                Ok(None) => self.delete(change.key()),
                Err(error) => self.refused(change.key(), error),
            }
        }
        self.done(update.token());
    }
}

impl<C: Codec, P: ClonePolicy<C::Value>> Reflect<C, P> for BTreeMap<Key, P::Out> {
    fn reset(&mut self) {
        self.clear();
    }

    fn put(&mut self, key: KeyRef<'_>, value: P::Out) {
        self.insert(key.as_bytes().into(), value);
    }

    fn delete(&mut self, key: KeyRef<'_>) {
        self.remove(key.as_bytes());
    }
}

impl<C, P, S> Reflect<C, P> for HashMap<Key, P::Out, S>
where
    C: Codec,
    P: ClonePolicy<C::Value>,
    S: BuildHasher,
{
    fn reset(&mut self) {
        self.clear();
    }

    fn put(&mut self, key: KeyRef<'_>, value: P::Out) {
        self.insert(key.as_bytes().into(), value);
    }

    fn delete(&mut self, key: KeyRef<'_>) {
        self.remove(key.as_bytes());
    }
}

/// Forwards everything to what `$target` finds behind `self`.
macro_rules! forward {
    ($of:ty, |$self:ident| $target:expr) => {
        impl<C: Codec, P: ClonePolicy<C::Value>, R: Reflect<C, P>> Reflect<C, P> for $of {
            fn reset(&mut self) {
                let $self = self;
                $target.reset();
            }

            fn put(&mut self, key: KeyRef<'_>, value: P::Out) {
                let $self = self;
                $target.put(key, value);
            }

            fn delete(&mut self, key: KeyRef<'_>) {
                let $self = self;
                $target.delete(key);
            }

            fn refused(&mut self, key: KeyRef<'_>, error: Error) {
                let $self = self;
                $target.refused(key, error);
            }

            fn done(&mut self, token: Token) {
                let $self = self;
                $target.done(token);
            }

            fn apply(&mut self, update: &Update<C, P>) {
                let $self = self;
                $target.apply(update);
            }
        }
    };
}

forward!(&mut R, |target| (**target));
forward!(Arc<Mutex<R>>, |target| target.lock().unwrap_or_else(PoisonError::into_inner));
forward!(Arc<RwLock<R>>, |target| target.write().unwrap_or_else(PoisonError::into_inner));
