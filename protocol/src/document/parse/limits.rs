//! `[limits]`, and `limits = { … }` of a runbook.

use super::reader::{Reader, Table};
use crate::document::{Bounds, Limits, problem::Report};
use std::collections::BTreeMap;

/// The limits of the mesh, and for each value of a label.
pub(super) fn limits(table: Table<'_>, report: &mut Report) -> Limits {
    const EXAMPLE: &str = "[limits.per_label.role] with at_once = 1 below it";
    let mut reader = Reader::new("limits".to_owned(), table, report);
    let mesh = bounds(&mut reader);
    let mut per_label = BTreeMap::new();
    if let Some(labels) = reader.table("per_label", EXAMPLE) {
        for (label, value) in labels.entries {
            let key = label.get_ref().as_ref();
            let offset = value.span().start;
            match value.get_ref().as_table() {
                Some(entries) => {
                    let table = Table { entries, offset };
                    let title = format!("limits, per_label {key}");
                    per_label.insert(key.to_owned(), bounds_alone(title, table, reader.report()));
                }
                None => {
                    let message = format!("limits: \"per_label\" {key} must be a table");
                    let hint = Some(format!("write {EXAMPLE}"));
                    reader.report().add(offset, Some("per_label"), message, hint);
                }
            }
        }
    }
    reader.finish();
    Limits { mesh, per_label }
}

/// A table that holds bounds and nothing else.
pub(super) fn bounds_alone(title: String, table: Table<'_>, report: &mut Report) -> Bounds {
    let mut reader = Reader::new(title, table, report);
    let bounds = bounds(&mut reader);
    reader.finish();
    bounds
}

fn bounds(reader: &mut Reader<'_, '_>) -> Bounds {
    Bounds {
        at_once: reader.number("at_once", 1..=100_000),
        per_hour: reader.number("per_hour", 1..=100_000),
        share_percent: reader.number("share_percent", 1..=100),
        min_healthy_percent: reader.number("min_healthy_percent", 1..=100),
        at_once_per_zone: reader.number("at_once_per_zone", 1..=100_000),
    }
}
