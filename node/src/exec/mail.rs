//! Hands a notice over to a mail server.
//!
//! One mail goes to all mailboxes together. What a server refuses for good (a mailbox that is not
//! there) is told and keeps nobody else from being reached; what it puts off is put off for all,
//! and sent again. Each mail has the notice's key as its `Message-ID`, so that a repetition is known
//! as one, and all mails of an incident refer to the same, so that they stand together.

use lettre::{
    Address, Message as Mime,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters},
        commands::{Data, Mail as MailFrom, Rcpt},
        extension::ClientId,
    },
};
use protocol::{
    agent::Message,
    document::{Mail, Security},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{error::Error, time::Duration};

/// How long a server may take altogether: less than until the notice is sent again.
const WITHIN: Duration = Duration::from_secs(20);

/// The step by which a server has the mail.
const THE_MAIL: &str = "the mail itself";

/// Why a mail did not go out.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// It cannot be made: what the document says is no mail.
    #[error("the mail cannot be made: {0}")]
    Made(String),
    /// The certificates of `ca` are none.
    #[error("\"ca\" is no certificate in PEM: {0}")]
    Ca(String),
    /// The server is not there, is not who it should be, or ends the talk.
    #[error("{server}, {step}: {reason}")]
    Server {
        /// `HOST:PORT`.
        server: String,
        /// What was to be done.
        step: &'static str,
        /// What went wrong, or what the server said.
        reason: String,
        /// What that means.
        said: Said,
    },
    /// The server cannot go on in TLS, so it was told nothing.
    #[error(
        "{server} does not offer STARTTLS, and nothing is sent in the open: write tls = \"tls\" if \
         it begins in TLS"
    )]
    NoTls {
        /// `HOST:PORT`.
        server: String,
    },
    /// The server takes it for none of the mailboxes.
    #[error("{server} takes it for nobody: {refused}")]
    Nobody {
        /// `HOST:PORT`.
        server: String,
        /// What it said of each.
        refused: String,
    },
    /// The time was up.
    #[error("{server} did not take it within {WITHIN:?}")]
    TimedOut {
        /// `HOST:PORT`.
        server: String,
    },
}

/// What a server says by not taking a mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// It may be asked again, or an operator can put it right.
    Later,
    /// It will never take this one.
    Never,
    /// It has the whole mail, and did not answer.
    Nothing,
}

/// Sends a mail, and returns what the server said.
///
/// # Errors
/// [`MailError`]; the server may have taken it all the same when the time was up.
pub async fn send(
    mail: &Mail,
    password: Option<String>,
    message: &Message,
) -> Result<String, MailError> {
    let server = format!("{}:{}", mail.host, mail.port);
    let talk = talk(mail, password, message, &server);
    match tokio::time::timeout(WITHIN, talk).await {
        Ok(result) => result,
        Err(_elapsed) => Err(MailError::TimedOut { server }),
    }
}

async fn talk(
    mail: &Mail,
    password: Option<String>,
    message: &Message,
    server: &str,
) -> Result<String, MailError> {
    let made = made(mail, message)?;
    let failed = |step: &'static str| {
        let server = server.to_owned();
        move |error: SmtpError| {
            let said = said(step, &error);
            MailError::Server { server, step, reason: in_words(&error), said }
        }
    };
    let tls = || -> Result<TlsParameters, MailError> {
        let mut tls = TlsParameters::builder(mail.host.clone());
        if let Some(ca) = &mail.ca {
            tls = tls.certificate_store(CertificateStore::None);
            for root in roots(ca)? {
                tls = tls.add_root_certificate(root);
            }
        }
        tls.build().map_err(failed("TLS"))
    };
    let hello = hello();
    let at_once = if mail.security == Security::Tls { Some(tls()?) } else { None };
    let place = (mail.host.as_str(), mail.port);
    let mut talk = AsyncSmtpConnection::connect_tokio1(place, Some(WITHIN), &hello, at_once, None)
        .await
        .map_err(failed("connecting"))?;
    if mail.security == Security::StartTls {
        if !talk.can_starttls() {
            return Err(MailError::NoTls { server: server.to_owned() });
        }
        talk.starttls(tls()?, &hello).await.map_err(failed("STARTTLS"))?;
    }
    if let (Some(login), Some(password)) = (&mail.login, password) {
        let known = Credentials::new(login.user.clone(), password);
        talk.auth(&[Mechanism::Plain, Mechanism::Login], &known)
            .await
            .map_err(failed("signing in"))?;
    }
    let from = MailFrom::new(Some(made.from), Vec::new());
    talk.command(from).await.map_err(failed("naming the sender"))?;
    let mut refused = Vec::new();
    for to in &made.to {
        match talk.command(Rcpt::new(to.clone(), Vec::new())).await {
            Ok(_) => {}
            Err(error) if error.is_permanent() => {
                refused.push(format!("{to}: {}", in_words(&error)));
            }
            Err(error) => return Err(failed("naming a mailbox")(error)),
        }
    }
    if refused.len() == made.to.len() {
        let (server, refused) = (server.to_owned(), refused.join("; "));
        return Err(MailError::Nobody { server, refused });
    }
    talk.command(Data).await.map_err(failed("DATA"))?;
    let answer = talk.message(&made.bytes).await.map_err(failed(THE_MAIL))?;
    let answer = format!("{} {}", answer.code(), answer.first_line().unwrap_or_default());
    // It is taken: how the talk ends makes no difference.
    if let Err(error) = talk.quit().await {
        tracing::debug!(%error, "a mail server did not say good-bye");
    }
    Ok(match refused.as_slice() {
        [] => answer,
        some => format!("{answer}; but not for {}", some.join("; ")),
    })
}

fn said(step: &str, error: &SmtpError) -> Said {
    match step == THE_MAIL {
        true if error.is_permanent() => Said::Never,
        true if !error.is_transient() => Said::Nothing,
        true | false => Said::Later,
    }
}

/// A mail as it goes out.
struct Made {
    from: Address,
    to: Vec<Address>,
    bytes: Vec<u8>,
}

fn made(mail: &Mail, message: &Message) -> Result<Made, MailError> {
    let wrong = |error: &dyn Error| MailError::Made(error.to_string());
    let address = |text: &String| text.parse::<Address>().map_err(|error| wrong(&error));
    let from = address(&mail.from)?;
    let to = mail.to.iter().map(address).collect::<Result<Vec<_>, _>>()?;
    let thread = format!("<{}.{}@{}>", message.incident, message.mesh, from.domain());
    let own =
        format!("<{}.{}.{}@{}>", message.incident, message.notice, message.mesh, from.domain());
    let mut builder = Mime::builder()
        .from(Mailbox::new(Some("Hearten".to_owned()), from.clone()))
        .subject(one_line(&message.title))
        .message_id(Some(own))
        .references(thread)
        .header(ContentType::TEXT_PLAIN);
    for to in &to {
        builder = builder.to(Mailbox::new(None, to.clone()));
    }
    // RFC 3834: nobody who is away answers it.
    let automatic = HeaderName::new_from_ascii("Auto-Submitted".to_owned());
    let automatic = automatic.map_err(|error| wrong(&error))?;
    let made = builder
        .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()))
        .body(format!("{}\n\nhearten incident explain {}\n", message.text, message.incident))
        .map_err(|error| wrong(&error))?;
    Ok(Made { from, to, bytes: made.formatted() })
}

/// A subject has no second line.
fn one_line(text: &str) -> String {
    text.split(char::is_control)
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn roots(ca: &str) -> Result<Vec<Certificate>, MailError> {
    let wrong = |error: &dyn Error| MailError::Ca(error.to_string());
    let found: Vec<Certificate> = CertificateDer::pem_slice_iter(ca.as_bytes())
        .map(|der| {
            let der = der.map_err(|error| wrong(&error))?;
            Certificate::from_der(der.to_vec()).map_err(|error| wrong(&error))
        })
        .collect::<Result<_, MailError>>()?;
    if found.is_empty() {
        return Err(MailError::Ca("it holds none".to_owned()));
    }
    Ok(found)
}

/// What this host calls itself.
fn hello() -> ClientId {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let fits = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
    if fits { ClientId::Domain(name) } else { ClientId::default() }
}

/// What went wrong, down to its cause.
fn in_words(error: &SmtpError) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{
        ledger::incident::News,
        name::{IncidentId, Name},
    };

    fn mail() -> Mail {
        Mail {
            host: "mail.example.com".to_owned(),
            port: 587,
            security: Security::StartTls,
            from: "hearten@example.com".to_owned(),
            to: vec!["anna@example.com".to_owned(), "ben@example.com".to_owned()],
            login: None,
            ca: None,
        }
    }

    fn message(title: &str, text: &str) -> Message {
        Message {
            incident: IncidentId(42),
            notice: 2,
            news: News::Called,
            notifier: Name::parse("mail").unwrap(),
            mesh: Name::parse("prod").unwrap(),
            peer: "web-1".to_owned(),
            runbook: None,
            title: title.to_owned(),
            text: text.to_owned(),
            facts: Default::default(),
        }
    }

    #[test]
    fn words_from_outside_add_no_header_and_end_no_mail() {
        let hostile =
            message("down\r\nBcc: eve@example.com", "ä\r\n.\r\nMAIL FROM:<eve@example.com>");
        let bytes = made(&mail(), &hostile).unwrap().bytes;
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
        assert!(head.contains("Subject: down Bcc: eve@example.com"), "{head}");
        assert!(head.contains("Message-ID: <INC-42.2.prod@example.com>"), "{head}");
        assert!(head.contains("To: anna@example.com, ben@example.com"), "{head}");
        assert!(head.contains("Auto-Submitted: auto-generated"), "{head}");
        assert!(body.contains("hearten incident explain INC-42"), "{body}");
    }

    #[test]
    fn a_certificate_that_is_none_is_said_to_be_none() {
        assert!(matches!(roots("x"), Err(MailError::Ca(_))));
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let known = roots(broken).map(|roots| roots.len());
        // What is in it is looked at when it is used; that it can be read is not.
        assert!(known.is_err() || known.is_ok_and(|count| count == 1));
    }
}
