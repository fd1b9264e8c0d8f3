//! A cable that delays, repeats and reorders what one host and the others send to each other.
//!
//! The firewall cannot hold a packet back, so a small program in the hub's namespace does it: what a
//! host sends to a daemon's port is led there by rewriting its destination, one port for each
//! destination, and is sent on later with the sender's own address. Both ends see each other's
//! addresses as before. What a kernel answers for a closed port does not find its way back.

use super::{
    PORT,
    bed::{Bed, enter, feed, open},
};
use anyhow::{Context, Result, anyhow};
use socket2::{Domain, Socket, Type};
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    thread::JoinHandle,
    time::Duration,
};
use tokio::{
    net::UdpSocket,
    sync::{Mutex, watch},
};

/// The hub's port for what goes to host 0; the others follow.
const FIRST: u16 = 20_000;

/// How the cable behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manners {
    /// Every packet is under way for so long, in each direction.
    pub delay: Duration,
    /// And for up to so much longer, each for itself: those that are, are overtaken.
    pub jitter: Duration,
    /// So many of a hundred packets arrive twice.
    pub twice_percent: u64,
}

/// A host's cable, until it is dropped.
#[derive(Debug)]
pub struct Wire {
    spaces: Vec<String>,
    stop: watch::Sender<bool>,
    carrying: Option<JoinHandle<Result<()>>>,
}

impl Wire {
    /// Puts a host's cable in.
    ///
    /// # Errors
    /// With the step that failed.
    pub fn stretch(bed: &Bed, host: usize, manners: Manners) -> Result<Self> {
        let (stop, stopped) = watch::channel(false);
        let (ready, is_ready) = std::sync::mpsc::channel();
        let hub = open(&bed.hub())?;
        let at = bed.hub_address();
        let ways: Vec<SocketAddr> =
            (0..bed.hosts()).map(|to| SocketAddr::new(bed.address(to).into(), PORT)).collect();
        let carrying = std::thread::spawn(move || carry(&hub, at, ways, manners, stopped, &ready));
        let spaces = (0..bed.hosts()).map(|host| bed.host(host)).collect();
        let wire = Self { spaces, stop, carrying: Some(carrying) };
        is_ready.recv().context("the wire's sockets could not be opened")?;
        for sender in 0..bed.hosts() {
            let receivers = if sender == host { 0..bed.hosts() } else { host..host + 1 };
            let ways: Vec<String> = receivers
                .filter(|receiver| *receiver != sender)
                .map(|receiver| Ok(format!("{} : {}", bed.address(receiver), port(receiver)?)))
                .collect::<Result<_>>()?;
            let mut rules =
                "table inet wire\ndelete table inet wire\ntable inet wire {\n".to_owned();
            let to: Vec<&str> = ways.iter().filter_map(|way| way.split(' ').next()).collect();
            write!(
                rules,
                "chain out {{\ntype route hook output priority -150\n\
                 ip daddr {{ {} }} udp dport {PORT} udp dport set ip daddr map {{ {} }} \
                 ip daddr set {at}\n}}\n}}\n",
                to.join(", "),
                ways.join(", ")
            )?;
            feed("ip", &["netns", "exec", &bed.host(sender), "nft", "-f", "-"], &rules)?;
        }
        Ok(wire)
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let gone = "table inet wire\ndelete table inet wire\n";
        for space in &self.spaces {
            // A host that lost its power has lost the rule already.
            drop(feed("ip", &["netns", "exec", space, "nft", "-f", "-"], gone));
        }
        self.stop.send_replace(true);
        if let Some(Ok(Err(error))) = self.carrying.take().map(JoinHandle::join) {
            eprintln!("the wire: {error:#}");
        }
    }
}

fn port(receiver: usize) -> Result<u16> {
    Ok(FIRST + u16::try_from(receiver)?)
}

/// Carries until it is stopped.
fn carry(
    hub: &File,
    at: Ipv4Addr,
    ways: Vec<SocketAddr>,
    manners: Manners,
    mut stopped: watch::Receiver<bool>,
    ready: &std::sync::mpsc::Sender<()>,
) -> Result<()> {
    enter(hub)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let senders = Arc::<Mutex<BTreeMap<SocketAddr, Arc<UdpSocket>>>>::default();
        let mut tasks = tokio::task::JoinSet::new();
        for (receiver, to) in ways.into_iter().enumerate() {
            let socket = UdpSocket::bind((at, port(receiver)?)).await?;
            let mut dice = Dice(u64::try_from(receiver)? + 1);
            let senders = Arc::clone(&senders);
            tasks.spawn(async move {
                let mut packet = vec![0; 65_536];
                loop {
                    // A kernel's refusal of what was sent on is not ours to report.
                    let Ok((length, from)) = socket.recv_from(&mut packet).await else { continue };
                    let sender = sender(&senders, from).await?;
                    let times = if dice.below(100) < manners.twice_percent { 2 } else { 1 };
                    for _ in 0..times {
                        let micros = u64::try_from(manners.jitter.as_micros()).unwrap_or(u64::MAX);
                        let late = Duration::from_micros(dice.below(micros.max(1)));
                        let (sender, copy) = (Arc::clone(&sender), packet[..length].to_vec());
                        tokio::spawn(async move {
                            tokio::time::sleep(manners.delay + late).await;
                            // A packet that cannot be sent is a packet that is lost.
                            drop(sender.send_to(&copy, to).await);
                        });
                    }
                }
                #[expect(unreachable_code, reason = "it says what the task gives when it fails")]
                anyhow::Ok(())
            });
        }
        ready.send(()).map_err(|_gone| anyhow!("nobody waits for the wire"))?;
        tokio::select! {
            stopped = stopped.wait_for(|stop| *stop) => stopped.map(drop).context("stopped"),
            Some(ended) = tasks.join_next() => ended?,
        }
    })
}

/// The socket that sends with this address.
async fn sender(
    senders: &Mutex<BTreeMap<SocketAddr, Arc<UdpSocket>>>,
    from: SocketAddr,
) -> Result<Arc<UdpSocket>> {
    let mut senders = senders.lock().await;
    if let Some(sender) = senders.get(&from) {
        return Ok(Arc::clone(sender));
    }
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    // What is sent on bears the address of its sender, which the hub does not have.
    socket.set_ip_transparent_v4(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&from.into())?;
    let sender = Arc::new(UdpSocket::from_std(socket.into())?);
    senders.insert(from, Arc::clone(&sender));
    Ok(sender)
}

/// Numbers that look random and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
