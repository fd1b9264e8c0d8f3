//! `alert = { alertname = "…" }`: which alerts of other systems a check is about.

use super::reader::Reader;
use crate::document::{AlertProbe, HostLabel};

const EXAMPLE: &str =
    "alert = { alertname = \"NodeDown\", severity = { matches = \"page|critical\" } }";

/// The longest name of a label, in bytes.
const LABEL_BYTES_MAX: usize = 256;

pub(super) fn alert(reader: &mut Reader<'_, '_>) -> Option<AlertProbe> {
    let host = host_rule(reader);
    let value = reader.value("alert")?;
    if value.as_table().is_some_and(toml::de::DeTable::is_empty) {
        // Every alert about a host would be one and the same to it.
        let hint = format!("write {EXAMPLE}");
        reader.complain("alert", "\"alert\" names no label", Some(hint));
        return None;
    }
    Some(AlertProbe { labels: reader.conditions("alert", EXAMPLE), host })
}

/// Which label names the host, and what part of it.
fn host_rule(reader: &mut Reader<'_, '_>) -> HostLabel {
    let label = host_label(reader);
    if reader.value("host_matches").is_none() {
        return label;
    }
    let Some(pattern) = reader.pattern("host_matches") else { return label };
    match label {
        HostLabel::Usual => HostLabel::Part { label: None, pattern },
        HostLabel::Named(label) => HostLabel::Part { label: Some(label), pattern },
        HostLabel::Any | HostLabel::Part { .. } => {
            let hint = "take \"host_matches\" away, or name the label".to_owned();
            let what = "\"host_matches\" is part of no label: \"host_label\" is \"*\"";
            reader.complain("host_matches", what, Some(hint));
            label
        }
    }
}

fn host_label(reader: &mut Reader<'_, '_>) -> HostLabel {
    let Some(value) = reader.value("host_label") else { return HostLabel::Usual };
    match value.as_str() {
        Some("*") => HostLabel::Any,
        Some(label) if !label.is_empty() && label.len() <= LABEL_BYTES_MAX => {
            HostLabel::Named(label.to_owned())
        }
        Some(_) | None => {
            let hint = "write a label's name, or \"*\" where alerts name no host".to_owned();
            reader.complain("host_label", "\"host_label\" is no label", Some(hint));
            HostLabel::Usual
        }
    }
}
