//! Checks that refer to other checks: what they depend on, and what an aggregate counts.

use super::{Change, Part, near, problem};
use crate::{
    document::{
        Check, Document, DocumentKey, DocumentKind, Probe, parse::Parsed, problem::Problem,
    },
    name::Name,
};
use std::collections::BTreeSet;

impl Change<'_> {
    pub(super) fn check(&self, one: &Parsed, check: &Check, problems: &mut Vec<Problem>) {
        let subject = format!("check \"{}\"", check.name);
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
