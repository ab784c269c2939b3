//! A fresh store of either kind.

use std::sync::Arc;

use bytes::Bytes;
use tailetc::backend::{
    KeyRange, KeyValue, KvBackend, KvBackendExt, PutRequest, TxnOp, TxnRequest,
};
use tailetc::memkv::MemKv;
use tailetc::{Builder, Db, Options, Revision};

/// A fresh, empty store. Its own methods act as another program would: not through a `Db`.
pub(crate) struct Store {
    pub(crate) backend: Arc<dyn KvBackend>,
    #[cfg(feature = "etcd")]
    pub(crate) server: Option<tailetc_testkit::etcd_server::EtcdServer>,
}

impl Store {
    pub(crate) fn memory() -> Self {
        Self::of(MemKv::new())
    }

    /// One that imitates this release of etcd.
    pub(crate) fn memory_of(version: &str) -> Self {
        let version = version.parse().expect("a release of etcd");
        Self::of(MemKv::builder().with_imitate(version).build())
    }

    fn of(store: MemKv) -> Self {
        Self {
            backend: Arc::new(store),
            #[cfg(feature = "etcd")]
            server: None,
        }
    }

    #[cfg(feature = "etcd")]
    pub(crate) async fn etcd() -> Self {
        use tailetc::etcd::{EtcdBackend, EtcdOptions};
        use tailetc_testkit::etcd_server::EtcdServer;
        let server = EtcdServer::start().await.expect("starting etcd");
        let backend = EtcdBackend::connect(
            EtcdOptions::new([server.url()])
                .with_connect_timeout(super::DEADLINE)
                .with_request_timeout(super::DEADLINE),
        );
        let backend = backend.await.expect("connecting");
        // All connections are made, so that their tasks are there before a test counts any.
        let all = tailetc::backend::WatchRequest::new(KeyRange::all(), Revision::new(1));
        drop(backend.watch(all).await.expect("watching"));
        let none = backend.lease_keep_alive(tailetc::LeaseId::new(1)).await;
        assert!(none.expect("a renewal").is_none());
        Self { backend: Arc::new(backend), server: Some(server) }
    }

    /// A builder for the prefix `/t/` with short pauses.
    pub(crate) fn builder(&self) -> Builder {
        builder_on(Arc::clone(&self.backend))
    }

    pub(crate) async fn db(&self) -> Db {
        self.builder().connect().await.expect("connecting a Db")
    }

    pub(crate) async fn put(&self, key: &str, value: impl Into<Bytes>) -> Revision {
        let put = PutRequest::new(key.to_owned(), value);
        self.backend.put(put).await.expect("foreign put")
    }

    pub(crate) async fn delete(&self, key: &str) -> i64 {
        let range = KeyRange::key(key.to_owned());
        self.backend.delete(range).await.expect("foreign delete").0
    }

    pub(crate) async fn get(&self, key: &str) -> Option<Bytes> {
        self.stored(key).await.map(|kv| kv.value)
    }

    /// What the store holds of a key.
    pub(crate) async fn stored(&self, key: &str) -> Option<KeyValue> {
        self.backend.get(Bytes::from(key.to_owned())).await.expect("foreign get")
    }

    /// One transaction of puts.
    pub(crate) async fn put_all(&self, puts: &[(&str, &str)]) -> Revision {
        let puts = puts.iter().map(|(key, value)| {
            TxnOp::from(PutRequest::new((*key).to_owned(), (*value).to_owned()))
        });
        self.backend.txn(TxnRequest::new(puts)).await.expect("foreign txn").header.revision
    }
}

pub(crate) fn builder_on(backend: Arc<dyn KvBackend>) -> Builder {
    let mut options = Options::default();
    options.backoff_min = std::time::Duration::from_millis(5);
    options.backoff_max = std::time::Duration::from_millis(100);
    Db::builder(backend).prefix("/t/").options(options)
}
