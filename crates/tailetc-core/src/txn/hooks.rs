//! `Txn::on_change`.

use std::fmt;

use crate::schema::{AnyValue, SlotId};
use crate::{Codec, KeyRef};

type Hook = Box<dyn FnMut(KeyRef<'_>, Option<&AnyValue>, Option<&AnyValue>) + Send>;

/// The hooks of a transaction, by collection.
#[derive(Default)]
pub(super) struct Hooks(Vec<(SlotId, Hook)>);

impl Hooks {
    pub(super) fn add<C: Codec>(
        &mut self,
        slot: SlotId,
        mut hook: impl FnMut(KeyRef<'_>, Option<&C::Value>, Option<&C::Value>) + Send + 'static,
    ) {
        fn typed<C: Codec>(value: Option<&AnyValue>) -> Option<&C::Value> {
            value.and_then(|value| value.downcast_ref())
        }
        self.0.push((
            slot,
            Box::new(move |key, before, after| hook(key, typed::<C>(before), typed::<C>(after))),
        ));
    }

    pub(super) fn concern(&self, slot: SlotId) -> bool {
        self.0.iter().any(|(of, _)| *of == slot)
    }

    pub(super) fn call(
        &mut self,
        slot: SlotId,
        key: KeyRef<'_>,
        before: Option<&AnyValue>,
        after: Option<&AnyValue>,
    ) {
        for (_, hook) in self.0.iter_mut().filter(|(of, _)| *of == slot) {
            hook(key, before, after);
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} hooks", self.0.len())
    }
}
