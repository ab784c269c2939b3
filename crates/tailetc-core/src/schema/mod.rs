//! Which keys hold which types: collections, codecs, clone policies, and their registry.

mod clone_policy;
mod codec;
mod collection;
mod decode_policy;
mod index;
#[cfg(feature = "json")]
mod json;
mod registry;

pub use self::clone_policy::{ClonePolicy, Cloned, Shared};
pub use self::codec::{Codec, Raw};
pub use self::collection::{Collection, RAW};
pub use self::decode_policy::DecodePolicy;
pub use self::index::{
    AsIndexKey, Index, IndexKey, IndexKeys, IndexPrefix, IndexReader, IndexWriter,
};
pub(crate) use self::index::{Definition, IndexId};
#[cfg(feature = "json")]
pub use self::json::Json;
pub(crate) use self::registry::{AnyValue, Schema, SchemaBuilder, SlotId};
