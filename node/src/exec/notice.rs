//! Telling people: a notice in the words of the channel that it goes through.
//!
//! A notice goes out at least once. What tells a repetition from news is in each of them: a key of
//! the mesh, the incident and the notice; PagerDuty's events of one incident share theirs, so that
//! its end resolves what its call triggered.

use super::{
    http::HttpClient,
    secrets::{Secrets, SecretsError},
    webhook::{self, Post, WebhookError},
};
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use protocol::{
    agent::Message,
    document::{Channel, Where},
    ledger::incident::News,
    name::Name,
};
use serde_json::{Value, json};
use sha2::Sha256;

/// The header with a body's signature: `sha256=` and HMAC-SHA256 in hexadecimal.
const SIGNATURE: &str = "x-hearten-signature";

/// Why nobody was told.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// What the channel needs is not in the file of secrets.
    #[error(transparent)]
    Secret(#[from] SecretsError),
    /// The receiver did not take it.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
}

/// Sends a notice, and returns what the receiver said.
///
/// # Errors
/// [`NoticeError`]; without the secret nothing was sent, otherwise it may have been taken.
pub async fn send(
    http: &HttpClient,
    secrets: &Secrets,
    channel: &Channel,
    message: &Message,
) -> Result<String, NoticeError> {
    let post =
        post(channel, message, |name| Ok(secrets.open()?.get(&message.peer, name)?.to_owned()))?;
    Ok(webhook::send(http, post, webhook::TIMEOUT).await?)
}

/// What is posted.
fn post(
    channel: &Channel,
    message: &Message,
    secret: impl Fn(&Name) -> Result<String, SecretsError>,
) -> Result<Post, SecretsError> {
    Ok(match channel {
        Channel::Webhook { url } => Post::json(url, &plain(message)),
        Channel::SignedWebhook { url, secret: name } => {
            let mut post = Post::json(url, &plain(message));
            let signature = signature(&secret(name)?, &post.body);
            post.headers.push((SIGNATURE, signature));
            post
        }
        Channel::Slack { url: Where::At(url) } => Post::json(url, &slack(message)),
        Channel::Slack { url: Where::Secret(name) } => Post::json(&secret(name)?, &slack(message)),
        Channel::PagerDuty { url, routing_key, severity } => {
            Post::json(url, &pagerduty(message, &secret(routing_key)?, severity))
        }
        Channel::Ntfy { url, token, priority } => {
            let mut post = Post::text(url, &message.text);
            let over = message.news == News::Resolved;
            let tag = if over { "white_check_mark" } else { "rotating_light" };
            let title = format!("{} {} on {}", word(message.news), message.incident, message.peer);
            post.headers.push(("title", title));
            post.headers.push(("tags", tag.to_owned()));
            // That it is over wakes nobody.
            post.headers.push(("priority", (if over { 3 } else { *priority }).to_string()));
            if let Some(token) = token {
                post.headers.push(("authorization", format!("Bearer {}", secret(token)?)));
            }
            post
        }
    })
}

const fn word(news: News) -> &'static str {
    match news {
        News::Called => "called",
        News::Resolved => "resolved",
        News::Asked => "asked",
    }
}

/// The mesh's own shape.
fn plain(message: &Message) -> Value {
    json!({
        "schema": 1,
        "key": format!("{}/{}/{}", message.mesh, message.incident, message.notice),
        "mesh": message.mesh.as_str(),
        "incident": message.incident.to_string(),
        "news": word(message.news),
        "peer": message.peer,
        "runbook": message.runbook.as_ref().map(|name| name.as_str()),
        "notifier": message.notifier.as_str(),
        "text": message.text,
    })
}

fn slack(message: &Message) -> Value {
    let colour = match message.news {
        News::Called => "danger",
        News::Resolved => "good",
        News::Asked => "warning",
    };
    let field = |title: &str, value: &str| json!({ "title": title, "value": value, "short": true });
    let mut fields =
        vec![field("Host", &message.peer), field("Incident", &message.incident.to_string())];
    if let Some(runbook) = &message.runbook {
        fields.push(field("Runbook", runbook.as_str()));
    }
    // What stands in an alert's words must not become a link or call a whole channel.
    let text = message.text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    json!({
        "attachments": [{
            "color": colour,
            "fallback": text,
            "text": text,
            "fields": fields,
            "footer": format!("hearten incident explain {}", message.incident),
        }],
    })
}

/// An event of PagerDuty's Events API, version 2.
fn pagerduty(message: &Message, routing_key: &str, severity: &str) -> Value {
    /// The longest summary that is taken.
    const SUMMARY_MAX: usize = 1_024;
    let resolve = message.news == News::Resolved;
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
            "class": message.runbook.as_ref().map(|name| name.as_str()),
            "custom_details": plain(message),
        });
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
mod tests {
    use super::*;
    use protocol::name::IncidentId;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn message(news: News) -> Message {
        Message {
            incident: IncidentId(42),
            notice: 2,
            news,
            notifier: name("ops"),
            mesh: name("prod"),
            peer: "web-1".to_owned(),
            runbook: Some(name("restart-web")),
            text: "web-1: <!channel> nothing helped & nobody answers".to_owned(),
        }
    }

    fn posted(channel: &Channel, news: News) -> (Post, Value) {
        let post = post(channel, &message(news), |name| Ok(format!("s3cret of {name}"))).unwrap();
        let value = serde_json::from_slice(&post.body).unwrap_or(Value::Null);
        (post, value)
    }

    #[test]
    fn a_call_triggers_an_event_of_pagerduty_and_its_end_resolves_the_same_one() {
        let channel = Channel::PagerDuty {
            url: "https://events.pagerduty.com/v2/enqueue".to_owned(),
            routing_key: name("pd"),
            severity: "critical".to_owned(),
        };
        let (_, called) = posted(&channel, News::Called);
        assert_eq!(called["routing_key"], "s3cret of pd");
        assert_eq!(
            (&called["event_action"], &called["dedup_key"]),
            (&json!("trigger"), &json!("prod/INC-42"))
        );
        assert_eq!(
            (&called["payload"]["severity"], &called["payload"]["source"]),
            (&json!("critical"), &json!("web-1"))
        );
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
