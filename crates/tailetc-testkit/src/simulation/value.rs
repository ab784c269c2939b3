//! What the simulated programs store.

use bytes::Bytes;
use tailetc_core::backend::KeyRange;
use tailetc_core::{BoxError, Codec, Collection, KeyRef};

/// The prefix of every simulated `Db`.
pub(crate) const PREFIX: &str = "/sim/";

/// Where commit markers are. They are no part of what programs do.
pub const MARKERS: &str = "/markers/";

/// Typed values. What they keep is decoded, and can fail to be.
pub(crate) const ITEMS: Collection<Numbered> = Collection::new("items/");

/// A value that no two writes share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// Unique in the run: it names the write.
    pub(crate) id: u64,
    /// What the workload counts.
    pub(crate) number: i64,
}

impl Item {
    pub(crate) fn encode(self) -> Bytes {
        format!("{} {}", self.id, self.number).into()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, number) = std::str::from_utf8(bytes).ok()?.split_once(' ')?;
        Some(Self { id: id.parse().ok()?, number: number.parse().ok()? })
    }
}

/// Items as text.
#[derive(Debug, Default)]
pub(crate) struct Numbered;

impl Codec for Numbered {
    type Value = Item;

    fn encode(&self, _key: KeyRef<'_>, value: &Item) -> Result<Bytes, BoxError> {
        Ok(value.encode())
    }

    fn decode(&self, _key: KeyRef<'_>, bytes: &Bytes) -> Result<Item, BoxError> {
        Item::decode(bytes).ok_or_else(|| "not an item".into())
    }
}

/// A key of the simulation: of the typed collection or a raw one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) typed: bool,
    /// Relative to its collection; for raw ones, to the prefix of the `Db`.
    pub(crate) rest: String,
}

impl Name {
    pub(crate) fn item(rest: impl Into<String>) -> Self {
        Self { typed: true, rest: rest.into() }
    }

    pub(crate) fn raw(rest: impl AsRef<str>) -> Self {
        Self { typed: false, rest: format!("raw/{}", rest.as_ref()) }
    }

    /// The whole key, as the store has it.
    pub(crate) fn whole(&self) -> Bytes {
        let collection = if self.typed { ITEMS.prefix() } else { "" };
        format!("{PREFIX}{collection}{}", self.rest).into()
    }

    /// All keys that begin with this.
    pub(crate) fn prefix(&self) -> KeyRange {
        KeyRange::prefix(self.whole())
    }
}
