//! Secondary indexes as part of the state, and reads of them.

mod bounds;
mod cursor;
mod rows;
mod view;

pub use self::bounds::IndexBounds;
pub(crate) use self::bounds::sealed::Sealed as RowBounds;
pub use self::cursor::{IndexCursor, IndexPage};
pub(crate) use self::rows::rows_of;
pub use self::view::{IndexItem, IndexRange, IndexView, Unplaced};
pub(crate) use self::view::{primary_of, without_number};
