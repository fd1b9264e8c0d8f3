//! From TOML to a story: names are looked up, documents are read as the mesh will read them.

mod expected;
mod names;

use super::{
    Chaos, Fault, Peer, Scenario, Weather,
    file::{self, File},
};
use names::Names;
use protocol::{
    document::{
        Document, DocumentKey,
        bundle::{Bundle, Source},
        validate::read_bundle,
    },
    name::Name,
    time::format_span,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    path::Path,
    time::Duration,
};

/// How long the mesh has after the faults when a story does not say. The longest way of a repair is
/// an attempt that is lost (10 s to start, its time limit, 8 s of grace) on each of three tries.
const SETTLE: Duration = Duration::from_secs(120);

/// The most peers of a story.
const PEERS_MAX: usize = 20_000;

/// What a rung takes when a story does not say.
const TAKES: Duration = Duration::from_millis(300);

/// A local network.
const WEATHER: Weather = Weather {
    loss_percent: 0,
    duplicate_percent: 0,
    delay_min: Duration::from_micros(200),
    delay_max: Duration::from_millis(5),
};

/// A good disk.
const DISK_MAX: Duration = Duration::from_millis(20);

/// Why a story could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ScenarioError {
    /// The file could not be read at all.
    #[error("{path}: {source}")]
    File {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something in it is wrong.
    #[error("{path}:{line}: {message}")]
    Content {
        /// Which file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Its documents are wrong; each problem has its own place.
    #[error("{problems}")]
    Documents {
        /// What is wrong and where.
        problems: String,
    },
}

/// Reads a story's file.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn read(path: &Path) -> Result<Scenario, ScenarioError> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|source| ScenarioError::File { path: shown.clone(), source })?;
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    parse(name, shown, &text)
}

/// Reads a story's text.
///
/// # Errors
/// What is wrong with it, and where.
pub(crate) fn parse(name: String, path: String, text: &str) -> Result<Scenario, ScenarioError> {
    let place = Place { path: &path, text };
    let file: File = toml::from_str(text).map_err(|error| {
        place.error(error.span().unwrap_or(0..0), error.message().replace('\n', " "))
    })?;
    let peers = peers(&place, &file)?;
    let (documents, known) = written(&place, &file.documents)?;
    let guests = guests(&place, &file.documents, &peers, &known)?;
    let names = Names { place: &place, peers: &peers, guests: &guests, documents: &known };
    let ends = file.lasts.0.saturating_add(file.settle.map_or(SETTLE, |span| span.0));
    if let Some(late) =
        file.event.iter().find(|event| event.get_ref().at.is_some_and(|at| at.0 > ends))
    {
        let message = format!("the story is over after {}", format_span(ends));
        return Err(place.error(late.span(), message));
    }
    let mut rungs = Vec::new();
    for rung in &file.rung {
        rungs.push(names.rung(rung)?);
    }
    let mut events = Vec::new();
    for event in &file.event {
        events.push(names.event(event)?);
    }
    let mut expectations = Vec::new();
    for expect in &file.expect {
        expectations.push(names.expectation(expect)?);
    }
    let weather = file.network.map_or(WEATHER, weather);
    Ok(Scenario {
        lasts: file.lasts.0,
        settle: file.settle.map_or(SETTLE, |span| span.0),
        disk_max: file.disk_max.map_or(DISK_MAX, |span| span.0),
        documents: vec![documents],
        rungs,
        events,
        chaos: file.chaos.as_ref().map(chaos),
        without: BTreeSet::new(),
        weather,
        expectations,
        guests,
        peers,
        runs_already: file.peers.running,
        prose: prose(text),
        name,
        path: path.clone(),
    })
}

/// The comment that a story opens with, in one line.
fn prose(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix('#'));
    lines.map(str::trim).collect::<Vec<&str>>().join(" ")
}

/// Where things stand in the text.
struct Place<'a> {
    path: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
    }

    fn error(&self, span: Range<usize>, message: String) -> ScenarioError {
        ScenarioError::Content { path: self.path.to_owned(), line: self.line(&span), message }
    }
}

fn peers(place: &Place<'_>, file: &File) -> Result<Vec<Peer>, ScenarioError> {
    let count = *file.peers.count.get_ref();
    if !(1..=PEERS_MAX).contains(&count) {
        let message = format!("\"count\" must be 1 to {PEERS_MAX}, not {count}");
        return Err(place.error(file.peers.count.span(), message));
    }
    let cells = file.peers.cells;
    if !(1..=count).contains(&cells) {
        let message = format!("\"cells\" must be 1 to {count}, one peer each, not {cells}");
        return Err(place.error(file.peers.count.span(), message));
    }
    let mut peers = Vec::new();
    for number in 1..=count {
        let name = Name::parse(&format!("p{number}"))
            .map_err(|error| place.error(file.peers.count.span(), error.to_string()))?;
        let mut labels = file.peers.labels.clone();
        if !file.peers.zones.is_empty() {
            let zone = &file.peers.zones[(number - 1) % file.peers.zones.len()];
            labels.insert("zone".to_owned(), zone.clone());
        }
        // Neighbours are in one cell, so that each cell has hosts of every zone.
        let cell = u32::try_from((number - 1) * cells / count).unwrap_or(u32::MAX);
        peers.push(Peer { name, labels, cell, starts: true });
    }
    for special in &file.peer {
        let given = special.get_ref();
        let Some(peer) = peers.iter_mut().find(|peer| peer.name.as_str() == given.name) else {
            return Err(place.error(special.span(), no_such_peer(&given.name, count)));
        };
        peer.labels.extend(given.labels.clone());
        peer.starts = given.starts;
    }
    if file.peers.running && peers.iter().any(|peer| !peer.starts) {
        let message = "where all are \"running\" already, all have to start".to_owned();
        return Err(place.error(file.peers.count.span(), message));
    }
    if !peers[0].starts {
        let message = "p1 founds the mesh and has to start".to_owned();
        return Err(place.error(file.peers.count.span(), message));
    }
    Ok(peers)
}

/// The guests that the documents name. None of them is called like a peer: the mesh would refuse it.
fn guests(
    place: &Place<'_>,
    documents: &toml::Spanned<String>,
    peers: &[Peer],
    known: &Documents,
) -> Result<Vec<Name>, ScenarioError> {
    let mut guests = Vec::new();
    for document in known.values() {
        let Document::Guest(guest) = document else { continue };
        if peers.iter().any(|peer| peer.name == guest.name) {
            let message = format!("guest \"{}\" has the name of a peer", guest.name);
            return Err(place.error(documents.span(), message));
        }
        guests.push(guest.name.clone());
    }
    Ok(guests)
}

fn no_such_peer(name: &str, count: usize) -> String {
    format!("there is no peer \"{name}\": they are called p1 to p{count}")
}

/// The documents, moved down so that their lines are those of the story's file.
fn written(
    place: &Place<'_>,
    documents: &toml::Spanned<String>,
) -> Result<(Source, Documents), ScenarioError> {
    let padding = "\n".repeat(place.line(&documents.span()));
    let text = format!("{padding}{}", documents.get_ref());
    let source = Source { file: place.path.to_owned(), text };
    let bundle = Bundle { mesh: [0; 32], revision: 1, sources: vec![source.clone()] };
    let known = read_bundle(&bundle, &BTreeMap::new())
        .map_err(|problems| ScenarioError::Documents { problems: problems.to_string() })?;
    Ok((source, known))
}

fn chaos(file: &file::Chaos) -> Chaos {
    let fault = |fault: &file::Fault| match fault {
        file::Fault::Break => Fault::Break,
        file::Fault::Kill => Fault::Kill,
        file::Fault::KillLeader => Fault::KillLeader,
        file::Fault::KillWorker => Fault::KillWorker,
        file::Fault::PowerOff => Fault::PowerOff,
        file::Fault::Pause => Fault::Pause,
        file::Fault::Partition => Fault::Partition,
        file::Fault::Cut => Fault::Cut,
        file::Fault::Swizzle => Fault::Swizzle,
        file::Fault::Loss => Fault::Loss,
        file::Fault::Clock => Fault::Clock,
        file::Fault::SlowDisk => Fault::SlowDisk,
        file::Fault::FullDisk => Fault::FullDisk,
        file::Fault::Executor => Fault::Executor,
        file::Fault::Freeze => Fault::Freeze,
        file::Fault::Channel => Fault::Channel,
    };
    let faults = file.faults.iter().map(fault).collect();
    Chaos { every: file.every.0, lasts: file.lasts.0, faults, swarm: file.swarm }
}

fn weather(given: file::Network) -> Weather {
    let usual = [WEATHER.delay_min, WEATHER.delay_max];
    let [min, max] = given.delay.map_or(usual, |[a, b]| [a.0, b.0]);
    let loss_percent = given.loss_percent.unwrap_or(0).min(100);
    let duplicate_percent = given.duplicate_percent.unwrap_or(0).min(100);
    Weather { loss_percent, duplicate_percent, delay_min: min.min(max), delay_max: max }
}

type Documents = BTreeMap<DocumentKey, Document>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Deed, Who};

    const HEAD: &str = "lasts = \"10s\"\ndocuments = '''\n'''\n";

    fn read(rest: &str) -> Result<Scenario, String> {
        parse("story".into(), "story.toml".into(), &format!("{HEAD}{rest}"))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn peers_are_numbered_and_dealt_over_the_zones() {
        let story = read("[peers]\ncount = 3\nzones = [\"a\", \"b\"]\n").unwrap();
        let zones: Vec<&str> = story.peers.iter().map(|p| p.labels["zone"].as_str()).collect();
        assert_eq!(zones, ["a", "b", "a"]);
        assert_eq!(story.peers[2].name.as_str(), "p3");
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let peers = "[peers]\ncount = 3\n";
        for (rest, line, said) in [
            ("peers = { count = 3, colour = 1 }", 4, "colour"),
            (&format!("{peers}[[event]]\nat = \"5\"\ndo = \"heal\""), 7, "not a span"),
            (&format!("{peers}[[event]]\nat = \"5s\"\ndo = \"dance\""), 8, "dance"),
            (&format!("{peers}[[event]]\nat = \"5s\"\ndo = \"kill\""), 6, "\"peer\""),
            (&format!("{peers}[[event]]\nat = \"5s\"\ndo = \"kill\"\npeer = \"p9\""), 6, "p9"),
            (&format!("{peers}[[event]]\ndo = \"heal\""), 6, "\"at\""),
            (&format!("{peers}[[expect]]\nincident = \"fine\""), 7, "fine"),
            (&format!("{peers}[[expect]]\npeer = \"p1\""), 6, "needs"),
            (&format!("{peers}[[expect]]\npeer = \"p4\"\ncount = 1"), 6, "p4"),
            (&format!("{peers}[[expect]]\nabout = \"web\"\ncount = 1"), 6, "ever about"),
            (&format!("{peers}[[expect]]\ncount = 0\ntold = true"), 6, "no incident at all"),
            (&format!("{peers}[[expect]]\nattempts = 0\noutcomes = [\"failed\"]"), 6, "fewer"),
            (&format!("{peers}[[expect]]\ncalls = 1\ntold = false"), 6, "told then"),
            (&format!("{peers}[[event]]\nat = \"-5s\"\ndo = \"heal\""), 7, "-5s"),
            (&format!("{peers}[[event]]\nat = \"1h\"\ndo = \"heal\""), 6, "is over after"),
            (&format!("{peers}[[event]]\nat = \"5s\"\ndo = \"maintenance\""), 6, "\"for\""),
            (&format!("{peers}[[event]]\nat = \"5s\"\ndo = \"apply\""), 6, "\"documents\""),
            (&format!("{peers}[[event]]\nat = \"5s\"\ndo = \"alert\""), 6, "\"labels\""),
            (&format!("{peers}[[event]]\nat = \"5s\"\ndo = \"job\""), 6, "\"job\""),
            (&format!("{peers}[[event]]\nat = \"5s\"\ndo = \"surgeon-dies\""), 6, "\"peer\""),
            (
                &format!("{peers}[[event]]\nat = \"5s\"\ndo = \"surgeon-dies\"\npeer = \"p1\""),
                6,
                "no [[guest]]",
            ),
            (
                &format!("{peers}[[event]]\nat = \"5s\"\ndo = \"job-ends\"\njob = \"x\""),
                6,
                "no check declares",
            ),
            (&format!("{peers}[[event]]\nat = \"5s\"\ndo = \"messages\""), 6, "\"stream\""),
            (
                &format!("{peers}[[event]]\nat = \"5s\"\ndo = \"messages-end\"\nstream = \"x\""),
                6,
                "no stream",
            ),
            ("peers = { count = 1000000 }", 4, "1 to 20000"),
            ("peers = { count = 3, cells = 4 }", 4, "cells"),
            ("peers = { count = 3, cells = 0 }", 4, "cells"),
            ("peers = { count = -3 }", 4, "-3"),
        ] {
            let error = read(rest).unwrap_err();
            assert!(error.starts_with(&format!("story.toml:{line}: ")), "{rest}: {error}");
            assert!(error.contains(said), "{rest}: {error}");
        }
    }

    #[test]
    fn a_guest_is_named_where_a_host_is_meant_and_not_where_a_daemon_is() {
        let guest = "[[guest]]\nname = \"old-db\"\nlabels = { role = \"db\" }\nsurgeon_sha256 = \
                     \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n";
        let head = |count: u8, guest: &str| {
            format!(
                "lasts = \"9s\"\npeers = {{ count = {count} }}\ndocuments = '''\n{guest}'''\n\
                 [[event]]\nat = \"5s\"\npeer = \"old-db\"\n"
            )
        };
        let read = |text: &str| parse("s".into(), "s.toml".into(), text);
        let dies = head(3, guest) + "do = \"surgeon-dies\"\n";
        let story = read(&dies).unwrap();
        assert!(matches!(story.events[0].deed, Deed::Surgeons(Who::Guest(0), false)));
        let killed = read(&(head(3, guest) + "do = \"kill\"\n")).unwrap_err().to_string();
        assert!(killed.contains("\"old-db\" is a guest"), "{killed}");
        let called_p1 = dies.replace("old-db", "p1");
        let taken = read(&called_p1).unwrap_err().to_string();
        assert!(taken.contains("guest \"p1\" has the name of a peer"), "{taken}");
    }

    #[test]
    fn a_mistake_in_the_documents_is_told_with_the_storys_own_line() {
        let text = "lasts = \"1s\"\npeers = { count = 1 }\ndocuments = '''\n[[check]]\nnaem = \"x\"\n'''\n";
        let error = parse("s".into(), "s.toml".into(), text).unwrap_err().to_string();
        assert!(error.contains("s.toml:5:"), "{error}");
    }
}
