//! Texts: of operators, of whoever runs a host, and of programs.

use super::{ground::Ground, says_why, text};
use node::{
    control::Request,
    exec::plugin::Answer,
    identity::{Fingerprint, Token},
    setup::config::Config,
};
use protocol::{
    document::{
        self,
        bundle::Source,
        parse::{parse, parse_tests},
    },
    heartbeat::{Due, Schedule},
    name::{IncidentId, Name, PeerId, parse_label},
    perfdata::{DATA_MAX, Datum, PluginOutput, Range},
    time::{Timestamp, format_span, parse_span},
};
use std::path::Path;

/// Documents: what is read is taken by the log, and each reads alone as what it is.
pub(super) fn documents(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let source = Source { file: "test.toml".to_owned(), text: text.to_owned() };
    let read = parse(&source);
    let tests = parse_tests(&source);
    assert_eq!(read.is_ok(), tests.is_ok(), "a file is read, or it is not");
    let parsed = match read {
        Ok(parsed) => parsed,
        Err(problems) => {
            assert!(!problems.list().is_empty());
            problems.list().iter().for_each(says_why);
            return false;
        }
    };
    let written = document::written::written(&source);
    for (key, one) in &written {
        let alone = Source { file: one.file.clone(), text: one.text.clone() };
        let again = parse(&alone).expect("a document's own text reads");
        let [again] = again.as_slice() else { panic!("{key} reads as one document") };
        assert!(again.document == one.document, "{key} reads as what it is");
    }
    for one in &parsed {
        assert!(written.contains_key(&one.document.key()), "{} has a text", one.document.key());
    }
    let mut ground = Ground::new();
    let revision = ground.ledger.library().revision();
    let taken = ground.documents(text).is_ok();
    assert_eq!(ground.ledger.library().revision(), revision + u64::from(taken));
    ground.reads_back();
    taken
}

/// A schedule: the first line is an expression, the second a time zone, and the third a moment.
pub(super) fn schedule(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let mut lines = text.splitn(3, '\n');
    let expression = lines.next().unwrap_or_default().to_owned();
    let time_zone = lines.next().unwrap_or("UTC").to_owned();
    let from = lines.next().and_then(|moment| Timestamp::parse(moment).ok());
    let from = from.unwrap_or(Timestamp::from_millis(1_767_226_200_000));
    let cron = Schedule::Cron { expression: expression.clone(), time_zone: time_zone.clone() };
    let calendar = Schedule::Calendar { expression, time_zone };
    let mut comes = false;
    for schedule in [cron, calendar] {
        if let Err(why) = schedule.check() {
            says_why(&why);
            continue;
        }
        comes = true;
        let due = Due::read(&schedule).expect("what was checked is read");
        let mut at = from;
        for _ in 0..5 {
            let Some(next) = due.after(at) else { break };
            assert!(next > at, "it comes later than it was asked: {next} after {at}");
            at = next;
        }
    }
    comes
}

/// Moments and spans read back as they were.
pub(super) fn times(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let moment = Timestamp::parse(text);
    match &moment {
        Ok(at) => assert_eq!(Timestamp::parse(&at.to_string()), Ok(*at)),
        Err(why) => says_why(why),
    }
    let span = parse_span(text);
    match &span {
        Ok(span) => assert_eq!(parse_span(&format_span(*span)).as_ref(), Ok(span)),
        Err(why) => says_why(why),
    }
    moment.is_ok() || span.is_ok()
}

/// Names, ids and labels read back as they were.
pub(super) fn names(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let name = Name::parse(text).map(|name| assert_eq!(name.as_str(), text)).is_ok();
    let peer = PeerId::parse(text).inspect(|id| {
        assert_eq!(PeerId::parse(&id.to_string()), Ok(*id));
    });
    let incident = IncidentId::parse(text).inspect(|id| {
        assert_eq!(IncidentId::parse(&id.to_string()), Ok(*id));
    });
    let label = parse_label(text).inspect(|(key, value)| {
        assert_eq!(format!("{key}={value}"), text);
    });
    let print = Fingerprint::parse(text).map(|print| {
        assert_eq!(print.to_string(), text.to_ascii_lowercase());
    });
    let mac = document::remote::parse_mac(text).is_some();
    name || peer.is_ok() || incident.is_ok() || label.is_ok() || print.is_ok() || mac
}

/// What a host starts with is written as it was read.
pub(super) fn config(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let path = Path::new("hearten.toml");
    match Config::parse(text, path) {
        Ok(config) => {
            let again = Config::parse(&config.render(), path);
            assert!(again.as_ref().is_ok_and(|again| *again == config), "{again:?} is {config:?}");
            true
        }
        Err(why) => {
            says_why(&why);
            false
        }
    }
}

/// What a plugin prints: each line is kept as it is, and what is known of it is taken.
pub(super) fn plugin(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    match Answer::parse(text) {
        Ok(answer) => {
            assert!(answer.lines.len() <= text.lines().count());
            let lines: Vec<String> = answer.lines.iter().map(ToString::to_string).collect();
            let again = Answer::parse(&lines.join("\n"));
            assert!(again.as_ref().is_ok_and(|again| *again == answer), "{again:?} is {answer:?}");
            assert!(
                answer.findings.is_empty() == (answer.summary() == "no findings")
                    || !answer.findings.is_empty()
            );
            !answer.lines.is_empty()
        }
        Err(why) => {
            says_why(&why);
            false
        }
    }
}

/// What a monitoring plugin prints.
pub(super) fn perfdata(bytes: &[u8]) -> bool {
    let Some(text) = text(bytes) else { return false };
    let output = PluginOutput::parse(text);
    assert!(output.data.len() <= DATA_MAX);
    assert!(output.summary.len() + output.long.len() <= text.len());
    for Datum { label, value, warn, crit, min, max, .. } in &output.data {
        assert!(!label.is_empty());
        let numbers = [value, min, max];
        assert!(numbers.into_iter().flatten().all(|number| number.is_finite()), "{label}");
        for range in [warn, crit].into_iter().flatten() {
            let again = Range::parse(&range.to_string());
            assert_eq!(again.as_ref(), Some(range), "a range reads back");
        }
    }
    !output.data.is_empty()
}

/// A join token: one that is mistyped is refused, and one of these bytes reads back.
pub(super) fn token(bytes: &[u8]) -> bool {
    if let Some(text) = text(bytes) {
        match Token::parse(text) {
            Ok(token) => {
                assert_eq!(token.text().as_str(), text.trim().to_ascii_lowercase());
                return true;
            }
            Err(why) => says_why(&why),
        }
    }
    let Some((seed, rest)) = bytes.split_first_chunk::<32>() else { return false };
    let Some((print, rest)) = rest.split_first_chunk::<32>() else { return false };
    let id = u64::from(rest.first().copied().unwrap_or_default());
    let token = Token::create(id, *seed, Fingerprint(*print));
    let again = Token::parse(&token.text()).expect("a token reads back");
    assert!(again.id() == id && again.fingerprint() == Fingerprint(*print));
    true
}

/// A request to the control socket reads back as it was.
pub(super) fn control(bytes: &[u8]) -> bool {
    let request: Request = match serde_json::from_slice(bytes) {
        Ok(request) => request,
        Err(why) => {
            says_why(&why);
            return false;
        }
    };
    let written = serde_json::to_vec(&request).expect("a request is JSON");
    let again: Request = serde_json::from_slice(&written).expect("a request reads back");
    assert!(again == request, "a request reads back: {request:?}");
    true
}
