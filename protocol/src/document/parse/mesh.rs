//! `mesh = "disk"` and its like, with `warn` and `fail` beside it.

use super::reader::{Reader, Zero};
use crate::document::{Expiry, MeshProbe, Thresholds, mesh::Spans};
use crate::time::format_span;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);

/// The largest count that a threshold may be.
const COUNT_MAX: u32 = 10_000;

/// Which part of the mesh.
#[derive(Debug, Clone, Copy)]
enum Part {
    Disk,
    Clock,
    Certificate,
    Voters,
    Leader,
    Follower,
}

const PARTS: [(&str, Part); 6] = [
    ("disk", Part::Disk),
    ("clock", Part::Clock),
    ("certificate", Part::Certificate),
    ("voters", Part::Voters),
    ("leader", Part::Leader),
    ("follower", Part::Follower),
];

/// What the mesh looks at about itself; what is usual holds only where neither limit is written.
pub(super) fn mesh(reader: &mut Reader<'_, '_>) -> Option<MeshProbe> {
    // Known keys in any case; which values they take only the part says.
    reader.value("warn");
    reader.value("fail");
    let part = reader.choice("mesh", &PARTS)?;
    let millis = Duration::from_millis;
    Some(match part {
        Part::Disk => {
            MeshProbe::Disk(numbers(reader, 100, Thresholds { warn: Some(80), fail: Some(90) }))
        }
        Part::Voters => {
            MeshProbe::Voters(numbers(reader, COUNT_MAX, Thresholds { warn: None, fail: Some(1) }))
        }
        Part::Leader => {
            let usual = Thresholds { warn: Some(2), fail: Some(4) };
            MeshProbe::Leader(numbers(reader, COUNT_MAX, usual))
        }
        Part::Clock => {
            let (warn, fail) = spans(reader, (millis(500), millis(5_000)), Grave::More);
            MeshProbe::Clock(Spans { warn, fail })
        }
        Part::Follower => {
            let (warn, fail) = spans(reader, (millis(10_000), millis(30_000)), Grave::More);
            MeshProbe::Follower(Spans { warn, fail })
        }
        Part::Certificate => {
            let (warn, fail) = spans(reader, (60 * DAY, 14 * DAY), Grave::Less);
            MeshProbe::Certificate(Expiry { warn, fail })
        }
    })
}

fn numbers(reader: &mut Reader<'_, '_>, most: u32, usual: Thresholds) -> Thresholds {
    let found =
        Thresholds { warn: reader.number("warn", 1..=most), fail: reader.number("fail", 1..=most) };
    if let (Some(warn), Some(fail)) = (found.warn, found.fail)
        && warn > fail
    {
        reader.complain("warn", "\"warn\" must not be more than \"fail\"", None);
    }
    if reader.has("warn") || reader.has("fail") { found } else { usual }
}

/// Whether more of it is graver, or less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grave {
    More,
    Less,
}

type Limit = Option<Duration>;

fn spans(
    reader: &mut Reader<'_, '_>,
    (warn, fail): (Duration, Duration),
    grave: Grave,
) -> (Limit, Limit) {
    if !reader.has("warn") && !reader.has("fail") {
        return (Some(warn), Some(fail));
    }
    let found =
        (reader.span_if_said("warn", Zero::Refused), reader.span_if_said("fail", Zero::Refused));
    if let (Some(warn), Some(fail)) = found {
        let (wrong, word) = match grave {
            Grave::More => (warn > fail, "longer"),
            Grave::Less => (warn < fail, "shorter"),
        };
        if wrong {
            let message =
                format!("\"warn\" must not be {word} than \"fail\", \"{}\"", format_span(fail));
            reader.complain("warn", &message, None);
        }
    }
    found
}
