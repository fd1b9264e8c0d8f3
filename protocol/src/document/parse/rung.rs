//! `[[runbook.rung]]`: one step, what it does, and what is done when it fails.

use super::{
    reader::{Reader, Table, Zero},
    remote,
};
use crate::document::{
    Action, Approve, By, Effect, HttpCall, OnUnknown, Retry, Rung, Selector,
    problem::{Report, quoted},
};
use std::{collections::BTreeMap, time::Duration};

/// The most characters of a rung's name: it has to fit a line of the timeline.
const RUNG_NAME_CHARACTERS_MAX: usize = 64;
/// The shortest time between two tries of a rung that waits: each is written into the log.
const EVERY_MIN: Duration = Duration::from_secs(1);
/// The most tries of a rung that waits, for the same reason.
const TRIES_MAX: u32 = 1_000;
/// The most neighbours that try one rung: each of them costs the host its time limit.
const NEIGHBOURS_MAX: u32 = 16;
/// The longest body that a rung sends.
const BODY_BYTES_MAX: usize = 64 << 10;

/// What may become of an attempt whose outcome is not known.
pub(super) const ON_UNKNOWN: [(&str, OnUnknown); 2] =
    [("ask", OnUnknown::Ask), ("retry", OnUnknown::Retry)];

/// Reads one rung, and where it says whom to notify.
pub(super) fn rung(title: String, table: Table<'_>, report: &mut Report) -> (Option<Rung>, usize) {
    let mut reader = Reader::new(title, table, report);
    let name = rung_name(&mut reader);
    let offset = reader.offset_of("notify");
    let action = action(&mut reader);
    let by = [By::Affected, By::Neighbour, By::Leader].map(|by| (by.as_str(), by));
    let by = by_whom(&mut reader, action.as_ref(), &by);
    let timeout = reader.span("timeout", Duration::from_secs(60), Zero::Refused);
    let settle = reader.span("settle", Duration::ZERO, Zero::Allowed);
    let effects = [("idempotent", Effect::Idempotent), ("once", Effect::Once)];
    let effect = reader.choice("effect", &effects).unwrap_or(Effect::Unsaid);
    let on_unknown = reader.choice("on_unknown", &ON_UNKNOWN);
    let retry = retry(&mut reader);
    let undo = reader.command("undo");
    let verify = reader.command("verify");
    let approve = approve(&mut reader);
    let needs = reader.text("needs").map(str::to_owned);
    let (selector, count) = neighbours(&mut reader, by);
    let reboot = reboot(&mut reader, settle);
    if count > 1 && retry != Retry::NONE {
        let hint = "write one of the two".to_owned();
        let message = "a rung is tried again by the same neighbour or by others, not by both";
        reader.complain("count", message, Some(hint));
    }
    if effect == Effect::Once && count > 1 {
        let message = "a rung whose effect is \"once\" is tried by one neighbour alone";
        reader.complain("count", message, None);
    }
    if effect == Effect::Once && (retry != Retry::NONE || on_unknown == Some(OnUnknown::Retry)) {
        let key = if on_unknown == Some(OnUnknown::Retry) { "on_unknown" } else { "effect" };
        let hint = "write effect = \"idempotent\" if it may safely run twice".to_owned();
        reader.complain(key, "a rung whose effect is \"once\" is never tried again", Some(hint));
    }
    if matches!(action, Some(Action::Notify(_))) {
        for key in [
            "retries",
            "backoff",
            "every",
            "within",
            "undo",
            "verify",
            "approve",
            "effect",
            "on_unknown",
            "needs",
            "reboot",
            "where",
            "count",
        ] {
            if reader.has(key) {
                reader.complain(key, &format!("\"{key}\" has no meaning beside \"notify\""), None);
            }
        }
    }
    reader.finish();
    let rung = match (name, action) {
        (Some(name), Some(action)) => Some(Rung {
            name,
            action,
            by,
            timeout,
            settle,
            effect,
            retry,
            on_unknown,
            undo,
            verify,
            approve,
            level: None,
            needs,
            reboot,
            selector,
            count,
        }),
        (Some(_) | None, Some(_) | None) => None,
    };
    (rung, offset)
}

fn rung_name(reader: &mut Reader<'_, '_>) -> Option<String> {
    if !reader.has("name") {
        reader.missing("name", "name = \"…\"");
    }
    let name = reader.text("name")?;
    let fits = !name.trim().is_empty()
        && name.chars().count() <= RUNG_NAME_CHARACTERS_MAX
        && !name.chars().any(char::is_control);
    if !fits {
        let message =
            format!("\"name\" must be 1 to {RUNG_NAME_CHARACTERS_MAX} printable characters");
        reader.complain("name", &message, None);
    }
    fits.then(|| name.to_owned())
}

fn action(reader: &mut Reader<'_, '_>) -> Option<Action> {
    const KINDS: [&str; 7] = ["run", "notify", "http", "heal", "fence", "wake", "ssh"];
    let run = reader.command("run");
    let notify = reader.name("notify");
    let http = http(reader);
    let heal = reader.boolean("heal");
    if heal == Some(false) {
        reader.complain("heal", "\"heal\" is true or not written at all", None);
    }
    let fence = remote::fence(reader);
    let wake = remote::wake(reader);
    let ssh = remote::ssh(reader);
    let written: Vec<&str> = KINDS.into_iter().filter(|key| reader.has(key)).collect();
    match written.as_slice() {
        [] => {
            let hint = "write run = \"SCRIPT\" or notify = \"NOTIFIER\"".to_owned();
            reader.complain("run", "it has neither \"run\" nor \"notify\"", Some(hint));
        }
        [_] => {}
        [first, second, ..] => {
            let message = format!("it has both \"{first}\" and \"{second}\"");
            reader.complain(second, &message, Some("write a rung for each".to_owned()));
        }
    }
    run.map(Action::Run)
        .or(notify.map(Action::Notify))
        .or(http.map(Action::Http))
        .or(heal.map(|_| Action::Heal))
        .or(fence.map(Action::Fence))
        .or(wake.map(Action::Wake))
        .or(ssh.map(Action::Ssh))
}

/// Who carries it out. What is done to a host from outside is a neighbour's unless said.
fn by_whom(
    reader: &mut Reader<'_, '_>,
    action: Option<&Action>,
    words: &[(&'static str, By)],
) -> By {
    let said = reader.choice("by", words);
    let word = match action {
        Some(Action::Fence(_)) => "fence",
        Some(Action::Wake(_)) => "wake",
        Some(Action::Ssh(_)) => "ssh",
        Some(Action::Run(_) | Action::Notify(_) | Action::Http(_) | Action::Heal) | None => {
            return said.unwrap_or(By::Affected);
        }
    };
    if said == Some(By::Affected) {
        let message = format!("\"{word}\" is done to a host from outside, not by itself");
        let hint = "write by = \"neighbour\" or by = \"leader\"".to_owned();
        reader.complain("by", &message, Some(hint));
    }
    said.unwrap_or(By::Neighbour)
}

/// Which neighbours may carry it out, and how many of them try it.
fn neighbours(reader: &mut Reader<'_, '_>, by: By) -> (Selector, u32) {
    if by != By::Neighbour {
        for key in ["where", "count"] {
            if reader.has(key) {
                let hint = "write by = \"neighbour\" as well".to_owned();
                let message = format!("\"{key}\" says which neighbours act, and none does");
                reader.complain(key, &message, Some(hint));
            }
        }
    }
    (reader.selector(), reader.number("count", 1..=NEIGHBOURS_MAX).unwrap_or(1))
}

/// Whether it is to bring about a reboot, which takes a while to be seen.
fn reboot(reader: &mut Reader<'_, '_>, settle: Duration) -> bool {
    let reboot = reader.boolean("reboot").unwrap_or(false);
    if reboot && settle.is_zero() {
        reader.missing("settle", "settle = \"5m\", by when the host has to be back");
    }
    reboot
}

fn retry(reader: &mut Reader<'_, '_>) -> Retry {
    let times = reader.number("retries", 0..=100).unwrap_or(0);
    let backoff = reader.span("backoff", Duration::from_secs(10), Zero::Refused);
    let every = reader.span_if_said("every", Zero::Refused);
    let within = reader.span_if_said("within", Zero::Refused);
    if reader.has("backoff") && !reader.has("retries") {
        reader.complain("backoff", "\"backoff\" has no meaning without \"retries\"", None);
    }
    match (every, within) {
        (None, None) => Retry::Times { times, backoff },
        (Some(every), Some(within)) => {
            if reader.has("retries") {
                let hint = "write retries, or every and within".to_owned();
                reader.complain("retries", "it says in two ways when to try again", Some(hint));
            }
            if every < EVERY_MIN || within < every || within > every.saturating_mul(TRIES_MAX) {
                let message = format!(
                    "\"every\" must be at least 1s and \"within\" at most {TRIES_MAX} times as long"
                );
                reader.complain("every", &message, None);
            }
            Retry::Until { every, within }
        }
        (Some(_), None) => {
            reader.missing("within", "within = \"3h\"");
            Retry::NONE
        }
        (None, Some(_)) => {
            reader.missing("every", "every = \"1m\"");
            Retry::NONE
        }
    }
}

fn approve(reader: &mut Reader<'_, '_>) -> Option<Approve> {
    const EXAMPLE: &str = "approve = true or approve = { within = \"1h\" }";
    let value = reader.value("approve")?;
    match value.as_bool() {
        Some(true) => return Some(Approve::default()),
        Some(false) => return None,
        None => {}
    }
    let table = reader.table("approve", EXAMPLE)?;
    let title = format!("{}, approve", reader.title());
    let mut reader = Reader::new(title, table, reader.report());
    let default = Approve::default();
    let within = reader.span("within", default.within, Zero::Refused);
    let by = reader.texts("by", "[\"3f9a…\"]").unwrap_or_default();
    if by.iter().any(|key| key.len() < 8 || !key.bytes().all(|b| b.is_ascii_hexdigit())) {
        let hint = "`hearten operator` prints the key of this operator".to_owned();
        let message = "\"by\" holds the first 8 or more hexadecimal digits of operators' keys";
        reader.complain("by", message, Some(hint));
    }
    reader.finish();
    Some(Approve { within, by: by.into_iter().map(|key| key.to_ascii_lowercase()).collect() })
}

fn http(reader: &mut Reader<'_, '_>) -> Option<HttpCall> {
    const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
    let table = reader.table("http", "http = { method = \"POST\", url = \"https://…\" }")?;
    let title = format!("{}, http", reader.title());
    let mut reader = Reader::new(title, table, reader.report());
    let method = reader.choice("method", &METHODS.map(|method| (method, method))).unwrap_or("GET");
    if !reader.has("url") {
        reader.missing("url", "url = \"https://HOST/PATH\"");
    }
    let url = reader.url("url");
    let body = reader.text("body").map(str::to_owned);
    if body.as_ref().is_some_and(|body| body.len() > BODY_BYTES_MAX) {
        reader.complain("body", &format!("\"body\" has more than {BODY_BYTES_MAX} bytes"), None);
    }
    let headers = headers(&mut reader);
    let status = status(&mut reader);
    let answer_contains = reader.text("answer_contains").map(str::to_owned);
    reader.finish();
    Some(HttpCall { method: method.to_owned(), url: url?, headers, body, status, answer_contains })
}

fn headers(reader: &mut Reader<'_, '_>) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let Some(table) = reader.table("headers", "headers = { accept = \"application/json\" }") else {
        return headers;
    };
    for (key, value) in table.entries {
        let name = key.get_ref().as_ref();
        let token = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        match value.get_ref().as_str() {
            Some(text) if token && !text.chars().any(char::is_control) => {
                headers.insert(name.to_ascii_lowercase(), text.to_owned());
            }
            Some(_) | None => {
                let message = format!("{}: header {} is none", reader.title(), quoted(name));
                reader.report().add(value.span().start, Some("headers"), message, None);
            }
        }
    }
    headers
}

/// One status, or the first and the last.
fn status(reader: &mut Reader<'_, '_>) -> (u16, u16) {
    const WANTED: &str = "a status such as 200, or the first and the last: [200, 299]";
    let Some(value) = reader.value("status") else { return (200, 299) };
    let number = |value: &toml::de::DeValue<'_>| {
        let digits = value.as_integer()?;
        let status = u16::from_str_radix(digits.as_str(), digits.radix()).ok()?;
        (100..=599).contains(&status).then_some(status)
    };
    let found = match value.as_array() {
        None => number(value).map(|only| (only, only)),
        Some(items) => {
            match items.iter().map(|item| number(item.get_ref())).collect::<Vec<_>>()[..] {
                [Some(first), Some(last)] if first <= last => Some((first, last)),
                _ => None,
            }
        }
    };
    if found.is_none() {
        reader.complain("status", &format!("\"status\" must be {WANTED}"), None);
    }
    found.unwrap_or((200, 299))
}
