//! Checks that refer to other checks: what they depend on, and what an aggregate counts.

use super::{Change, Part, near, problem};
use crate::{
    document::{
        Check, Document, DocumentKey, DocumentKind, Jobs, Probe, parse::Parsed, problem::Problem,
    },
    name::Name,
};
use std::collections::{BTreeMap, BTreeSet};

/// The hash of the UUID of the job that a check declares, and the job's name.
fn secret(check: &Check) -> Option<([u8; 32], &str)> {
    let Probe::Heartbeat(probe) = &check.probe else { return None };
    match &probe.jobs {
        Jobs::Job(reservation) => Some((probe.uuid?, &reservation.name)),
        Jobs::Those(_) => None,
    }
}

/// The checks whose jobs have a UUID, by its hash.
pub(super) fn secrets(
    documents: &BTreeMap<DocumentKey, Document>,
) -> BTreeMap<[u8; 32], Vec<&Check>> {
    let mut secrets: BTreeMap<[u8; 32], Vec<&Check>> = BTreeMap::new();
    for document in documents.values() {
        if let Document::Check(check) = document
            && let Some((hash, _)) = secret(check)
        {
            secrets.entry(hash).or_default().push(check);
        }
    }
    secrets
}

impl Change<'_> {
    pub(super) fn check(
        &self,
        place: usize,
        one: &Parsed,
        check: &Check,
        problems: &mut Vec<Problem>,
    ) {
        let subject = format!("check \"{}\"", check.name);
        if let Some(other) = self.of_same_secret(place, check) {
            let key = DocumentKey { kind: DocumentKind::Check, name: other.name.clone() };
            let message = format!(
                "{subject}: check \"{}\"{} has the same UUID for another job",
                other.name,
                self.place_of(&key)
            );
            let hint = "each job has its own: whoever pings by it says of one job how it is";
            let (part, key) = (Some(Part::Uuid), Some("uuid_sha256"));
            problems.push(problem(one, part, key, message, Some(hint.to_owned())));
        }
        for parent in &check.depends_on {
            let message = match self.check_named(parent) {
                None => format!("{subject} depends on check \"{parent}\", which is not there"),
                Some(Check { probe: Probe::Aggregate(_), .. }) => {
                    format!(
                        "{subject} depends on \"{parent}\", which no peer runs: it is an aggregate"
                    )
                }
                Some(_) => continue,
            };
            let hint = near(problems, parent.as_str(), self.after, DocumentKind::Check)
                .filter(|_| self.check_named(parent).is_none());
            problems.push(problem(one, Some(Part::DependsOn), Some("depends_on"), message, hint));
        }
        if let Some(circle) = self.circle(&check.name) {
            let circle: Vec<String> = circle.iter().map(|name| format!("\"{name}\"")).collect();
            let message = format!("{subject} depends on itself: {}", circle.join(" on "));
            let part = Some(Part::DependsOn);
            problems.push(problem(one, part, Some("depends_on"), message, None));
        }
        if let Probe::Aggregate(aggregate) = &check.probe {
            let message = match self.check_named(&aggregate.check) {
                None => {
                    format!("{subject} counts check \"{}\", which is not there", aggregate.check)
                }
                Some(Check { probe: Probe::Aggregate(_), .. }) => {
                    format!(
                        "{subject} counts \"{}\", which is an aggregate itself",
                        aggregate.check
                    )
                }
                Some(_) => return,
            };
            let hint = near(problems, aggregate.check.as_str(), self.after, DocumentKind::Check)
                .filter(|_| self.check_named(&aggregate.check).is_none());
            problems.push(problem(one, Some(Part::Aggregate), Some("aggregate"), message, hint));
        }
    }

    /// Another check's job that has the UUID of this one's; of two in the same bundle, the later one
    /// is to blame.
    fn of_same_secret(&self, place: usize, check: &Check) -> Option<&Check> {
        let (hash, job) = secret(check)?;
        let earlier = |other: &Check| {
            let key = DocumentKey { kind: DocumentKind::Check, name: other.name.clone() };
            self.bundle.get(&key).is_none_or(|other| *other < place)
        };
        let others = self.secrets.get(&hash)?.iter().copied();
        others.filter(|other| earlier(other)).find(|other| {
            let another = secret(other).is_some_and(|(_, theirs)| theirs != job);
            other.name != check.name && another
        })
    }

    /// What a check that the bundle leaves alone needs of what it takes away.
    pub(super) fn needs(check: &Check, gone: &DocumentKey) -> Option<&'static str> {
        if gone.kind != DocumentKind::Check {
            return None;
        }
        let counts = matches!(&check.probe, Probe::Aggregate(one) if one.check == gone.name);
        match (check.depends_on.contains(&gone.name), counts) {
            (true, _) => Some("depends on it"),
            (false, true) => Some("counts it"),
            (false, false) => None,
        }
    }

    /// The way from a check over what it depends on back to itself.
    fn circle(&self, start: &Name) -> Option<Vec<Name>> {
        let mut seen = BTreeSet::new();
        let mut ways = vec![vec![start.clone()]];
        while let Some(way) = ways.pop() {
            let Some(check) = way.last().and_then(|last| self.check_named(last)) else { continue };
            for parent in &check.depends_on {
                let mut longer = way.clone();
                longer.push(parent.clone());
                if parent == start {
                    return Some(longer);
                }
                if seen.insert(parent.clone()) {
                    ways.push(longer);
                }
            }
        }
        None
    }

    fn check_named(&self, name: &Name) -> Option<&Check> {
        let key = DocumentKey { kind: DocumentKind::Check, name: name.clone() };
        match self.after.get(&key) {
            Some(Document::Check(check)) => Some(check),
            Some(_) | None => None,
        }
    }
}
