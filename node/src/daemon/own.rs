//! What the daemon measures of itself: its disk, its host's clock, its certificate, and its place
//! in the mesh. What that means the protocol decides ([`MeshProbe::judge`]).

use super::{
    Daemon,
    forward::{Ask, Reply},
};
use crate::{exec::check::Own, files, net::StreamKind};
use async_trait::async_trait;
use consensus::aside;
use protocol::{
    codec,
    document::{AlertProbe, Measured, MeshProbe, Verdict, mesh::clock_off},
    name::PeerId,
    rendezvous,
};
use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, PoisonError, Weak},
    time::{Duration, Instant},
};

/// For how long an election is remembered.
const LEADERS_FOR: Duration = Duration::from_secs(600);

/// The most elections that are remembered.
const LEADERS_MAX: usize = 1_000;

/// How many other hosts are asked what time it is: of three, one may be wrong.
const CLOCKS: usize = 3;

/// How long another peer may take to say what time it is.
const TIME_WITHIN: Duration = Duration::from_secs(2);

/// What the daemon remembers of its place in the mesh.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    leader: Option<PeerId>,
    elected: VecDeque<Instant>,
    /// An index that the leader had and this peer had not, and since when that is known.
    lacks: Option<(u64, Instant)>,
}

impl Lately {
    /// Takes note of who leads; the first one and nobody are no change.
    fn note_leader(&mut self, leader: Option<PeerId>, now: Instant) {
        let Some(leader) = leader else { return };
        if self.leader.replace(leader).is_some_and(|before| before != leader) {
            self.elected.push_back(now);
            if self.elected.len() > LEADERS_MAX {
                self.elected.pop_front();
            }
        }
    }

    /// How often the leader changed of late.
    fn changes(&self, now: Instant) -> u32 {
        let lately = |at: &&Instant| now.saturating_duration_since(**at) < LEADERS_FOR;
        u32::try_from(self.elected.iter().filter(lately).count()).unwrap_or(u32::MAX)
    }

    /// How far this peer is behind the leader, and for how long.
    fn behind(&mut self, own: u64, leader: u64, now: Instant) -> (u64, Duration) {
        if self.lacks.is_some_and(|(index, _)| own >= index) {
            self.lacks = None;
        }
        let entries = leader.saturating_sub(own);
        if entries == 0 {
            self.lacks = None;
            return (0, Duration::ZERO);
        }
        let (_, since) = *self.lacks.get_or_insert((leader, now));
        (entries, now.saturating_duration_since(since))
    }
}

/// Measures for the checks, as long as the daemon is there.
pub(super) struct OwnDaemon(pub(super) Weak<Daemon>);

impl std::fmt::Debug for OwnDaemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OwnDaemon")
    }
}

#[async_trait]
impl Own for OwnDaemon {
    fn alerts(&self, probe: &AlertProbe) -> (Verdict, String) {
        match self.0.upgrade() {
            Some(daemon) => daemon.agent().judge_alerts(probe, daemon.now()),
            None => (Verdict::Unknown, "the daemon is stopping".to_owned()),
        }
    }

    async fn measure(&self, probe: MeshProbe) -> Measured {
        let Some(daemon) = self.0.upgrade() else {
            return Measured::Nothing("the daemon is stopping".to_owned());
        };
        match probe {
            MeshProbe::Disk(_) => disk(&daemon).await,
            MeshProbe::Clock(_) => clock(&daemon).await,
            MeshProbe::Certificate(_) => certificate(&daemon),
            MeshProbe::Voters(_) => voters(&daemon),
            MeshProbe::Leader(_) => leaders(&daemon),
            MeshProbe::Follower(_) => follower(&daemon).await,
        }
    }
}

impl Daemon {
    /// Takes note of who leads.
    pub(super) fn note_leader(&self, leader: Option<PeerId>) {
        let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
        lately.note_leader(leader, Instant::now());
    }
}

/// What time it is on this host, and how far the log is applied.
pub(super) fn time(daemon: &Daemon) -> Reply {
    let applied = daemon.agent().ledger().position().index;
    Reply::Time(daemon.clock.wall(), applied)
}

async fn disk(daemon: &Daemon) -> Measured {
    let space = daemon.facts.space(&daemon.data).await;
    let used_percent = match space.as_ref() {
        Ok(space) => space.used_percent,
        Err(reason) => return Measured::Nothing(reason.clone()),
    };
    let data = daemon.data.clone();
    let written = aside(move || write_something(&data)).await;
    let written = match written {
        Ok(written) => written,
        Err(error) => return Measured::Nothing(error.to_string()),
    };
    Measured::Disk { used_percent, written }
}

/// Writes a few bytes as durably as the store does. More than a block, since a full file system may
/// still have room in one that is begun.
fn write_something(data: &Path) -> Result<(), String> {
    let path = data.join("written");
    files::write_durably(&path, &[b'.'; 8_192], files::PRIVATE).map_err(|error| error.to_string())
}

async fn clock(daemon: &Daemon) -> Measured {
    let mut tasks = tokio::task::JoinSet::new();
    for peer in clocks_to_ask(daemon) {
        let net = daemon.net().clone();
        let clock = daemon.clock;
        tasks.spawn(async move {
            let (before, began) = (clock.wall(), Instant::now());
            let ask = codec::encode(&Ask::Time);
            let answer = net.request(peer, StreamKind::Forward, &ask, TIME_WITHIN).await.ok()?;
            let took = began.elapsed();
            let Ok(Reply::Time(theirs, _)) = codec::decode::<Reply>(&answer) else { return None };
            let ours = before.plus(took / 2);
            let millis = |at: u64| i64::try_from(at).unwrap_or(i64::MAX);
            Some((millis(theirs.millis()).saturating_sub(millis(ours.millis())), took))
        });
    }
    let samples: Vec<(i64, Duration)> = tasks.join_all().await.into_iter().flatten().collect();
    clock_off(&samples)
        .unwrap_or_else(|| Measured::Nothing("no other peer said what time it is there".to_owned()))
}

/// The leader first, then peers that are heard, spread by hashing.
fn clocks_to_ask(daemon: &Daemon) -> Vec<PeerId> {
    let leader = daemon.standing().leader;
    let agent = daemon.agent();
    let mut others: Vec<(bool, u64, PeerId)> = agent
        .ledger()
        .roster()
        .running()
        .map(|(peer, _)| peer)
        .filter(|peer| *peer != daemon.me && agent.view().is_alive(*peer) == Some(true))
        .map(|peer| {
            let weight = u64::MAX - rendezvous::weight(daemon.me.bits(), peer);
            (Some(peer) != leader, weight, peer)
        })
        .collect();
    others.sort_unstable();
    others.into_iter().take(CLOCKS).map(|(_, _, peer)| peer).collect()
}

fn certificate(daemon: &Daemon) -> Measured {
    let left = daemon.identity.get().expires().saturating_sub(daemon.clock.unix_seconds());
    Measured::Certificate { left: Duration::from_secs(left) }
}

fn voters(daemon: &Daemon) -> Measured {
    let standing = daemon.standing();
    if !standing.leads {
        return Measured::NotMine;
    }
    let agent = daemon.agent();
    let unheard = |peer: &&PeerId| {
        let silent = agent.ledger().is_silent(**peer);
        **peer != daemon.me && (silent || agent.view().is_alive(**peer) == Some(false))
    };
    let names = standing.voters.keys().filter(unheard);
    let unheard = names.map(|peer| agent.ledger().roster().name(*peer)).collect();
    Measured::Voters { unheard, of: standing.voters.len() }
}

fn leaders(daemon: &Daemon) -> Measured {
    if !daemon.standing().leads {
        return Measured::NotMine;
    }
    let lately = daemon.lately.lock().unwrap_or_else(PoisonError::into_inner);
    Measured::Leader { changes: lately.changes(Instant::now()) }
}

async fn follower(daemon: &Arc<Daemon>) -> Measured {
    let Some(leader) = daemon.standing().leader else {
        return Measured::Nothing("no leader is known here".to_owned());
    };
    if leader == daemon.me {
        return Measured::Follower { entries: 0, behind: Duration::ZERO };
    }
    let ask = codec::encode(&Ask::Time);
    let answer = daemon.net().request(leader, StreamKind::Forward, &ask, TIME_WITHIN).await;
    let applied = match answer.map(|bytes| codec::decode::<Reply>(&bytes)) {
        Ok(Ok(Reply::Time(_, applied))) => applied,
        Ok(_) => return Measured::Nothing("the leader answered another question".to_owned()),
        Err(error) => return Measured::Nothing(format!("the leader did not answer: {error}")),
    };
    let own = daemon.agent().ledger().position().index;
    let mut lately = daemon.lately.lock().unwrap_or_else(PoisonError::into_inner);
    let (entries, behind) = lately.behind(own, applied, Instant::now());
    Measured::Follower { entries, behind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_leader_counts_for_ten_minutes_and_the_first_leader_is_none() {
        let (one, other) = (PeerId::from_random(1), PeerId::from_random(2));
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut lately = Lately::default();
        lately.note_leader(Some(one), at(0));
        lately.note_leader(None, at(1));
        lately.note_leader(Some(one), at(2));
        assert_eq!(lately.changes(at(3)), 0, "the same one was elected again");
        lately.note_leader(Some(other), at(10));
        lately.note_leader(Some(one), at(20));
        assert_eq!(lately.changes(at(21)), 2);
        assert_eq!(lately.changes(at(615)), 1);
        assert_eq!(lately.changes(at(621)), 0);
    }

    #[test]
    fn a_follower_is_behind_since_it_lacked_what_it_still_lacks() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let second = Duration::from_secs;
        let mut lately = Lately::default();
        assert_eq!(lately.behind(10, 10, at(0)), (0, second(0)));
        assert_eq!(lately.behind(10, 12, at(1)), (2, second(0)));
        assert_eq!(lately.behind(11, 15, at(6)), (4, second(5)), "it moves, and lacks the 12th");
        assert_eq!(lately.behind(12, 16, at(7)), (4, second(0)), "a busy log is no delay");
        assert_eq!(lately.behind(16, 16, at(9)), (0, second(0)));
    }

    #[test]
    fn something_is_written_where_it_can_be_and_the_reason_told_where_not() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(write_something(folder.path()), Ok(()));
        assert!(write_something(&folder.path().join("missing")).is_err());
    }
}
