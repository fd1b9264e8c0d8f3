//! Mail, as a real server takes it: in TLS, with a password, to several people.

use anyhow::{Result, ensure};
use node::exec::mail::{self, MailError};
use protocol::{
    agent::Message,
    document::{Login, Mail, Security},
    ledger::incident::News,
    name::{IncidentId, Name},
};
use std::{fs, os::unix::fs::PermissionsExt};
use tests::{
    Mesh,
    post_office::{LOGIN, Manner, PostOffice},
    until,
};

fn message() -> Result<Message> {
    Ok(Message {
        incident: IncidentId(42),
        notice: 2,
        news: News::Called,
        notifier: Name::parse("mail")?,
        mesh: Name::parse("prod")?,
        peer: "web-1".to_owned(),
        runbook: None,
        title: "called INC-42 on web-1: größer".to_owned(),
        text: "web-1 antwortet nicht mehr.\n.\nEin Punkt allein.".to_owned(),
        facts: Default::default(),
    })
}

fn mail(office: &PostOffice, security: Security, to: &[&str]) -> Result<Mail> {
    Ok(Mail {
        host: "127.0.0.1".to_owned(),
        port: office.port,
        security,
        from: "hearten@example.com".to_owned(),
        to: to.iter().map(|&to| to.to_owned()).collect(),
        login: Some(Login { user: LOGIN.0.to_owned(), password: Name::parse("smtp")? }),
        ca: Some(office.ca.clone()),
    })
}

fn send(mail: &Mail, password: &str) -> Result<Result<String, MailError>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let message = message()?;
    Ok(runtime.block_on(mail::send(mail, Some(password.to_owned()), &message)))
}

#[test]
fn a_mail_goes_to_all_in_tls_whether_it_begins_so_or_is_asked_for() -> Result<()> {
    for (manner, security) in [(Manner::StartTls, Security::StartTls), (Manner::Tls, Security::Tls)]
    {
        let Some(office) = PostOffice::open(manner)? else { return Ok(()) };
        let to = ["anna@example.com", "nobody@example.com", "ben@example.com"];
        let said = send(&mail(&office, security, &to)?, LOGIN.1)??;
        ensure!(said.contains("taken") && said.contains("nobody@example.com: permanent"), "{said}");
        let mail = until("it is taken", || office.taken().first().cloned())?;
        assert_eq!((&mail["tls"], &mail["authenticated"]), (&true.into(), &true.into()), "{mail}");
        assert_eq!(mail["to"], serde_json::json!(["anna@example.com", "ben@example.com"]));
        let text = mail["text"].as_str().unwrap_or_default();
        ensure!(text.contains("Message-ID: <INC-42.2.prod@example.com>"), "{text}");
        ensure!(text.contains("Subject: called INC-42 on web-1:"), "{text}");
        ensure!(text.contains("antwortet nicht mehr.\r\n.\r\nEin Punkt"), "{text}");
    }
    Ok(())
}

#[test]
fn what_is_not_private_is_not_sent_and_what_is_refused_is_said() -> Result<()> {
    let Some(office) = PostOffice::open(Manner::StartTls)? else { return Ok(()) };
    let Some(other) = PostOffice::open(Manner::Open)? else { return Ok(()) };
    let anna = mail(&office, Security::StartTls, &["anna@example.com"])?;

    let stranger = Mail { ca: Some(other.ca.clone()), ..anna.clone() };
    let said = send(&stranger, LOGIN.1)?.err().map(|error| error.to_string());
    ensure!(said.as_ref().is_some_and(|said| said.contains("STARTTLS")), "{said:?}");
    // A server that has lost its TLS, or somebody in between who takes it away.
    let open = mail(&other, Security::StartTls, &["anna@example.com"])?;
    ensure!(matches!(send(&open, LOGIN.1)?, Err(MailError::NoTls { .. })));
    let wrong = send(&anna, "another")?.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(wrong.contains("signing in") && wrong.contains("535"), "{wrong}");
    ensure!(!wrong.contains("another"), "the password is told: {wrong}");
    let nobody = mail(&office, Security::StartTls, &["nobody@example.com"])?;
    let said = send(&nobody, LOGIN.1)?.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains("for nobody") && said.contains("no such mailbox"), "{said}");
    // Put off for one: sent again to all, so nobody is told by halves for good.
    let later = mail(&office, Security::StartTls, &["anna@example.com", "later@example.com"])?;
    let said = send(&later, LOGIN.1)?.err().map(|error| error.to_string()).unwrap_or_default();
    ensure!(said.contains("greylisted"), "{said}");
    ensure!(office.taken().is_empty() && other.taken().is_empty(), "nobody was told anything");

    let plain = Mail { login: None, ca: None, ..mail(&other, Security::Open, &["a@example.com"])? };
    ensure!(send(&plain, "")?.is_ok());
    ensure!(until("it is taken", || other.taken().first().cloned())?["tls"] == false);
    Ok(())
}

const DOCUMENTS: &str = r#"
[[check]]
name       = "flag"
every      = "500ms"
command    = "test $HEARTEN_PEER != h2 || test -e FOLDER/ok || exit 2"
fail_after = 1

[[runbook]]
name = "call"
on   = { check = "flag" }

[[runbook.rung]]
name   = "page"
notify = "page"

[[runbook.rung]]
name   = "lost"
notify = "lost"

[[runbook.rung]]
name   = "mail"
notify = "mail"

[[notifier]]
name = "page"
kind = "command"
run  = "cat >> FOLDER/paged"

[[notifier]]
name   = "lost"
kind   = "smtp"
server = "127.0.0.1:1"
from   = "hearten@example.com"
to     = ["anna@example.com"]

[[notifier]]
name     = "mail"
kind     = "smtp"
server   = "127.0.0.1:PORT"
from     = "hearten@example.com"
to       = ["anna@example.com", "ben@example.com"]
user     = "hearten"
password = "secret:smtp"
ca       = '''CA'''
"#;

#[test]
fn a_call_and_its_end_come_by_mail_and_by_a_program_whatever_else_is_broken() -> Result<()> {
    let Some(office) = PostOffice::open(Manner::StartTls)? else { return Ok(()) };
    let mesh = Mesh::of(&["", "", ""])?;
    let folder = mesh.folder();
    for host in &mesh.hosts {
        let file = host.data.join("secrets.toml");
        fs::write(&file, format!("smtp = \"{}\"\n", LOGIN.1))?;
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    }
    let documents = DOCUMENTS
        .replace("FOLDER", &folder.to_string_lossy())
        .replace("PORT", &office.port.to_string())
        .replace("CA'''", &format!("{}'''", office.ca))
        .replace("'''CA", "'''");
    mesh.apply(&documents)?;
    let called = until("the mail is there", || office.taken().first().cloned())?;
    let text = called["text"].as_str().unwrap_or_default();
    ensure!(text.contains("check \"flag\" fails on h2"), "{text}");
    ensure!(called["authenticated"] == true && called["tls"] == true, "{called}");
    let paged = || fs::read_to_string(folder.join("paged")).unwrap_or_default();
    until("the program is told", || paged().contains("\"news\":\"called\"").then_some(()))?;

    fs::write(folder.join("ok"), "")?;
    let over = until("the mail says that it is over", || office.taken().get(1).cloned())?;
    ensure!(over["text"].as_str().is_some_and(|text| text.contains("well again")), "{over}");
    until("and the program", || paged().contains("\"news\":\"resolved\"").then_some(()))?;
    Ok(())
}
