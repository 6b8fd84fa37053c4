//! TLS for HTTPS trackers and web seeds: certificates are checked against the system's roots, or Mozilla's where the system has none.

use std::{
    io,
    sync::{Arc, OnceLock},
};

use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The configuration, made when it is first needed: reading the roots takes some milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Lazy(OnceLock<Arc<ClientConfig>>);

impl Lazy {
    fn get(&self) -> Arc<ClientConfig> {
        if let Some(config) = self.0.get() {
            return config.clone();
        }
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        self.0.get_or_init(|| config(roots)).clone()
    }

    /// Trusts this one and no other.
    #[cfg(test)]
    pub(super) fn trust(&self, certificate: &[u8]) {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.to_vec().into()).unwrap();
        assert!(self.0.set(config(roots)).is_ok());
    }

    /// Speaks TLS over `stream` with `host`, whose certificate must be for that name.
    pub(crate) async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(self.get()).connect(name, stream).await
    }
}

fn config(roots: RootCertStore) -> Arc<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let builder = builder.expect("ring speaks both versions");
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}
