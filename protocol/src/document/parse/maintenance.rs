//! `[[maintenance]]`: when nothing is repaired on some peers.

use super::reader::{Reader, Table, Zero};
use crate::{
    document::{Maintenance, Schedule, maintenance::check_recurring, problem::Report},
    time::Timestamp,
};
use std::time::Duration;

pub(super) fn maintenance(table: Table<'_>, report: &mut Report) -> Option<Maintenance> {
    let mut reader = Reader::new(table.title("maintenance"), table, report);
    let name = reader.own_name();
    let selector = reader.selector();
    let reason = reader.text("reason").unwrap_or_default().to_owned();
    let from = moment(&mut reader, "from");
    let until = moment(&mut reader, "until");
    let cron = reader.text("cron");
    let time_zone = reader.text("time_zone").unwrap_or("UTC").to_owned();
    let lasts = reader.span("lasts", Duration::from_secs(3_600), Zero::Refused);
    let once = reader.has("from") || reader.has("until");
    if once == reader.has("cron") {
        let hint = "write cron = \"0 3 * * 0\" and lasts = \"2h\", or from = … and until = …";
        let message = "it has to be once or recurring";
        reader.complain("cron", message, Some(hint.to_owned()));
    }
    let schedule = match (cron, from, until) {
        (Some(cron), _, _) => {
            if !reader.has("lasts") {
                reader.missing("lasts", "lasts = \"2h\"");
            }
            if let Err(error) = check_recurring(cron, &time_zone) {
                use crate::document::maintenance::ScheduleError;
                let key = match error {
                    ScheduleError::TimeZone(_) => "time_zone",
                    ScheduleError::Cron(_) | ScheduleError::Never => "cron",
                };
                reader.complain(key, &format!("\"{key}\": {error}"), None);
            }
            Some(Schedule::Recurring { cron: cron.to_owned(), time_zone, lasts })
        }
        (None, Some(from), Some(until)) => {
            if until <= from {
                reader.complain("until", "\"until\" must be later than \"from\"", None);
            }
            for key in ["time_zone", "lasts"] {
                if reader.has(key) {
                    reader.complain(key, "it has no meaning without \"cron\"", None);
                }
            }
            Some(Schedule::Once { from, until })
        }
        (None, from, until) => {
            for (key, found) in [("from", from), ("until", until)] {
                if once && found.is_none() && !reader.has(key) {
                    reader.missing(key, &format!("{key} = \"2026-12-24T18:00:00Z\""));
                }
            }
            None
        }
    };
    reader.finish();
    Some(Maintenance { name: name?, selector, schedule: schedule?, reason })
}

/// A moment, as a text in RFC 3339.
fn moment(reader: &mut Reader<'_, '_>, key: &'static str) -> Option<Timestamp> {
    let text = reader.text(key)?;
    match Timestamp::parse(text) {
        Ok(moment) => Some(moment),
        Err(_) => {
            let hint = format!("write {key} = \"2026-12-24T18:00:00Z\"");
            reader.complain(key, &format!("\"{key}\" is no moment"), Some(hint));
            None
        }
    }
}
