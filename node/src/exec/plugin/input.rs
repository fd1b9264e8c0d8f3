//! What a plugin is told: one object of JSON on its standard input.

use super::Phase;
use crate::exec::check::Tools;
use protocol::document::{Check, PluginProbe, Setting};
use serde_json::{Map, Value, json};

/// The version of this shape.
const SCHEMA: u32 = 1;

pub(super) async fn of(phase: Phase, check: &Check, probe: &PluginProbe, tools: &Tools) -> Vec<u8> {
    let mut facts = Map::new();
    for kind in &probe.facts {
        facts.insert(kind.as_str().to_owned(), tools.facts.as_json(*kind).await);
    }
    let settings: Map<String, Value> =
        probe.settings.iter().map(|(key, setting)| (key.clone(), value(setting))).collect();
    let host = &tools.host;
    let told = json!({
        "schema": SCHEMA,
        "phase": phase.as_str(),
        "check": check.name.as_str(),
        "host": { "name": host.name, "address": host.address, "labels": host.labels },
        "facts": facts,
        "settings": settings,
        "earlier": tools.plugins.earlier(&check.name, phase),
    });
    let mut line = told.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn value(setting: &Setting) -> Value {
    match setting {
        Setting::Text(text) => Value::String(text.clone()),
        Setting::Integer(number) => Value::from(*number),
        // Known to be a number that JSON knows: its text was looked at when the document was read.
        Setting::Number(text) => serde_json::from_str(text).unwrap_or(Value::Null),
        Setting::Truth(truth) => Value::Bool(*truth),
        Setting::List(items) => Value::Array(items.iter().map(value).collect()),
        Setting::Table(entries) => Value::Object(
            entries.iter().map(|(key, setting)| (key.clone(), value(setting))).collect(),
        ),
    }
}
