//! `[[stream]]`: a topic of Kafka whose messages are alerts.

use super::{
    mail::ca,
    notifier::secret,
    reader::{Reader, Table},
};
use crate::document::{
    Begin, Case, Login, Mapping, Mechanism, Stream, Tls,
    problem::{Report, quoted},
};
use std::collections::BTreeMap;

/// The most brokers that are asked first. One that answers is enough: it names all others.
const BROKERS_MAX: usize = 16;

/// The longest name of a host (RFC 1035).
const HOST_BYTES_MAX: usize = 253;

/// The longest name of a topic, by Kafka's own rule.
const TOPIC_BYTES_MAX: usize = 249;

/// The longest place, label or value of a mapping.
const TEXT_BYTES_MAX: usize = 256;

/// The most labels of a mapping: no alert has more.
const LABELS_MAX: usize = crate::alert::LABELS_MAX;

const MECHANISMS: [(&str, Mechanism); 3] = [
    ("plain", Mechanism::Plain),
    ("scram-sha-256", Mechanism::ScramSha256),
    ("scram-sha-512", Mechanism::ScramSha512),
];

pub(super) fn stream(table: Table<'_>, report: &mut Report) -> Option<Stream> {
    let mut reader = Reader::new(table.title("stream"), table, report);
    let name = reader.own_name();
    for (key, example) in [
        ("kind", "kind = \"kafka\""),
        ("brokers", "brokers = [\"kafka-1.example.com:9092\"]"),
        ("topic", "topic = \"alerts\""),
    ] {
        if !reader.has(key) {
            reader.missing(key, example);
        }
    }
    reader.choice("kind", &[("kafka", ())]);
    let brokers = brokers(&mut reader);
    let topic = topic(&mut reader);
    let begin = [("latest", Begin::Latest), ("earliest", Begin::Earliest)];
    let begin = reader.choice("begin", &begin).unwrap_or(Begin::Latest);
    let ca = ca(&mut reader);
    let wants_tls = reader.boolean("tls").unwrap_or(false);
    if ca.is_some() && !wants_tls {
        let hint = "write tls = true".to_owned();
        reader.complain("ca", "\"ca\" has no meaning without \"tls\"", Some(hint));
    }
    let login = login(&mut reader);
    if reader.has("password") && !wants_tls {
        let hint = "write tls = true".to_owned();
        reader.complain("password", "a password is not sent in the open", Some(hint));
    }
    let mapping = mapping(&mut reader);
    reader.finish();
    let tls = wants_tls.then_some(Tls { ca });
    Some(Stream { name: name?, brokers, topic: topic?, begin, tls, login, mapping })
}

fn brokers(reader: &mut Reader<'_, '_>) -> Vec<String> {
    let brokers = reader.texts("brokers", "[\"kafka-1.example.com:9092\"]").unwrap_or_default();
    if brokers.len() > BROKERS_MAX {
        let message = format!("\"brokers\" has {}; at most {BROKERS_MAX} fit", brokers.len());
        let hint = "one that answers names all others".to_owned();
        reader.complain("brokers", &message, Some(hint));
    }
    for broker in &brokers {
        let is_one = broker.rsplit_once(':').is_some_and(|(host, port)| {
            let open = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
            let plain = |c: char| !c.is_whitespace() && !c.is_control() && !"/@,".contains(c);
            (1..=HOST_BYTES_MAX).contains(&host.len())
                && host.chars().all(plain)
                && !open
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
        if !is_one {
            let message = format!("\"brokers\": {} is no HOST:PORT", quoted(broker));
            let hint = "write \"kafka-1.example.com:9092\"".to_owned();
            reader.complain("brokers", &message, Some(hint));
        }
    }
    brokers
}

fn topic(reader: &mut Reader<'_, '_>) -> Option<String> {
    let topic = reader.text("topic")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let is_one = (1..=TOPIC_BYTES_MAX).contains(&topic.len())
        && topic.chars().all(fits)
        && !matches!(topic, "." | "..");
    if !is_one {
        let message = format!("\"topic\": {} is no name of a topic", quoted(topic));
        let hint = "it has 1 to 249 letters, digits, dots, hyphens and underscores".to_owned();
        reader.complain("topic", &message, Some(hint));
    }
    Some(topic.to_owned())
}

fn login(reader: &mut Reader<'_, '_>) -> Option<(Mechanism, Login)> {
    let mechanism = reader.choice("mechanism", &MECHANISMS).unwrap_or(Mechanism::ScramSha512);
    let user = reader.text("user");
    let password = secret(reader, "password");
    let fits = |user: &str| {
        (1..=TEXT_BYTES_MAX).contains(&user.len()) && !user.chars().any(char::is_control)
    };
    if user.is_some_and(|user| !fits(user)) {
        reader.complain("user", "\"user\" must be 1 to 256 printable bytes", None);
    }
    match (reader.has("user"), reader.has("password")) {
        (true, false) => reader.missing("password", "password = \"secret:kafka\""),
        (false, true) => reader.missing("user", "user = \"hearten\""),
        (false, false) if reader.has("mechanism") => {
            reader.complain("mechanism", "\"mechanism\" has no meaning without \"user\"", None);
        }
        (true, true) | (false, false) => {}
    }
    Some((mechanism, Login { user: user?.to_owned(), password: password? }))
}

fn mapping(reader: &mut Reader<'_, '_>) -> Mapping {
    let list = place(reader, "list");
    let summary = place(reader, "summary");
    let time = place(reader, "time");
    let fires = case(reader, "fires");
    let over = case(reader, "over");
    let labels = texts(reader, "labels", "labels = { alertname = \"/name\", host = \"/host\" }");
    for text in labels.values() {
        check_place(reader, "labels", text);
    }
    let set = texts(reader, "set", "set = { source = \"kafka\" }");
    if !labels.contains_key("alertname") && !set.contains_key("alertname") {
        let hint = "write labels = { alertname = \"/PLACE\" }".to_owned();
        reader.complain("labels", "nothing says what an event is", Some(hint));
    }
    if labels.len() + set.len() > LABELS_MAX {
        let message = format!("\"labels\" and \"set\": at most {LABELS_MAX} together");
        reader.complain("labels", &message, None);
    }
    Mapping { list, fires, over, summary, time, labels, set }
}

fn place(reader: &mut Reader<'_, '_>, key: &'static str) -> Option<String> {
    let text = reader.text(key)?;
    check_place(reader, key, text);
    Some(text.to_owned())
}

/// The empty pointer is the whole event.
fn check_place(reader: &mut Reader<'_, '_>, key: &'static str, text: &str) {
    if text.len() > TEXT_BYTES_MAX || !(text.is_empty() || text.starts_with('/')) {
        let message = format!("\"{key}\": {} is no place", quoted(text));
        let hint = "write a JSON pointer, \"/host/name\"".to_owned();
        reader.complain(key, &message, Some(hint));
    }
}

fn case(reader: &mut Reader<'_, '_>, key: &'static str) -> Option<Case> {
    let example = format!("{key} = {{ at = \"/status\", is = [\"…\"] }}");
    let table = reader.table(key, &example)?;
    let mut within = Reader::new(format!("{}, {key}", reader.title()), table, reader.report());
    for (key, example) in [("at", "at = \"/status\""), ("is", "is = [\"PROBLEM\"]")] {
        if !within.has(key) {
            within.missing(key, example);
        }
    }
    let at = place(&mut within, "at");
    let is = within.texts("is", "[\"PROBLEM\"]").unwrap_or_default();
    within.finish();
    Some(Case { at: at?, is: is.into_iter().collect() })
}

fn texts(
    reader: &mut Reader<'_, '_>,
    key: &'static str,
    example: &str,
) -> BTreeMap<String, String> {
    let Some(table) = reader.table(key, example) else { return BTreeMap::new() };
    let mut texts = BTreeMap::new();
    for (label, value) in table.entries {
        let label = label.get_ref().as_ref();
        match value.get_ref().as_str() {
            Some(text)
                if (1..=TEXT_BYTES_MAX).contains(&label.len()) && text.len() <= TEXT_BYTES_MAX =>
            {
                texts.insert(label.to_owned(), text.to_owned());
            }
            Some(_) | None => {
                let message = format!(
                    "{}, {key}: {} must be a string of at most {TEXT_BYTES_MAX} bytes",
                    reader.title(),
                    quoted(label)
                );
                let hint = format!("write {example}");
                reader.report().add(value.span().start, Some(key), message, Some(hint));
            }
        }
    }
    texts
}
