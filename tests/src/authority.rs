//! Who signs the certificates of a test's servers.

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A certificate authority that only one test knows.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one.
    ///
    /// # Errors
    /// When no key can be made.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        // OpenSSL takes a certificate whose issuer has its own name for one that signed itself.
        let name =
            format!("authority {}", data_encoding::HEXLOWER.encode(&key.public_key_raw()[..8]));
        params.distinguished_name.push(DnType::CommonName, name);
        Ok(Self(CertifiedIssuer::self_signed(params, key)?))
    }

    /// Its own certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Writes a certificate for these names and addresses, and its key, into a folder.
    ///
    /// # Errors
    /// When they cannot be made or written.
    pub fn certify(&self, names: &[&str], folder: &Path) -> Result<(PathBuf, PathBuf)> {
        let own = KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let certificate = CertificateParams::new(names)?.signed_by(&own, &self.0)?;
        let (chain, key) = (folder.join("chain.pem"), folder.join("key.pem"));
        fs::write(&chain, certificate.pem())?;
        fs::write(&key, own.serialize_pem())?;
        Ok((chain, key))
    }
}
