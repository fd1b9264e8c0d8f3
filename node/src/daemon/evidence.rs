//! Evidence outlives its host: it is handed to neighbours as soon as it is taken, and found again
//! from any peer.
//!
//! What is handed over is the compressed bundle. A keeper takes it only for an incident that its
//! own ledger holds and from the peer that was to take the evidence; a reader believes nobody but
//! the hash in the log.

use super::{
    Daemon,
    forward::{Ask, Reply},
    plugins,
};
use crate::{
    control::{
        Exit, Failure,
        views::{EvidenceTextView, SCHEMA},
    },
    exec::{
        environment::Environment,
        evidence::{
            self, EvidenceError, Taking,
            shelf::{self, Bundle, Retention},
        },
    },
    net::{NetError, StreamKind},
};
use consensus::aside;
use data_encoding::HEXLOWER;
use futures::{StreamExt, stream::FuturesUnordered};
use protocol::{
    agent::Input,
    codec,
    document::EvidenceStep,
    keepers::KEEPERS,
    name::{IncidentId, PeerId},
    record::EvidenceSummary,
    refusal::Refusal,
};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// How long neighbours have to take a bundle: the repair waits for it, and its first rung starts
/// at most five seconds after the steps' own time limits.
const PUSH_WITHIN: Duration = Duration::from_secs(3);

/// How long one neighbour has before the next one is asked as well.
const ONE_PUSH_WITHIN: Duration = Duration::from_millis(1_500);

/// How long a keeper waits until its own ledger has the incident that it is to keep evidence of.
const KNOWN_WITHIN: Duration = Duration::from_secs(1);

/// How long a keeper has to answer when its copy is asked for.
const FETCH_WITHIN: Duration = Duration::from_secs(5);

/// What a host keeps: 256 MiB are some thousands of bundles, and 30 days outlast the weekend
/// after which somebody asks.
const RETENTION: Retention =
    Retention { bytes: 256 << 20, age: Duration::from_secs(30 * 24 * 60 * 60) };

/// How often is looked for what has become too old.
const PRUNE_EVERY: Duration = Duration::from_secs(60 * 60);

fn folder(daemon: &Daemon) -> PathBuf {
    daemon.data.join("evidence")
}

/// Takes the evidence, stores it, hands it over, and says what came of it.
pub(super) async fn take(
    daemon: &Arc<Daemon>,
    incident: IncidentId,
    steps: &[EvidenceStep],
    environment: &Environment,
    keepers: Vec<PeerId>,
) -> Input {
    let evidence = match take_and_store(daemon, incident, steps, environment).await {
        Ok((bundle, steps_failed)) => {
            let hash = bundle.hash;
            let bytes = u64::try_from(bundle.bytes.len()).unwrap_or(u64::MAX);
            let kept_by = push(daemon, incident, bundle, &keepers).await;
            if kept_by.len() < KEEPERS {
                tracing::warn!(
                    %incident, kept_by = kept_by.len(), asked = keepers.len(),
                    "evidence is kept by fewer neighbours than it should be"
                );
            }
            EvidenceSummary { hash, bytes, taken_by: daemon.me, steps_failed, keepers: kept_by }
        }
        Err(error) => {
            // The repair does not wait any longer for what could not be kept.
            tracing::error!(%incident, %error, "evidence could not be kept");
            EvidenceSummary {
                hash: [0; 32],
                bytes: 0,
                taken_by: daemon.me,
                steps_failed: u32::try_from(steps.len()).unwrap_or(u32::MAX),
                keepers: Vec::new(),
            }
        }
    };
    Input::EvidenceTaken { incident, evidence }
}

async fn take_and_store(
    daemon: &Arc<Daemon>,
    incident: IncidentId,
    steps: &[EvidenceStep],
    environment: &Environment,
) -> Result<(Bundle, u32), EvidenceError> {
    let taken_by = daemon.agent().card().name.to_string();
    let taking = Taking { incident, taken_by, at: daemon.log_now() };
    let analysis = plugins::analyse(daemon, environment).await;
    let taken = evidence::take_with(steps, environment, taking, &analysis).await?;
    let bundle = store(daemon, incident, taken.bundle).await?;
    Ok((bundle, taken.steps_failed))
}

async fn store(
    daemon: &Daemon,
    incident: IncidentId,
    bundle: Bundle,
) -> Result<Bundle, EvidenceError> {
    let dir = folder(daemon);
    let stored = aside(move || {
        shelf::store(&dir, incident, &bundle)?;
        if let Err(error) = shelf::prune(&dir, RETENTION, SystemTime::now()) {
            tracing::warn!(%error, "old evidence could not be removed");
        }
        Ok(bundle)
    });
    stored.await.unwrap_or(Err(EvidenceError::Stopped))
}

/// Hands a bundle to as many of the candidates as are to keep it, the best first, others in their
/// place when they do not take it; returns those that have it on disk.
async fn push(
    daemon: &Arc<Daemon>,
    incident: IncidentId,
    bundle: Bundle,
    candidates: &[PeerId],
) -> Vec<PeerId> {
    let (hash, bytes) = (bundle.hash, bundle.bytes);
    let ask: Arc<[u8]> = codec::encode(&Ask::KeepEvidence { incident, hash, bytes }).into();
    let mut waiting = candidates.iter().copied();
    let mut asked = FuturesUnordered::new();
    let mut kept_by = Vec::new();
    let one = |peer: PeerId| {
        let (daemon, ask) = (Arc::clone(daemon), Arc::clone(&ask));
        async move {
            let answer = daemon.net().request(peer, StreamKind::Forward, &ask, ONE_PUSH_WITHIN);
            let kept = match answer.await.map(|answer| codec::decode::<Reply>(&answer)) {
                Ok(Ok(Reply::Kept)) => Ok(()),
                Ok(Ok(Reply::Refused(reason))) => Err(reason),
                Ok(Ok(_)) => Err("it answered another question".to_owned()),
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            (peer, kept)
        }
    };
    let deadline = Instant::now() + PUSH_WITHIN;
    asked.extend(waiting.by_ref().take(KEEPERS).map(one));
    while kept_by.len() < KEEPERS {
        match tokio::time::timeout_at(deadline, asked.next()).await {
            Ok(Some((peer, Ok(())))) => kept_by.push(peer),
            Ok(Some((peer, Err(reason)))) => {
                tracing::warn!(%incident, %peer, %reason, "a neighbour does not keep this evidence");
                asked.extend(waiting.next().map(one));
            }
            Ok(None) | Err(_) => break,
        }
    }
    kept_by.sort_unstable();
    kept_by
}

/// Keeps a bundle for the peer that took it.
pub(super) async fn keep(
    daemon: &Daemon,
    from: PeerId,
    incident: IncidentId,
    hash: [u8; 32],
    bytes: Vec<u8>,
) -> Reply {
    let refused = |reason: &str| Reply::Refused(reason.to_owned());
    let expected = async {
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        loop {
            tick.tick().await;
            // The log may come here later than the bundle does.
            if let Some(found) = daemon.agent().ledger().incidents().get(&incident) {
                let taken = found.evidence.as_ref().map(|evidence| evidence.hash);
                return found.evidence_taker() == from && taken.is_none_or(|taken| taken == hash);
            }
        }
    };
    match tokio::time::timeout(KNOWN_WITHIN, expected).await {
        Ok(true) => {}
        Ok(false) => return refused("that incident's evidence is not this peer's to hand over"),
        Err(_elapsed) => return refused("no such incident is known here"),
    }
    let stored = match Bundle::claimed(hash, bytes) {
        Ok(bundle) => store(daemon, incident, bundle).await,
        Err(error) => Err(error),
    };
    match stored {
        Ok(_) => Reply::Kept,
        Err(error) => Reply::Refused(error.to_string()),
    }
}

/// Hands out the bundle with this hash, if it is here and whole.
pub(super) async fn hand_out(daemon: &Daemon, hash: [u8; 32]) -> Reply {
    match local(daemon, hash).await {
        Ok(found) => Reply::Evidence(found.map(|bundle| bundle.bytes)),
        Err(error) => Reply::Refused(error.to_string()),
    }
}

async fn local(daemon: &Daemon, hash: [u8; 32]) -> Result<Option<Bundle>, EvidenceError> {
    let dir = folder(daemon);
    let read = aside(move || shelf::read(&dir, hash));
    read.await.unwrap_or(Err(EvidenceError::Stopped))
}

/// The evidence of an incident, from here or from whoever keeps it.
pub(super) async fn read(
    daemon: &Arc<Daemon>,
    id: IncidentId,
) -> Result<EvidenceTextView, Failure> {
    let summary = summary(daemon, id)?;
    let (from, bundle) = find(daemon, id, &summary).await?;
    let text = bundle.text().map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let agent = daemon.agent();
    let roster = agent.ledger().roster();
    Ok(EvidenceTextView {
        schema: SCHEMA,
        id: id.to_string(),
        hash: HEXLOWER.encode(&summary.hash),
        bytes: summary.bytes,
        taken_by: roster.name(summary.taken_by),
        keepers: summary.keepers.iter().map(|peer| roster.name(*peer)).collect(),
        read_from: roster.name(from),
        text,
    })
}

fn summary(daemon: &Daemon, id: IncidentId) -> Result<EvidenceSummary, Failure> {
    let agent = daemon.agent();
    let Some(incident) = agent.ledger().incidents().get(&id) else {
        return Err(Refusal::UnknownIncident { incident: id }.into());
    };
    let wanted = incident.plan.as_ref().is_some_and(|plan| !plan.evidence.is_empty());
    let why = match &incident.evidence {
        Some(evidence) if evidence.bytes > 0 => return Ok(evidence.clone()),
        Some(_) => "it could not be stored when it was taken".to_owned(),
        None if !wanted => "no runbook asked for any".to_owned(),
        None if incident.state.is_over() => "none was taken in time".to_owned(),
        None => format!("it is being taken until {} at most", incident.evidence_until),
    };
    Err(Failure::not_found(format!("there is no evidence of {id}: {why}")))
}

async fn find(
    daemon: &Arc<Daemon>,
    id: IncidentId,
    summary: &EvidenceSummary,
) -> Result<(PeerId, Bundle), Failure> {
    let hash = summary.hash;
    match local(daemon, hash).await {
        Ok(Some(bundle)) => return Ok((daemon.me, bundle)),
        Ok(None) => {}
        // Somebody else's copy may be whole.
        Err(error) => tracing::error!(incident = %id, %error, "this host's copy is of no use"),
    }
    let others = [summary.taken_by].into_iter().chain(summary.keepers.iter().copied());
    let mut asked: FuturesUnordered<_> = others
        .filter(|peer| *peer != daemon.me)
        .map(|peer| async move { (peer, fetch(daemon, peer, hash).await) })
        .collect();
    let (mut faults, mut unreached) = (Vec::new(), false);
    while let Some((peer, fetched)) = asked.next().await {
        let fault = match fetched {
            Ok(Some(bundle)) => return Ok((peer, bundle)),
            Ok(None) => "does not have it any more".to_owned(),
            Err((reached, reason)) => {
                unreached |= !reached;
                reason
            }
        };
        faults.push(format!("{} {fault}", daemon.agent().ledger().roster().name(peer)));
    }
    if faults.is_empty() {
        faults.push("no other peer was given a copy".to_owned());
    }
    let exit = if unreached { Exit::Unavailable } else { Exit::NotFound };
    let message = format!("the evidence of {id} cannot be read now: {}", faults.join("; "));
    Err(Failure::new(exit, message))
}

/// A keeper's copy, which is what the log says or is not believed; whether it was reached, and
/// what is wrong.
async fn fetch(
    daemon: &Daemon,
    peer: PeerId,
    hash: [u8; 32],
) -> Result<Option<Bundle>, (bool, String)> {
    if daemon.agent().ledger().roster().member(peer).is_none() {
        return Err((true, "has left the mesh".to_owned()));
    }
    let ask = codec::encode(&Ask::Evidence { hash });
    let answer = daemon.net().request(peer, StreamKind::Forward, &ask, FETCH_WITHIN).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(NetError::Failed { message, .. }) => {
            return Err((true, format!("refuses: {message}")));
        }
        Err(_unreached) => return Err((false, "does not answer".to_owned())),
    };
    match codec::decode::<Reply>(&answer) {
        Ok(Reply::Evidence(Some(bytes))) => match Bundle::claimed(hash, bytes) {
            Ok(bundle) => Ok(Some(bundle)),
            Err(error) => Err((true, format!("has something else: {error}"))),
        },
        Ok(Reply::Evidence(None)) => Ok(None),
        Ok(Reply::Refused(reason)) => Err((true, format!("refuses: {reason}"))),
        Ok(_) | Err(_) => Err((true, "answered another question".to_owned())),
    }
}

/// Removes what has become too old, now and then.
pub(super) async fn tidy(daemon: Arc<Daemon>) {
    loop {
        let dir = folder(&daemon);
        let pruned = aside(move || shelf::prune(&dir, RETENTION, SystemTime::now()));
        if let Ok(Err(error)) = pruned.await {
            tracing::warn!(%error, "old evidence could not be removed");
        }
        tokio::select! {
            () = daemon.stop.cancelled() => return,
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
    }
}
