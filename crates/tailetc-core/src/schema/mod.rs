//! Which keys hold which types: collections, codecs, clone policies, and their registry.

mod builder;
mod clone_policy;
mod codec;
mod collection;
mod decode_policy;
mod index;
mod indexed;
#[cfg(feature = "json")]
mod json;
mod registry;

pub(crate) use self::builder::SchemaBuilder;
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
pub(crate) use self::registry::{AnyValue, Schema, SlotId};

/// Where the keys are that are the library's own, relative to the prefix of the `Db`.
const OWN: &str = ".tailetc/";
