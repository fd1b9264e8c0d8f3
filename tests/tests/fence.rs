//! Power that a neighbour cuts, with a password that nobody else learns.

use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tests::Mesh;

const PASSWORD: &str = "correct horse/battery&staple";

/// An agent that follows the convention, keeps the power in a file, and says too much.
const AGENT: &str = r#"#!/bin/sh
cd FOLDER
while IFS= read -r line; do
    echo "$line" >> told
    case $line in
        action=*) action=${line#action=};;
        password=*) password=${line#password=};;
    esac
done
echo "logging in with $password"
printf %s "$password" | base64
case $action in
    off) echo 2 > power;;
    status) exit "$(cat power)";;
esac
"#;

const RUNBOOK: &str = r#"
[[runbook]]
name     = "host-is-silent"
on       = { peer = "silent" }
cooldown = "0s"

[[runbook.rung]]
name    = "power off"
fence   = { agent = "FOLDER/agent", action = "off", params = { ip = "label:bmc", password = "secret:bmc-password" } }
timeout = "10s"

[[runbook.rung]]
name    = "take over"
by      = "neighbour"
needs   = "power off"
run     = "echo $HEARTEN_PEER >> FOLDER/taken"
timeout = "10s"

[[runbook.rung]]
name    = "tell"
by      = "leader"
http    = { method = "POST", url = "URL/hosts", headers = { authorization = "Bearer ${secret:desk-token}" }, body = '{"host":"${HEARTEN_PEER}"}', status = 201 }
"#;

fn is_about<'a>(name: &'a str, state: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |incident| incident["peer"] == *name && incident["state"] == *state
}

/// Every file below a folder that holds these bytes.
fn holding(folder: &Path, wanted: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a test that cannot go on has failed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(holding(&path, wanted));
        } else if let Ok(bytes) = fs::read(&path)
            && bytes.windows(wanted.len()).any(|part| part == wanted.as_bytes())
        {
            found.push(path);
        }
    }
    found
}

#[test]
fn a_neighbour_fences_with_a_password_that_stays_where_it_is() {
    let mut mesh = Mesh::of(&["bmc=10.0.1.1", "bmc=10.0.1.2", "bmc=10.0.1.3"]).unwrap();
    let folder = mesh.folder();
    let desk = tests::Desk::open().unwrap();
    let place =
        |text: &str| text.replace("FOLDER", &folder.to_string_lossy()).replace("URL", &desk.url());
    let agent = folder.join("agent");
    fs::write(&agent, place(AGENT)).unwrap();
    fs::set_permissions(&agent, Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("power"), "0").unwrap();
    mesh.apply(&place(RUNBOOK)).unwrap();

    // Nobody has the password: nobody does anything, and a person hears why.
    let lost = mesh.follower().unwrap();
    let name = mesh[lost].name.clone();
    mesh.hosts[lost].kill().unwrap();
    let incident = mesh.incident(0, "it comes to nothing", is_about(&name, "escalated")).unwrap();
    let attempts = incident["attempts"].as_array().unwrap();
    assert!(attempts.iter().all(|attempt| attempt["outcome"] == "refused"), "{attempts:#?}");
    let said = attempts[0]["output"].as_str().unwrap();
    assert!(said.contains("secret \"bmc-password\" cannot be had on this host"), "{said}");
    assert!(said.contains("secrets.toml"), "{said}");
    assert!(!folder.join("told").exists(), "the agent was not run");
    assert!(!folder.join("taken").exists(), "nothing was taken over");
    mesh.hosts[lost].start().unwrap();
    mesh.incident(0, "it is over", is_about(&name, "resolved")).unwrap();
    mesh.settled().unwrap();

    // With the password in a file that others may read it is the same; with one of its own it works.
    let secrets = |data: &Path| data.join("secrets.toml");
    for host in &mesh.hosts {
        let path = secrets(&host.data);
        let own = format!("[peer.{name}]\nbmc-password = \"{PASSWORD}\"\n");
        let text = format!("bmc-password = \"another\"\ndesk-token = \"t0ken-of-desk\"\n{own}");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    }
    mesh.hosts[lost].kill().unwrap();
    let incident = mesh.incident(0, "it comes to nothing", is_about(&name, "escalated")).unwrap();
    let said = incident["attempts"][0]["output"].as_str().unwrap();
    assert!(said.contains("chmod 600"), "{said}");
    mesh.hosts[lost].start().unwrap();
    mesh.incident(0, "it is over", |i| i["id"] == incident["id"] && i["state"] == "resolved")
        .unwrap();
    mesh.settled().unwrap();
    for host in &mesh.hosts {
        fs::set_permissions(secrets(&host.data), Permissions::from_mode(0o600)).unwrap();
    }
    mesh.hosts[lost].kill().unwrap();
    let incident = mesh.incident(0, "it is told", is_about(&name, "escalated")).unwrap();
    let [off, taken, told] = &incident["attempts"].as_array().unwrap()[..] else {
        panic!("{incident:#}")
    };
    assert_eq!(off["outcome"], "succeeded", "{off:#}");
    assert_eq!(taken["outcome"], "succeeded", "{taken:#}");
    assert_eq!(told["outcome"], "succeeded", "{told:#}");
    let said = off["output"].as_str().unwrap();
    assert!(said.starts_with("the host is off: "), "{said}");
    assert!(said.contains("logging in with ***"), "{said}");
    let given = fs::read_to_string(folder.join("told")).unwrap();
    assert!(given.contains(&format!("password={PASSWORD}\n")), "{given}");
    assert!(given.contains(&format!("ip=10.0.1.{}\n", lost + 1)), "{given}");
    assert_eq!(fs::read_to_string(folder.join("taken")).unwrap(), format!("{name}\n"));
    let story = mesh[0].ok(&["incident", "explain", incident["id"].as_str().unwrap()]).unwrap();
    assert!(story.contains("said on before"), "{story}");

    // Nothing that is kept anywhere holds it: the log, the journal, what the daemon said.
    mesh.hosts[lost].start().unwrap();
    let own = |path: &Path| path.ends_with("secrets.toml") || path.parent() == Some(&folder);
    for secret in [PASSWORD, "t0ken-of-desk"] {
        let found = holding(&folder, secret);
        let found: Vec<_> = found.iter().filter(|path| !own(path)).collect();
        assert!(found.is_empty(), "{secret}: {found:?}");
    }
}
