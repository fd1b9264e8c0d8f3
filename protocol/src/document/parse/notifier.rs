//! `[[notifier]]`: how people are told.

use super::{
    mail::mail,
    policy::{POLICY, policy, routes, template},
    reader::{Reader, Table, Zero},
};
use crate::document::{Channel, Notifier, Where, problem::Report};
use crate::name::Name;
use crate::time::format_span;
use std::time::Duration;

/// Where PagerDuty takes events, in the service region of most.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// How bad an event of PagerDuty is, the worst first.
const SEVERITIES: [&str; 4] = ["critical", "error", "warning", "info"];

/// The priority of a call by ntfy unless said: high.
const PRIORITY: u32 = 4;

/// How long a program may take to carry a notice out: less than until it is sent again.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Webhook,
    Slack,
    PagerDuty,
    Ntfy,
    Smtp,
    Command,
    Route,
}

const KINDS: [(&str, Kind); 7] = [
    ("webhook", Kind::Webhook),
    ("slack", Kind::Slack),
    ("pagerduty", Kind::PagerDuty),
    ("ntfy", Kind::Ntfy),
    ("smtp", Kind::Smtp),
    ("command", Kind::Command),
    ("route", Kind::Route),
];

/// Keys that only one kind has.
const OF_KIND: [(&str, Kind); 17] = [
    ("secret", Kind::Webhook),
    ("body", Kind::Webhook),
    ("routing_key", Kind::PagerDuty),
    ("severity", Kind::PagerDuty),
    ("token", Kind::Ntfy),
    ("priority", Kind::Ntfy),
    ("server", Kind::Smtp),
    ("tls", Kind::Smtp),
    ("from", Kind::Smtp),
    ("to", Kind::Smtp),
    ("user", Kind::Smtp),
    ("password", Kind::Smtp),
    ("ca", Kind::Smtp),
    ("unencrypted", Kind::Smtp),
    ("run", Kind::Command),
    ("timeout", Kind::Command),
    ("route", Kind::Route),
];

impl Kind {
    /// Whether it cannot do without an address of HTTP.
    const fn needs_url(self) -> bool {
        match self {
            Self::Webhook | Self::Slack | Self::Ntfy => true,
            // PagerDuty has a usual one.
            Self::PagerDuty | Self::Smtp | Self::Command | Self::Route => false,
        }
    }
}

pub(super) fn notifier(table: Table<'_>, report: &mut Report) -> Option<Notifier> {
    let mut reader = Reader::new(table.title("notifier"), table, report);
    let name = reader.own_name();
    if !reader.has("kind") {
        reader.missing("kind", "kind = \"webhook\"");
    }
    let kind = reader.choice("kind", &KINDS);
    if kind.is_some_and(Kind::needs_url) && !reader.has("url") {
        reader.missing("url", "url = \"http://HOST/PATH\"");
    }
    let secret_url = kind == Some(Kind::Slack)
        && reader.value("url").and_then(|url| url.as_str()).is_some_and(is_secret);
    let url = if secret_url { None } else { reader.url("url") };
    let in_secret = if secret_url { secret(&mut reader, "url") } else { None };
    // All are read, so that every key is known and every mistake is told.
    let signed_with = secret(&mut reader, "secret");
    let routing_key = secret(&mut reader, "routing_key");
    let severity = reader.choice("severity", &SEVERITIES.map(|word| (word, word)));
    let token = secret(&mut reader, "token");
    let priority = reader.number("priority", 1..=5);
    let mail = mail(&mut reader, kind == Some(Kind::Smtp));
    let command = reader.command("run");
    let timeout = reader.span("timeout", COMMAND_TIMEOUT, Zero::Refused);
    if timeout > COMMAND_TIMEOUT {
        let message = format!("\"timeout\" must be at most {}", format_span(COMMAND_TIMEOUT));
        let hint = "what takes longer goes on by itself: let the program start it".to_owned();
        reader.complain("timeout", &message, Some(hint));
    }
    let routes = routes(&mut reader, kind == Some(Kind::Route));
    let title = template(&mut reader, "title");
    let text = template(&mut reader, "text");
    let body = template(&mut reader, "body");
    let policy = policy(&mut reader);
    if kind == Some(Kind::Route) {
        for key in POLICY.into_iter().chain(["title", "text"]) {
            if reader.has(key) {
                let hint = "write it into the notifiers that it leads to".to_owned();
                let message = format!("\"{key}\" has no meaning for a route");
                reader.complain(key, &message, Some(hint));
            }
        }
    }
    if kind == Some(Kind::PagerDuty) && policy.repairs {
        let hint = "nobody has to look at what is repaired: tell it to a chat".to_owned();
        let message = "\"repairs\" has no meaning for kind = \"pagerduty\"";
        reader.complain("repairs", message, Some(hint));
    }
    if matches!(kind, Some(Kind::Smtp | Kind::Command | Kind::Route)) && reader.has("url") {
        let message = "\"url\" has no meaning: it is not reached by HTTP";
        reader.complain("url", message, None);
    }
    if kind == Some(Kind::Command) && !reader.has("run") {
        reader.missing("run", "run = [\"/usr/local/bin/page\"]");
    }
    for (key, owner) in OF_KIND {
        if reader.has(key) && kind.is_some_and(|kind| kind != owner) {
            let word = KINDS.iter().find(|(_, kind)| *kind == owner).map_or("", |(word, _)| word);
            let message = format!("\"{key}\" has no meaning without kind = \"{word}\"");
            reader.complain(key, &message, None);
        }
    }
    if kind == Some(Kind::PagerDuty) && !reader.has("routing_key") {
        reader.missing("routing_key", "routing_key = \"secret:pagerduty\"");
    }
    reader.finish();
    let channel = match kind? {
        Kind::Webhook => match signed_with {
            Some(secret) => Channel::SignedWebhook { url: url?, secret },
            None => Channel::Webhook { url: url? },
        },
        Kind::Slack => Channel::Slack { url: in_secret.map(Where::Secret).or(url.map(Where::At))? },
        Kind::PagerDuty => Channel::PagerDuty {
            url: url.unwrap_or_else(|| PAGERDUTY.to_owned()),
            routing_key: routing_key?,
            severity: severity.map(str::to_owned),
        },
        Kind::Ntfy => Channel::Ntfy { url: url?, token, priority: priority.unwrap_or(PRIORITY) },
        Kind::Smtp => Channel::Mail(mail?),
        Kind::Command => Channel::Command { command: command?, timeout },
        Kind::Route => Channel::Route(routes),
    };
    Some(Notifier { name: name?, channel, title, text, body, policy })
}

fn is_secret(text: &str) -> bool {
    text.starts_with("secret:")
}

/// A value that stands in a host's own file of secrets, and never in a document.
pub(super) fn secret(reader: &mut Reader<'_, '_>, key: &'static str) -> Option<Name> {
    let value = reader.value(key)?;
    let named = value.as_str().and_then(|text| text.strip_prefix("secret:"));
    let name = named.and_then(|name| Name::parse(name).ok());
    if name.is_none() {
        let message = format!("\"{key}\" must name a secret");
        let hint = format!(
            "write {key} = \"secret:NAME\" and NAME = \"…\" into the file of secrets of every voter"
        );
        reader.complain(key, &message, Some(hint));
    }
    name
}
