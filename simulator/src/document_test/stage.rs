//! A test as a story of the model: a quiet network, a mesh that has come to rest before anything
//! happens, and what is given at its moments.

use crate::scenario::{Deed, Event, Peer, RungEffect, Scenario, Weather, Who};
use protocol::{
    document::{
        Check, Document, DocumentKey, DocumentKind, Verdict,
        bundle::Source,
        test::{Fate, Given, Happens, OperatorDeed, Test},
    },
    name::Name,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// How long the mesh has to come to rest before a test begins: voters are appointed, everybody has
/// been heard of.
pub(super) const WARM_UP: Duration = Duration::from_secs(30);

/// How long a test goes on after the last thing given, unless it says so: long enough for a rung
/// at its default time limit to be tried and its effect to be looked at.
const GOES_ON: Duration = Duration::from_secs(300);

/// What a rung takes when the test does not say.
const TAKES: Duration = Duration::from_millis(300);

/// How long a test goes on. A check that runs seldom takes long to make a verdict, so the test
/// that waits for it goes on for longer.
pub(super) fn lasts(test: &Test, documents: &BTreeMap<DocumentKey, Document>) -> Duration {
    let verdict = |given: &Given| match &given.what {
        Happens::Check { check, .. } => {
            let key = DocumentKey { kind: DocumentKind::Check, name: check.clone() };
            match documents.get(&key) {
                Some(Document::Check(check)) => to_verdict(check),
                Some(_) | None => Duration::ZERO,
            }
        }
        Happens::Fate(_) | Happens::Deed(_) | Happens::Maintenance { .. } => Duration::ZERO,
    };
    test.lasts.unwrap_or_else(|| {
        let last = test.given.iter().map(|given| given.at.saturating_add(verdict(given)));
        last.max().unwrap_or_default().saturating_add(GOES_ON)
    })
}

/// The longest until a check has made its verdict.
fn to_verdict(check: &Check) -> Duration {
    check.every.max(check.timeout).saturating_mul(check.fail_after.max(check.pass_after) + 1)
}

/// The story of a test.
pub(super) fn story(test: &Test, sources: &[Source], lasts: Duration) -> Scenario {
    let order = order(test);
    let place = |name: &Name| order.iter().position(|other| *other == name);
    let peer = |name: &&Name| Peer {
        name: (*name).clone(),
        labels: test.peers.get(*name).cloned().unwrap_or_default(),
        cell: 0,
        starts: true,
    };
    let rungs = test.rungs.iter().map(|played| RungEffect {
        runbook: played.runbook.as_ref().map(Name::to_string),
        rung: played.rung.clone(),
        peer: played.peer.as_ref().and_then(place).map(Who::Peer),
        attempt: played.attempt,
        ends: played.ends,
        helps: played.helps,
        breaks: None,
        takes: played.takes.unwrap_or(TAKES),
        chance_percent: 100,
    });
    let events = test.given.iter().flat_map(|given| {
        deeds(given, place).into_iter().map(|deed| Event {
            at: given.at + WARM_UP,
            when: None,
            after: Duration::ZERO,
            deed,
        })
    });
    Scenario {
        name: test.name.clone(),
        path: test.file.to_string(),
        prose: String::new(),
        // Nothing is healed while the test is watched.
        lasts: WARM_UP + lasts + Duration::from_secs(1),
        settle: Duration::ZERO,
        peers: order.iter().map(peer).collect(),
        runs_already: false,
        documents: sources.to_vec(),
        guests: Vec::new(),
        rungs: rungs.collect(),
        events: events.collect(),
        chaos: None,
        without: BTreeSet::new(),
        weather: Weather {
            loss_percent: 0,
            duplicate_percent: 0,
            delay_min: Duration::from_micros(200),
            delay_max: Duration::from_millis(2),
        },
        disk_max: Duration::from_millis(5),
        expectations: Vec::new(),
    }
}

/// The peers, with one first that nothing becomes of: it founds the mesh, and in a mesh of two it
/// is the only voter.
fn order(test: &Test) -> Vec<&Name> {
    let ill_fated = |name: &Name| {
        let fated = |given: &&Given| matches!(given.what, Happens::Fate(_));
        test.given.iter().filter(fated).any(|given| given.peers.contains(name))
    };
    let mut order: Vec<&Name> = test.peers.keys().collect();
    order.sort_by_key(|name| ill_fated(name));
    order
}

fn deeds(given: &Given, place: impl Fn(&Name) -> Option<usize>) -> Vec<Deed> {
    let whole_mesh = match &given.what {
        Happens::Deed(OperatorDeed::Freeze) => Some(Deed::Freeze),
        Happens::Deed(OperatorDeed::Thaw) => Some(Deed::Thaw),
        Happens::Maintenance { lasts } => {
            let peers = given.peers.iter().filter_map(&place).collect();
            Some(Deed::Maintenance(peers, *lasts))
        }
        Happens::Deed(OperatorDeed::Close | OperatorDeed::Approve | OperatorDeed::Deny)
        | Happens::Check { .. }
        | Happens::Fate(_) => None,
    };
    if let Some(deed) = whole_mesh {
        return vec![deed];
    }
    let peers = given.peers.iter().filter_map(place).map(Who::Peer);
    peers.filter_map(|who| deed(given, who)).collect()
}

/// What happens to one peer.
fn deed(given: &Given, who: Who) -> Option<Deed> {
    Some(match &given.what {
        Happens::Check { check, says: Verdict::Pass } => Deed::Mend(who, check.clone()),
        Happens::Check { check, says } => Deed::Break(who, check.clone(), *says),
        Happens::Fate(Fate::Crashed) => Deed::Kill(who),
        Happens::Fate(Fate::Dark) => Deed::PowerOff(who),
        Happens::Fate(Fate::Stopped) => Deed::Stop(who),
        Happens::Fate(Fate::Back) => Deed::Start(who),
        Happens::Deed(OperatorDeed::Close) => Deed::Close(who),
        Happens::Deed(OperatorDeed::Approve) => Deed::Answer(who, true),
        Happens::Deed(OperatorDeed::Deny) => Deed::Answer(who, false),
        Happens::Deed(OperatorDeed::Freeze | OperatorDeed::Thaw) => return None,
        Happens::Maintenance { .. } => return None,
    })
}
