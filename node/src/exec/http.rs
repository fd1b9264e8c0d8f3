//! The one HTTP client: for checks and web hooks.
//!
//! It follows no redirect (a check asks what *this* address says, and a message must not be led
//! elsewhere), uses no proxy of the daemon's environment, keeps no connection (a check has to find
//! out whether a new one comes about) and reads no more of a body than it is told to. Certificates
//! are verified against the host's own roots.

use std::{error::Error, sync::Arc};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The TLS library refused its settings.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The client could not be made.
    #[error("the HTTP client cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}

/// A client that may be cloned at no cost.
#[derive(Debug, Clone)]
pub struct HttpClient(reqwest::Client);

impl HttpClient {
    /// A client that verifies certificates against the host's roots.
    ///
    /// On a host without any root certificates `http://` works all the same, and every
    /// `https://` request fails with an unknown issuer.
    ///
    /// # Errors
    /// [`HttpError`], when the TLS library or the client cannot be set up at all.
    pub fn new() -> Result<Self, HttpError> {
        // Whoever was first has set the same one: there is only one in this program.
        if rustls::crypto::ring::default_provider().install_default().is_err() {
            tracing::trace!("the TLS provider was installed before");
        }
        match Self::builder().build() {
            Ok(client) => Ok(Self(client)),
            Err(error) => {
                tracing::warn!(
                    reason = root_cause(&error),
                    "no usable root certificates on this host: https requests will fail"
                );
                Self::without_roots()
            }
        }
    }

    /// A client that trusts these roots alone, each a certificate in DER.
    ///
    /// # Errors
    /// [`HttpError`], when a root is no certificate or the client cannot be set up.
    pub fn trusting(roots: &[&[u8]]) -> Result<Self, HttpError> {
        let mut store = rustls::RootCertStore::empty();
        for root in roots {
            store.add(rustls_pki_types::CertificateDer::from(root.to_vec()))?;
        }
        Self::with_roots(store)
    }

    fn without_roots() -> Result<Self, HttpError> {
        Self::with_roots(rustls::RootCertStore::empty())
    }

    fn with_roots(roots: rustls::RootCertStore) -> Result<Self, HttpError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Self::builder().tls_backend_preconfigured(config).build()?))
    }

    fn builder() -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(0)
            .tls_info(true)
            .user_agent(concat!("hearten/", env!("CARGO_PKG_VERSION")))
    }

    /// A GET request.
    pub(super) fn get(&self, url: reqwest::Url) -> reqwest::RequestBuilder {
        self.0.get(url)
    }

    /// A request of any method.
    pub(super) fn request(
        &self,
        method: reqwest::Method,
        url: reqwest::Url,
    ) -> reqwest::RequestBuilder {
        self.0.request(method, url)
    }

    /// A POST request.
    pub(super) fn post(&self, url: reqwest::Url) -> reqwest::RequestBuilder {
        self.0.post(url)
    }
}

/// Reads an address; only `http` and `https` will do.
pub(super) fn parse_url(text: &str) -> Result<reqwest::Url, String> {
    let url = reqwest::Url::parse(text).map_err(|error| format!("\"{text}\": {error}"))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err(format!("\"{text}\" is neither http nor https"))
    }
}

/// The beginning of a response's body; what cannot be read is left out.
pub(super) async fn body_beginning(mut response: reqwest::Response, max_bytes: usize) -> String {
    let mut body = Vec::new();
    while body.len() < max_bytes {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                body.extend_from_slice(&chunk[..chunk.len().min(max_bytes - body.len())])
            }
            Ok(None) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&body).into_owned()
}

/// What went wrong at the bottom, without the layers above: "Connection refused (os error 111)".
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let said = cause.to_string();
    // What a server that speaks no TLS answers is no record of it.
    if said.contains("InvalidContentType") {
        return format!("{said}: that port seems to speak no TLS; is it http:// instead?");
    }
    said
}
