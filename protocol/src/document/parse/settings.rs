//! The short documents: `[[notifier]]`, `[mesh]` and `[[remove]]`.

use super::reader::{Reader, Table, Zero};
use crate::document::{
    Channel, DocumentKey, DocumentKind, MeshSettings, Notifier, problem::Report,
};
use crate::name::Name;
use crate::time::format_span;
use std::time::Duration;

/// The shortest `voter_gone_after`: a restart of the daemon must not cost a voter its seat.
const VOTER_GONE_AFTER_MIN: Duration = Duration::from_secs(10);

pub(super) fn notifier(table: Table<'_>, report: &mut Report) -> Option<Notifier> {
    let mut reader = Reader::new(table.title("notifier"), table, report);
    let name = reader.own_name();
    for (key, example) in [("kind", "kind = \"webhook\""), ("url", "url = \"http://HOST/PATH\"")] {
        if !reader.has(key) {
            reader.missing(key, example);
        }
    }
    let kind = reader.choice("kind", &[("webhook", ())]);
    let url = reader.url("url");
    reader.finish();
    kind?;
    Some(Notifier { name: name?, channel: Channel::Webhook { url: url? } })
}

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
    let restart_grace = reader.span("restart_grace", default.restart_grace, Zero::Allowed);
    reader.finish();
    MeshSettings { voters_max, voter_gone_after, restart_grace }
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
            | DocumentKind::Maintenance),
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
