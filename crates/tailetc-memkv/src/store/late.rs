//! What the one who deletes very many keys waits for.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tailetc_core::Revision;
use tailetc_core::backend::{BackendError, DeleteResponse, KeyValue, TxnOpResponse, TxnResponse};

/// Pairs that are found as their deletions are written down, and are then for who asked for them.
#[derive(Clone, Debug)]
pub(super) struct LatePairs(Arc<Mutex<Vec<KeyValue>>>);

impl LatePairs {
    pub(super) fn with_capacity(count: usize) -> Self {
        Self(Arc::new(Mutex::new(Vec::with_capacity(count))))
    }

    /// `None` if nobody waits for them any more.
    pub(super) fn open(&self) -> Option<MutexGuard<'_, Vec<KeyValue>>> {
        (Arc::strong_count(&self.0) > 1).then(|| self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<KeyValue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A revision that is to be written down before it is answered.
#[derive(Debug)]
pub(crate) struct Unfinished {
    pub(crate) revision: Revision,
    /// With the number of the deletion that they are of, in the order in which deletions run.
    pub(super) pairs: Vec<(usize, LatePairs)>,
}

impl Unfinished {
    /// Completes the answer. Everything is written.
    pub(crate) fn complete(self, answer: &mut impl Deletions) {
        if self.pairs.is_empty() {
            return;
        }
        let mut pairs = self.pairs.into_iter().peekable();
        let mut number = 0;
        answer.each(&mut |deletion| {
            if let Some((_, late)) = pairs.next_if(|(of, _)| *of == number) {
                deletion.prev_kvs = mem::take(&mut *late.lock());
            }
            number += 1;
        });
    }
}

/// An answer that may have those of deletions in it.
pub(crate) trait Deletions {
    /// Shows them in the order in which they ran.
    fn each(&mut self, show: &mut dyn FnMut(&mut DeleteResponse));
}

impl<T: Deletions> Deletions for Result<T, BackendError> {
    fn each(&mut self, show: &mut dyn FnMut(&mut DeleteResponse)) {
        if let Ok(answer) = self {
            answer.each(show);
        }
    }
}

impl Deletions for TxnResponse {
    fn each(&mut self, show: &mut dyn FnMut(&mut DeleteResponse)) {
        for response in &mut self.responses {
            match response {
                TxnOpResponse::Delete(deletion) => show(deletion),
                TxnOpResponse::Txn(nested) => nested.each(show),
                _ => {}
            }
        }
    }
}

impl<H> Deletions for (H, DeleteResponse) {
    fn each(&mut self, show: &mut dyn FnMut(&mut DeleteResponse)) {
        show(&mut self.1);
    }
}

impl Deletions for tailetc_core::backend::Header {
    fn each(&mut self, _: &mut dyn FnMut(&mut DeleteResponse)) {}
}
