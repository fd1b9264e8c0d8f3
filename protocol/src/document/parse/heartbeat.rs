//! `heartbeat = "nightly-backup"` and what stands beside it: a job that must check in; or
//! `heartbeat = { app = "billing" }`: the jobs that others reserved with such labels.

use super::{
    probe::TextOrTable,
    reader::{Reader, Zero},
};
use crate::{
    document::{HeartbeatProbe, Jobs},
    heartbeat::{
        ONE_IN, Pace, Reservation, Rule, SLUG_BYTES_MAX, Schedule, ScheduleError, Word, WordError,
        is_slug,
    },
    learn::OneIn,
    time::format_span,
};
use std::time::Duration;

const EXAMPLE: &str = "heartbeat = \"nightly-backup\" or heartbeat = { app = \"billing\" }";

/// Keys that say more of a job that is declared.
const OF_A_JOB: [&str; 9] =
    ["period", "cron", "on_calendar", "learned", "time_zone", "grace", "host", "alert_text", UUID];

/// The hash of the secret by which it may be pinged.
const UUID: &str = "uuid_sha256";

/// The keys that say when it must check in, of which a job has one.
const SCHEDULES: [&str; 4] = ["period", "cron", "on_calendar", "learned"];

/// The rules by which it is learned.
const RULES: [(&str, Rule); 2] = [("arrivals", Rule::USUAL), ("pacehb", Rule::PaceHb)];

/// Nobody is forgotten sooner: what is missed is told before.
const FORGET_AFTER_MIN: Duration = Duration::from_secs(3_600);

pub(super) fn heartbeat(reader: &mut Reader<'_, '_>) -> Option<HeartbeatProbe> {
    let failing_for = reader.span("failing_for", Duration::ZERO, Zero::Allowed);
    let forget_after = forget_after(reader);
    let hint = "write what `printf %s UUID | sha256sum` prints, of the UUID in lower case";
    let uuid = reader.sha256(UUID, hint);
    let jobs = jobs(reader)?;
    if matches!(jobs, Jobs::Job(_)) && reader.has("forget_after") {
        let message = "\"forget_after\" has no meaning for a job of this document";
        let hint = "leave it out: the job is forgotten when its check is removed";
        reader.complain("forget_after", message, Some(hint.to_owned()));
    }
    Some(HeartbeatProbe { jobs, failing_for, forget_after, uuid })
}

fn forget_after(reader: &mut Reader<'_, '_>) -> Option<Duration> {
    const KEY: &str = "forget_after";
    let after = reader.span_if_said(KEY, Zero::Refused).filter(|after| !after.is_zero())?;
    if after < FORGET_AFTER_MIN {
        let message = format!(
            "\"{KEY}\" must be at least {}, not {}",
            format_span(FORGET_AFTER_MIN),
            format_span(after)
        );
        reader.complain(KEY, &message, None);
    }
    Some(after)
}

/// Which jobs it is about.
fn jobs(reader: &mut Reader<'_, '_>) -> Option<Jobs> {
    let pace = pace(reader);
    let host = reader.text("host").map(str::to_owned);
    let text = reader.text("alert_text").unwrap_or_default().to_owned();
    let value = reader.value("heartbeat")?;
    if value.as_table().is_some() {
        if let Some(key) = OF_A_JOB.into_iter().find(|key| reader.has(key)) {
            let message = format!("\"{key}\" has no meaning where others reserve the jobs");
            let hint = "leave it out, or write heartbeat = \"JOB\" for a job of this document";
            reader.complain(key, &message, Some(hint.to_owned()));
        }
        return Some(Jobs::Those(reader.conditions("heartbeat", EXAMPLE)));
    }
    let Some(name) = value.as_str() else {
        reader.wrong_type(
            "heartbeat",
            "a job's name or a table",
            value,
            Some(format!("write {EXAMPLE}")),
        );
        return None;
    };
    if !is_slug(name) {
        let hint = format!(
            "use 1 to {SLUG_BYTES_MAX} letters, digits, \"-\", \"_\" and \".\", no \".\" first: it is a part of an address"
        );
        reader.complain("heartbeat", "\"heartbeat\" is no name of a job", Some(hint));
        return None;
    }
    let mut reservation = Reservation::new(name, pace?);
    reservation.labels.insert("job".to_owned(), name.to_owned());
    if let Some(host) = host {
        reservation.labels.insert("host".to_owned(), host);
    }
    reservation.text = text;
    if let Err(error) = Word::Reserve(reservation.clone()).check() {
        let key = match &error {
            WordError::Schedule(error) => key_of(error, &reservation.pace.schedule),
            WordError::Text => "alert_text",
            WordError::Labels => "host",
            WordError::Span => "grace",
            WordError::Name | WordError::Body => "heartbeat",
        };
        reader.complain(key, &format!("\"{key}\": {error}"), None);
        return None;
    }
    Some(Jobs::Job(Box::new(reservation)))
}

/// When the job must check in; once a day and an hour of grace unless said. What is learned has its
/// own allowance, and no grace unless said.
fn pace(reader: &mut Reader<'_, '_>) -> Option<Pace> {
    let period = reader.span_if_said("period", Zero::Refused);
    let cron = reader.text("cron").map(str::to_owned);
    let calendar = reader.text("on_calendar").map(str::to_owned);
    let zone = reader.text("time_zone");
    let time_zone = zone.unwrap_or("UTC").to_owned();
    let usual = Pace::USUAL;
    let learns = reader.has("learned");
    let learned = learned(reader);
    let no_grace = if learns { Duration::ZERO } else { usual.grace };
    let grace = reader.span("grace", no_grace, Zero::Allowed);
    let said: Vec<&str> = SCHEDULES.into_iter().filter(|key| reader.has(key)).collect();
    if let [first, second, ..] = said.as_slice() {
        let message = format!("it has two schedules, \"{first}\" and \"{second}\"");
        reader.complain(second, &message, Some("a job has one".to_owned()));
        return None;
    }
    if zone.is_some() && cron.is_none() && calendar.is_none() {
        let message = "\"time_zone\" has no meaning without \"cron\" or \"on_calendar\"";
        reader.complain("time_zone", message, None);
    }
    if learns {
        return Some(Pace { schedule: Schedule::Learned { by: learned? }, grace });
    }
    let schedule = match (cron, calendar) {
        (Some(expression), _) => Schedule::Cron { expression, time_zone },
        (None, Some(expression)) => Schedule::Calendar { expression, time_zone },
        (None, None) if reader.has("period") => Schedule::Every {
            // What is wrong with it is told already.
            period: period.filter(|period| !period.is_zero())?,
        },
        (None, None) => usual.schedule,
    };
    Some(Pace { schedule, grace })
}

/// How it is learned when the job comes.
fn learned(reader: &mut Reader<'_, '_>) -> Option<Rule> {
    const KEY: &str = "learned";
    const EXAMPLE: &str = "learned = { one_in = 10000, at_least = \"30s\" }";
    let table = match reader.text_or_table(KEY, EXAMPLE)? {
        TextOrTable::Text(_) => return reader.choice(KEY, &RULES),
        TextOrTable::Table(table) => table,
    };
    let mut within = Reader::new(format!("{}, {KEY}", reader.title()), table, reader.report());
    let one_in = within.number("one_in", ONE_IN);
    let at_least = within.span("at_least", Rule::AT_LEAST, Zero::Allowed);
    let at_most = within.span_if_said("at_most", Zero::Refused);
    if let Some(at_most) = at_most.filter(|at_most| !at_most.is_zero() && *at_most < at_least) {
        let message = format!(
            "\"at_most\" must not be shorter than \"at_least\": {} is shorter than {}",
            format_span(at_most),
            format_span(at_least)
        );
        let said = within.has("at_least");
        let hint = (!said).then(|| "write a shorter \"at_least\" as well".to_owned());
        within.complain("at_most", &message, hint);
    }
    let at_most = at_most.filter(|at_most| !at_most.is_zero() && *at_most >= at_least);
    within.finish();
    Some(Rule::arrivals(one_in.map_or(Rule::ONE_IN, OneIn::new), at_least, at_most))
}

/// The key that a mistake in a schedule stands at.
fn key_of(error: &ScheduleError, schedule: &Schedule) -> &'static str {
    use crate::document::maintenance::ScheduleError as CronError;
    if matches!(error, ScheduleError::Cron(CronError::TimeZone(_))) {
        return "time_zone";
    }
    match schedule {
        Schedule::Every { .. } => "period",
        Schedule::Cron { .. } => "cron",
        Schedule::Calendar { .. } => "on_calendar",
        Schedule::Learned { .. } => "learned",
    }
}
