//! What is stored.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tailetc::{Collection, Index, Json};

/// The services by name.
pub(crate) const SERVICES: Collection<Json<Service>> = Collection::new("services/");

/// The services by each of their tags.
pub(crate) const BY_TAG: Index<Json<Service>, String> =
    SERVICES.index("tag", |_name, service, tags| tags.extend(&service.tags));

/// Where each replica of the registry listens, by its name.
pub(crate) const REPLICAS: Collection<Json<String>> = Collection::new("replicas/");

/// A service, or a package that can be installed. Its name is its key.
///
/// Fields that are not known are passed over, so that a newer registry may add some.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Service {
    version: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    /// Where it can be reached, as `host:port`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    addresses: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    maintainer: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    homepage: String,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

/// A service with its name: what is posted and imported.
#[derive(Debug, Deserialize)]
pub(crate) struct NamedService {
    pub(crate) name: Name,
    pub(crate) service: Arc<Service>,
}

/// A name that a new service may have. Other programs may have written others to the store, so
/// what is only read or deleted is not held to this.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Name(String);

impl Name {
    const MAX_LEN: usize = 200;

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let usual = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+:@~/".contains(&byte);
        // HTTP clients resolve `.` and `..`, and would ask for another name.
        let unreachable = |part: &str| part.is_empty() || part.bytes().all(|byte| byte == b'.');
        if name.len() > Self::MAX_LEN {
            return Err(format!("a name has at most {} characters", Self::MAX_LEN));
        }
        if !name.bytes().all(usual) || name.split('/').any(unreachable) {
            return Err(format!(
                "{name:?} is no name: use letters, digits and ._-+:@~ in parts separated by '/'"
            ));
        }
        Ok(Self(name))
    }
}

impl AsRef<[u8]> for Name {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
