//! `hearten guest`: the hosts that cannot run the daemon, and what a surgeon on one needs.

use super::{
    arguments::{Format, NewGuestOptions, Shown},
    output,
    session::Session,
    table,
};
use crate::control::{Exit, Failure, Request};
use protocol::{
    document::{bundle::Source, guest::hash_of, parse::parse},
    name::Name,
};
use serde_json::{Value, json};

/// `hearten guest list`
pub(super) fn list(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Guests)?;
    output::show(shown, &answer, |answer| {
        let rows = table::list(&answer["guests"]).map(row).collect();
        let headings = ["NAME", "LABELS", "ADDRESS", "WAITS", "UNDER WAY", "HANDED AT"];
        table::rows(&headings, rows, "no document names a guest")
    })
}

fn row(guest: &Value) -> Vec<String> {
    let joined = |key: &str| {
        let all: Vec<String> = table::list(&guest[key]).map(table::text).collect();
        all.join("; ")
    };
    let labels = guest["labels"].as_object().into_iter().flatten();
    let labels: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", table::text(value))).collect();
    let [name, address, handed] =
        ["name", "address", "handed_at"].map(|key| table::text(&guest[key]));
    vec![name, labels.join(","), address, joined("waits"), joined("under_way"), handed]
}

/// `hearten guest new`: a document, and the application id that only the guest is to know. Nothing
/// is changed: the document is applied like any other.
pub(super) fn new(options: NewGuestOptions) -> Result<(), Failure> {
    let NewGuestOptions { name, label, address, shown } = options;
    // 160 bits: who guesses it would be handed commands.
    let drawn: [u8; 20] = rand::random();
    let secret = data_encoding::BASE32_NOPAD.encode(&drawn).to_lowercase();
    let application_id = format!("{name}.{secret}");
    let document = document(&name, &label, address, &application_id);
    let source = Source { file: "guest.toml".to_owned(), text: document.clone() };
    parse(&source).map_err(|problems| Failure::new(Exit::Usage, problems.to_string()))?;
    let answer = json!({
        "schema": 1, "name": name, "application_id": application_id, "document": document,
    });
    output::show(shown, &answer, |_| document.clone())?;
    if shown.format() == Format::Table {
        // Not on standard output: what is redirected there is to be signed and kept for all to see.
        output::message(&format!(
            "for the surgeon of {name} alone, and for no document: APPLICATION_ID={application_id}"
        ));
    }
    Ok(())
}

fn document(
    name: &Name,
    labels: &[(String, String)],
    address: Option<std::net::IpAddr>,
    application_id: &str,
) -> String {
    let mut lines = vec![("name", toml::Value::from(name.to_string()))];
    if !labels.is_empty() {
        let labels = labels.iter().map(|(key, value)| (key.clone(), value.clone().into()));
        lines.push(("labels", toml::Table::from_iter(labels).into()));
    }
    if let Some(address) = address {
        lines.push(("address", address.to_string().into()));
    }
    let hash = data_encoding::HEXLOWER.encode(&hash_of(application_id));
    lines.push(("surgeon_sha256", hash.into()));
    let lines: Vec<String> = lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("[[guest]]\n{}\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::document::Document;

    #[test]
    fn what_is_printed_is_a_document_of_that_guest() {
        let name = Name::parse("old-db").unwrap();
        let labels = [("role".to_owned(), "db \"x\"".to_owned())];
        let text = document(&name, &labels, Some("10.0.0.7".parse().unwrap()), "old-db.secret");
        let source = Source { file: "g.toml".to_owned(), text: text.clone() };
        let parsed = parse(&source).unwrap();
        let Document::Guest(guest) = &parsed[0].document else { panic!("{text}") };
        assert!(guest.is_served_by("old-db.secret") && !text.contains("secret"));
        assert_eq!(guest.labels["role"], "db \"x\"");
        assert_eq!(guest.address, Some("10.0.0.7".parse().unwrap()));
    }
}
