//! `[runbook.params.NAME]`: what a runbook's commands are given beside the usual variables.

use super::reader::{Reader, Table, type_of};
use crate::document::{
    Param, ParamKind, ParamSource, SignalField,
    params::{fits, pattern},
    problem::{Report, quoted},
};

/// The most parameters of a runbook.
const PARAMS_MAX: usize = 32;

/// Reads the parameters of a runbook.
pub(super) fn params(reader: &mut Reader<'_, '_>) -> Vec<Param> {
    const EXAMPLE: &str = "[runbook.params.NAME] with default = \"…\" below it";
    let Some(table) = reader.table("params", EXAMPLE) else { return Vec::new() };
    if table.entries.len() > PARAMS_MAX {
        let message = format!("it has more than {PARAMS_MAX} parameters");
        reader.complain("params", &message, None);
    }
    let mut params = Vec::new();
    for (key, value) in table.entries {
        let name = key.get_ref().as_ref();
        let offset = value.span().start;
        let title = format!("{}, parameter {}", reader.title(), quoted(name));
        match value.get_ref().as_table() {
            Some(entries) => {
                params.extend(param(name, title, Table { entries, offset }, reader.report()));
            }
            None => {
                let message = format!("{title} must be a table, not {}", type_of(value.get_ref()));
                let hint = Some(format!("write {EXAMPLE}"));
                reader.report().add(offset, Some("params"), message, hint);
            }
        }
    }
    params
}

fn param(name: &str, title: String, table: Table<'_>, report: &mut Report) -> Option<Param> {
    let mut reader = Reader::new(title, table, report);
    let named = !name.is_empty()
        && name.len() <= 32
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    if !named {
        let message = "a parameter's name is 1 to 32 of a-z, 0-9 and _";
        reader.complain("params", message, None);
    }
    let kinds =
        [("text", ParamKind::Text), ("number", ParamKind::Number), ("boolean", ParamKind::Boolean)];
    let words = kinds.each_ref().map(|(word, _)| (*word, *word));
    let chosen = reader.choice("type", &words);
    let kind = chosen.and_then(|chosen| kinds.into_iter().find(|(word, _)| *word == chosen));
    let one_of = reader.texts("one_of", "[\"a\", \"b\"]");
    if chosen.is_some() && one_of.is_some() {
        reader.complain("one_of", "it has both \"type\" and \"one_of\"", None);
    }
    let kind = match one_of {
        Some(words) => ParamKind::OneOf(words),
        None => kind.map_or(ParamKind::Text, |(_, kind)| kind),
    };
    let pattern_text = reader.text("pattern").map(str::to_owned);
    if let Some(text) = &pattern_text
        && let Err(error) = pattern(text)
    {
        reader.complain("pattern", &format!("\"pattern\" cannot be read: {error}"), None);
    }
    let default = reader.text("default").map(str::to_owned);
    let from = source(&mut reader);
    if from == ParamSource::Document && default.is_none() {
        let hint = "write default = \"…\" or from = \"label:NAME\"".to_owned();
        reader.complain("default", "it has neither a source nor a default", Some(hint));
    }
    let param = Param { name: name.to_owned(), kind, from, default, pattern: pattern_text };
    if let Some(default) = &param.default
        && let Err(why) = fits(&param, default)
    {
        reader.complain("default", &format!("\"default\" {why}"), None);
    }
    reader.finish();
    Some(param)
}

fn source(reader: &mut Reader<'_, '_>) -> ParamSource {
    let Some(text) = reader.text("from") else { return ParamSource::Document };
    match text.split_once(':') {
        Some(("label", label)) if !label.is_empty() => ParamSource::Label(label.to_owned()),
        Some(("alert", label)) if !label.is_empty() => ParamSource::Alert(label.to_owned()),
        Some(("job", label)) if !label.is_empty() => ParamSource::Job(label.to_owned()),
        Some(("signal", "check")) => ParamSource::Signal(SignalField::Check),
        Some(("signal", "verdict")) => ParamSource::Signal(SignalField::Verdict),
        Some(("signal", "summary")) => ParamSource::Signal(SignalField::Summary),
        _ => {
            let hint = "write \"label:NAME\", \"alert:NAME\", \"job:NAME\", \"signal:check\", \"signal:verdict\" or \"signal:summary\"";
            let message = format!("\"from\" names no source: {}", quoted(text));
            reader.complain("from", &message, Some(hint.to_owned()));
            ParamSource::Document
        }
    }
}
