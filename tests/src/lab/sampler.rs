//! Looks all the time whether two hosts hold one address at once.
//!
//! A host holds an address when a socket on it can be bound to it: that is what the kernel goes by
//! when a packet for it comes in. One thread goes from host to host: a host that held it before and
//! after another one was seen with it held it at the same moment, so no double holding is invented,
//! and one that lasts longer than a round (well under a millisecond between rounds) is not missed.

use super::bed::{Bed, enter, open};
use anyhow::{Result, anyhow};
use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

/// Between two rounds: it shares its cores with those that it looks at.
const PAUSE: Duration = Duration::from_micros(500);

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    /// Who held the address, in order; each as often as it got it.
    pub holders: Vec<usize>,
    /// How many rounds there were, and in how many of them two held it.
    pub rounds: u64,
    /// Rounds in which more than one held it.
    pub both: u64,
}

/// Looks until it is asked what it saw.
#[derive(Debug)]
pub struct Sampler {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<Result<Held>>,
}

impl Sampler {
    /// Begins to look at these hosts.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn watch(bed: &Bed, hosts: &[usize], address: Ipv4Addr) -> Result<Self> {
        let spaces = hosts
            .iter()
            .map(|host| Ok((*host, open(&bed.host(*host))?)))
            .collect::<Result<Vec<_>>>()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let looking = std::thread::spawn(move || {
            let mut held = Held::default();
            let look = || {
                let mut holders = Vec::new();
                for (host, space) in &spaces {
                    enter(space)?;
                    if UdpSocket::bind((address, 0)).is_ok() {
                        holders.push(*host);
                    }
                }
                anyhow::Ok(holders)
            };
            let mut before: Vec<usize> = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let now = look()?;
                held.rounds += 1;
                for host in &now {
                    if !before.contains(host) {
                        held.holders.push(*host);
                    }
                }
                // One of them may have given it up between the two looks of one round: a second
                // round says whether the first of them still has it.
                if now.len() > 1 && look()?.contains(&now[0]) {
                    held.both += 1;
                }
                before = now;
                std::thread::sleep(PAUSE);
            }
            Ok(held)
        });
        Ok(Self { stop, looking })
    }

    /// Ends it; what was seen.
    ///
    /// # Errors
    /// When a namespace could not be entered.
    pub fn seen(self) -> Result<Held> {
        self.stop.store(true, Ordering::Relaxed);
        self.looking.join().map_err(|_panic| anyhow!("the sampler panicked"))?
    }
}
