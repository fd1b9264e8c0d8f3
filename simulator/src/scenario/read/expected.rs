//! What a story expects of its end, and whether anything could meet it.

use super::{ScenarioError, names::Names};
use crate::scenario::{Expectation, file};
use protocol::{
    document::{DocumentKey, DocumentKind},
    name::Name,
};

impl Names<'_> {
    /// Why nothing that can happen meets an expectation.
    fn cannot_be_met(&self, given: &file::Expect) -> Option<String> {
        // That there is none may be expected of anything, of what is forged too.
        if let Some(about) = given.about.as_ref().filter(|_| given.count != Some(0)) {
            let named = |kind: DocumentKind, name: &str| {
                let name = Name::parse(name).ok()?;
                self.documents.contains_key(&DocumentKey { kind, name }).then_some(())
            };
            let of = |prefix: &str, kind: DocumentKind| named(kind, about.strip_prefix(prefix)?);
            let is_known = matches!(about.as_str(), "silence" | "storm")
                || named(DocumentKind::Check, about).is_some()
                || of("ladder ", DocumentKind::Ladder).is_some()
                || of("runbook ", DocumentKind::Runbook).is_some()
                || about.strip_prefix("job ").is_some_and(|job| self.watches_job(job));
            if !is_known {
                return Some(format!(
                    "nothing is ever about \"{about}\": write silence, storm, the name of a check, \
                     ladder NAME, runbook NAME or job NAME"
                ));
            }
        }
        let of_one = given.incident.is_some()
            || given.attempts.is_some_and(|attempts| attempts > 0)
            || given.outcomes.is_some()
            || given.told == Some(true);
        if given.count == Some(0) && of_one {
            return Some("of no incident at all nothing else can be expected".to_owned());
        }
        let ended = given.outcomes.as_ref().map_or(0, Vec::len);
        if given.attempts.is_some_and(|attempts| attempts < ended) {
            return Some(format!("{ended} attempts cannot have ended where there were fewer"));
        }
        if given.calls.is_some_and(|calls| calls > 0) && given.told == Some(false) {
            return Some("a call reaches somebody, who is told then".to_owned());
        }
        None
    }

    pub(super) fn expectation(
        &self,
        expect: &toml::Spanned<file::Expect>,
    ) -> Result<Expectation, ScenarioError> {
        let given = expect.get_ref();
        let peer = match &given.peer {
            Some(name) => Some(self.host(expect.span(), name)?),
            None => None,
        };
        let says_nothing = given.incident.is_none()
            && given.attempts.is_none()
            && given.outcomes.is_none()
            && given.told.is_none()
            && given.count.is_none()
            && given.calls.is_none();
        if says_nothing || (given.within.is_some() && given.incident.is_none()) {
            let message = "an expectation needs \"incident\", \"attempts\", \"outcomes\", \
                           \"told\", \"count\" or \"calls\", and \"within\" needs \"incident\""
                .to_owned();
            return Err(self.place.error(expect.span(), message));
        }
        if let Some(why) = self.cannot_be_met(given) {
            return Err(self.place.error(expect.span(), why));
        }
        Ok(Expectation {
            line: self.place.line(&expect.span()),
            peer,
            about: given.about.clone(),
            incident: given.incident.map(|state| state.0),
            within: given.within.map(|span| span.0),
            attempts: given.attempts,
            outcomes: given.outcomes.as_ref().map(|all| all.iter().map(|one| one.0).collect()),
            told: given.told,
            count: given.count,
            calls: given.calls,
        })
    }
}
