//! Orders: signed here with the operator's key, carried out by the mesh.

use super::{
    arguments::{KeyOption, TokenOptions},
    output,
    session::Session,
};
use crate::{
    control::{
        Exit, Failure, Request,
        views::{
            AttemptView, FrozenView, IncidentSummary, IncidentView, IncidentsView, PeerState,
            PeerView, StatusView,
        },
    },
    identity::Token,
};
use protocol::{
    name::{IncidentId, PeerId},
    order::Action,
    record::{TokenGrant, TokenId},
    time::Timestamp,
};
use zeroize::Zeroizing;

/// `hearten token create`: the token alone on standard output.
pub(super) fn create_token(session: &Session, options: TokenOptions) -> Result<(), Failure> {
    let operator = session.operator(options.key)?;
    let seed: Zeroizing<[u8; 32]> = Zeroizing::new(rand::random());
    let token = Token::create(rand::random(), *seed, operator.fingerprint);
    let expires = operator.mesh.now.plus(options.ttl);
    let grant = TokenGrant {
        id: TokenId(token.id()),
        verifying_key: token.verifying_key(),
        expires,
        uses: options.uses,
        name: options.name,
    };
    session.order(&operator, Action::CreateToken(grant))?;
    output::message(&format!("the token lets {} in until {expires}", hosts(options.uses)));
    let text = token.text();
    output::data(&text)
}

fn hosts(uses: u32) -> String {
    if uses == 1 { "one host".to_owned() } else { format!("{uses} hosts") }
}

/// `hearten peer remove`
pub(super) fn remove_peer(
    session: &Session,
    name: String,
    force: bool,
    key: KeyOption,
) -> Result<(), Failure> {
    let operator = session.operator(key)?;
    let peer: PeerView = session.ask_for(&Request::Peer { name })?;
    if let Some(runs) = may_run(peer.row.state).filter(|_| !force) {
        let name = &peer.row.name;
        let message = format!(
            "peer {name} {runs}: `hearten leave` on its host takes it out, or stop its daemon first; --force removes it all the same"
        );
        return Err(Failure::new(Exit::Conflict, message));
    }
    let id = PeerId::parse(&peer.row.id)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    session.order(&operator, Action::RemovePeer { peer: id })?;
    output::message(&format!(
        "{} ({id}) is a member no more; its host can only come back as a new peer, with a new data directory",
        peer.row.name
    ));
    Ok(())
}

/// How it is said of a peer that its daemon runs, or may for all that is known here: of another cell's
/// peers gossip says nothing.
const fn may_run(state: PeerState) -> Option<&'static str> {
    match state {
        PeerState::Alive => Some("runs"),
        PeerState::Suspect => Some("is not known to be silent"),
        PeerState::Silent | PeerState::Left | PeerState::Joined => None,
    }
}

/// `hearten incident close`
pub(super) fn close(
    session: &Session,
    incident: IncidentId,
    reason: String,
    key: KeyOption,
) -> Result<(), Failure> {
    let operator = session.operator(key)?;
    session.order(&operator, Action::Close { incident, reason })?;
    output::message(&format!("{incident} is closed"));
    let closed: Result<IncidentView, Failure> =
        session.ask_for(&Request::Incident { id: incident });
    tell_what_runs_on(closed.as_ref().map(|one| vec![&one.summary]), operator.mesh.now);
    Ok(())
}

/// `hearten freeze`
pub(super) fn freeze(session: &Session, reason: String, key: KeyOption) -> Result<(), Failure> {
    let operator = session.operator(key)?;
    let before: StatusView = session.ask_for(&Request::Status)?;
    session.order(&operator, Action::Freeze { reason })?;
    output::message(&frozen(before.frozen.as_ref()));
    // Of the open ones alone: a mesh keeps a hundred thousand, and what an operator closes is named
    // when it is closed.
    let open = Request::Incidents { open: true, peer: None, since: None };
    let open: Result<IncidentsView, Failure> = session.ask_for(&open);
    let open = open.as_ref().map(|open| open.incidents.iter().collect());
    tell_what_runs_on(open, operator.mesh.now);
    Ok(())
}

/// The order is carried out by then: what cannot be asked after it makes it none that failed.
fn tell_what_runs_on(incidents: Result<Vec<&IncidentSummary>, &Failure>, now: Timestamp) {
    match incidents {
        Ok(incidents) => {
            for line in still_running(incidents, now) {
                output::message(&line);
            }
        }
        Err(why) => output::message(&format!("what runs on is not known: {why}")),
    }
}

/// What was given out and may still act: no order takes it back.
fn still_running<'a>(
    incidents: impl IntoIterator<Item = &'a IncidentSummary>,
    now: Timestamp,
) -> Vec<String> {
    let line = |incident: &'a IncidentSummary| {
        let running = incident.attempts.iter().filter(move |attempt| {
            attempt.outcome.is_none() && attempt.finished_at.is_none() && attempt.until > now
        });
        running.map(move |AttemptView { number, rung, worker, until, .. }| {
            format!(
                "attempt {number} of {} (rung \"{rung}\") on {worker} runs on until {until} at most: it is not taken back",
                incident.id
            )
        })
    };
    incidents.into_iter().flat_map(line).collect()
}

/// `hearten thaw`
pub(super) fn thaw(session: &Session, key: KeyOption) -> Result<(), Failure> {
    let operator = session.operator(key)?;
    let before: StatusView = session.ask_for(&Request::Status)?;
    session.order(&operator, Action::Thaw)?;
    output::message(thawed(before.frozen.is_some(), before.brake.is_some()));
    Ok(())
}

/// What a freeze did, by how it was before.
fn frozen(before: Option<&FrozenView>) -> String {
    match before {
        None => "frozen: no repair is started until `hearten thaw`".to_owned(),
        Some(FrozenView { since, reason }) => {
            format!("it is frozen already, since {since}: {reason}; until `hearten thaw`")
        }
    }
}

/// What a thaw did, by how it was before.
const fn thawed(frozen: bool, brake: bool) -> &'static str {
    match (frozen, brake) {
        (false, false) => "the mesh was not frozen, and the storm brake not engaged",
        (true, false) => "repairs go on",
        (false, true) => "the storm brake is released: neighbours may act",
        (true, true) => "repairs go on, and the storm brake is released: neighbours may act",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::time::Timestamp;
    use serde_json::json;

    #[test]
    fn a_freeze_and_a_thaw_say_what_they_did() {
        assert!(frozen(None).starts_with("frozen: "));
        let before = FrozenView { since: Timestamp::default(), reason: "storm".to_owned() };
        let said = frozen(Some(&before));
        assert!(said.contains("already, since 1970-01-01T00:00:00.000Z: storm"), "{said}");
        assert!(thawed(false, false).contains("was not frozen"));
        assert!(thawed(false, true).contains("brake is released"));
        assert_eq!(thawed(true, false), "repairs go on");
        assert!(thawed(true, true).contains("repairs go on, and the storm brake is released"));
    }

    #[test]
    fn what_was_begun_is_named_with_its_end_and_what_has_ended_is_not() {
        let attempt = |number: u32, outcome: Option<&str>, until: &str| {
            json!({
                "number": number, "rung": "restart", "worker": "web-2", "outcome": outcome,
                "exit_code": null, "assigned_at": "2026-11-21T02:00:00Z", "started_at": null,
                "finished_at": null, "until": until,
            })
        };
        let incident: IncidentSummary = serde_json::from_value(json!({
            "id": "INC-42", "state": "closed", "waiting_for": null, "peer": "web-2",
            "runbook": "restart-web", "opened_at": "2026-11-21T02:00:00Z", "closed_at": null,
            "because": { "kind": "operator", "runbook": "restart-web", "reason": "why not",
                "since": "2026-11-21T02:00:00Z" },
            "attempts": [
                attempt(1, Some("failed"), "2026-11-21T02:05:00Z"),
                attempt(2, None, "2026-11-21T02:01:00Z"),
                attempt(3, None, "2026-11-21T02:05:00Z"),
            ],
        }))
        .unwrap();
        let now = Timestamp::parse("2026-11-21T02:02:00Z").unwrap();
        let lines = still_running([&incident], now);
        let [line] = &lines[..] else { panic!("{lines:?}") };
        assert!(line.starts_with("attempt 3 of INC-42 (rung \"restart\") on web-2 runs on until"));
        assert!(line.contains("2026-11-21T02:05:00") && line.ends_with("it is not taken back"));
    }
}
