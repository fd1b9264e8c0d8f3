//! `kind = "smtp"`: a mail server, and whom it is told to reach.

use super::{notifier::secret, reader::Reader};
use crate::document::{Login, Mail, Security, problem::quoted};
use std::net::IpAddr;

/// The longest address of a mailbox (RFC 5321, with the correction of 2010).
const MAILBOX_BYTES_MAX: usize = 254;

/// The most mailboxes of one notifier. More people than that are a list, which its server keeps.
const MAILBOXES_MAX: usize = 50;

/// The longest name of a user.
const USER_BYTES_MAX: usize = 256;

/// The most certificates' bytes: a private authority has one or two.
const CA_BYTES_MAX: usize = 32 << 10;

const SECURITY: [(&str, Security); 3] =
    [("starttls", Security::StartTls), ("tls", Security::Tls), ("none", Security::Open)];

/// The keys of mail. All are read, whatever the kind, so that every key is known; `wanted` says
/// whether those that are needed have to be there.
pub(super) fn mail(reader: &mut Reader<'_, '_>, wanted: bool) -> Option<Mail> {
    let security = reader.choice("tls", &SECURITY).unwrap_or(Security::StartTls);
    let server = reader.host_and_maybe_port("server", security.port());
    let from = reader.text("from").and_then(|text| mailbox(reader, "from", text));
    let to = reader.texts("to", "[\"ops@example.com\"]").unwrap_or_default();
    let to: Vec<String> = to.iter().filter_map(|text| mailbox(reader, "to", text)).collect();
    if to.len() > MAILBOXES_MAX {
        let message = format!("\"to\" has {} mailboxes; at most {MAILBOXES_MAX} fit", to.len());
        let hint = "write to a mailing list".to_owned();
        reader.complain("to", &message, Some(hint));
    }
    let login = login(reader);
    let ca = ca(reader);
    let unencrypted = reader.boolean("unencrypted").unwrap_or(false);
    if !wanted {
        return None;
    }
    for (key, example) in [
        ("server", "server = \"mail.example.com\""),
        ("from", "from = \"hearten@example.com\""),
        ("to", "to = [\"ops@example.com\"]"),
    ] {
        if !reader.has(key) {
            reader.missing(key, example);
        }
    }
    let (host, port) = server?;
    match security {
        Security::Open if !is_loopback(&host) => open_way(reader, unencrypted),
        Security::Open | Security::StartTls | Security::Tls => {
            if reader.has("unencrypted") {
                let message = "\"unencrypted\" has no meaning but with tls = \"none\" and a server \
                               on another host";
                reader.complain("unencrypted", message, None);
            }
        }
    }
    if security == Security::Open && ca.is_some() {
        reader.complain("ca", "\"ca\" has no meaning with tls = \"none\"", None);
    }
    Some(Mail { host, port, security, from: from?, to, login, ca })
}

/// Mail that crosses a network in the open has to be wanted, and never carries a password.
fn open_way(reader: &mut Reader<'_, '_>, wanted: bool) {
    if !wanted {
        let message = "tls = \"none\" sends mail to another host in the open";
        let hint = "write tls = \"starttls\" or \"tls\", or unencrypted = true if that is meant";
        reader.complain("tls", message, Some(hint.to_owned()));
    }
    if reader.has("password") {
        let message = "a password is not sent to another host in the open";
        let hint = "write tls = \"starttls\" or tls = \"tls\"".to_owned();
        reader.complain("password", message, Some(hint));
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn login(reader: &mut Reader<'_, '_>) -> Option<Login> {
    let user = reader.text("user");
    let password = secret(reader, "password");
    let fits = |user: &str| {
        !user.is_empty() && user.len() <= USER_BYTES_MAX && !user.chars().any(char::is_control)
    };
    if user.is_some_and(|user| !fits(user)) {
        reader.complain("user", "\"user\" must be 1 to 256 printable bytes", None);
    }
    match (reader.has("user"), reader.has("password")) {
        (true, false) => reader.missing("password", "password = \"secret:smtp\""),
        (false, true) => reader.missing("user", "user = \"hearten\""),
        (true, true) | (false, false) => {}
    }
    Some(Login { user: user?.to_owned(), password: password? })
}

pub(super) fn ca(reader: &mut Reader<'_, '_>) -> Option<String> {
    let text = reader.text("ca")?;
    let is_one = text.contains("-----BEGIN CERTIFICATE-----")
        && text.contains("-----END CERTIFICATE-----")
        && !text.contains("PRIVATE KEY")
        && text.len() <= CA_BYTES_MAX;
    if !is_one {
        let hint =
            "write ca = '''-----BEGIN CERTIFICATE----- …''', the certificate itself".to_owned();
        reader.complain("ca", "\"ca\" is no certificate in PEM", Some(hint));
    }
    is_one.then(|| text.to_owned())
}

/// What every mail server would take for a mailbox: only what would surely be refused is refused.
fn mailbox(reader: &mut Reader<'_, '_>, key: &'static str, text: &str) -> Option<String> {
    let fits = text.len() <= MAILBOX_BYTES_MAX
        && !text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || "<>,;:\"()[]\\".contains(c))
        && text.rsplit_once('@').is_some_and(|(local, domain)| {
            let parts = domain.split('.').all(|part| !part.is_empty());
            !local.is_empty() && !local.contains('@') && !domain.is_empty() && parts
        });
    if !fits {
        let message = format!("\"{key}\": {} is no mailbox", quoted(text));
        reader.complain(key, &message, Some("write NAME@HOST, nothing around it".to_owned()));
    }
    fits.then(|| text.to_owned())
}
