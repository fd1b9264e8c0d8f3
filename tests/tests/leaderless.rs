//! What is told where nobody leads: what the group last said is not what is.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use tests::{Mesh, until};

/// Whether this host says in every way that nobody leads.
fn nobody_leads(mesh: &Mesh, host: usize) -> Option<()> {
    let status = mesh[host].status()?;
    let members = mesh[host].json(&["raft", "members"]).ok()?;
    let roles = members["members"].as_array()?.iter().chain(status["peers"].as_array()?);
    let leads = roles.into_iter().any(|member: &Value| member["role"] == "leader");
    let told = status["leader"] == json!(null) && members["leader"] == json!(null);
    (told && status["quorum"] == false && !leads).then_some(())
}

/// A mesh of four, the places of its leader and another voter, and of those who are left: a voter
/// and a worker, which follows the log.
fn four() -> Result<(Mesh, [usize; 2], [usize; 2])> {
    let mut mesh = Mesh::sized(4)?;
    let leader = mesh.leader()?;
    let (mut voters, mut workers) = (Vec::new(), Vec::new());
    for host in (0..4).filter(|host| *host != leader) {
        let peer = mesh[leader].peer(&mesh[host].name).context("every host is in the roster")?;
        if peer["role"] == "voter" { voters.push(host) } else { workers.push(host) }
    }
    Ok((mesh, [leader, voters[1]], [voters[0], workers[0]]))
}

fn is_told_that_nobody_leads(mesh: &Mesh, host: usize) -> Result<()> {
    until("nobody leads", || nobody_leads(mesh, host))?;
    let status = mesh[host].hearten(&["status"])?;
    assert_eq!(status.status.code(), Some(6), "no leader, by the exit code as well");
    let text = String::from_utf8(status.stdout)?;
    assert!(text.contains("no leader (term ") && !text.contains("(term 0)"), "{text}");
    let key = mesh.key();
    let freeze = ["freeze", "--reason", "a try", "--key", &key];
    let said = mesh[host].refused(&freeze, 6, &["hearten status"])?;
    assert!(!said.contains("peer p"), "hosts are called by their names: {said}");
    Ok(())
}

#[test]
fn a_leader_that_was_stopped_leads_no_more_for_a_voter_and_for_a_worker() -> Result<()> {
    let (mut mesh, gone, left) = four()?;
    for host in gone {
        mesh[host].signal("TERM")?;
    }
    for host in gone {
        assert_eq!(mesh.hosts[host].ended()?, 0);
    }
    for host in left {
        is_told_that_nobody_leads(&mesh, host)?;
    }
    Ok(())
}

#[test]
fn a_leader_that_stands_still_and_has_said_nothing_of_it_leads_no_more_either() -> Result<()> {
    let (mesh, gone, left) = four()?;
    for host in gone {
        mesh[host].signal("STOP")?;
    }
    for host in left {
        is_told_that_nobody_leads(&mesh, host)?;
    }
    Ok(())
}
