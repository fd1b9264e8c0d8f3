//! Why nothing is done about a check on a peer.

use super::SCHEMA;
use crate::control::Failure;
use protocol::{
    agent::Agent,
    explain::why_not::{Reason, WhyNot},
    name::{IncidentId, Name, PeerId},
    time::{Now, Timestamp},
};
use serde::{Deserialize, Serialize};

/// Why nothing is done, in one word and in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhyNotView {
    /// The version of this shape.
    pub schema: u32,
    /// The check.
    pub check: Name,
    /// The peer's name.
    pub peer: String,
    /// The kind of reason, one of a fixed list: `passing`, `cool-down`, `no-runbook`, …
    pub reason: String,
    /// The reason as a sentence.
    pub text: String,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// The incident that it is about.
    pub incident: Option<IncidentId>,
}

impl WhyNotView {
    /// Why nothing is done about this check on this peer.
    ///
    /// # Errors
    /// When there is no such check.
    pub fn of(agent: &Agent, now: Now, check: &Name, peer: PeerId) -> Result<Self, Failure> {
        let WhyNot { reason, text, until, incident } = agent.why_not(now, check, peer);
        if reason == Reason::UnknownCheck {
            return Err(Failure::not_found(text));
        }
        Ok(Self {
            schema: SCHEMA,
            check: check.clone(),
            peer: agent.ledger().roster().name(peer),
            reason: reason.as_str().to_owned(),
            text,
            until,
            incident,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Sample;
    use super::*;
    use crate::control::Exit;

    #[test]
    fn the_reason_is_told_in_a_word_and_in_a_sentence() {
        let sample = Sample::with_failing_check();
        let (peer, _) = sample.agent.ledger().roster().by_name("web-1").unwrap();
        let of = |check: &str| {
            WhyNotView::of(&sample.agent, sample.now(), &Name::parse(check).unwrap(), peer)
        };
        let view = of("web-alive").unwrap();
        let json = serde_json::to_value(&view).unwrap();
        assert_eq!((json["schema"].as_u64(), json["peer"].as_str()), (Some(1), Some("web-1")));
        assert_eq!(json["reason"], "open-incident");
        assert_eq!(json["incident"], sample.incident().to_string());
        assert!(view.text.starts_with("INC-"), "{}", view.text);
        let failure = of("web-alvie").unwrap_err();
        assert_eq!(failure.exit_code, Exit::NotFound);
        assert!(failure.message.contains("did you mean \"web-alive\"?"), "{failure}");
    }
}
