//! Takes a TOML table apart, key by key, and complains about everything that is not as expected.
//!
//! A reader never stops at the first problem: it notes it and goes on with a default, which is
//! never seen because a text with a problem becomes no document. It remembers the keys that it was
//! asked for, so that [`Reader::finish`] can name the rest as unknown.

use crate::document::problem::{Report, did_you_mean, quoted, shown};
use crate::name::{Name, NameError};
use crate::time::{SpanError, format_span, parse_span};
use std::{ops::RangeInclusive, time::Duration};
use toml::de::{DeTable, DeValue};

/// The longest span that is taken: a year. It keeps every sum of spans far from overflow.
const SPAN_MAX: Duration = Duration::from_secs(366 * 86_400);

/// A table and the byte of the text where it begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table<'a> {
    pub(super) entries: &'a DeTable<'a>,
    pub(super) offset: usize,
}

impl Table<'_> {
    /// What the table is called in messages: `check "web-alive"`, or `check` while it has no name.
    pub(super) fn title(self, word: &str) -> String {
        match self.entries.get("name").and_then(|value| value.get_ref().as_str()) {
            Some(name) => format!("{word} {}", quoted(name)),
            None => word.to_owned(),
        }
    }
}

/// Whether a span may be zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Zero {
    Allowed,
    Refused,
}

/// Takes one table apart.
#[derive(Debug)]
pub(super) struct Reader<'a, 'r> {
    table: Table<'a>,
    title: String,
    asked: Vec<&'static str>,
    report: &'r mut Report,
}

impl<'a, 'r> Reader<'a, 'r> {
    pub(super) const fn new(title: String, table: Table<'a>, report: &'r mut Report) -> Self {
        Self { table, title, asked: Vec::new(), report }
    }

    /// What this table is called in messages.
    pub(super) fn title(&self) -> &str {
        &self.title
    }

    /// The report, for readers of the tables within.
    pub(super) const fn report(&mut self) -> &mut Report {
        self.report
    }

    /// Whether the key is written, whatever its value.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.entries.contains_key(key)
    }

    /// The byte where the key's value stands, or else where the table begins.
    pub(super) fn offset_of(&self, key: &str) -> usize {
        self.table.entries.get(key).map_or(self.table.offset, |value| value.span().start)
    }

    /// Notes a problem with a key.
    pub(super) fn complain(&mut self, key: &str, message: &str, hint: Option<String>) {
        let message = format!("{}: {message}", self.title);
        self.report.add(self.offset_of(key), Some(key), message, hint);
    }

    /// Notes that a key is needed and not there.
    pub(super) fn missing(&mut self, key: &str, example: &str) {
        self.complain(key, &format!("\"{key}\" is missing"), Some(format!("write {example}")));
    }

    /// The key's value as it stands.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a DeValue<'a>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.table.entries.get(key).map(|value| value.get_ref())
    }

    /// Notes that a value is of another type.
    pub(super) fn wrong_type(
        &mut self,
        key: &str,
        wanted: &str,
        value: &DeValue<'_>,
        hint: Option<String>,
    ) {
        self.complain(key, &format!("\"{key}\" must be {wanted}, not {}", type_of(value)), hint);
    }

    /// A text.
    pub(super) fn text(&mut self, key: &'static str) -> Option<&'a str> {
        let value = self.value(key)?;
        if value.as_str().is_none() {
            self.wrong_type(key, "a string", value, None);
        }
        value.as_str()
    }

    /// The SHA-256 of a secret. Whoever writes the secret itself has given it away: it is not
    /// repeated here.
    pub(super) fn sha256(&mut self, key: &'static str, hint: &str) -> Option<[u8; 32]> {
        let text = self.text(key)?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes());
        let hash = bytes.ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        if hash.is_none() {
            let message = format!("\"{key}\" must be 64 hexadecimal digits");
            self.complain(key, &message, Some(hint.to_owned()));
        }
        hash
    }

    /// A name of this document or of another.
    pub(super) fn name(&mut self, key: &'static str) -> Option<Name> {
        let text = self.text(key)?;
        let name = Name::parse(text).ok();
        if name.is_none() {
            let error = NameError::Name { text: shown(text) };
            self.complain(key, &format!("\"{key}\" = {error}"), None);
        }
        name
    }

    /// The name that the document must have.
    pub(super) fn own_name(&mut self) -> Option<Name> {
        if !self.has("name") {
            self.missing("name", "name = \"…\"");
        }
        self.name("name")
    }

    /// A whole number within a range.
    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u32>) -> Option<u32> {
        let value = self.value(key)?;
        let Some(digits) = value.as_integer() else {
            self.wrong_type(key, "a whole number", value, None);
            return None;
        };
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let number = number.and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (low, high) = range.into_inner();
            let found = shown(&digits.to_string());
            self.complain(key, &format!("\"{key}\" must be {low} to {high}, not {found}"), None);
        }
        number
    }

    /// Yes or no.
    pub(super) fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.value(key)?;
        if value.as_bool().is_none() {
            self.wrong_type(key, "true or false", value, Some(format!("write {key} = true")));
        }
        value.as_bool()
    }

    /// A list of texts; an empty one is a mistake.
    pub(super) fn texts(&mut self, key: &'static str, example: &str) -> Option<Vec<String>> {
        let value = self.value(key)?;
        let texts: Option<Vec<String>> = value.as_array().and_then(|items| {
            items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect()
        });
        if texts.as_ref().is_none_or(Vec::is_empty) {
            let hint = Some(format!("write {key} = {example}"));
            self.wrong_type(key, "a list of strings", value, hint);
        }
        texts.filter(|texts| !texts.is_empty())
    }

    /// A span of time that may be left out.
    pub(super) fn span_if_said(&mut self, key: &'static str, zero: Zero) -> Option<Duration> {
        let said = self.has(key);
        let span = self.span(key, Duration::ZERO, zero);
        said.then_some(span)
    }

    /// A span of time.
    pub(super) fn span(&mut self, key: &'static str, default: Duration, zero: Zero) -> Duration {
        let Some(value) = self.value(key) else { return default };
        let Some(text) = value.as_str() else {
            let example = match value.as_integer() {
                Some(number) if number.as_str().len() < 10 => format!("{}s", number.as_str()),
                Some(_) | None => format_span(default.max(Duration::from_secs(1))),
            };
            let hint = format!("write {key} = \"{example}\"");
            self.wrong_type(key, "a span of time", value, Some(hint));
            return default;
        };
        let fault = match parse_span(text) {
            Ok(span) if span > SPAN_MAX => {
                format!("must be at most {}, not {}", format_span(SPAN_MAX), quoted(text))
            }
            Ok(span) if span.is_zero() && zero == Zero::Refused => {
                format!("must be longer than zero, not {}", quoted(text))
            }
            Ok(span) => return span,
            Err(_) if text.starts_with('-') => {
                format!("must not be negative: {}", quoted(text))
            }
            Err(SpanError { text }) => {
                format!("= {}", SpanError { text: shown(&text) })
            }
        };
        self.complain(key, &format!("\"{key}\" {fault}"), None);
        default
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let wanted = match known.as_slice() {
                [only] => format!("\"{only}\""),
                several => format!("one of {}", several.join(", ")),
            };
            let message = format!("\"{key}\" must be {wanted}, not {}", quoted(text));
            self.complain(key, &message, did_you_mean(text, known));
        }
        found.map(|(_, choice)| *choice)
    }

    /// A table within this one.
    pub(super) fn table(&mut self, key: &'static str, example: &str) -> Option<Table<'a>> {
        let value = self.value(key)?;
        let Some(entries) = value.as_table() else {
            self.wrong_type(key, "a table", value, Some(format!("write {example}")));
            return None;
        };
        Some(Table { entries, offset: self.offset_of(key) })
    }

    /// Tables within this one, each below a header of its own.
    pub(super) fn tables(&mut self, key: &'static str, header: &str) -> Vec<Table<'a>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(items) = value.as_array() else {
            let hint = Some(format!("write {header}, with two brackets on each side"));
            self.wrong_type(key, "a list of tables", value, hint);
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in items.iter() {
            let offset = item.span().start;
            match item.get_ref().as_table() {
                Some(entries) => tables.push(Table { entries, offset }),
                None => {
                    let found = type_of(item.get_ref());
                    let message =
                        format!("{}: \"{key}\" must hold tables, not {found}", self.title);
                    self.report.add(offset, Some(key), message, Some(format!("write {header}")));
                }
            }
        }
        tables
    }

    /// Complains about every key that was not asked for.
    pub(super) fn finish(self) {
        for key in self.table.entries.keys() {
            let name = key.get_ref().as_ref();
            if self.asked.contains(&name) {
                continue;
            }
            let known = self.asked.iter().copied();
            let hint = did_you_mean(name, known)
                .unwrap_or_else(|| format!("known keys are {}", self.asked.join(", ")));
            let message = format!("{}: unknown key {}", self.title, quoted(name));
            self.report.add(key.span().start, Some(name), message, Some(hint));
        }
    }
}

/// The type of a value, with its article.
pub(super) const fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
