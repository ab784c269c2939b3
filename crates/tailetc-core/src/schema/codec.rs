//! How values become bytes.

use bytes::Bytes;

use crate::{BoxError, KeyRef};

/// Encodes and decodes the values of a collection.
///
/// # Contract
///
/// - `decode(k, encode(k, v))` is `v`, for every value of the type.
/// - `decode` must accept or refuse any bytes: other programs write to the store too. A refused
///   value is quarantined and stays readable as bytes. A panic counts as a refusal.
/// - Both are pure: they depend on nothing but their arguments and the codec.
///
/// Encoding needs not be deterministic.
///
/// ```
/// use tailetc_core::{BoxError, Bytes, Codec, KeyRef};
///
/// /// Numbers as decimal text.
/// #[derive(Default)]
/// struct Decimal;
///
/// impl Codec for Decimal {
///     type Value = u64;
///
///     fn encode(&self, _key: KeyRef<'_>, value: &u64) -> Result<Bytes, BoxError> {
///         Ok(value.to_string().into())
///     }
///
///     fn decode(&self, _key: KeyRef<'_>, bytes: &Bytes) -> Result<u64, BoxError> {
///         Ok(std::str::from_utf8(bytes)?.parse()?)
///     }
/// }
/// ```
///
/// The key, relative to the collection, is given so that one collection may hold several kinds of
/// values told apart by their keys.
pub trait Codec: Send + Sync + 'static {
    /// What the values are in memory. Readers share them, so what [`encode`](Self::encode) writes
    /// must not depend on interior mutability.
    type Value: Send + Sync + 'static;

    /// The bytes of `value`.
    ///
    /// # Errors
    ///
    /// When the value has no encoding. The transaction that puts it fails, and nothing is sent.
    fn encode(&self, key: KeyRef<'_>, value: &Self::Value) -> Result<Bytes, BoxError>;

    /// The value of `bytes`.
    ///
    /// # Errors
    ///
    /// When the bytes are not the encoding of a value.
    fn decode(&self, key: KeyRef<'_>, bytes: &Bytes) -> Result<Self::Value, BoxError>;
}

/// Values that are their own bytes.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Raw;

impl Codec for Raw {
    type Value = Bytes;

    fn encode(&self, _key: KeyRef<'_>, value: &Bytes) -> Result<Bytes, BoxError> {
        Ok(value.clone())
    }

    fn decode(&self, _key: KeyRef<'_>, bytes: &Bytes) -> Result<Bytes, BoxError> {
        Ok(bytes.clone())
    }
}
