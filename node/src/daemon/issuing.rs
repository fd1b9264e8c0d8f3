//! Letting applicants in and renewing certificates: what voters do with the issuing key.
//!
//! The key lies on voters only. A peer that becomes a voter fetches it from another one over its
//! authenticated connection; who is a voter, both sides know from the Raft group itself.

use super::{
    Daemon,
    forward::{Ask, Reply, ask_leader},
};
use crate::{
    identity::Issuer,
    net::{JoinBinding, StreamKind},
    setup::joining::{JoinAnswer, JoinRequest},
};
use protocol::{
    codec,
    name::PeerId,
    record::{Entry, PeerCard, Record},
    refusal::Refusal,
};
use rustls_pki_types::CertificateDer;
use std::{net::SocketAddr, sync::Arc, time::Duration};

/// How long an applicant's joining may take.
const JOIN_WITHIN: Duration = Duration::from_secs(8);

/// How often a voter without the issuing key asks for it, and certificates are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long before a certificate that is due for renewal is asked for again.
const RENEW_AGAIN: Duration = Duration::from_secs(300);

pub(super) fn unavailable(reason: &str) -> Vec<u8> {
    codec::encode(&JoinAnswer::Unavailable(reason.to_owned()))
}

/// Answers an applicant, whichever peer it has come to: the leader decides.
pub(super) async fn answer_applicant(
    daemon: &Daemon,
    request: Vec<u8>,
    binding: &JoinBinding,
    remote: SocketAddr,
) -> Vec<u8> {
    match ask_leader(daemon, &Ask::join(request, binding), JOIN_WITHIN).await {
        Ok(Reply::Joined(answer)) => answer,
        Ok(other) => unavailable(&format!("the leader answered {other:?}")),
        Err(error) => {
            tracing::warn!(%remote, %error, "an applicant could not be brought to the leader");
            unavailable(&error.to_string())
        }
    }
}

/// Decides about an applicant. What it wants to be called comes from it; what it may be, from its
/// token, the ledger, and the proof that is bound to its connection and its key.
pub(super) async fn join_as_leader(
    daemon: &Daemon,
    request: &[u8],
    binding: &JoinBinding,
) -> Result<Reply, String> {
    let standing = daemon.standing();
    if standing.leader != Some(daemon.me) {
        return Ok(Reply::NotLeader(standing.leader));
    }
    // What is read next decides: it must not be older than what is committed.
    daemon.consensus.confirm_leadership().await.map_err(|error| error.to_string())?;
    let answer = match admit(daemon, request, binding, standing.term).await {
        Ok(answer) => answer,
        Err(Turned::Away(refusal)) => {
            tracing::warn!(%refusal, "an applicant was turned away");
            JoinAnswer::Refused(refusal)
        }
        Err(Turned::Later(reason)) => JoinAnswer::Unavailable(reason),
    };
    Ok(Reply::Joined(codec::encode(&answer)))
}

enum Turned {
    Away(Refusal),
    Later(String),
}

async fn admit(
    daemon: &Daemon,
    request: &[u8],
    binding: &JoinBinding,
    term: u64,
) -> Result<JoinAnswer, Turned> {
    let ledger = daemon.consensus.ledger();
    let at = daemon.log_now();
    let malformed = |why: String| {
        Turned::Away(Refusal::Misassigned { why: format!("the application is malformed: {why}") })
    };
    let request: JoinRequest =
        JoinRequest::decode(request).map_err(|error| malformed(error.to_string()))?;
    let token = ledger.tokens().get(&request.token).ok_or(Turned::Away(Refusal::TokenUnknown))?;
    if !request.verify(binding, &token.grant.verifying_key) {
        // The same words as for a token that was never made: nobody learns which ids exist.
        return Err(Turned::Away(Refusal::TokenUnknown));
    }
    // An applicant whose answer was lost asks again: it is a member already, by this token.
    let again = ledger.roster().member(request.card.id).is_some_and(|member| {
        member.card.public_key == binding.public_key && member.card.name == request.card.name
    });
    if !again {
        ledger.admissible(request.token, &request.card.name, at).map_err(Turned::Away)?;
    }
    let card = PeerCard { public_key: binding.public_key, generation: 0, ..request.card };
    if let Some((_, taken)) = ledger.roster().by_name(card.name.as_str()).filter(|_| !again) {
        return Err(Turned::Away(Refusal::NameTaken { name: taken.card.name.clone() }));
    }
    let issuer = issuer(daemon).ok_or_else(|| {
        Turned::Later("the leader has not yet been given the issuing key; try again".to_owned())
    })?;
    let certificate = issuer
        .issue(card.id, &card.public_key, daemon.clock.unix_seconds())
        .map_err(|error| malformed(error.to_string()))?;
    let Some(mesh) = ledger.mesh() else { return Err(Turned::Away(Refusal::NotFounded)) };
    let (mesh, trust) = (mesh.name.clone(), mesh.trust.clone());
    drop(ledger);
    if !again {
        let name = card.name.clone();
        let record = Record::PeerJoined { token: request.token, peer: card };
        let entry = Entry { at, by: daemon.me, term, record };
        let proposed = daemon.consensus.propose(entry).await;
        let (_, outcome) = proposed.map_err(|error| Turned::Later(error.to_string()))?;
        outcome.map_err(Turned::Away)?;
        tracing::info!(%name, "a peer joined");
    }
    let roster = daemon.consensus.ledger();
    let peers = roster.roster().members();
    let peers = peers.map(|(peer, member)| (peer, member.card.address)).collect();
    Ok(JoinAnswer::Accepted { certificate: certificate.to_vec(), mesh, trust, peers })
}

fn issuer(daemon: &Daemon) -> Option<Issuer> {
    Issuer::load(&daemon.data).unwrap_or_else(|error| {
        tracing::error!(%error, "the issuing key cannot be read");
        None
    })
}

/// Gives the issuing key to a voter.
pub(super) fn hand_over(daemon: &Daemon, from: PeerId) -> Reply {
    if !daemon.standing().voters.contains_key(&from) {
        return Reply::Refused("only voters hold the issuing key".to_owned());
    }
    let Some(issuer) = issuer(daemon) else {
        return Reply::Refused("this peer does not hold the issuing key".to_owned());
    };
    match issuer.key_pem() {
        Ok(key) => Reply::Issuer(key.to_string(), issuer.certificate_pem()),
        Err(error) => Reply::Refused(error.to_string()),
    }
}

/// Renews the certificate of a member, for the key that it has.
pub(super) async fn renew_as_leader(daemon: &Daemon, from: PeerId) -> Result<Reply, String> {
    let standing = daemon.standing();
    if standing.leader != Some(daemon.me) {
        return Ok(Reply::NotLeader(standing.leader));
    }
    daemon.consensus.confirm_leadership().await.map_err(|error| error.to_string())?;
    let key = daemon.consensus.ledger().roster().member(from).map(|m| m.card.public_key);
    let (Some(key), Some(issuer)) = (key, issuer(daemon)) else {
        return Ok(Reply::Refused("not a member, or no issuing key here".to_owned()));
    };
    match issuer.issue(from, &key, daemon.clock.unix_seconds()) {
        Ok(certificate) => Ok(Reply::Certificate(certificate.to_vec())),
        Err(error) => Ok(Reply::Refused(error.to_string())),
    }
}

/// Fetches the issuing key when this peer votes, gives it up when it does not, and renews this
/// peer's certificate when half of its time is over.
pub(super) async fn tend(daemon: Arc<Daemon>) {
    let mut renew_at = tokio::time::Instant::now();
    loop {
        tokio::select! {
            () = daemon.stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let standing = daemon.standing();
        let votes = standing.voters.contains_key(&daemon.me);
        let holds = Issuer::holds(&daemon.data);
        if votes && !holds {
            fetch(&daemon, standing.voters.into_keys()).await;
        } else if !votes && holds && !standing.voters.is_empty() && standing.leader.is_some() {
            match Issuer::forget(&daemon.data) {
                Ok(()) => tracing::info!("this peer does not vote: it gave up the issuing key"),
                Err(error) => tracing::error!(%error, "the issuing key could not be removed"),
            }
        }
        let due = daemon.identity.get().needs_renewal(daemon.clock.unix_seconds());
        if due && tokio::time::Instant::now() >= renew_at {
            renew_at = tokio::time::Instant::now() + RENEW_AGAIN;
            renew(&daemon).await;
        }
    }
}

async fn fetch(daemon: &Daemon, voters: impl Iterator<Item = PeerId>) {
    let ask = codec::encode(&Ask::Issuer);
    for voter in voters.filter(|voter| *voter != daemon.me) {
        let within = Duration::from_secs(2);
        let answer = daemon.net().request(voter, StreamKind::Forward, &ask, within).await;
        let reply = answer.ok().and_then(|bytes| codec::decode::<Reply>(&bytes).ok());
        let Some(Reply::Issuer(key, certificate)) = reply else { continue };
        let kept = Issuer::from_pem(&key, &certificate).and_then(|issuer| {
            if issuer.fingerprint() == daemon.identity.get().fingerprint() {
                issuer.store(&daemon.data)
            } else {
                Err(crate::identity::IdentityError::Mismatch {
                    what: "the issuing key that a voter sent".to_owned(),
                    other: "this mesh's root".to_owned(),
                })
            }
        });
        match kept {
            Ok(()) => {
                tracing::info!("this peer votes: it was given the issuing key");
                return;
            }
            Err(error) => tracing::error!(%voter, %error, "the issuing key was not taken"),
        }
    }
}

async fn renew(daemon: &Daemon) {
    let reply = ask_leader(daemon, &Ask::Renew, Duration::from_secs(5)).await;
    let Ok(Reply::Certificate(der)) = reply else {
        tracing::warn!(?reply, "the certificate could not be renewed; it is tried again");
        return;
    };
    let renewed = daemon.identity.renew(CertificateDer::from(der));
    match renewed.and_then(|identity| identity.store(&daemon.data)) {
        Ok(()) => tracing::info!("the certificate was renewed"),
        Err(error) => tracing::error!(%error, "a renewed certificate was not taken"),
    }
}
