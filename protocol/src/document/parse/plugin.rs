//! `plugin`, its `settings` and the `facts` that it asks for.

use super::reader::{Reader, type_of};
use crate::document::{
    Command, FactKind, PluginProbe, Setting,
    problem::{did_you_mean, quoted},
    setting::SETTINGS_DEPTH_MAX,
};
use std::collections::{BTreeMap, BTreeSet};
use toml::de::DeValue;

pub(super) fn plugin(reader: &mut Reader<'_, '_>) -> Option<PluginProbe> {
    let argv = argv(reader);
    let settings = settings(reader);
    let facts = facts(reader);
    Some(PluginProbe { argv: argv?, settings, facts })
}

/// A path, or a path and arguments. No script: a plugin is a file that its author can test.
fn argv(reader: &mut Reader<'_, '_>) -> Option<Vec<String>> {
    const EXAMPLE: &str = "write plugin = \"/PATH\" or plugin = [\"/PATH\", \"ARGUMENT\"]";
    let argv = match reader.command("plugin")? {
        Command::Script(path) => vec![path],
        Command::Argv(argv) => argv,
    };
    if argv.first().is_none_or(|program| !program.starts_with('/')) {
        let program = argv.first().map_or("", String::as_str);
        let message = format!("\"plugin\" = {} is no path from the root", quoted(program));
        reader.complain("plugin", &message, Some(EXAMPLE.to_owned()));
        return None;
    }
    Some(argv)
}

fn settings(reader: &mut Reader<'_, '_>) -> BTreeMap<String, Setting> {
    let Some(table) = reader.table("settings", "settings = { KEY = \"VALUE\" }") else {
        return BTreeMap::new();
    };
    let mut settings = BTreeMap::new();
    for (key, value) in table.entries {
        match setting(value.get_ref(), SETTINGS_DEPTH_MAX) {
            Ok(setting) => {
                settings.insert(key.get_ref().to_string(), setting);
            }
            Err(fault) => {
                let message =
                    format!("{}, settings: {} {fault}", reader.title(), quoted(key.get_ref()));
                reader.report().add(value.span().start, Some("settings"), message, None);
            }
        }
    }
    settings
}

fn setting(value: &DeValue<'_>, depth: usize) -> Result<Setting, &'static str> {
    if depth == 0 {
        return Err("is nested too deeply");
    }
    Ok(match value {
        DeValue::String(text) => Setting::Text(text.to_string()),
        DeValue::Datetime(moment) => Setting::Text(moment.to_string()),
        DeValue::Boolean(truth) => Setting::Truth(*truth),
        DeValue::Integer(digits) => {
            let number = i64::from_str_radix(digits.as_str(), digits.radix());
            Setting::Integer(number.map_err(|_too_large| "holds a number beyond 64 bits")?)
        }
        DeValue::Float(digits) => {
            let text = digits.as_str().replace('_', "");
            let text = text.strip_prefix('+').unwrap_or(&text);
            if !text.parse::<f64>().is_ok_and(f64::is_finite) {
                return Err("holds a number that JSON does not know");
            }
            Setting::Number(text.to_owned())
        }
        DeValue::Array(items) => {
            let items = items.iter().map(|item| setting(item.get_ref(), depth - 1));
            Setting::List(items.collect::<Result<_, _>>()?)
        }
        DeValue::Table(entries) => {
            let mut table = BTreeMap::new();
            for (key, value) in entries {
                table.insert(key.get_ref().to_string(), setting(value.get_ref(), depth - 1)?);
            }
            Setting::Table(table)
        }
    })
}

fn facts(reader: &mut Reader<'_, '_>) -> BTreeSet<FactKind> {
    let words = FactKind::ALL.map(FactKind::as_str);
    let mut facts = BTreeSet::new();
    let Some(value) = reader.value("facts") else { return facts };
    let Some(items) = value.as_array() else {
        let hint = format!("write facts = [\"{}\"]", words.join("\", \""));
        reader.wrong_type("facts", "a list of strings", value, Some(hint));
        return facts;
    };
    for item in items.iter() {
        let (fault, hint) = match item.get_ref().as_str() {
            None => (format!("\"facts\" must hold strings, not {}", type_of(item.get_ref())), None),
            Some(text) => match FactKind::ALL.into_iter().find(|kind| kind.as_str() == text) {
                Some(kind) => {
                    facts.insert(kind);
                    continue;
                }
                None => {
                    let known = format!("known are {}", words.join(", "));
                    let hint = did_you_mean(text, words).unwrap_or(known);
                    (format!("unknown kind of facts {}", quoted(text)), Some(hint))
                }
            },
        };
        let message = format!("{}: {fault}", reader.title());
        reader.report().add(item.span().start, Some("facts"), message, hint);
    }
    facts
}
