//! YAML for scripts that want it: written, never read.
//!
//! Whatever could be taken for something else is quoted: `no`, `1e3`, `2026-11-21`, `a: b`. In
//! double quotes YAML reads what JSON writes.

use serde_json::Value;
use std::fmt::Write;

/// Words that some reader takes for a boolean, nothing or a number.
const WORDS: [&str; 12] =
    ["true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity"];

/// A value as a YAML document.
pub fn emit(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, indent: usize, out: &mut String) {
    let margin = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                out.push_str(&margin);
                out.push_str(&text(key));
                out.push(':');
                if is_block(value) {
                    out.push('\n');
                    block(value, indent + 2, out);
                } else {
                    out.push(' ');
                    block(value, 0, out);
                }
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut nested = String::new();
                let depth = if is_block(item) { indent + 2 } else { 0 };
                block(item, depth, &mut nested);
                out.push_str(&margin);
                out.push_str("- ");
                out.push_str(nested.get(depth..).unwrap_or_default());
            }
        }
        Value::Object(_) => out.push_str("{}\n"),
        Value::Array(_) => out.push_str("[]\n"),
        Value::String(string) => {
            out.push_str(&text(string));
            out.push('\n');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {
            out.push_str(&value.to_string());
            out.push('\n');
        }
    }
}

fn is_block(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// A string, in quotes unless it can be nothing else than itself.
fn text(string: &str) -> String {
    let letters_first = string.starts_with(|c: char| c.is_ascii_alphabetic());
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    let word = WORDS.iter().any(|word| string.eq_ignore_ascii_case(word));
    if letters_first && string.chars().all(plain) && !word {
        return string.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in string.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\u{2028}' | '\u{2029}' | '\u{feff}' => escape(c, &mut quoted),
            c if c.is_control() => escape(c, &mut quoted),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn escape(c: char, out: &mut String) {
    let written = write!(out, "\\u{:04x}", u32::from(c));
    assert!(written.is_ok(), "a string takes what is written to it");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_nests_is_indented() {
        let value = json!({
            "peers": [
                { "labels": { "role": "web" }, "name": "web-1", "zone": "" },
                { "labels": {}, "name": "web-2", "zone": null },
            ],
            "schema": 1,
            "tags": [["a", "b"], [], true],
        });
        assert_eq!(
            emit(&value),
            "peers:\n  \
               - labels:\n      \
                   role: web\n    \
                 name: web-1\n    \
                 zone: \"\"\n  \
               - labels: {}\n    \
                 name: web-2\n    \
                 zone: null\n\
             schema: 1\n\
             tags:\n  \
               - - a\n    \
                 - b\n  \
               - []\n  \
               - true\n"
        );
    }

    #[test]
    fn what_could_be_something_else_is_quoted() {
        for odd in [
            "no",
            "Null",
            "1e3",
            "12",
            "-1",
            "2026-11-21T02:00:00Z",
            "a: b",
            "# a",
            "",
            " a",
            "~",
            "p7k2m9 ",
            "10.0.0.5:4327",
            "*a",
            "&a",
            "!a",
            "%a",
            "@a",
            "[",
            "ä",
            "it's",
        ] {
            let text = emit(&json!(odd));
            assert_eq!(serde_json::from_str::<String>(&text).unwrap(), odd, "{text}");
        }
        assert_eq!(emit(&json!("a\"b\\c\nd\u{1b}\u{85}")), "\"a\\\"b\\\\c\\nd\\u001b\\u0085\"\n");
        assert_eq!(emit(&json!("web-1")), "web-1\n");
        assert_eq!(emit(&json!("check/web-alive")), "check/web-alive\n");
    }
}
