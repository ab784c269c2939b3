//! [`open`]: from a URL to a builder.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};

use tailetc_core::backend::KvBackend;
use tailetc_core::{Builder, Error};
use tailetc_memkv::MemKv;

/// Begins to open a [`Db`](crate::Db) on the store that `url` names. Nothing is done, and no error
/// reported, before [`Builder::connect`].
///
/// | URL | store |
/// |---|---|
/// | `memory://` | a fresh one in memory, this `Db`'s own |
/// | `memory://name` | one in memory that all who name it share, for as long as the process lives |
/// | `http://host:port` | an etcd cluster; commas separate several endpoints. Feature `etcd` |
/// | `https://host:port` | the same over TLS with the system's root certificates. Feature `tls` |
/// | `etcd://host:port` | the same as `http://` |
///
/// A port that is left out is 2379. For a user and password, client certificates or timeouts, make
/// a `tailetc::etcd::EtcdBackend` with its own options and give it to
/// [`Db::builder`](crate::Db::builder).
///
/// ```
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// let db = tailetc::open("memory://").prefix("/app/").connect().await?;
/// assert!(db.snapshot().is_empty());
/// # Ok::<_, tailetc::Error>(()) }).unwrap();
/// ```
pub fn open(url: &str) -> Builder {
    let place = parse(url);
    Builder::new(async move { connect(place?).await })
}

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Private,
    Named(String),
    Etcd(Vec<String>),
}

fn parse(url: &str) -> Result<Place, Error> {
    let (scheme, rest) = url.split_once("://").ok_or_else(|| {
        invalid(url, "must begin with a scheme: memory://, http://, https:// or etcd://")
    })?;
    match scheme {
        "memory" => Ok(match rest {
            "" => Place::Private,
            name => Place::Named(name.to_owned()),
        }),
        "http" | "https" | "etcd" => {
            let endpoints: Result<Vec<_>, _> =
                url.split(',').map(|part| endpoint(url, scheme, part.trim())).collect();
            Ok(Place::Etcd(endpoints?))
        }
        _ => Err(invalid(url, "the scheme must be memory, http, https or etcd")),
    }
}

/// One endpoint, with the scheme and port made explicit. Later ones may leave the scheme out.
fn endpoint(url: &str, scheme: &str, part: &str) -> Result<String, Error> {
    let authority = match part.split_once("://") {
        Some((own, authority)) if own == scheme => authority,
        Some(_) => return Err(invalid(url, "all endpoints must have the same scheme")),
        None => part,
    };
    let authority = authority.strip_suffix('/').unwrap_or(authority);
    if authority.contains('@') {
        // Not echoed: it holds a password.
        let reason = "user and password do not belong in the URL: give them to EtcdOptions";
        return Err(Error::InvalidOption { option: "url", reason: reason.into() });
    }
    if authority.contains(['/', '?', '#']) || authority.contains(char::is_whitespace) {
        return Err(invalid(url, "an endpoint is host:port and nothing after it"));
    }
    // An IPv6 address is in brackets, and its colons are not the port's.
    let after_address = authority.rfind(']').map_or(authority, |end| &authority[end + 1..]);
    let (host, port) = match after_address.rsplit_once(':') {
        Some((_, port)) => (&authority[..authority.len() - port.len() - 1], port),
        None => (authority, "2379"),
    };
    if host.is_empty() {
        return Err(invalid(url, "an endpoint has no host"));
    }
    if port.parse::<u16>().is_err() {
        return Err(invalid(url, "a port is not a number up to 65535"));
    }
    let scheme = if scheme == "https" { "https" } else { "http" };
    Ok(format!("{scheme}://{host}:{port}"))
}

async fn connect(place: Place) -> Result<Arc<dyn KvBackend>, Error> {
    match place {
        Place::Private => Ok(Arc::new(memory())),
        Place::Named(name) => Ok(Arc::new(named(name))),
        Place::Etcd(endpoints) => etcd(endpoints).await,
    }
}

/// The store of a name. It stays when its last user goes, as a server's data would.
fn named(name: String) -> MemKv {
    static STORES: Mutex<BTreeMap<String, MemKv>> = Mutex::new(BTreeMap::new());
    let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.entry(name).or_insert_with(memory).clone()
}

/// A fresh store with a cluster identifier of its own, so that a token of another one is refused.
fn memory() -> MemKv {
    // The standard library's only source of randomness; each state is keyed differently.
    let cluster_id = RandomState::new().build_hasher().finish();
    MemKv::builder().with_cluster_id(cluster_id).build()
}

#[cfg(feature = "etcd")]
async fn etcd(endpoints: Vec<String>) -> Result<Arc<dyn KvBackend>, Error> {
    let options = tailetc_etcd::EtcdOptions::new(endpoints);
    let backend = tailetc_etcd::EtcdBackend::connect(options).await;
    Ok(Arc::new(backend.map_err(|error| Error::backend("connect", error))?))
}

#[cfg(not(feature = "etcd"))]
#[expect(clippy::unused_async, reason = "the other half of a feature gate connects")]
async fn etcd(endpoints: Vec<String>) -> Result<Arc<dyn KvBackend>, Error> {
    let tls = endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
    let feature = if tls { "tls" } else { "etcd" };
    let reason = format!("the crate tailetc was built without its feature `{feature}`");
    Err(invalid(&endpoints.join(","), &reason))
}

fn invalid(url: &str, reason: &str) -> Error {
    Error::InvalidOption { option: "url", reason: format!("{url:?}: {reason}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_get_scheme_and_port() {
        let etcd = |endpoints: &[&str]| {
            Place::Etcd(endpoints.iter().map(|&endpoint| endpoint.to_owned()).collect())
        };
        for (url, place) in [
            ("memory://", Place::Private),
            ("memory://a/b", Place::Named("a/b".into())),
            ("http://a", etcd(&["http://a:2379"])),
            ("etcd://a:1/", etcd(&["http://a:1"])),
            ("http://a:1,http://b:2", etcd(&["http://a:1", "http://b:2"])),
            ("https://a,b:2, c", etcd(&["https://a:2379", "https://b:2", "https://c:2379"])),
            ("http://[::1]", etcd(&["http://[::1]:2379"])),
            ("http://[::1]:7", etcd(&["http://[::1]:7"])),
        ] {
            assert_eq!(parse(url).unwrap(), place, "{url}");
        }
    }

    #[test]
    fn bad_urls_are_refused_before_anything_is_tried() {
        for url in [
            "",
            "localhost:2379",
            "ftp://a",
            "http://",
            "http://a,,b",
            "http://a:x",
            "http://a:99999",
            "http://a/path",
            "http://a,https://b",
            "http://user:secret@a",
        ] {
            let error = parse(url).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
