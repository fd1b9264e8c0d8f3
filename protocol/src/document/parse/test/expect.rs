//! What a test expects: the lines of `expect` and `expect_no`, and how things stand in the end.

use super::{ENDS, Known};
use crate::{
    document::{
        By,
        parse::reader::{Reader, Table, Zero},
        problem::{did_you_mean, quoted},
        test::{About, Ending, Expected, Stands, Turn, What, Worker},
    },
    ledger::incident::State,
    name::Name,
    record::Outcome,
    refusal::Refusal,
};
use std::time::Duration;

/// Any rung, any notifier.
const ANY: &str = "*";

/// The words for a worker that is not named.
pub(super) const WORKERS: [(&str, By); 3] = [
    (By::Affected.as_str(), By::Affected),
    (By::Neighbour.as_str(), By::Neighbour),
    (By::Leader.as_str(), By::Leader),
];

/// Where an incident may stand in the end.
const STANDS: [(&str, Stands); 8] = [
    ("none", Stands::Nowhere),
    (State::Open.as_str(), Stands::In(State::Open)),
    (State::Acting.as_str(), Stands::In(State::Acting)),
    (State::Verifying.as_str(), Stands::In(State::Verifying)),
    (State::Waiting.as_str(), Stands::In(State::Waiting)),
    (State::Resolved.as_str(), Stands::In(State::Resolved)),
    (State::Escalated.as_str(), Stands::In(State::Escalated)),
    (State::Closed.as_str(), Stands::In(State::Closed)),
];

impl Known<'_> {
    /// The lines below `expect` or `expect_no`.
    pub(super) fn expected(&self, key: &'static str, reader: &mut Reader<'_, '_>) -> Vec<Expected> {
        let mut lines = Vec::new();
        for table in reader.tables(key, &format!("[[test.{key}]]")) {
            let title = format!("{}, {key}", reader.title());
            let ordered = key == "expect";
            lines.extend(self.line(Reader::new(title, table, reader.report()), table, ordered));
        }
        lines
    }

    fn line(
        &self,
        mut reader: Reader<'_, '_>,
        table: Table<'_>,
        ordered: bool,
    ) -> Option<Expected> {
        const KINDS: [&str; 4] = ["rung", "incident", "held", "notice"];
        const EXAMPLE: &str = "write one of rung = \"NAME\", incident = \"resolved\", held = \
                               \"cool-down\" and notice = \"NOTIFIER\"";
        let peer = self.peer_in(&mut reader, "peer");
        let rung = reader.text("rung");
        let runbook = reader.name("runbook");
        let worker = self.worker(&mut reader);
        let attempt = reader.number("attempt", 1..=1_000);
        let ends = ends(&mut reader);
        let turn = reader.choice("incident", &Turn::ALL.map(|turn| (turn.as_str(), turn)));
        let about = about(&mut reader);
        let held = held(&mut reader);
        let notice = notice(&mut reader);
        let span = |reader: &mut Reader<'_, '_>, key| {
            let default = Duration::from_secs(30);
            (ordered && reader.has(key)).then(|| reader.span(key, default, Zero::Refused))
        };
        let (within, after) = (span(&mut reader, "within"), span(&mut reader, "after"));

        let written: Vec<&str> = KINDS.into_iter().filter(|key| reader.has(key)).collect();
        match written.as_slice() {
            [] => reader.complain("peer", "it says nothing", Some(EXAMPLE.to_owned())),
            [_] => {}
            [first, second, ..] => {
                let message = format!("\"{first}\" and \"{second}\" are two things");
                reader.complain(second, &message, Some("write a line for each".to_owned()));
            }
        }
        for (key, needs) in [
            ("runbook", "rung"),
            ("worker", "rung"),
            ("attempt", "rung"),
            ("ends", "rung"),
            ("about", "incident"),
        ] {
            if reader.has(key) && !reader.has(needs) {
                let message = format!("\"{key}\" has no meaning without \"{needs}\"");
                reader.complain(key, &message, None);
            }
        }
        for key in ["within", "after"] {
            if !ordered && reader.has(key) {
                // Asked for here, so that it is not called unknown as well.
                let _asked = reader.value(key);
                let message = format!("what must not happen has no \"{key}\"");
                reader.complain(key, &message, Some(format!("leave \"{key}\" out")));
            }
        }
        reader.finish();
        let what = match (rung, turn, held, notice) {
            (Some(rung), ..) => {
                let rung = (rung != ANY).then(|| rung.to_owned());
                What::Rung { rung, runbook, worker, attempt, ends }
            }
            (None, Some(turn), ..) => What::Incident { turn, about },
            (None, None, Some(held), _) => What::Held(held),
            (None, None, None, notice) => What::Notice(notice?),
        };
        Some(Expected { place: self.place(table), what, peer, within, after })
    }

    fn worker(&self, reader: &mut Reader<'_, '_>) -> Option<Worker> {
        let word = reader.value("worker").and_then(|value| value.as_str());
        let any = word.and_then(|word| WORKERS.iter().find(|(known, _)| *known == word));
        match any {
            Some((_, by)) => Some(Worker::Any(*by)),
            None => {
                let name = reader.name("worker")?;
                self.check_peer(reader, "worker", &name, &WORKERS.map(|(word, _)| word));
                Some(Worker::Peer(name))
            }
        }
    }

    /// The lines below `finally`.
    pub(super) fn endings(&self, reader: &mut Reader<'_, '_>) -> Vec<Ending> {
        let mut endings = Vec::new();
        for table in reader.tables("finally", "[[test.finally]]") {
            let title = format!("{}, finally", reader.title());
            let mut reader = Reader::new(title, table, reader.report());
            if !reader.has("peer") {
                reader.missing("peer", "peer = \"NAME\"");
            }
            let peer = self.peer_in(&mut reader, "peer");
            let about = about(&mut reader);
            let incident = reader.choice("incident", &STANDS);
            let held = held(&mut reader);
            let attempts = reader.number("attempts", 0..=1_000);
            let count = reader.number("count", 0..=1_000);
            if !["incident", "held", "attempts", "count"].iter().any(|key| reader.has(key)) {
                let hint = Some("write incident = \"resolved\"".to_owned());
                reader.complain("peer", "it says nothing of this peer", hint);
            }
            reader.finish();
            let place = self.place(table);
            endings.extend(peer.map(|peer| Ending {
                place,
                peer,
                about,
                incident,
                held,
                attempts,
                count,
            }));
        }
        endings
    }
}

fn ends(reader: &mut Reader<'_, '_>) -> Option<Outcome> {
    let refused = (Outcome::Refused.as_str(), Outcome::Refused);
    let words: Vec<(&'static str, Outcome)> = ENDS[..4].iter().copied().chain([refused]).collect();
    reader.choice("ends", &words)
}

/// What an incident is about: a check by its name, the words `silence` and `storm`, `ladder/NAME`, or
/// `runbook/NAME` for one that an operator ordered to be run.
fn about(reader: &mut Reader<'_, '_>) -> Option<About> {
    let text = reader.text("about")?;
    let (make, name): (fn(Name) -> About, &str) = match text.split_once('/') {
        Some(("ladder", name)) => (About::Ladder, name),
        Some(("runbook", name)) => (About::Runbook, name),
        Some(_) | None => (About::Check, text),
    };
    match Name::parse(name) {
        Ok(_) if text == "silence" => Some(About::Silence),
        Ok(_) if text == "storm" => Some(About::Storm),
        Ok(name) => Some(make(name)),
        Err(_) => {
            let message = format!("\"about\" names nothing: {}", quoted(text));
            let hint =
                "write a check's name, \"silence\", \"storm\", \"ladder/NAME\" or \"runbook/NAME\"";
            reader.complain("about", &message, Some(hint.to_owned()));
            None
        }
    }
}

fn held(reader: &mut Reader<'_, '_>) -> Option<&'static str> {
    let text = reader.text("held")?;
    let found = Refusal::WORDS.iter().find(|word| **word == text).copied();
    if found.is_none() {
        let hint = did_you_mean(text, Refusal::WORDS.iter().copied()).unwrap_or_else(|| {
            "rules are called cool-down, blast-radius, share, frozen, no-worker, …".to_owned()
        });
        let message = format!("\"held\" names no rule: {}", quoted(text));
        reader.complain("held", &message, Some(hint));
    }
    found
}

/// A notifier, or any of them.
fn notice(reader: &mut Reader<'_, '_>) -> Option<Option<Name>> {
    let any = reader.value("notice").and_then(|value| value.as_str()) == Some(ANY);
    if any { Some(None) } else { reader.name("notice").map(Some) }
}
