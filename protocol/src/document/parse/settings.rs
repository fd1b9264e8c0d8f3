//! The short documents: `[mesh]` and `[[remove]]`.

use super::reader::{Reader, Table, Zero};
use crate::document::{
    CheckIn, CheckInMethod, DocumentKey, DocumentKind, MeshSettings, problem::Report,
};
use crate::name::Name;
use crate::time::format_span;
use std::time::Duration;

/// The shortest `voter_gone_after`: a restart of the daemon must not cost a voter its seat.
const VOTER_GONE_AFTER_MIN: Duration = Duration::from_secs(10);

/// The shortest `storm_window`: gossip needs as long to suspect all of a rack.
const STORM_WINDOW_MIN: Duration = Duration::from_secs(5);

/// The longest `storm_window`: what falls silent in an hour is no storm.
const STORM_WINDOW_MAX: Duration = Duration::from_secs(3_600);

/// The longest `storm_calm`: a brake that nobody releases for a day is a freeze.
const STORM_CALM_MAX: Duration = Duration::from_secs(86_400);

/// The shortest and the longest time from one check-in to the next.
const CHECK_IN_EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(86_400));

pub(super) fn mesh(table: Table<'_>, report: &mut Report) -> MeshSettings {
    let mut reader = Reader::new("mesh".to_owned(), table, report);
    let default = MeshSettings::default();
    let voters_max = reader.number("voters_max", 1..=7).unwrap_or(default.voters_max);
    if voters_max.is_multiple_of(2) {
        let hint = "an even number of voters survives no more failures than one less".to_owned();
        let message = format!("\"voters_max\" must be 1, 3, 5 or 7, not {voters_max}");
        reader.complain("voters_max", &message, Some(hint));
    }
    let voter_gone_after = reader.span("voter_gone_after", default.voter_gone_after, Zero::Allowed);
    if voter_gone_after < VOTER_GONE_AFTER_MIN {
        let message = format!(
            "\"voter_gone_after\" must be at least {}, not \"{}\"",
            format_span(VOTER_GONE_AFTER_MIN),
            format_span(voter_gone_after)
        );
        let hint = "a restart must not cost a voter its seat".to_owned();
        reader.complain("voter_gone_after", &message, Some(hint));
    }
    let witnesses = reader.number("witnesses", 2..=9).unwrap_or(default.witnesses);
    let restart_grace = reader.span("restart_grace", default.restart_grace, Zero::Allowed);
    let storm_share_percent = reader.number("storm_share_percent", 1..=100);
    let storm_at_least = reader.number("storm_at_least", 2..=10_000);
    let storm_window = bounded(
        &mut reader,
        "storm_window",
        default.storm_window,
        (STORM_WINDOW_MIN, STORM_WINDOW_MAX),
    );
    // A window that was made longer takes the calm along, unless that is said as well.
    let calm = default.storm_calm.max(storm_window);
    let storm_calm = bounded(&mut reader, "storm_calm", calm, (Duration::ZERO, STORM_CALM_MAX));
    if storm_calm < storm_window {
        let message = format!(
            "\"storm_calm\" must not be shorter than \"storm_window\", \"{}\"",
            format_span(storm_window)
        );
        let hint = "the same silences would be a storm again".to_owned();
        reader.complain("storm_calm", &message, Some(hint));
    }
    let check_in = check_in(&mut reader);
    reader.finish();
    MeshSettings {
        voters_max,
        voter_gone_after,
        witnesses,
        restart_grace,
        storm_share_percent: storm_share_percent.unwrap_or(default.storm_share_percent),
        storm_at_least: storm_at_least.unwrap_or(default.storm_at_least),
        storm_window,
        storm_calm,
        check_in,
    }
}

/// A span of time within bounds.
fn bounded(
    reader: &mut Reader<'_, '_>,
    key: &'static str,
    default: Duration,
    (least, most): (Duration, Duration),
) -> Duration {
    let span = reader.span(key, default, Zero::Refused);
    if span < least || span > most {
        let message = format!(
            "\"{key}\" must be {} to {}, not \"{}\"",
            format_span(least.max(Duration::from_secs(1))),
            format_span(most),
            format_span(span)
        );
        reader.complain(key, &message, None);
    }
    span
}

fn check_in(reader: &mut Reader<'_, '_>) -> Option<CheckIn> {
    const EXAMPLE: &str = "check_in = { url = \"https://HOST/PATH\", every = \"1m\" }";
    let table = reader.table("check_in", EXAMPLE)?;
    let mut within = Reader::new("mesh, check_in".to_owned(), table, reader.report());
    if !within.has("url") {
        within.missing("url", "url = \"https://HOST/PATH\"");
    }
    let url = within.url("url");
    let methods = [("GET", CheckInMethod::Get), ("POST", CheckInMethod::Post)];
    let method = within.choice("method", &methods).unwrap_or(CheckInMethod::Get);
    let every = bounded(&mut within, "every", Duration::from_secs(60), CHECK_IN_EVERY);
    within.finish();
    Some(CheckIn { url: url?, method, every })
}

pub(super) fn remove(table: Table<'_>, report: &mut Report) -> Option<DocumentKey> {
    let mut reader = Reader::new(table.title("remove"), table, report);
    let name = reader.name("name");
    if !reader.has("kind") {
        reader.missing("kind", "kind = \"check\"");
    }
    let kind = reader.choice("kind", &DocumentKind::ALL.map(|kind| (kind.as_str(), kind)));
    let key = match kind {
        None => None,
        Some(kind @ (DocumentKind::Limits | DocumentKind::Mesh)) => {
            // There is one of them, and it bears its kind as its name.
            let own = Name::parse(kind.as_str()).ok();
            if reader.has("name") && name != own {
                let message = format!("\"{}\" needs no name", kind.as_str());
                reader.complain("name", &message, Some("leave \"name\" out".to_owned()));
            }
            own.map(|name| DocumentKey { kind, name })
        }
        Some(
            kind @ (DocumentKind::Check
            | DocumentKind::Runbook
            | DocumentKind::Ladder
            | DocumentKind::Notifier
            | DocumentKind::Maintenance
            | DocumentKind::Stream
            | DocumentKind::Guest),
        ) => {
            if !reader.has("name") {
                reader.missing("name", "name = \"…\"");
            }
            name.map(|name| DocumentKey { kind, name })
        }
    };
    reader.finish();
    key
}
