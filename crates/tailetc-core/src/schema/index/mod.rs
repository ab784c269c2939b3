//! Secondary indexes: their keys, their declaration, and what the schema knows of them.

mod definition;
mod handle;
mod id;
mod key;
mod key_types;

pub(crate) use self::definition::Definition;
pub use self::handle::{Index, IndexKeys};
pub(crate) use self::id::IndexId;
pub use self::key::{AsIndexKey, IndexKey, IndexPrefix, IndexReader, IndexWriter};
