//! What the simulated programs store.

use bytes::Bytes;
use tailetc_core::backend::KeyRange;
use tailetc_core::{BoxError, Builder, Codec, Collection, Index, KeyRef};

/// The prefix of every simulated `Db`.
pub(crate) const PREFIX: &str = "/sim/";

/// Where commit markers are. They are no part of what programs do.
pub const MARKERS: &str = "/markers/";

/// Typed values. What they keep is decoded, and can fail to be.
pub(crate) const ITEMS: Collection<Numbered> = Collection::new("items/");

/// Items by what the workload counts. Foreign writers write items, too.
pub(crate) const BY_NUMBER: Index<Numbered, i64> =
    ITEMS.index("number", |_, item, keys| keys.add(item.number));

/// A guarded collection, which nobody writes to but through a `Db`.
pub(crate) const PLACES: Collection<Numbered> = Collection::new("places/");

/// No two places have the same number.
pub(crate) const BY_SEAT: Index<Numbered, i64> =
    PLACES.unique_index("seat", |_, item, keys| keys.add(item.number));

/// Where the keys are that guard and reserve. They are no part of what programs do.
pub(crate) const OWN: &str = "/sim/.tailetc/";

/// The prefix, collections and indexes of every simulated `Db`.
pub(crate) fn declare(builder: Builder) -> Builder {
    let builder = builder.prefix(PREFIX).collection(ITEMS).index(BY_NUMBER);
    builder.collection(PLACES).index(BY_SEAT).guarded(PLACES)
}

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

/// Where a key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Area {
    Items,
    Places,
    Raw,
}

/// A key of the simulation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name {
    pub(crate) area: Area,
    /// Relative to its collection; for raw ones, to the prefix of the `Db`.
    pub(crate) rest: String,
}

impl Name {
    pub(crate) fn item(rest: impl Into<String>) -> Self {
        Self { area: Area::Items, rest: rest.into() }
    }

    pub(crate) fn place(rest: impl Into<String>) -> Self {
        Self { area: Area::Places, rest: rest.into() }
    }

    pub(crate) fn raw(rest: impl AsRef<str>) -> Self {
        Self { area: Area::Raw, rest: format!("raw/{}", rest.as_ref()) }
    }

    /// The whole key, as the store has it.
    pub(crate) fn whole(&self) -> Bytes {
        let collection = match self.area {
            Area::Items => ITEMS.prefix(),
            Area::Places => PLACES.prefix(),
            Area::Raw => "",
        };
        format!("{PREFIX}{collection}{}", self.rest).into()
    }

    /// All keys that begin with this.
    pub(crate) fn prefix(&self) -> KeyRange {
        KeyRange::prefix(self.whole())
    }
}
