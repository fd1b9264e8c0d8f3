//! `alert = { alertname = "…" }`: which alerts of other systems a check is about.

use super::reader::{Reader, type_of};
use crate::document::{AlertProbe, HostLabel, LabelMatch, Pattern};
use std::collections::BTreeMap;

const EXAMPLE: &str =
    "alert = { alertname = \"NodeDown\", severity = { matches = \"page|critical\" } }";

/// The most labels that a check may ask for.
const LABELS_MAX: usize = 16;

/// The longest label and the longest value, in bytes.
const TEXT_BYTES_MAX: usize = 256;

pub(super) fn alert(reader: &mut Reader<'_, '_>) -> Option<AlertProbe> {
    let host = host_label(reader);
    let value = reader.value("alert")?;
    let Some(table) = value.as_table() else {
        reader.wrong_type("alert", "a table of labels", value, Some(format!("write {EXAMPLE}")));
        return None;
    };
    if table.is_empty() || table.len() > LABELS_MAX {
        let message = format!("\"alert\" must name 1 to {LABELS_MAX} labels");
        reader.complain("alert", &message, Some(format!("write {EXAMPLE}")));
        return None;
    }
    let mut labels = BTreeMap::new();
    for (label, wanted) in table {
        let label = label.get_ref().to_string();
        let found = match (wanted.get_ref().as_str(), wanted.get_ref().as_table()) {
            (Some(text), _) if !text.is_empty() && text.len() <= TEXT_BYTES_MAX => {
                Ok(LabelMatch::Is(text.to_owned()))
            }
            (Some(_), _) => Err(format!("its value must have 1 to {TEXT_BYTES_MAX} bytes")),
            (None, Some(table)) => match (table.len(), table.get("matches")) {
                (1, Some(pattern)) => match pattern.get_ref().as_str().map(Pattern::parse) {
                    Some(Ok(pattern)) => Ok(LabelMatch::Matches(pattern)),
                    Some(Err(why)) => Err(format!("it is no pattern: {why}")),
                    None => Err("\"matches\" must be a string".to_owned()),
                },
                _ => Err("a table has \"matches\" and nothing else".to_owned()),
            },
            (None, None) => Err(format!("it cannot be {}", type_of(wanted.get_ref()))),
        };
        match found {
            Ok(wanted) => drop(labels.insert(label, wanted)),
            Err(why) => {
                let message = format!("{}: label \"{label}\": {why}", reader.title());
                let hint = Some(format!("write {EXAMPLE}"));
                reader.report().add(wanted.span().start, Some("alert"), message, hint);
            }
        }
    }
    Some(AlertProbe { labels, host })
}

fn host_label(reader: &mut Reader<'_, '_>) -> HostLabel {
    let Some(value) = reader.value("host_label") else { return HostLabel::Usual };
    match value.as_str() {
        Some("*") => HostLabel::Any,
        Some(label) if !label.is_empty() && label.len() <= TEXT_BYTES_MAX => {
            HostLabel::Named(label.to_owned())
        }
        Some(_) | None => {
            let hint = "write a label's name, or \"*\" where alerts name no host".to_owned();
            reader.complain("host_label", "\"host_label\" is no label", Some(hint));
            HostLabel::Usual
        }
    }
}
