//! A queue in pieces, which never moves what is in it.

use std::collections::VecDeque;

/// How many items a piece has. The log's are of 96 KiB: a block of at least 64 KiB that is freed
/// makes glibc's allocator join the small ones that were, which it otherwise puts off until there
/// are so many that somebody waits.
const PIECE: usize = if cfg!(test) { 4 } else { 4096 };

/// Like a [`VecDeque`], but no push and no pop takes time by how many items there are: a list of a
/// million that grows makes somebody wait.
#[derive(Debug)]
pub(super) struct Pieces<T> {
    /// None is empty. All but the first and the last are full.
    pieces: VecDeque<VecDeque<T>>,
}

impl<T> Default for Pieces<T> {
    fn default() -> Self {
        Self { pieces: VecDeque::new() }
    }
}

impl<T> Pieces<T> {
    pub(super) fn len(&self) -> usize {
        let first = self.pieces.front().map_or(0, VecDeque::len);
        let last = if self.pieces.len() > 1 { self.pieces.back() } else { None };
        let between = self.pieces.len().saturating_sub(2) * PIECE;
        first + between + last.map_or(0, VecDeque::len)
    }

    pub(super) fn push_back(&mut self, item: T) {
        match self.pieces.back_mut() {
            Some(last) if last.len() < last.capacity().min(PIECE) => last.push_back(item),
            _ => {
                let mut piece = VecDeque::with_capacity(PIECE);
                piece.push_back(item);
                self.pieces.push_back(piece);
            }
        }
    }

    pub(super) fn front(&self) -> Option<&T> {
        self.pieces.front()?.front()
    }

    pub(super) fn pop_front(&mut self) -> Option<T> {
        let first = self.pieces.front_mut()?;
        let item = first.pop_front();
        if first.is_empty() {
            self.pieces.pop_front();
        }
        item
    }

    pub(super) fn get(&self, index: usize) -> Option<&T> {
        let (piece, index) = self.place(index);
        self.pieces.get(piece)?.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let (piece, index) = self.place(index);
        self.pieces.get_mut(piece)?.get_mut(index)
    }

    /// The items from `index` on.
    pub(super) fn from(&self, index: usize) -> impl Iterator<Item = &T> {
        let (piece, index) = self.place(index);
        let mut pieces = self.pieces.range(piece.min(self.pieces.len())..);
        let first = pieces.next().into_iter();
        first.flat_map(move |piece| piece.range(index.min(piece.len())..)).chain(pieces.flatten())
    }

    /// The piece of an item, and its place there.
    fn place(&self, index: usize) -> (usize, usize) {
        let first = self.pieces.front().map_or(0, VecDeque::len);
        match index.checked_sub(first) {
            None => (0, index),
            Some(after) => (1 + after / PIECE, after % PIECE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_queue(pushes in prop::collection::vec(any::<bool>(), 0..80)) {
            let (mut pieces, mut model) = (Pieces::default(), VecDeque::new());
            for (item, push) in pushes.into_iter().enumerate() {
                if push {
                    pieces.push_back(item);
                    model.push_back(item);
                } else {
                    prop_assert_eq!(pieces.pop_front(), model.pop_front());
                }
                prop_assert_eq!(pieces.front(), model.front());
                prop_assert_eq!(pieces.len(), model.len());
                for index in 0..=model.len() + 1 {
                    prop_assert_eq!(pieces.get(index), model.get(index));
                    prop_assert_eq!(pieces.get_mut(index), model.get_mut(index));
                    let left = model.iter().skip(index);
                    prop_assert!(pieces.from(index).eq(left), "from {}", index);
                }
            }
        }
    }
}
