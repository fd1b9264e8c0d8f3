//! Telling people: a notice in the words of the channel that it goes through.
//!
//! A notice goes out at least once. What tells a repetition from news is in each of them: a key of
//! the mesh, the incident and the notice; PagerDuty's events of one incident share theirs, so that
//! its end resolves what its call triggered.

mod again;

pub use again::not_taken;

use super::{
    environment::Environment,
    http::HttpClient,
    mail::{self, MailError},
    output::beginning,
    process::{self, End, RunLimits, Streams},
    secrets::{Secrets, SecretsError},
    webhook::{self, Post, WebhookError},
};
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use protocol::{
    agent::Message,
    document::{Channel, Command, Mail, Notifier, Where},
    ledger::incident::News,
    name::Name,
};
use serde_json::{Value, json};
use sha2::Sha256;
use std::{collections::BTreeMap, time::Duration};
use tokio_util::sync::CancellationToken;

/// The header with a body's signature: `sha256=` and HMAC-SHA256 in hexadecimal.
const SIGNATURE: &str = "x-hearten-signature";

/// How much of what a program printed is kept.
const PRINTED_MAX_BYTES: usize = 500;

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// What the channel needs is not in the file of secrets.
    #[error(transparent)]
    Secret(#[from] SecretsError),
    /// The receiver did not take it.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// The mail server did not take it.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// It has no way of its own.
    #[error("\"{0}\" is a route: the notifiers that it leads to tell people")]
    Route(Name),
    /// The program did not carry it out.
    #[error("the program did not carry it out, {end}: {printed}")]
    Command {
        /// How it ended.
        end: End,
        /// The beginning of what it printed.
        printed: String,
    },
}

/// Sends a notice, and returns what the receiver said.
///
/// # Errors
/// [`NoticeError`]; without the secret nothing was sent, otherwise it may have been taken.
pub async fn send(
    http: &HttpClient,
    secrets: &Secrets,
    notifier: &Notifier,
    message: &Message,
    cancel: &CancellationToken,
) -> Result<String, NoticeError> {
    let secret = |name: &Name| -> Result<String, SecretsError> {
        Ok(secrets.open()?.get(&message.peer, name)?.to_owned())
    };
    match way(notifier, message, secret)? {
        Way::Post(post) => Ok(webhook::send(http, post, webhook::TIMEOUT).await?),
        Way::Mail(mail, password) => Ok(mail::send(mail, password, message).await?),
        Way::Run(command, timeout) => run(command, timeout, message, cancel).await,
    }
}

/// How a message goes out, with its secrets in their places.
enum Way<'a> {
    Post(Post),
    Mail(&'a Mail, Option<String>),
    Run(&'a Command, Duration),
}

/// Has a program carry the message out: it is told on its standard input, in the mesh's own shape.
async fn run(
    command: &Command,
    timeout: Duration,
    message: &Message,
    cancel: &CancellationToken,
) -> Result<String, NoticeError> {
    let variables = [
        ("HEARTEN_INCIDENT", message.incident.to_string()),
        ("HEARTEN_NOTICE", message.notice.to_string()),
        ("HEARTEN_NEWS", message.news.as_str().to_owned()),
        ("HEARTEN_NOTIFIER", message.notifier.to_string()),
        ("HEARTEN_PEER", message.peer.clone()),
    ];
    let variables: BTreeMap<String, String> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let mut input = plain(message).to_string().into_bytes();
    input.push(b'\n');
    // It is run again and again: nothing of it stays behind.
    let streams = Streams { input, leftovers_end: true, ..Streams::default() };
    let limits = RunLimits { output_max_bytes: PRINTED_MAX_BYTES, ..RunLimits::new(timeout) };
    let environment = Environment::from(variables);
    let ran = process::run_with(command, &environment, limits.guarded(), streams, cancel).await;
    let printed = beginning(ran.output.trim(), PRINTED_MAX_BYTES).to_owned();
    match (ran.end, printed.is_empty()) {
        (End::Exited(0), true) => Ok("exit code 0".to_owned()),
        (End::Exited(0), false) => Ok(format!("exit code 0: {printed}")),
        (end, _) => Err(NoticeError::Command { end, printed }),
    }
}

/// What is posted to a web hook: the operator's own shape, or the mesh's.
fn body(notifier: &Notifier, message: &Message) -> Vec<u8> {
    match &notifier.body {
        Some(template) => template.fill(&message.facts, within_json).into_bytes(),
        None => plain(message).to_string().into_bytes(),
    }
}

/// A value as it stands inside of a string of JSON.
fn within_json(value: &str) -> String {
    let quoted = Value::from(value).to_string();
    let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inside.unwrap_or_default().to_owned()
}

fn way<'a>(
    notifier: &'a Notifier,
    message: &Message,
    secret: impl Fn(&Name) -> Result<String, SecretsError>,
) -> Result<Way<'a>, NoticeError> {
    let post = match &notifier.channel {
        Channel::Webhook { url } => Post::json(url, body(notifier, message)),
        Channel::SignedWebhook { url, secret: name } => {
            let mut post = Post::json(url, body(notifier, message));
            let signature = signature(&secret(name)?, &post.body);
            post.headers.push((SIGNATURE, signature));
            post
        }
        Channel::Slack { url: Where::At(url) } => {
            Post::json(url, slack(message).to_string().into_bytes())
        }
        Channel::Slack { url: Where::Secret(name) } => {
            Post::json(&secret(name)?, slack(message).to_string().into_bytes())
        }
        Channel::PagerDuty { url, routing_key, severity } => {
            let event = pagerduty(message, &secret(routing_key)?, severity.as_deref());
            Post::json(url, event.to_string().into_bytes())
        }
        Channel::Ntfy { url, token, priority } => {
            let mut post = Post::text(url, &message.text);
            let over = !message.news.is_call();
            let tag = if over { "white_check_mark" } else { "rotating_light" };
            post.headers.push(("title", header(&message.title)));
            post.headers.push(("tags", tag.to_owned()));
            // That it is over wakes nobody.
            post.headers.push(("priority", (if over { 3 } else { *priority }).to_string()));
            if let Some(token) = token {
                post.headers.push(("authorization", format!("Bearer {}", secret(token)?)));
            }
            post
        }
        Channel::Mail(mail) => {
            let password = mail.login.as_ref().map(|login| secret(&login.password)).transpose()?;
            return Ok(Way::Mail(mail, password));
        }
        Channel::Command { command, timeout } => return Ok(Way::Run(command, *timeout)),
        Channel::Route(_) => return Err(NoticeError::Route(notifier.name.clone())),
    };
    Ok(Way::Post(post))
}

/// A text as a header holds it: in one line, and in ASCII as mail has it (RFC 2047), which ntfy
/// reads back.
fn header(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.is_ascii() {
        return line;
    }
    format!("=?UTF-8?B?{}?=", data_encoding::BASE64.encode(line.as_bytes()))
}

/// The mesh's own shape.
fn plain(message: &Message) -> Value {
    json!({
        "schema": 1,
        "key": format!("{}/{}/{}", message.mesh, message.incident, message.notice),
        "mesh": message.mesh.as_str(),
        "incident": message.incident.to_string(),
        "news": message.news.as_str(),
        "peer": message.peer,
        "runbook": message.runbook.as_ref().map(|name| name.as_str()),
        "notifier": message.notifier.as_str(),
        "severity": message.facts.get("severity"),
        "check": message.facts.get("check"),
        "why": message.facts.get("why"),
        "since": message.facts.get("last"),
        "title": message.title,
        "text": message.text,
    })
}

fn slack(message: &Message) -> Value {
    let colour = match message.news {
        News::Called => "danger",
        News::Resolved | News::Repaired => "good",
        News::Asked => "warning",
    };
    // What stands in an alert's words must not become a link or call a whole channel.
    let safe = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let field =
        |title: &str, value: &str| json!({ "title": title, "value": safe(value), "short": true });
    let mut fields =
        vec![field("Host", &message.peer), field("Incident", &message.incident.to_string())];
    if let Some(runbook) = &message.runbook {
        fields.push(field("Runbook", runbook.as_str()));
    }
    for (title, fact) in [("Check", "check"), ("Alert", "alert.alertname"), ("Ran", "ran")] {
        if let Some(known) = message.facts.get(fact).filter(|known| !known.is_empty()) {
            fields.push(field(title, known));
        }
    }
    let (title, text) = (safe(&message.title), safe(&message.text));
    json!({
        "attachments": [{
            "color": colour,
            "fallback": text,
            "title": title,
            "text": text,
            "fields": fields,
            "footer": format!("hearten incident explain {}", message.incident),
        }],
    })
}

/// An event of PagerDuty's Events API, version 2.
fn pagerduty(message: &Message, routing_key: &str, severity: Option<&str>) -> Value {
    /// The longest summary that is taken.
    const SUMMARY_MAX: usize = 1_024;
    let resolve = !message.news.is_call();
    // Our words for it are among theirs.
    let own = message.facts.get("severity").map(String::as_str);
    let severity = severity.or(own).unwrap_or("critical");
    let summary: String = message.text.chars().take(SUMMARY_MAX).collect();
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": if resolve { "resolve" } else { "trigger" },
        "dedup_key": format!("{}/{}", message.mesh, message.incident),
    });
    if !resolve {
        event["payload"] = json!({
            "summary": summary,
            "source": message.peer,
            "severity": severity,
            "group": message.mesh.as_str(),
            "custom_details": plain(message),
        });
        // What is not known is left out: a null is no text.
        if let Some(runbook) = &message.runbook {
            event["payload"]["class"] = runbook.as_str().into();
        }
    }
    event
}

fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .unwrap_or_else(|_| unreachable!("a key of any length is one"));
    mac.update(body);
    format!("sha256={}", HEXLOWER.encode(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod schemas;

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{document::Template, name::IncidentId};

    pub(super) fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    pub(super) fn message(news: News) -> Message {
        Message {
            incident: IncidentId(42),
            notice: 2,
            news,
            notifier: name("ops"),
            mesh: name("prod"),
            peer: "web-1".to_owned(),
            runbook: Some(name("restart-web")),
            title: format!("{} INC-42 on web-1", news.as_str()),
            text: "web-1: <!channel> nothing helped & nobody answers".to_owned(),
            facts: BTreeMap::from([
                ("why".to_owned(), "a \"b\"\nc\\d\"}, {".to_owned()),
                ("severity".to_owned(), "warning".to_owned()),
            ]),
        }
    }

    fn notifier(channel: &Channel) -> Notifier {
        let (name, channel) = (name("ops"), channel.clone());
        let policy = protocol::document::Policy::default();
        Notifier { name, channel, title: None, text: None, body: None, policy }
    }

    fn posted(channel: &Channel, news: News) -> (Post, Value) {
        posted_by(&notifier(channel), news)
    }

    fn posted_by(notifier: &Notifier, news: News) -> (Post, Value) {
        let way = way(notifier, &message(news), |name| Ok(format!("s3cret of {name}"))).unwrap();
        let Way::Post(post) = way else { panic!("it is posted") };
        let value = serde_json::from_slice(&post.body).unwrap_or(Value::Null);
        (post, value)
    }

    #[test]
    fn a_call_triggers_an_event_of_pagerduty_and_its_end_resolves_the_same_one() {
        let channel = Channel::PagerDuty {
            url: "https://events.pagerduty.com/v2/enqueue".to_owned(),
            routing_key: name("pd"),
            severity: None,
        };
        let (_, called) = posted(&channel, News::Called);
        assert_eq!(called["routing_key"], "s3cret of pd");
        assert_eq!(
            (&called["event_action"], &called["dedup_key"]),
            (&json!("trigger"), &json!("prod/INC-42"))
        );
        assert_eq!(
            (&called["payload"]["severity"], &called["payload"]["source"]),
            (&json!("warning"), &json!("web-1"))
        );
        let fixed = pagerduty(&message(News::Called), "k3y", Some("error"));
        assert_eq!(fixed["payload"]["severity"], "error", "as the document has it");
        assert!(
            called["payload"]["summary"]
                .as_str()
                .is_some_and(|text| text.contains("nothing helped"))
        );
        let (_, over) = posted(&channel, News::Resolved);
        assert_eq!(
            (&over["event_action"], &over["dedup_key"]),
            (&json!("resolve"), &json!("prod/INC-42"))
        );
        assert_eq!(over["payload"], Value::Null);
    }

    #[test]
    fn words_from_outside_call_nobody_in_slack() {
        let channel = Channel::Slack { url: Where::Secret(name("slack")) };
        let (post, called) = posted(&channel, News::Called);
        assert_eq!(post.url, "s3cret of slack");
        let attachment = &called["attachments"][0];
        assert_eq!(attachment["color"], "danger");
        let text = attachment["text"].as_str().unwrap();
        assert!(text.contains("&lt;!channel&gt;") && !text.contains('<'), "{text}");
        assert_eq!(posted(&channel, News::Resolved).1["attachments"][0]["color"], "good");
    }

    #[test]
    fn a_body_of_ones_own_is_json_whatever_stands_in_its_places() {
        let channel = Channel::SignedWebhook { url: "http://h/x".to_owned(), secret: name("hook") };
        let body = Template::parse(r#"{"what": {"why": "{why}", "empty": "{rung}"}}"#).unwrap();
        let own = Notifier { body: Some(body), ..notifier(&channel) };
        let (post, body) = posted_by(&own, News::Called);
        assert_eq!(body, json!({"what": {"why": "a \"b\"\nc\\d\"}, {", "empty": ""}}));
        assert_eq!(post.headers, [(SIGNATURE, signature("s3cret of hook", &post.body))]);
    }

    #[test]
    fn a_header_is_ascii_and_one_line() {
        assert_eq!(header("called\r\nx: y"), "called  x: y");
        assert_eq!(header("größer"), "=?UTF-8?B?Z3LDtsOfZXI=?=");
    }

    #[tokio::test]
    async fn a_program_is_told_on_its_input_and_its_failure_is_told_in_its_own_words() {
        let http = HttpClient::new().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::at(dir.path().join("secrets.toml"));
        let cancel = CancellationToken::new();
        let tell = async |script: &str, timeout: Duration| {
            let command = Command::Script(script.to_owned());
            let channel = Channel::Command { command, timeout };
            send(&http, &secrets, &notifier(&channel), &message(News::Called), &cancel).await
        };
        let file = dir.path().join("told");
        let script = format!("cat > {}; echo paged $HEARTEN_PEER", file.display());
        let patience = Duration::from_secs(20);
        assert_eq!(tell(&script, patience).await.unwrap(), "exit code 0: paged web-1");
        let told: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        assert_eq!((&told["news"], &told["key"]), (&json!("called"), &json!("prod/INC-42/2")));
        assert_eq!(told["title"], "called INC-42 on web-1");
        let failed = tell("echo the modem is off; exit 3", patience).await.unwrap_err();
        assert_eq!(
            failed.to_string(),
            "the program did not carry it out, exit code 3: the modem is off"
        );
        let slow = tell("sleep 60", Duration::from_millis(200)).await.unwrap_err();
        assert!(slow.to_string().contains("timed out"), "{slow}");
        // One that does not read what it is told has carried it out when it says so.
        assert_eq!(tell("exec <&-; exit 0", patience).await.unwrap(), "exit code 0");
    }

    #[test]
    fn a_signature_is_the_one_that_every_receiver_reckons() {
        // RFC 4231, test case 2.
        let known = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), known);
        let signed = Channel::SignedWebhook { url: "http://h/x".to_owned(), secret: name("hook") };
        let (post, body) = posted(&signed, News::Asked);
        assert_eq!(post.headers, [(SIGNATURE, signature("s3cret of hook", &post.body))]);
        assert_eq!((&body["news"], &body["key"]), (&json!("asked"), &json!("prod/INC-42/2")));
    }

    #[test]
    fn ntfy_is_told_in_text_with_a_priority_that_the_end_does_not_have() {
        let channel = Channel::Ntfy {
            url: "https://ntfy.sh/x".to_owned(),
            token: Some(name("t")),
            priority: 5,
        };
        let header = |post: &Post, key: &str| {
            post.headers.iter().find(|(name, _)| *name == key).map(|(_, value)| value.clone())
        };
        let (called, _) = posted(&channel, News::Called);
        assert_eq!(header(&called, "priority").as_deref(), Some("5"));
        assert_eq!(header(&called, "title").as_deref(), Some("called INC-42 on web-1"));
        assert_eq!(header(&called, "authorization").as_deref(), Some("Bearer s3cret of t"));
        let (over, _) = posted(&channel, News::Resolved);
        assert_eq!(header(&over, "priority").as_deref(), Some("3"));
    }
}
