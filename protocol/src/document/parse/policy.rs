//! When a notifier is used, what it says, and where a route leads.

use super::reader::{Reader, Table, Zero};
use crate::{
    document::{
        Escalate, Policy, Quiet, Route, Schedule, Severity, Template, TemplateError,
        maintenance::{ScheduleError, check_recurring},
        problem::{did_you_mean, quoted},
        template::PLACES,
    },
    name::Name,
    time::format_span,
};
use std::{collections::BTreeSet, time::Duration};

/// The shortest time from one call to the next: each is written into the log.
const REPEAT_MIN: Duration = Duration::from_secs(60);

/// The longest quiet time: what is quiet for longer is switched off.
const QUIET_MAX: Duration = Duration::from_secs(4 * 86_400);

/// The most routes of one notifier.
const ROUTES_MAX: usize = 200;

/// The keys of a policy that a route has not.
pub(super) const POLICY: [&str; 4] = ["repeat", "escalate", "quiet", "recovery"];

pub(super) fn policy(reader: &mut Reader<'_, '_>) -> Policy {
    let repeat = reader.span_if_said("repeat", Zero::Refused);
    if let Some(repeat) = repeat.filter(|repeat| !repeat.is_zero() && *repeat < REPEAT_MIN) {
        let least = format_span(REPEAT_MIN);
        let message =
            format!("\"repeat\" must be at least {least}, not \"{}\"", format_span(repeat));
        reader.complain("repeat", &message, None);
    }
    let escalate = escalate(reader);
    let quiet = quiet(reader);
    let recovery = reader.boolean("recovery").unwrap_or(true);
    let repairs = reader.boolean("repairs").unwrap_or(false);
    Policy { repeat, escalate, quiet, recovery, repairs }
}

fn escalate(reader: &mut Reader<'_, '_>) -> Option<Escalate> {
    let table = reader.table("escalate", "escalate = { to = \"NOTIFIER\", after = \"15m\" }")?;
    let title = format!("{}, escalate", reader.title());
    let mut within = Reader::new(title, table, reader.report());
    for (key, example) in [("to", "to = \"NOTIFIER\""), ("after", "after = \"15m\"")] {
        if !within.has(key) {
            within.missing(key, example);
        }
    }
    let to = within.name("to");
    let after = within.span("after", Duration::ZERO, Zero::Refused);
    within.finish();
    Some(Escalate { to: to?, after })
}

fn quiet(reader: &mut Reader<'_, '_>) -> Option<Quiet> {
    const EXAMPLE: &str =
        "quiet = { cron = \"0 22 * * *\", lasts = \"9h\", time_zone = \"Europe/Berlin\" }";
    let table = reader.table("quiet", EXAMPLE)?;
    let title = format!("{}, quiet", reader.title());
    let mut within = Reader::new(title, table, reader.report());
    for (key, example) in [("cron", "cron = \"0 22 * * *\""), ("lasts", "lasts = \"9h\"")] {
        if !within.has(key) {
            within.missing(key, example);
        }
    }
    let cron = within.text("cron");
    let time_zone = within.text("time_zone").unwrap_or("UTC").to_owned();
    let lasts = within.span("lasts", Duration::ZERO, Zero::Refused);
    if lasts > QUIET_MAX {
        let message = format!("\"lasts\" must be at most {}", format_span(QUIET_MAX));
        within.complain("lasts", &message, None);
    }
    if let Some(cron) = cron
        && let Err(error) = check_recurring(cron, &time_zone)
    {
        let key = match error {
            ScheduleError::TimeZone(_) => "time_zone",
            ScheduleError::Cron(_) | ScheduleError::Never => "cron",
        };
        within.complain(key, &format!("\"{key}\": {error}"), None);
    }
    let except = severities(&mut within, "except");
    within.finish();
    let when = Schedule::Recurring { cron: cron?.to_owned(), time_zone, lasts };
    Some(Quiet { when, except })
}

/// One severity, or several.
fn severities(reader: &mut Reader<'_, '_>, key: &'static str) -> BTreeSet<Severity> {
    let words = Severity::ALL.map(|severity| (severity.as_str(), severity));
    let listed = reader.value(key).is_some_and(|value| value.is_array());
    if !listed {
        return reader.choice(key, &words).into_iter().collect();
    }
    let mut found = BTreeSet::new();
    for text in reader.texts(key, "[\"critical\"]").unwrap_or_default() {
        match words.iter().find(|(word, _)| *word == text) {
            Some((_, severity)) => {
                found.insert(*severity);
            }
            None => {
                let known = words.map(|(word, _)| word);
                let message =
                    format!("\"{key}\" holds {}, not {}", known.join(", "), quoted(&text));
                reader.complain(key, &message, did_you_mean(&text, known));
            }
        }
    }
    found
}

/// One name, or several.
fn names(reader: &mut Reader<'_, '_>, key: &'static str, example: &str) -> Vec<Name> {
    let listed = reader.value(key).is_some_and(|value| value.is_array());
    if !listed {
        return reader.name(key).into_iter().collect();
    }
    let mut names = Vec::new();
    for text in reader.texts(key, example).unwrap_or_default() {
        match Name::parse(&text) {
            Ok(name) => names.push(name),
            Err(error) => reader.complain(key, &format!("\"{key}\": {error}"), None),
        }
    }
    names
}

/// The routes of a notifier; `wanted` says whether there have to be some.
pub(super) fn routes(reader: &mut Reader<'_, '_>, wanted: bool) -> Vec<Route> {
    let tables = reader.tables("route", "[[notifier.route]]");
    if wanted && tables.is_empty() {
        reader.missing("route", "[[notifier.route]] below it, with notify = \"NOTIFIER\"");
    }
    if tables.len() > ROUTES_MAX {
        let message = format!("it has {} routes; at most {ROUTES_MAX} fit", tables.len());
        reader.complain("route", &message, None);
        return Vec::new();
    }
    let title = reader.title().to_owned();
    let count = tables.len();
    let mut routes = Vec::new();
    for (number, table) in (1..).zip(tables) {
        let offset = table.offset;
        let title = format!("{title}, route {number}");
        let route = route(title.clone(), table, reader.report());
        let all = route.is_for_all();
        if number < count && all {
            let message = format!("{title}: it is for everything, so none that follows is reached");
            let hint = "write it as the last one".to_owned();
            reader.report().add(offset, Some("route"), message, Some(hint));
        }
        if number == count && !all {
            let message = format!("{title}: what fits no route would be told to nobody");
            let hint = "let the last route be for everything: notify alone".to_owned();
            reader.report().add(offset, Some("route"), message, Some(hint));
        }
        routes.push(route);
    }
    routes
}

fn route(title: String, table: Table<'_>, report: &mut crate::document::problem::Report) -> Route {
    let mut reader = Reader::new(title, table, report);
    if !reader.has("notify") {
        reader.missing("notify", "notify = \"NOTIFIER\"");
    }
    let notify = names(&mut reader, "notify", "[\"phone\", \"mail\"]");
    let selector = reader.selector();
    let severities = severities(&mut reader, "severity");
    let runbooks = names(&mut reader, "runbook", "[\"RUNBOOK\"]").into_iter().collect();
    reader.finish();
    Route { notify, selector, severities, runbooks }
}

/// A text with places for facts.
pub(super) fn template(reader: &mut Reader<'_, '_>, key: &'static str) -> Option<Template> {
    let text = reader.text(key)?;
    match Template::parse(text) {
        Ok(template) => Some(template),
        Err(error) => {
            let hint = match &error {
                TemplateError::Unknown(name) => {
                    let known = PLACES.map(|(known, _)| known);
                    let near = did_you_mean(name, known);
                    Some(near.unwrap_or_else(|| {
                        format!(
                            "known are {}, label.NAME, alert.NAME and job.NAME",
                            known.join(", ")
                        )
                    }))
                }
                TemplateError::TooLong | TemplateError::Empty => None,
            };
            reader.complain(key, &format!("\"{key}\": {error}"), hint);
            None
        }
    }
}
