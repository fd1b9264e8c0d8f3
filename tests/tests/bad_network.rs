//! What comes over the network from those who mean no good, or do not know what they do: it is
//! dropped, counted and logged, and the mesh is whole afterwards.

use anyhow::{Context, Result, ensure};
use node::{
    identity::{PeerKey, Token},
    net::{self, StreamKind},
    setup::{card, config::Config, joining},
};
use protocol::refusal::Refusal;
use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};
use tests::{
    Host, Mesh, Stranger,
    stranger::{JOIN, MEMBER, Papers, config, framed, self_made, stolen},
    until,
};

const PROBE: &str = "hearten-probe/1";

/// How long a caller who is not wanted may stay.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn what_strangers_send_is_dropped_counted_and_logged_and_the_mesh_stays_whole() -> Result<()> {
    let mut mesh = Mesh::sized(3)?;
    mesh.apply("[limits]\nat_once = 3\n")?;
    let leader = mesh.leader()?;
    random_datagrams(mesh[leader].address)?;
    strangers_are_turned_away(&mesh, leader)?;
    an_applicant_without_the_secret_is_turned_away(&mesh, leader)?;
    handshakes_that_are_never_finished_cost_little(&mesh, leader)?;
    whole(&mut mesh, 2)?;

    let leader = mesh.leader()?;
    let taken = (leader + 1) % 3;
    let papers = stolen(&mesh[taken].data)?;
    mesh.hosts[taken].stop()?;
    let target = mesh.leader()?;
    streams_that_break_the_rules_are_refused(&mesh, target, &papers)?;
    malformed_gossip_is_dropped(&mesh, target, &papers)?;
    let third = 3 - target - taken;
    announced_and_never_sent(&mesh, target, &papers, &stolen(&mesh[third].data)?)?;
    mesh.hosts[taken].start()?;
    whole(&mut mesh, 3)
}

/// The mesh works: everyone is alive, somebody leads, an apply succeeds, nothing was opened.
fn whole(mesh: &mut Mesh, revision: u64) -> Result<()> {
    mesh.settled()?;
    mesh.leader()?;
    mesh.apply(&format!("[limits]\nat_once = {}\n", revision + 10))?;
    for host in 0..3 {
        until("everyone has the documents", || {
            (mesh[host].revision().ok()? == revision).then_some(())
        })?;
        ensure!(mesh.incidents(host)?.is_empty(), "{:#?}", mesh.incidents(host)?);
        let log = std::fs::read_to_string(mesh[host].log())?;
        ensure!(!log.contains("panicked"), "{} has panicked: {log}", mesh[host].name);
        ensure!(mesh[host].counter("gossip_restarts")? == 0, "{}", mesh[host].name);
    }
    Ok(())
}

/// Waits until the daemon has counted something since `before`, and has said so in its log.
fn counted(host: &Host, name: &str, before: u64) -> Result<()> {
    until(&format!("{name} is counted"), || (host.counter(name).ok()? > before).then_some(()))?;
    let log = std::fs::read_to_string(host.log())?;
    ensure!(log.contains(name), "{name} is not in the log of {}", host.name);
    Ok(())
}

/// Numbers that look random and are the same every time (xorshift).
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[3]).collect()
    }

    fn below(&mut self, limit: u64) -> usize {
        usize::try_from(self.next() % limit).unwrap_or_default()
    }
}

fn random_datagrams(address: SocketAddr) -> Result<()> {
    let mut noise = Noise(0x5eed);
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    for number in 0_u32..5_000 {
        let length = noise.below(1_400) + 1;
        let mut datagram = noise.bytes(length);
        // Every other one begins like QUIC's first packet: the long header and version 1.
        if number % 2 == 0 && length > 30 {
            datagram[..6].copy_from_slice(&[0xc3, 0, 0, 0, 1, 8]);
            datagram[14] = 8;
        }
        socket.send_to(&datagram, address)?;
    }
    Ok(())
}

fn strangers_are_turned_away(mesh: &Mesh, target: usize) -> Result<()> {
    let host = &mesh[target];
    // A peer of another mesh, which may well bear the same name.
    let other = Host::new(&mesh.folder(), "other")?;
    other.ok(&["init", "--name", "h1", "--http", "off"])?;
    let (foreign, own, member) =
        (stolen(&other.data)?, self_made()?, stolen(&mesh[(target + 1) % 3].data)?);
    let cases: [(&str, &Papers, &str, &str); 6] = [
        ("another mesh's peer", &foreign, MEMBER, "foreign_certificate"),
        ("another mesh's peer that probes", &foreign, PROBE, "foreign_certificate"),
        ("another mesh's peer that joins", &foreign, JOIN, "foreign_certificate"),
        ("a nobody", &own, MEMBER, "not_a_member"),
        ("a nobody that probes", &own, PROBE, "not_a_member"),
        ("a member that joins", &member, JOIN, "join_misused"),
    ];
    for (what, papers, protocol, counter) in cases {
        let before = host.counter(counter)?;
        let caller = Stranger::call(host.address, protocol, papers.clone()).context(what)?;
        caller.dismissed(SOON).context(what)?;
        counted(host, counter, before).context(what)?;
    }
    // The daemon's own certificate, from a host that was cloned.
    let before = host.counter("own_name")?;
    Stranger::call(host.address, MEMBER, stolen(&host.data)?)?.dismissed(SOON)?;
    counted(host, "own_name", before)?;
    // An unknown protocol is not even shaken hands on.
    let before = host.counter("handshake_failed")?;
    ensure!(Stranger::call(host.address, "h3", own.clone()).is_err(), "it spoke HTTP");
    counted(host, "handshake_failed", before)?;
    // Applicants who do anything but ask once.
    for bytes in [&b"\x04\0\0\0\x01\x01"[..], b"\x06\xff\xff\xff\xff", b"\x63"] {
        let before = host.counter("join_misused")?;
        let caller = Stranger::call(host.address, JOIN, own.clone())?;
        ensure!(caller.stream(bytes).is_err(), "{bytes:?} was answered");
        caller.dismissed(SOON)?;
        counted(host, "join_misused", before)?;
    }
    Ok(())
}

/// The proof is made with another secret for a token that exists, or for another connection.
fn an_applicant_without_the_secret_is_turned_away(mesh: &Mesh, target: usize) -> Result<()> {
    let host = &mesh[target];
    let text = mesh[0].ok(&["token", "create"])?;
    let token = Token::parse(text.trim())?;
    let guessed = Token::create(token.id(), [7; 32], token.fingerprint());
    let key = PeerKey::generate();
    let own_card = || -> Result<protocol::record::PeerCard> {
        let mut config = Config::load(&host.data)?;
        config.name = protocol::name::Name::parse("thief")?;
        let public_key = key.public_key();
        Ok(card::first_card(&config, card::peer_id(&public_key), public_key))
    };
    let card = own_card()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ask = |token: &Token, build: &dyn Fn(&net::JoinBinding) -> Vec<u8>| {
        let joined = runtime.block_on(net::ask(&[host.address], token, &key, build))?;
        Ok::<_, anyhow::Error>(joining::JoinAnswer::decode(&joined.answer)?)
    };
    let unknown = joining::JoinAnswer::Refused(Refusal::TokenUnknown);
    let with_a_guess = ask(&token, &|b| joining::sign(&guessed, b, card.clone()).encode())?;
    ensure!(with_a_guess == unknown, "{with_a_guess:?}");
    let elsewhere = |binding: &net::JoinBinding| {
        let other = net::JoinBinding { exporter: [1; 32], ..*binding };
        joining::sign(&token, &other, card.clone()).encode()
    };
    let replayed = ask(&token, &elsewhere)?;
    ensure!(replayed == unknown, "{replayed:?}");
    let noise = ask(&token, &|_| Noise(1).bytes(1_000))?;
    ensure!(matches!(noise, joining::JoinAnswer::Refused(_)), "{noise:?}");
    let log = std::fs::read_to_string(host.log())?;
    ensure!(log.contains("an applicant was turned away"), "{log}");
    // Nothing of this has used the token up.
    let admitted = ask(&token, &|b| joining::sign(&token, b, card.clone()).encode())?;
    ensure!(matches!(admitted, joining::JoinAnswer::Accepted { .. }), "{admitted:?}");
    mesh[0].ok(&["peer", "remove", "thief", "--force"])?;
    Ok(())
}

/// First packets of many callers, each from a socket of its own, and not one packet more.
fn handshakes_that_are_never_finished_cost_little(mesh: &Mesh, target: usize) -> Result<()> {
    const CALLERS: usize = 300;
    let host = &mesh[target];
    let (retries, late) = (host.counter("retry_demanded")?, host.counter("handshake_timeout")?);
    let sockets = first_packets(CALLERS)?
        .into_iter()
        .map(|packet| {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.send_to(&packet, host.address)?;
            Ok(socket)
        })
        .collect::<Result<Vec<_>>>()?;
    until("most are told to prove their address", || {
        (host.counter("retry_demanded").ok()? > retries).then_some(())
    })?;
    // While they are under way a peer is let in all the same.
    let member = Stranger::call(host.address, PROBE, stolen(&mesh[(target + 1) % 3].data)?)?;
    let answer = member.stream(&framed(StreamKind::Probe, b"12345678"))?;
    ensure!(answer.ends_with(b"12345678"), "{answer:?}");
    counted(host, "handshake_timeout", late)?;
    drop(sockets);
    Ok(())
}

/// The first packet of each of `count` callers, as it would have come to a daemon.
fn first_packets(count: usize) -> Result<Vec<Vec<u8>>> {
    let sink = UdpSocket::bind("127.0.0.1:0")?;
    sink.set_read_timeout(Some(SOON))?;
    let address = sink.local_addr()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let endpoint = quinn::Endpoint::client("127.0.0.1:0".parse()?)?;
        let config = config(self_made()?, MEMBER)?;
        let mut packets = Vec::new();
        let mut buffer = vec![0; 2_048];
        for _ in 0..count {
            let connecting = endpoint.connect_with(config.clone(), address, "peer.internal")?;
            let sink = sink.try_clone()?;
            let mut space = std::mem::take(&mut buffer);
            (buffer, space) = tokio::task::spawn_blocking(move || {
                let length = sink.recv(&mut space)?;
                let packet = space[..length].to_vec();
                anyhow::Ok((space, packet))
            })
            .await??;
            packets.push(space);
            drop(connecting);
        }
        Ok(packets)
    })
}

fn streams_that_break_the_rules_are_refused(
    mesh: &Mesh,
    target: usize,
    papers: &Papers,
) -> Result<()> {
    let host = &mesh[target];
    let line = Stranger::call(host.address, MEMBER, papers.clone())?;
    let questions = [StreamKind::Raft, StreamKind::Follow, StreamKind::Forward, StreamKind::Probe];
    for kind in questions {
        let before = host.counter("oversized_frame")?;
        let over = u32::try_from(kind.request_max() + 1)?;
        for length in [over, u32::MAX] {
            let opening = [&[kind.byte()], length.to_be_bytes().as_slice(), b"abc"].concat();
            let refused = line.stream(&opening).err().context("it was answered")?;
            ensure!(refused.to_string().ends_with("error 1"), "{kind}: {refused}");
        }
        counted(host, "oversized_frame", before)?;
    }
    let before = host.counter("oversized_frame")?;
    drop(line.one_way(&[1, 0xff, 0xff, 0xff, 0xff]));
    counted(host, "oversized_frame", before)?;
    for unknown in [0, 7, 99, 255] {
        let before = host.counter("unknown_kind")?;
        let refused = line.stream(&[unknown, 0, 0, 0, 1, 1]).err().context("it was answered")?;
        ensure!(refused.to_string().ends_with("error 2"), "{unknown}: {refused}");
        counted(host, "unknown_kind", before)?;
    }
    for misplaced in [StreamKind::Join, StreamKind::Gossip] {
        let before = host.counter("misplaced_stream")?;
        ensure!(line.stream(&framed(misplaced, b"let me in")).is_err(), "{misplaced}");
        counted(host, "misplaced_stream", before)?;
    }
    let before = host.counter("misplaced_stream")?;
    drop(line.one_way(&framed(StreamKind::Forward, b"x")));
    counted(host, "misplaced_stream", before)?;
    // A connection for probes is for probes.
    let probing = Stranger::call(host.address, PROBE, papers.clone())?;
    let before = host.counter("misplaced_stream")?;
    ensure!(probing.stream(&framed(StreamKind::Forward, b"x")).is_err());
    counted(host, "misplaced_stream", before)?;
    // What ends in the middle is no answer's worth, and costs nobody else anything.
    for cut in [&b""[..], b"\x04", b"\x04\0\0", b"\x04\0\0\0\x09abc"] {
        ensure!(line.stream(cut).is_ok_and(|answer| answer.is_empty()), "{cut:?}");
    }
    let answer = line.stream(&framed(StreamKind::Probe, b"12345678"))?;
    ensure!(answer.ends_with(b"12345678"), "the connection still serves: {answer:?}");
    Ok(())
}

fn malformed_gossip_is_dropped(mesh: &Mesh, target: usize, papers: &Papers) -> Result<()> {
    let host = &mesh[target];
    let line = Stranger::call(host.address, MEMBER, papers.clone())?;
    let mut noise = Noise(0xbad);
    let before = host.counter("gossip_malformed")?;
    for round in 0..200 {
        let length = noise.below(2_000);
        let mut message = noise.bytes(length);
        // Four kinds of messages, all in chitchat's first version.
        if let Some([version, kind]) = message.get_mut(..2) {
            (*version, *kind) = (0, u8::try_from(round % 5)?);
        }
        line.one_way(&framed(StreamKind::Gossip, &message))?;
    }
    counted(host, "gossip_malformed", before)?;
    ensure!(host.counter("gossip_restarts")? == 0, "the gossip task was killed");
    Ok(())
}

/// A member announces much on many streams and sends none of it: no memory is taken for it.
fn announced_and_never_sent(
    mesh: &Mesh,
    target: usize,
    papers: &Papers,
    others: &Papers,
) -> Result<()> {
    let host = &mesh[target];
    let before = memory_kib(host)?;
    let lines = (0..4)
        .map(|_| Stranger::call(host.address, MEMBER, papers.clone()))
        .collect::<Result<Vec<_>>>()?;
    let length = u32::try_from(StreamKind::Forward.request_max())?;
    let opening = [&[StreamKind::Forward.byte()], length.to_be_bytes().as_slice()].concat();
    let held = lines.iter().map(|line| line.hold(60, &opening)).collect::<Result<Vec<_>>>()?;
    // Whoever announces waits for itself; others are served meanwhile.
    let other = Stranger::call(host.address, PROBE, others.clone())?;
    let answer = other.stream(&framed(StreamKind::Probe, b"12345678"))?;
    ensure!(answer.ends_with(b"12345678"), "{answer:?}");
    let grown = memory_kib(host)?.saturating_sub(before);
    ensure!(grown < 64 << 10, "{grown} KiB were taken for nothing");
    drop(held);
    Ok(())
}

fn memory_kib(host: &Host) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid()?))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("a size")?;
    line.split_whitespace().nth(1).context("a number")?.parse().context("a number")
}
