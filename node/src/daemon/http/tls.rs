//! TLS on the HTTP address, with a certificate and a key that the operator renews as he likes: both
//! files are read anew when one of them has changed.

use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};
use tokio_rustls::TlsAcceptor;

/// Why nobody can be spoken to in TLS.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsProblem {
    /// A file cannot be read.
    #[error("{path}: {why}; {key} of hearten.toml names a file in PEM that the daemon may read")]
    File {
        /// Which.
        path: String,
        /// The system's word, or the format's.
        why: String,
        /// What names it.
        key: &'static str,
    },
    /// What is in them does not belong together, or is not understood.
    #[error("http_certificate and http_key of hearten.toml: {0}")]
    Unfit(#[from] rustls::Error),
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub(in crate::daemon) struct Files {
    /// The certificate, and those that lead from it to its authority.
    pub(in crate::daemon) certificate: PathBuf,
    /// The key.
    pub(in crate::daemon) key: PathBuf,
}

impl Files {
    fn read(&self) -> Result<TlsAcceptor, TlsProblem> {
        let problem = |path: &Path, key, why: String| {
            let path = path.display().to_string();
            TlsProblem::File { path, why, key }
        };
        let (path, name) = (&self.certificate, "http_certificate");
        let chain = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let chain: Vec<_> = chain.map_err(|error| problem(path, name, error.to_string()))?;
        if chain.is_empty() {
            return Err(problem(path, name, "there is no certificate in it".to_owned()));
        }
        let (path, name) = (&self.key, "http_key");
        let key = PrivateKeyDer::from_pem_file(path);
        let key = key.map_err(|error| problem(path, name, error.to_string()))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// When they were changed last, as far as there is something.
    fn changed(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key]
            .map(|path| std::fs::metadata(path).and_then(|there| there.modified()).ok())
    }
}

/// What speaks TLS.
pub(super) struct Tls {
    files: Files,
    changed: [Option<SystemTime>; 2],
    acceptor: TlsAcceptor,
}

impl Tls {
    /// With what the files have now.
    ///
    /// # Errors
    /// [`TlsProblem`].
    pub(super) fn of(files: Files) -> Result<Self, TlsProblem> {
        let changed = files.changed();
        Ok(Self { acceptor: files.read()?, changed, files })
    }

    /// With what they have now, or had when they were right.
    pub(super) fn acceptor(&mut self) -> TlsAcceptor {
        let changed = self.files.changed();
        if changed != self.changed {
            self.changed = changed;
            match self.files.read() {
                Ok(acceptor) => self.acceptor = acceptor,
                Err(error) => {
                    tracing::warn!(%error, "the HTTP address keeps the certificate that it had");
                }
            }
        }
        self.acceptor.clone()
    }
}
