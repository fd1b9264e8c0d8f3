//! Tables for people: columns and nothing else.

use comfy_table::{Table, presets};
use serde_json::Value;

/// Rows below their headings; `empty` where there is nothing to show.
pub(super) fn rows(headings: &[&str], rows: Vec<Vec<String>>, empty: &str) -> String {
    if rows.is_empty() {
        return format!("{empty}\n");
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(headings.iter().copied());
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text: String = table.lines().map(|line| line.trim_end().to_owned() + "\n").collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

/// An object's fields, one a line.
pub(super) fn pairs(object: &Value) -> String {
    let fields = object.as_object().into_iter().flatten();
    let pairs: Vec<Vec<String>> =
        fields.map(|(key, value)| vec![key.clone(), text(value)]).collect();
    rows(&["NAME", "VALUE"], pairs, "nothing")
}

/// The elements of an answer's list.
pub(super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A value as a cell: control characters made visible, a dash for nothing.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(string) if string.is_empty() => "-".to_owned(),
        Value::String(string) => one_line(string),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Labels as `role=web zone=a`.
pub(super) fn labels(value: &Value) -> String {
    let labels: Vec<String> = value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", text(value)))
        .collect();
    if labels.is_empty() { "-".to_owned() } else { labels.join(" ") }
}

/// Text that hosts and checks wrote, without what could move a terminal's cursor.
pub(super) fn one_line(string: &str) -> String {
    string.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Text of several lines, each safe for a terminal and indented.
pub(super) fn indented(string: &str, margin: &str) -> String {
    let safe = |line: &str| -> String {
        line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
    };
    string.lines().map(|line| format!("{margin}{}\n", safe(line))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_is_columns_and_nothing_else() {
        let made = rows(
            &["NAME", "STATE"],
            vec![vec!["web-1".into(), "alive".into()], vec!["db".into(), "silent".into()]],
            "none",
        );
        assert_eq!(made, "NAME   STATE\nweb-1  alive\ndb     silent\n");
        assert_eq!(rows(&["NAME"], Vec::new(), "no peers"), "no peers\n");
    }

    #[test]
    fn what_a_host_wrote_cannot_move_the_cursor() {
        assert_eq!(text(&json!("a\u{1b}[2Jb\n")), "a [2Jb");
        assert_eq!(indented("a\n\u{1b}b\n", "  "), "  a\n  \u{fffd}b\n");
        assert_eq!(text(&json!("")), "-");
        assert_eq!(labels(&json!({ "role": "web", "zone": "a" })), "role=web zone=a");
    }
}
