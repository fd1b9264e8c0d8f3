//! What an operator can do about brokers that cannot be read.
//!
//! Why no broker could be reached the library tells in words alone: it has tried each of them, and
//! often. So its words are looked for here; `tests/tests/kafka_login.rs` has them from brokers.

use protocol::document::{Login, Stream, Tls};
use rskafka::client::error::ProtocolError;
use rustls::CertificateError;

/// How it is told that the other side ended a connection.
const ENDED: [&str; 3] = ["early eof", "Connection reset", "Broken pipe"];

/// How it is told that a broker knows nothing of logins.
const NO_LOGIN: &str = "matching version for: SaslHandshake";

/// What is wrong and what to do about it, where what the library said tells that.
pub(super) fn advice(stream: &Stream, said: &str) -> Option<String> {
    let has_ended = ENDED.iter().any(|words| said.contains(words));
    let of_login = stream.login.as_ref().and_then(|(_, login)| about_login(login, said));
    let of_tls = || match &stream.tls {
        Some(tls) => about_tls(tls, said, has_ended),
        None if has_ended => Some("the brokers hang up: if they want TLS, write tls = true".into()),
        None => None,
    };
    let no_login = || {
        let hint = "the brokers hang up: if they want a login, write \"user\" and \"password\"";
        (stream.login.is_none() && has_ended).then(|| hint.to_owned())
    };
    of_login.or_else(of_tls).or_else(no_login)
}

fn about_login(login: &Login, said: &str) -> Option<String> {
    let Login { user, password } = login;
    let says = |error: ProtocolError| said.contains(&error.to_string());
    if says(ProtocolError::SaslAuthenticationFailed) {
        Some(format!(
            "the brokers do not let user \"{user}\" in: write the right password as \"{password}\" \
             into the file of secrets of every voter, or ask whether the user may log in by this \
             \"mechanism\""
        ))
    } else if says(ProtocolError::UnsupportedSaslMechanism) {
        Some("the brokers offer no login by this \"mechanism\": write another".to_owned())
    } else if says(ProtocolError::IllegalSaslState) || said.contains(NO_LOGIN) {
        Some("the brokers want no login here: take \"user\" away, or write another port".to_owned())
    } else {
        None
    }
}

fn about_tls(tls: &Tls, said: &str, has_ended: bool) -> Option<String> {
    let says = |error: CertificateError| {
        said.contains(&rustls::Error::InvalidCertificate(error).to_string())
    };
    // An authority of the same name with another key makes for a bad signature.
    if says(CertificateError::UnknownIssuer) || says(CertificateError::BadSignature) {
        let known = if tls.ca.is_some() { "\"ca\" did not sign" } else { "nobody known signed" };
        Some(format!(
            "{known} the brokers' certificate: write the certificate of who did as \"ca\""
        ))
    } else if said.contains("certificate not valid for name") {
        Some("the brokers' certificate is for other names: write one of those".to_owned())
    } else if said.contains("Invalid Hostname") {
        Some("TLS goes to brokers with a name or an IPv4 address only: write that".to_owned())
    } else if said.contains("error connecting") && (has_ended || said.contains("tls handshake")) {
        Some("the brokers speak no TLS here: write the port at which they do".to_owned())
    } else {
        None
    }
}
