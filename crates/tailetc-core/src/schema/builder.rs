//! Putting a schema together.

use std::any::{TypeId, type_name};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::schema::index::{Definition, IndexId};
use crate::schema::registry::{ErasedCodec, Slot};
use crate::schema::{OWN, Schema};
use crate::{Codec, Collection, DecodePolicy, Error, Index, IndexKey, Raw};

/// Collects collections and checks them against each other.
#[derive(Default)]
pub(crate) struct SchemaBuilder {
    declared: Vec<Declared>,
    indexes: Vec<Definition>,
    guarded: BTreeSet<&'static str>,
    policies: BTreeMap<&'static str, DecodePolicy>,
}

struct Declared {
    relative: &'static str,
    separated: bool,
    codec_type: TypeId,
    codec_name: &'static str,
    codec: Box<dyn ErasedCodec>,
}

impl SchemaBuilder {
    pub(crate) fn add<C: Codec, P>(&mut self, collection: Collection<C, P>, codec: C) {
        self.declared.push(Declared {
            relative: collection.prefix(),
            separated: collection.must_be_separated(),
            codec_type: TypeId::of::<C>(),
            codec_name: type_name::<C>(),
            codec: Box::new(codec),
        });
    }

    pub(crate) fn add_index<C: Codec, K: IndexKey, P>(&mut self, index: Index<C, K, P>) {
        self.indexes.push(Definition::of(index));
    }

    pub(crate) fn guard<C, P>(&mut self, collection: Collection<C, P>) {
        self.guarded.insert(collection.prefix());
    }

    pub(crate) fn set_policy<C, P>(&mut self, of: Collection<C, P>, policy: DecodePolicy) {
        self.policies.insert(of.prefix(), policy);
    }

    pub(crate) fn build(mut self, prefix: &[u8]) -> Result<Schema, Error> {
        let invalid = |reason| Error::InvalidOption { option: "collection", reason };
        if !self.guarded.is_empty() || self.indexes.iter().any(|index| index.unique) {
            self.add(Collection::<Raw>::new(OWN), Raw);
        }
        self.declared.sort_by_key(|declared| declared.relative);
        for declared in &self.declared {
            if declared.relative.is_empty() {
                return Err(invalid("the prefix is empty; every key would belong to it".into()));
            }
            if declared.separated && !declared.relative.ends_with('/') {
                return Err(invalid(format!(
                    "the prefix {:?} must end with '/' (Collection::bare takes any)",
                    declared.relative
                )));
            }
        }
        for pair in self.declared.windows(2) {
            if pair[1].relative == pair[0].relative {
                let twice = pair[0].relative;
                return Err(invalid(format!("the prefix {twice:?} is registered twice")));
            }
            if pair[1].relative.starts_with(pair[0].relative) {
                return Err(invalid(format!(
                    "the prefixes {:?} and {:?} overlap",
                    pair[0].relative, pair[1].relative
                )));
            }
        }
        let declared = |relative| self.declared.iter().any(|d| d.relative == relative);
        if let Some(relative) = self.policies.keys().find(|relative| !declared(**relative)) {
            let reason = format!("the collection {relative:?} is not registered");
            return Err(Error::InvalidOption { option: "decode_policy", reason });
        }
        if let Some(relative) = self.guarded.iter().find(|relative| !declared(**relative)) {
            let reason = format!("the collection {relative:?} is not registered");
            return Err(Error::InvalidOption { option: "guarded", reason });
        }
        self.indexes.sort_by_key(|index| (index.collection, index.name));
        self.check_indexes()?;
        let raw = Declared {
            relative: "",
            separated: false,
            codec_type: TypeId::of::<Raw>(),
            codec_name: type_name::<Raw>(),
            codec: Box::new(Raw),
        };
        let indexes = self.indexes;
        let of = |collection| {
            let from = indexes.partition_point(|index| index.collection < collection);
            from..indexes.partition_point(|index| index.collection <= collection)
        };
        let slots = std::iter::once(raw).chain(self.declared).map(|declared| Slot {
            prefix: [prefix, declared.relative.as_bytes()].concat().as_slice().into(),
            guard: self.guarded.contains(declared.relative).then(|| {
                let own = format!("{OWN}guard/{}", declared.relative);
                [prefix, own.as_bytes()].concat().as_slice().into()
            }),
            relative: declared.relative,
            codec_type: declared.codec_type,
            codec_name: declared.codec_name,
            codec: declared.codec,
            policy: self.policies.get(declared.relative).copied().unwrap_or_default(),
            indexes: of(declared.relative),
        });
        Ok(Schema { prefix: prefix.into(), slots: slots.collect(), indexes })
    }

    /// They are sorted by collection and name.
    fn check_indexes(&self) -> Result<(), Error> {
        let invalid = |reason| Error::InvalidOption { option: "index", reason };
        for index in &self.indexes {
            let Definition { collection, name, .. } = index;
            let declared = self.declared.iter().find(|of| of.relative == *collection);
            let Some(declared) = declared else {
                return Err(invalid(format!("the collection {collection:?} is not registered")));
            };
            if !index.is_over(declared.codec_type) {
                let codec = declared.codec_name;
                return Err(invalid(format!(
                    "{collection:?} holds {codec}, and {name:?} does not"
                )));
            }
            // The name is a segment of the keys of reservations.
            if name.is_empty() || name.contains('/') {
                return Err(invalid(format!("{name:?} is no name: give a text without '/'")));
            }
        }
        for pair in self.indexes.windows(2) {
            if (pair[0].collection, pair[0].name) == (pair[1].collection, pair[1].name) {
                let Definition { collection, name, .. } = &pair[0];
                return Err(invalid(format!("{collection:?} has two indexes {name:?}")));
            }
        }
        if self.indexes.len() > IndexId::MOST {
            return Err(invalid(format!("there are more than {}", IndexId::MOST)));
        }
        Ok(())
    }
}

impl fmt::Debug for SchemaBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.declared.iter().map(|declared| declared.relative)).finish()
    }
}
