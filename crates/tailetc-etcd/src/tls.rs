//! Certificates.

use std::fmt;

use etcd_client::{Certificate, Identity, TlsOptions};

/// TLS options of an [`EtcdBackend`](crate::EtcdBackend). By default the server's certificate must
/// come from one of the system's root certificates, and no client certificate is shown.
#[derive(Clone, Default)]
pub struct EtcdTls {
    ca: Option<Vec<u8>>,
    identity: Option<(Vec<u8>, Vec<u8>)>,
    domain: Option<String>,
}

impl EtcdTls {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificate authorities (PEM, one or several) instead of the system's.
    #[must_use]
    pub fn with_ca(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.ca = Some(pem.into());
        self
    }

    /// Shows this certificate to the server, with its private key (both PEM).
    #[must_use]
    pub fn with_identity(
        mut self,
        certificate_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.identity = Some((certificate_pem.into(), key_pem.into()));
        self
    }

    /// Expects this name in the server's certificate instead of the host of the endpoint.
    #[must_use]
    pub fn with_domain(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    pub(crate) fn to_client(&self) -> TlsOptions {
        let mut options = match &self.ca {
            Some(pem) => TlsOptions::new().ca_certificate(Certificate::from_pem(pem)),
            None => TlsOptions::new().with_native_roots(),
        };
        if let Some((certificate, key)) = &self.identity {
            options = options.identity(Identity::from_pem(certificate, key));
        }
        if let Some(domain) = &self.domain {
            options = options.domain_name(domain);
        }
        options
    }
}

/// Without the private key.
impl fmt::Debug for EtcdTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdTls")
            .field("own_ca", &self.ca.is_some())
            .field("identity", &self.identity.is_some())
            .field("domain", &self.domain)
            .finish()
    }
}
