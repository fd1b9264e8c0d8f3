//! `where`: which labels a peer must bear, by value, by set, by exclusion or by pattern.

use super::reader::{Reader, Table, type_of};
use crate::document::{
    Condition, Pattern, Selector,
    problem::{did_you_mean, quoted, shown},
};
use crate::name::{NameError, parse_label};
use std::collections::{BTreeMap, BTreeSet};
use toml::de::{DeTable, DeValue};

/// What may stand in the table of a label.
const WORDS: [&str; 2] = ["not", "matches"];

impl Reader<'_, '_> {
    /// The conditions of `where`.
    pub(super) fn selector(&mut self) -> Selector {
        self.conditions("where", "where = { role = \"web\" }")
    }

    /// The conditions on labels below a key.
    pub(super) fn conditions(&mut self, below: &'static str, example: &str) -> Selector {
        let mut conditions = BTreeMap::new();
        let Some(Table { entries, .. }) = self.table(below, example) else {
            return Selector(conditions);
        };
        for (key, value) in entries {
            let label = key.get_ref().as_ref();
            match condition(label, value.get_ref()) {
                Ok(condition) => {
                    conditions.insert(label.to_owned(), condition);
                }
                Err((fault, hint)) => {
                    let message = format!("{}, {below}: {fault}", self.title());
                    self.report().add(value.span().start, Some(below), message, hint);
                }
            }
        }
        Selector(conditions)
    }
}

/// What is wrong, and what to write.
type Fault = (String, Option<String>);

fn condition(label: &str, value: &DeValue<'_>) -> Result<Condition, Fault> {
    if let Some(text) = value.as_str() {
        return one_value(label, text).map(|value| Condition::OneOf(BTreeSet::from([value])));
    }
    if let Some(items) = value.as_array() {
        return values(label, items.iter().map(|item| item.get_ref())).map(Condition::OneOf);
    }
    if let Some(table) = value.as_table() {
        return within(label, table);
    }
    let message = format!(
        "label {} must be a string, a list of strings, or {{ not = … }} or {{ matches = … }}, not {}",
        quoted(label),
        type_of(value)
    );
    Err((message, None))
}

fn within(label: &str, table: &DeTable<'_>) -> Result<Condition, Fault> {
    let example = || Some(format!("write {label} = {{ not = \"…\" }} or {{ matches = \"…\" }}"));
    let (Some((word, value)), 1) = (table.iter().next(), table.len()) else {
        let message =
            format!("label {} needs one of \"not\" and \"matches\", and one alone", quoted(label));
        return Err((message, example()));
    };
    let value = value.get_ref();
    match word.get_ref().as_ref() {
        "not" => match (value.as_str(), value.as_array()) {
            (Some(text), _) => {
                one_value(label, text).map(|value| Condition::NoneOf(BTreeSet::from([value])))
            }
            (None, Some(items)) => {
                values(label, items.iter().map(|item| item.get_ref())).map(Condition::NoneOf)
            }
            (None, None) => {
                let message = format!(
                    "label {}: \"not\" must be a string or a list of strings, not {}",
                    quoted(label),
                    type_of(value)
                );
                Err((message, None))
            }
        },
        "matches" => {
            // The label's own name is held to the same rules as where a value is given.
            one_value(label, "x")?;
            let Some(text) = value.as_str() else {
                let message = format!(
                    "label {}: \"matches\" must be a string, not {}",
                    quoted(label),
                    type_of(value)
                );
                return Err((message, None));
            };
            Pattern::parse(text).map(Condition::Matches).map_err(|fault| {
                let message =
                    format!("label {}: {} is no pattern: {fault}", quoted(label), quoted(text));
                (message, Some("write a regular expression such as \"^db-[0-9]+$\"".to_owned()))
            })
        }
        other => {
            let message = format!("label {}: unknown condition {}", quoted(label), quoted(other));
            Err((message, did_you_mean(other, WORDS).or_else(example)))
        }
    }
}

fn values<'a>(
    label: &str,
    items: impl Iterator<Item = &'a DeValue<'a>>,
) -> Result<BTreeSet<String>, Fault> {
    let mut found = BTreeSet::new();
    for item in items {
        let Some(text) = item.as_str() else {
            let fault = format!(
                "label {}: the list must hold strings, not {}",
                quoted(label),
                type_of(item)
            );
            return Err((fault, None));
        };
        found.insert(one_value(label, text)?);
    }
    if found.is_empty() {
        return Err((format!("label {}: the list is empty", quoted(label)), None));
    }
    Ok(found)
}

fn one_value(label: &str, text: &str) -> Result<String, Fault> {
    let joined = format!("{label}={text}");
    match parse_label(&joined) {
        // A key that holds "=" would be cut at another place than it was joined.
        Ok((key, value)) if key == label => Ok(value),
        Ok(_) | Err(_) => Err((NameError::Label { text: shown(&joined) }.to_string(), None)),
    }
}
