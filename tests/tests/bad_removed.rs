//! A member that was removed: its certificate is good for hours yet, and opens nothing any more.

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tests::{
    Mesh, Stranger,
    stranger::{Ask, MEMBER, Papers, stolen},
};

/// The longest that a worker that was taken over may survive its removal.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn a_removed_member_is_cut_off_at_once_and_stays_out() -> Result<()> {
    let mut mesh = Mesh::sized(3)?;
    // Whoever has taken the host over keeps its identity and its connections, and no daemon.
    mesh.hosts[2].kill()?;
    let papers = stolen(&mesh[2].data)?;
    let open = |papers: &Papers| {
        let call = |host: usize| Stranger::call(mesh[host].address, MEMBER, papers.clone());
        anyhow::Ok([call(0)?, call(1)?])
    };
    let lines = open(&papers)?;
    for line in &lines {
        line.ask(&Ask::Probe(
            node::identity::Identity::load(&mesh[0].data)?.context("one")?.peer(),
        ))
        .context("until it is removed it is a member")?;
    }
    let began = Instant::now();
    mesh[0].ok(&["peer", "remove", "h3", "--force"])?;
    for line in &lines {
        let left = CUT_OFF_WITHIN.saturating_sub(began.elapsed());
        let reason = line.dismissed(left).context("it is cut off within five seconds")?;
        ensure!(reason.contains("not in its roster"), "{reason}");
    }
    for host in [&mesh[0], &mesh[1]] {
        ensure!(host.counter("cut_off")? >= 1, "{} has not counted it", host.name);
    }
    its_certificate_opens_nothing(&mesh, &papers)?;
    its_daemon_has_to_go(&mut mesh)?;
    its_host_is_let_in_as_a_new_peer_only(&mesh)?;
    mesh.apply("[limits]\nat_once = 2\n")?;
    Ok(())
}

fn its_certificate_opens_nothing(mesh: &Mesh, papers: &Papers) -> Result<()> {
    for host in [&mesh[0], &mesh[1]] {
        for protocol in [MEMBER, "hearten-probe/1"] {
            let before = host.counter("not_in_roster")?;
            let line = Stranger::call(host.address, protocol, papers.clone())?;
            let reason = line.dismissed(CUT_OFF_WITHIN)?;
            ensure!(reason.contains("not in its roster"), "{reason}");
            ensure!(line.ask(&Ask::Renew).is_err() && !line.is_connected());
            ensure!(host.counter("not_in_roster")? > before, "{} did not count it", host.name);
        }
        let log = std::fs::read_to_string(host.log())?;
        ensure!(log.contains("not_in_roster"), "{} has not logged it", host.name);
    }
    Ok(())
}

/// The daemon that comes back with the old identity is heard by nobody.
fn its_daemon_has_to_go(mesh: &mut Mesh) -> Result<()> {
    let refused = mesh[0].counter("not_in_roster")? + mesh[1].counter("not_in_roster")?;
    // What it still has on disk says that it is a member, so it starts and tries.
    mesh.hosts[2].start()?;
    let code = mesh.hosts[2].ended().context("it learns that it was removed, and ends")?;
    ensure!(code == 5, "it ended with {code}");
    let log = std::fs::read_to_string(mesh[2].log())?;
    ensure!(log.contains("was removed from its mesh by an operator"), "{log}");
    let told = ["was removed from its mesh", "new --data-dir"];
    mesh[2].refused(&["run"], 5, &told)?;
    mesh[2].refused(&["status"], 6, &told)?;
    let counted = mesh[0].counter("not_in_roster")? + mesh[1].counter("not_in_roster")?;
    ensure!(counted > refused, "it was not turned away");
    for host in [&mesh[0], &mesh[1]] {
        let listed = host.json(&["peer", "list"])?;
        let alive = listed["peers"].as_array().context("peers")?;
        let there = alive.iter().any(|peer| peer["name"] == "h3" && peer["state"] != "left");
        ensure!(!there, "{} takes it for a member: {listed:#}", host.name);
        let members = host.json(&["raft", "members"])?.to_string();
        ensure!(!members.contains("\"h3\""), "{} lets it vote: {members}", host.name);
    }
    Ok(())
}

fn its_host_is_let_in_as_a_new_peer_only(mesh: &Mesh) -> Result<()> {
    let token = mesh[0].ok(&["token", "create"])?;
    let peer = mesh[0].address.to_string();
    let join = ["join", "--name", "h3", "--http", "off", "--peer", &peer, "--token", token.trim()];
    mesh[2].refused(&join, 5, &["holds a peer already", "was removed", "new --data-dir"])?;
    // With the old key and nothing else of the old data, it asks for its old id.
    let rest = mesh.folder().join("h3-again");
    std::fs::create_dir_all(rest.join("identity"))?;
    std::fs::copy(mesh[2].data.join("identity/key.pem"), rest.join("identity/key.pem"))?;
    let output = std::process::Command::new(tests::hearten())
        .arg("--data-dir")
        .arg(&rest)
        .args(join)
        .output()?;
    let said = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(5), "{:?}: {said}", output.status);
    ensure!(said.contains("is taken"), "{said}");
    Ok(())
}

#[test]
fn a_worker_that_only_remembers_a_leader_learns_that_it_was_removed() -> Result<()> {
    let mut mesh = Mesh::sized(4)?;
    let leader = mesh.leader()?;
    let votes =
        |host: &usize| mesh[leader].peer(&mesh[*host].name).is_some_and(|p| p["role"] == "voter");
    let worker =
        (0..4).filter(|host| *host != leader).find(|host| !votes(host)).context("a worker")?;
    let name = mesh[worker].name.clone();
    let told = ["peer", "remove", name.as_str(), "--force"];
    mesh[leader].ok(&told)?;
    ensure!(mesh.hosts[worker].ended()? == 5, "its daemon ends");
    mesh[worker].refused(&["run"], 5, &["was removed from its mesh by an operator"])?;
    Ok(())
}
