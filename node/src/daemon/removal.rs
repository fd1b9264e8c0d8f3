//! How a peer learns that it is a member no more, and what it does then.
//!
//! The log says so, if it comes that far: the others cut a removed peer off as soon as they know,
//! often before they have sent it the record. So a peer that hears of no leader asks the voters.

use super::{Daemon, forward::Ask};
use crate::{
    net::StreamKind,
    setup::{SetupError, farewell::Farewell},
};
use protocol::{codec, ledger::roster::Standing as Running, name::PeerId};
use std::{sync::atomic::Ordering, time::Duration};

/// How often a peer that hears of no leader asks whether it was removed.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// How often in a row it has to be told so: after a power failure voters may not know for a while who
/// joined last, and elect somebody within that time.
const TOLD_TIMES: u32 = 8;

/// How many are asked: no group has more voters, and a large mesh need not all be asked.
const ASKED_MAX: usize = 7;

/// How long a voter may take to answer that.
const ASK_WITHIN: Duration = Duration::from_secs(1);

/// Waits until the log says that this peer is no member any more.
pub(super) async fn left(daemon: &Daemon) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        let agent = daemon.agent();
        if agent.ledger().roster().ever(daemon.me).is_some_and(|m| m.standing == Running::Left) {
            return;
        }
    }
}

/// Waits until most of the others that vote say again and again that this peer, which hears of no
/// leader, is in their roster no more; all that are asked, where it is not known who votes.
pub(super) async fn put_out(daemon: &Daemon) {
    let mut told = 0;
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let standing = daemon.standing();
        if standing.leader.is_some() {
            told = 0;
            continue;
        }
        let mut others: Vec<PeerId> = standing.voters.into_keys().collect();
        let votes = !others.is_empty();
        if !votes {
            // After a start nobody has said yet who votes.
            others = daemon.agent().ledger().roster().running().map(|(peer, _)| peer).collect();
        }
        others.retain(|peer| *peer != daemon.me);
        others.truncate(ASKED_MAX);
        let mut saying = 0;
        for other in &others {
            saying += usize::from(says_so(daemon, *other).await);
        }
        // Those who do not vote may all be behind: one of them is no witness against another.
        let enough = if votes { saying * 2 > others.len() } else { saying == others.len() };
        told = if enough && saying > 0 { told + 1 } else { 0 };
        if told >= TOLD_TIMES {
            return;
        }
    }
}

/// Whether a peer turns this one away because it is in its roster no more.
pub(super) async fn says_so(daemon: &Daemon, other: PeerId) -> bool {
    let ask = codec::encode(&Ask::Probe(daemon.me));
    let answer = daemon.net().request(other, StreamKind::Forward, &ask, ASK_WITHIN).await;
    answer.is_err_and(|error| error.says_not_in_roster())
}

/// Writes down that this peer is a member no more.
///
/// # Errors
/// [`SetupError::Gone`] when nobody on this host asked for it: the daemon should say so.
pub(super) fn part(daemon: &Daemon) -> Result<(), SetupError> {
    let asked = daemon.leaves.load(Ordering::Relaxed);
    let how = if asked { Farewell::Left } else { Farewell::Removed };
    how.keep(&daemon.data)?;
    if asked {
        tracing::info!("this peer has left the mesh");
        return Ok(());
    }
    Err(SetupError::Gone { path: daemon.data.clone(), how })
}
