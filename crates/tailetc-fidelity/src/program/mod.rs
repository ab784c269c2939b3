//! What is run on both servers: steps in symbols, which the run resolves to requests.
//!
//! A revision is said relative to where the run is, so that a program means the same after any
//! history and still means something when steps of it are left out.

mod generate;
mod op;
mod step;

use serde::{Deserialize, Serialize};

pub use self::generate::{generate, strategy};
pub use self::op::{Compare, Delete, Op, Put, Range, Txn, Union};
pub use self::step::{Action, Step, Watch};

/// Steps that are run in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[expect(clippy::exhaustive_structs, reason = "programs are written down as literals")]
pub struct Program(pub Vec<Step>);

/// A key or a range end; each character stands for one byte.
pub type Key = String;

/// The bytes of a [`Key`].
pub fn bytes(key: &str) -> Vec<u8> {
    key.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

/// From here on the identifier of a lease stands for one that the server chose in this run.
pub const FIRST_CHOSEN: i64 = 101;

/// A revision, relative to where the run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "programs are written down as literals")]
pub enum Rev {
    /// The number itself.
    At(i64),
    /// The current revision and that many more.
    Now(i64),
    /// The revision of the last compaction and that many more.
    Compacted(i64),
    /// The revision at the program's start and that many more.
    Start(i64),
}

impl Default for Rev {
    fn default() -> Self {
        Self::At(0)
    }
}

/// A value: a text, or as many bytes as the number says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(clippy::exhaustive_enums, reason = "programs are written down as literals")]
pub enum Value {
    /// The bytes of the text.
    Text(String),
    /// So many bytes.
    Size(usize),
}

impl Default for Value {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

impl Value {
    /// The bytes that are sent.
    pub fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Size(size) => vec![b'x'; *size],
        }
    }
}

/// For fields that are not written when they say nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
