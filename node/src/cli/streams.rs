//! `hearten stream list`: how far event streams are read.

use super::{arguments::Shown, output, session::Session, table};
use crate::control::{Failure, Request};
use serde_json::Value;

/// `hearten stream list`
pub(super) fn list(session: &Session, shown: Shown) -> Result<(), Failure> {
    let answer = session.ask(&Request::Streams)?;
    output::show(shown, &answer, |answer| {
        let rows = table::list(&answer["streams"]).flat_map(rows).collect();
        let headings =
            ["NAME", "TOPIC", "PARTITION", "OFFSET", "TAKEN", "SKIPPED", "LOST", "READ", "ERROR"];
        let mut text = table::rows(&headings, rows, "no document names a stream");
        let any = table::list(&answer["streams"]).next().is_some();
        if any && answer["reader_answers"] != true {
            text.push_str("the leader could not be asked what keeps it from reading\n");
        }
        text
    })
}

/// A row for each partition; one for the stream where it has none yet, or cannot be read at all.
fn rows(stream: &Value) -> Vec<Vec<String>> {
    let [name, topic] = ["name", "topic"].map(|key| table::text(&stream[key]));
    let mut rows: Vec<Vec<String>> = table::list(&stream["partitions"])
        .map(|partition| {
            let mut row = vec![name.clone(), topic.clone()];
            let keys = ["partition", "offset", "taken", "skipped", "lost", "read_at"];
            row.extend(keys.map(|key| table::text(&partition[key])));
            row.push(table::text(&partition["error"]["why"]));
            row
        })
        .collect();
    if rows.is_empty() || !stream["error"].is_null() {
        let mut row = vec![name, topic];
        row.extend(std::iter::repeat_n(String::new(), 6));
        row.push(table::text(&stream["error"]["why"]));
        rows.insert(0, row);
    }
    rows
}
