//! `[[test]]`: the peers, what happens to them and what rungs come to; what is expected is read by
//! [`expect`].

mod expect;

use super::reader::{Reader, Table, Zero, type_of};
use crate::{
    document::{
        Verdict,
        problem::{Lines, Report, did_you_mean, quoted, shown},
        test::{Fate, Given, Happens, OperatorDeed, Place, Played, Test},
    },
    name::{Labels, Name, NameError, parse_label},
    record::Outcome,
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use toml::de::DeValue;

/// The most characters of a test's name: it has to fit a line of the result.
const NAME_CHARACTERS_MAX: usize = 100;

/// The most peers of a test's mesh: what is tested is a runbook, not the mesh.
const PEERS_MAX: usize = 50;

/// The longest that a test goes on, in its own time: long enough for what happens once a week.
const LASTS_MAX: Duration = Duration::from_secs(8 * 86_400);

/// What a rung's execution may come to, as operators write it.
const ENDS: [(&str, Outcome); 5] = [
    (Outcome::Succeeded.as_str(), Outcome::Succeeded),
    (Outcome::Failed.as_str(), Outcome::Failed),
    (Outcome::TimedOut.as_str(), Outcome::TimedOut),
    (Outcome::Unknown.as_str(), Outcome::Unknown),
    // What does not end by itself is ended at its time limit.
    ("hangs", Outcome::TimedOut),
];

/// Reads one test. What it says of documents is looked up later, when all of them are known.
pub(super) fn test(
    table: Table<'_>,
    file: &Arc<str>,
    lines: &Lines,
    report: &mut Report,
) -> Option<Test> {
    let mut reader = Reader::new(table.title("test"), table, report);
    let name = own_name(&mut reader);
    let peers = peers(&mut reader);
    let known = Known { peers: &peers, lines };

    let mut given = Vec::new();
    for table in reader.tables("given", "[[test.given]]") {
        let title = format!("{}, given", reader.title());
        given.extend(known.given(Reader::new(title, table, reader.report()), table));
    }
    given.sort_by_key(|given| given.at);
    let mut rungs = Vec::new();
    for table in reader.tables("rungs", "[[test.rungs]]") {
        let title = format!("{}, rungs", reader.title());
        rungs.extend(known.played(Reader::new(title, table, reader.report()), table));
    }
    let expect = known.expected("expect", &mut reader);
    let expect_no = known.expected("expect_no", &mut reader);
    let finally = known.endings(&mut reader);
    if !["expect", "expect_no", "finally"].iter().any(|key| reader.has(key)) {
        let hint = "write expect = [{ rung = \"NAME\" }], expect_no or finally".to_owned();
        reader.complain("expect", "it expects nothing, so it cannot fail", Some(hint));
    }
    let lasts = reader.has("lasts").then(|| reader.span("lasts", LASTS_MAX, Zero::Refused));
    if lasts.is_some_and(|lasts| lasts > LASTS_MAX) {
        reader.complain("lasts", "\"lasts\" must be at most 8 days (\"192h\")", None);
    }
    reader.finish();
    let (file, place) = (Arc::clone(file), known.place(table));
    Some(Test { name: name?, file, place, peers, given, rungs, expect, expect_no, finally, lasts })
}

fn own_name(reader: &mut Reader<'_, '_>) -> Option<String> {
    if !reader.has("name") {
        reader.missing("name", "name = \"what it shows\"");
    }
    let name = reader.text("name")?;
    let fits = !name.trim().is_empty()
        && name.chars().count() <= NAME_CHARACTERS_MAX
        && !name.chars().any(char::is_control);
    if !fits {
        let message = format!("\"name\" must be 1 to {NAME_CHARACTERS_MAX} printable characters");
        reader.complain("name", &message, None);
    }
    fits.then(|| name.to_owned())
}

/// The peers of the test's mesh, each with its labels.
fn peers(reader: &mut Reader<'_, '_>) -> BTreeMap<Name, Labels> {
    const EXAMPLE: &str = "peers = { web-1 = { role = \"web\" } }";
    let mut peers = BTreeMap::new();
    if !reader.has("peers") {
        reader.missing("peers", EXAMPLE);
    }
    let Some(table) = reader.table("peers", EXAMPLE) else { return peers };
    if table.entries.is_empty() || table.entries.len() > PEERS_MAX {
        let message = format!("a test has 1 to {PEERS_MAX} peers, not {}", table.entries.len());
        reader.complain("peers", &message, Some(format!("write {EXAMPLE}")));
    }
    for (key, value) in table.entries {
        let (text, offset) = (key.get_ref().as_ref(), key.span().start);
        let title = format!("{}, peer {}", reader.title(), quoted(text));
        let name = match Name::parse(text) {
            Ok(name) if expect::WORKERS.iter().any(|(word, _)| *word == text) => {
                let message = format!("{title}: \"{name}\" means a worker, whoever it is");
                let hint = Some("call it otherwise".to_owned());
                reader.report().add(offset, Some("peers"), message, hint);
                continue;
            }
            Ok(name) => name,
            Err(_) => {
                let error = NameError::Name { text: shown(text) };
                reader.report().add(offset, Some("peers"), format!("{title}: {error}"), None);
                continue;
            }
        };
        let Some(entries) = value.get_ref().as_table() else {
            let message = format!("{title} must be a table, not {}", type_of(value.get_ref()));
            let hint = Some("write its labels, { role = \"web\" }, or {}".to_owned());
            reader.report().add(value.span().start, Some("peers"), message, hint);
            continue;
        };
        let mut labels = Labels::new();
        for (key, value) in entries {
            match label(key.get_ref(), value.get_ref()) {
                Ok((key, value)) => {
                    labels.insert(key, value);
                }
                Err(fault) => {
                    let message = format!("{title}: {fault}");
                    reader.report().add(value.span().start, Some("peers"), message, None);
                }
            }
        }
        peers.insert(name, labels);
    }
    peers
}

/// For how long the peers are under maintenance.
fn maintenance(reader: &mut Reader<'_, '_>) -> Happens {
    if !reader.has("for") {
        reader.missing("for", "for = \"10m\"");
    }
    Happens::Maintenance { lasts: reader.span("for", Duration::from_secs(600), Zero::Refused) }
}

/// One label of a peer, or what is wrong with it.
fn label(key: &str, value: &DeValue<'_>) -> Result<(String, String), String> {
    let Some(text) = value.as_str() else {
        return Err(format!("label {} must be a string, not {}", quoted(key), type_of(value)));
    };
    let written = format!("{key}={text}");
    match parse_label(&written) {
        // A key that holds "=" would be cut at another place than it was joined.
        Ok((found, value)) if found == key => Ok((found, value)),
        Ok(_) | Err(_) => Err(NameError::Label { text: shown(&written) }.to_string()),
    }
}

/// What the lines of a test can refer to within the test.
struct Known<'a> {
    peers: &'a BTreeMap<Name, Labels>,
    lines: &'a Lines,
}

impl Known<'_> {
    fn place(&self, table: Table<'_>) -> Place {
        let (line, column) = self.lines.place(table.offset);
        Place { line, column }
    }

    fn given(&self, mut reader: Reader<'_, '_>, table: Table<'_>) -> Option<Given> {
        const KINDS: [&str; 3] = ["check", "is", "operator"];
        const EXAMPLE: &str = "write check = \"NAME\" with says = \"fail\", is = \"dark\", or \
                               operator = \"freeze\"";
        if !reader.has("at") {
            reader.missing("at", "at = \"5s\"");
        }
        let at = reader.span("at", Duration::ZERO, Zero::Allowed);
        if at > LASTS_MAX {
            reader.complain("at", "\"at\" must be within 8 days (\"192h\")", None);
        }
        let peers = self.peers_in(&mut reader, "peer");
        let check = reader.name("check");
        let verdicts = [Verdict::Pass, Verdict::Warn, Verdict::Fail, Verdict::Unknown];
        let says = reader.choice("says", &verdicts.map(|says| (says.as_str(), says)));
        let fate = reader.choice("is", &Fate::ALL.map(|fate| (fate.as_str(), fate)));
        // Nothing stands for a maintenance, which needs more than a word.
        let deeds = OperatorDeed::ALL.map(|deed| (deed.as_str(), Some(deed)));
        let deeds: Vec<_> = deeds.into_iter().chain([("maintenance", None)]).collect();
        let deed = reader.choice("operator", &deeds);
        let maintenance = (deed == Some(None)).then(|| maintenance(&mut reader));
        let deed = deed.flatten();

        let written: Vec<&str> = KINDS.into_iter().filter(|key| reader.has(key)).collect();
        let mut needs_peer = true;
        match written.as_slice() {
            ["check"] if !reader.has("says") => reader.missing("says", "says = \"fail\""),
            ["operator"] => {
                needs_peer =
                    maintenance.is_some() || deed.is_some_and(OperatorDeed::is_about_peers);
            }
            [_check_or_is] => {}
            [] => {
                needs_peer = false;
                reader.complain("at", "nothing happens in it", Some(EXAMPLE.to_owned()));
            }
            [first, second, ..] => {
                let message = format!("\"{first}\" and \"{second}\" are two things");
                reader.complain(second, &message, Some("write a line for each".to_owned()));
            }
        }
        if reader.has("says") && !reader.has("check") {
            reader.complain("says", "only a check says something", Some(EXAMPLE.to_owned()));
        }
        if needs_peer && !reader.has("peer") {
            reader.missing("peer", "peer = \"NAME\" or peer = [\"NAME\", \"NAME\"]");
        }
        if !needs_peer && deed.is_some() && reader.has("peer") {
            let message = "this is for the whole mesh, not for one peer";
            reader.complain("peer", message, Some("leave \"peer\" out".to_owned()));
        }
        reader.finish();
        let what = match (check, fate, deed) {
            (Some(check), _, _) => Happens::Check { check, says: says? },
            (None, Some(fate), _) => Happens::Fate(fate),
            (None, None, Some(deed)) => Happens::Deed(deed),
            (None, None, None) => maintenance?,
        };
        Some(Given { place: self.place(table), at, peers, what })
    }

    fn played(&self, mut reader: Reader<'_, '_>, table: Table<'_>) -> Option<Played> {
        if !reader.has("rung") {
            reader.missing("rung", "rung = \"NAME\"");
        }
        let rung = reader.text("rung").map(str::to_owned);
        let runbook = reader.name("runbook");
        let peer = self.peer_in(&mut reader, "peer");
        let attempt = reader.number("attempt", 1..=1_000);
        let ends = reader.choice("ends", &ENDS).unwrap_or(Outcome::Succeeded);
        let helps = reader.boolean("helps").unwrap_or(false);
        let takes = reader
            .has("takes")
            .then(|| reader.span("takes", Duration::from_secs(1), Zero::Allowed));
        if !["ends", "helps", "takes"].iter().any(|key| reader.has(key)) {
            let hint = "write helps = true, ends = \"failed\" or takes = \"20s\"".to_owned();
            reader.complain("rung", "nothing is said of this rung", Some(hint));
        }
        reader.finish();
        let place = self.place(table);
        Some(Played { place, runbook, rung: rung?, peer, attempt, ends, helps, takes })
    }

    /// One peer of the test.
    fn peer_in(&self, reader: &mut Reader<'_, '_>, key: &'static str) -> Option<Name> {
        let name = reader.name(key)?;
        self.check_peer(reader, key, &name, &[]);
        Some(name)
    }

    /// One or several peers of the test.
    fn peers_in(&self, reader: &mut Reader<'_, '_>, key: &'static str) -> Vec<Name> {
        let Some(items) = reader.value(key).and_then(|value| value.as_array()) else {
            return self.peer_in(reader, key).into_iter().collect();
        };
        let mut peers = Vec::new();
        for item in items.iter() {
            match item.get_ref().as_str().and_then(|text| Name::parse(text).ok()) {
                Some(name) => {
                    self.check_peer(reader, key, &name, &[]);
                    peers.push(name);
                }
                None => {
                    let message = format!("\"{key}\" must hold names of peers");
                    reader.complain(key, &message, Some(format!("write {key} = [\"web-1\"]")));
                }
            }
        }
        if items.is_empty() {
            reader.complain(key, &format!("\"{key}\" names nobody"), None);
        }
        peers
    }

    /// Complains of a peer that the test does not have; `others` are words that would do as well.
    fn check_peer(&self, reader: &mut Reader<'_, '_>, key: &str, name: &Name, others: &[&str]) {
        if !self.peers.contains_key(name) {
            let known = self.peers.keys().map(Name::as_str).chain(others.iter().copied());
            let hint = did_you_mean(name.as_str(), known)
                .unwrap_or_else(|| "write it into the test's \"peers\"".to_owned());
            reader.complain(key, &format!("the test has no peer \"{name}\""), Some(hint));
        }
    }
}
