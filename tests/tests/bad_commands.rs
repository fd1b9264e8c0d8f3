//! Commands that cannot be carried out: each ends with the exit code that the contract gives it
//! and says what to do instead, so that a script and a person both know where they are.

use anyhow::{Context, Result, ensure};
use protocol::time::Timestamp;
use std::{fs, io::Write, path::Path, process::Stdio, time::Duration};
use tests::{Host, Mesh, until};

#[test]
fn a_command_that_cannot_be_carried_out_says_why_and_ends_with_its_exit_code() -> Result<()> {
    let mut mesh = Mesh::sized(3)?;
    wrong_uses(&mesh)?;
    no_such_thing(&mesh)?;
    every_listing_is_for_people_and_for_scripts(&mesh)?;
    without_the_operators_key_nothing_is_signed(&mesh)?;
    tokens_let_in_whom_they_are_for_and_nobody_else(&mesh)?;
    a_data_directory_is_for_one_peer_and_one_daemon(&mesh)?;
    a_newer_format_is_left_alone(&mut mesh)?;
    an_interrupt_stops_the_daemon_cleanly(&mut mesh)?;
    without_a_daemon_or_a_quorum_nothing_is_promised(&mut mesh)
}

fn wrong_uses(mesh: &Mesh) -> Result<()> {
    let cases: [&[&str]; 9] = [
        &["reboot"],
        &[],
        &["apply"],
        &["status", "-o", "xml"],
        &["status", "--json", "-o", "yaml"],
        &["peer", "show"],
        &["incident", "show", "the-last"],
        &["token", "create", "--ttl", "0s"],
        &["token", "create", "--uses", "0"],
    ];
    for arguments in cases {
        let (code, said) = mesh[0].fails(arguments)?;
        ensure!(code == 2, "{arguments:?}: {code}: {said}");
        ensure!(said.contains("--help") || said.contains("Usage:"), "{arguments:?}: {said}");
    }
    let (_, said) = mesh[0].fails(&["stauts"])?;
    ensure!(said.contains("'status'"), "the nearest word: {said}");
    Ok(())
}

fn no_such_thing(mesh: &Mesh) -> Result<()> {
    let host = &mesh[1];
    host.refused(&["peer", "show", "nobody"], 3, &["no peer \"nobody\"", "hearten peer list"])?;
    host.refused(&["incident", "list", "--peer", "nobody"], 3, &["no peer \"nobody\""])?;
    host.refused(&["incident", "show", "INC-999"], 3, &["there is no incident INC-999"])?;
    host.refused(&["incident", "explain", "INC-999"], 3, &["there is no incident INC-999"])?;
    host.refused(&["document", "show", "check/web-alive"], 3, &["check/web-alive"])?;
    let operator = &mesh[0];
    operator.refused(&["peer", "remove", "nobody"], 3, &["no peer \"nobody\""])?;
    let close = ["incident", "close", "INC-999", "--reason", "none"];
    operator.refused(&close, 3, &["there is no incident INC-999"])?;
    Ok(())
}

fn every_listing_is_for_people_and_for_scripts(mesh: &Mesh) -> Result<()> {
    let listings: [&[&str]; 7] = [
        &["status"],
        &["peer", "list"],
        &["incident", "list"],
        &["document", "list"],
        &["document", "history"],
        &["raft", "members"],
        &["counters"],
    ];
    for listing in listings {
        let of = |format: &str| mesh[2].ok(&[listing, &["-o", format]].concat());
        let json: serde_json::Value = serde_json::from_str(&of("json")?)?;
        ensure!(json["schema"] == 1, "{listing:?}: {json:#}");
        let yaml = of("yaml")?;
        ensure!(yaml.lines().any(|line| line == "schema: 1"), "{listing:?}: {yaml}");
        let table = of("table")?;
        ensure!(!table.trim().is_empty() && !table.contains("schema"), "{listing:?}: {table}");
        ensure!(
            ![json.to_string(), yaml, table].concat().contains('\u{1b}'),
            "colours: {listing:?}"
        );
    }
    Ok(())
}

fn without_the_operators_key_nothing_is_signed(mesh: &Mesh) -> Result<()> {
    let file = mesh.folder().join("limits.toml");
    fs::write(&file, "[limits]\nat_once = 2\n")?;
    let file = file.to_string_lossy();
    let commands: [&[&str]; 5] = [
        &["apply", &file],
        &["token", "create"],
        &["peer", "remove", "h1"],
        &["freeze", "--reason", "mischief"],
        &["thaw"],
    ];
    // Another mesh's operator is nobody here.
    let stranger = Host::new(&mesh.folder(), "stranger")?;
    stranger.ok(&["init", "--name", "stranger", "--http", "off"])?;
    let foreign = stranger.data.join("operator.key").to_string_lossy().into_owned();
    for command in commands {
        mesh[1].refused(command, 4, &["there is no operator's key", "--key FILE"])?;
        let with_key = [command, &["--key", &foreign]].concat();
        mesh[1].refused(&with_key, 4, &["is not of an operator of mesh"])?;
    }
    ensure!(mesh[1].revision()? == 0 && mesh[1].json(&["status"])?["frozen"].is_null());
    Ok(())
}

/// How long the token holds that is let expire.
const TTL: Duration = Duration::from_secs(1);

/// A token as `hearten token create` prints it: alone, so that it can be piped.
fn token(host: &Host, options: &[&str]) -> Result<String> {
    let output = host.hearten(&[&["token", "create"], options].concat())?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.success(), "{err}");
    ensure!(out.lines().count() == 1 && out.starts_with("hearten1-"), "{out:?}");
    ensure!(!err.contains(out.trim()), "a message repeats the secret");
    Ok(out.trim().to_owned())
}

fn tokens_let_in_whom_they_are_for_and_nobody_else(mesh: &Mesh) -> Result<()> {
    let folder = mesh.folder();
    let applicant = Host::new(&folder, "h4")?;
    let (peer, listen) = (mesh[1].address.to_string(), applicant.address.to_string());
    let named = |name: &'static str, token: &str| {
        let mut arguments = vec!["join", "--name", name, "--http", "off", "--listen", &listen];
        arguments.extend(["--peer", &peer, "--token", token]);
        arguments.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let refused = |name, token: &str, code, words: &[&str]| {
        let arguments = named(name, token);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let said = applicant.refused(&arguments, code, words)?;
        ensure!(token.len() < 20 || !said.contains(token), "a message repeats the secret");
        ensure!(!applicant.data.join("hearten.toml").exists(), "it is a peer");
        anyhow::Ok(())
    };
    refused("h4", "swordfish", 2, &["this is not a join token"])?;
    let good = token(&mesh[0], &[])?;
    refused("h4", &good[..good.len() - 3], 2, &["was it cut?"])?;
    let last = if good.ends_with('a') { "b" } else { "a" };
    refused("h4", &format!("{}{last}", &good[..good.len() - 1]), 2, &["mistyped or damaged"])?;
    refused("h1", &good, 5, &["the name \"h1\" is taken"])?;
    refused("h4", &token(&mesh[0], &["--name", "db-1"])?, 4, &["named \"db-1\""])?;

    let brief = token(&mesh[0], &["--ttl", "1s"])?;
    let now = || {
        let told = mesh[0].control(b"\"mesh\"").ok()?.ok()?;
        Timestamp::parse(told["now"].as_str()?).ok()
    };
    let made = until("the daemon tells the log's time", now)?;
    until("the token has expired", || (now()?.since(made) > TTL).then_some(()))?;
    refused("h4", &brief, 4, &["the token expired at"])?;

    let elsewhere = Host::new(&folder, "elsewhere")?;
    let address = elsewhere.address.to_string();
    elsewhere.ok(&["init", "--name", "e1", "--listen", &address, "--http", "off"])?;
    let mut elsewhere = elsewhere;
    elsewhere.start()?;
    let foreign = until("the other mesh makes a token", || token(&elsewhere, &[]).ok())?;
    refused("h4", &foreign, 4, &["is not the one that the token is for"])?;
    drop(elsewhere);

    // What was refused until now has not used it up; from standard input, as a pipe brings it.
    let arguments = named("h4", "-");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut command = applicant.command(&arguments);
    let mut joining = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    joining.stdin.take().context("a pipe")?.write_all(format!("{good}\n").as_bytes())?;
    ensure!(joining.wait()?.success(), "a piped token lets the host in");
    let late = Host::new(&folder, "h5")?;
    let mut again = vec!["join", "--name", "h5", "--http", "off", "--peer", &peer];
    again.extend(["--token", good.as_str()]);
    late.refused(&again, 4, &["the token has been used already", "hearten token create"])?;
    applicant.refused(&arguments_with(&arguments, &good), 5, &["holds a peer already"])?;
    mesh[0].ok(&["peer", "remove", "h4"])?;
    Ok(())
}

fn arguments_with<'a>(arguments: &[&'a str], token: &'a str) -> Vec<&'a str> {
    arguments.iter().map(|argument| if *argument == "-" { token } else { argument }).collect()
}

fn a_data_directory_is_for_one_peer_and_one_daemon(mesh: &Mesh) -> Result<()> {
    let host = &mesh[2];
    let pid = host.pid()?.to_string();
    let in_use = ["is in use by another daemon", &format!("pid {pid}")];
    host.refused(&["run"], 5, &in_use)?;
    host.refused(&["init", "--name", "h3", "--http", "off"], 5, &in_use)?;
    let token = token(&mesh[0], &[])?;
    let peer = mesh[0].address.to_string();
    let join = ["join", "--name", "h9", "--http", "off", "--peer", &peer, "--token", &token];
    host.refused(&join, 5, &in_use)?;
    ensure!(host.json(&["status"])?["self"] == "h3", "the daemon has not noticed any of it");
    // A directory of a peer whose daemon does not run.
    let stranger = Host::new(&mesh.folder(), "stranger")?;
    stranger.refused(&["init", "--name", "s", "--http", "off"], 5, &["holds a peer already"])?;
    stranger.refused(&join, 5, &["holds a peer already"])?;
    Ok(())
}

fn a_newer_format_is_left_alone(mesh: &mut Mesh) -> Result<()> {
    let host = &mut mesh.hosts[2];
    ensure!(host.stop()? == 0, "SIGTERM stops the daemon cleanly");
    let format = host.data.join("FORMAT");
    let (before, listed) = (fs::read(&format)?, names(&host.data)?);
    fs::write(&format, "99\n")?;
    host.refused(&["run"], 1, &["has format 99", "reads up to 1"])?;
    host.refused(&["init", "--name", "h3", "--http", "off"], 1, &["has format 99"])?;
    fs::write(&format, "newest\n")?;
    host.refused(&["run"], 1, &["FORMAT is damaged"])?;
    ensure!(names(&host.data)? == listed, "something was written");
    fs::write(&format, before)?;
    host.start()?;
    mesh.settled()
}

fn names(folder: &Path) -> Result<Vec<std::ffi::OsString>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.sort();
    Ok(names)
}

fn an_interrupt_stops_the_daemon_cleanly(mesh: &mut Mesh) -> Result<()> {
    let host = &mut mesh.hosts[1];
    host.signal("INT")?;
    let code = host.ended()?;
    ensure!(code == 0, "SIGINT ended the daemon with {code}");
    ensure!(!host.data.join("control.sock").exists(), "the control socket is left behind");
    until("the others know that the stop is meant", || {
        let status = mesh.hosts[0].status()?;
        let peers = status["peers"].as_array()?;
        let state = &peers.iter().find(|peer| peer["name"] == "h2")?["state"];
        (state == "left").then_some(())
    })?;
    ensure!(mesh.incidents(0)?.is_empty(), "a clean stop is no incident");
    mesh.hosts[1].start()?;
    mesh.settled()
}

fn without_a_daemon_or_a_quorum_nothing_is_promised(mesh: &mut Mesh) -> Result<()> {
    let nowhere = Host::new(&mesh.folder(), "nowhere")?;
    nowhere.refused(&["status"], 6, &["holds no peer", "hearten init"])?;
    nowhere.refused(&["run"], 3, &["holds no peer", "hearten init"])?;
    ensure!(!nowhere.data.exists(), "looking leaves nothing behind");
    mesh.hosts[1].kill()?;
    mesh[1].refused(&["status"], 6, &["does not run", "hearten run"])?;
    mesh.hosts[2].kill()?;
    let file = mesh.folder().join("limits.toml");
    let before = mesh[0].revision()?;
    let apply = ["apply", &file.to_string_lossy()];
    let (code, said) = mesh[0].fails(&apply)?;
    ensure!(code == 6, "{code}: {said}");
    ensure!(said.contains("leader") && !said.contains("panicked"), "{said}");
    let (code, said) = mesh[0].fails(&["token", "create"])?;
    ensure!(code == 6 && said.contains("leader"), "{code}: {said}");
    // Looking works all the same, and says how it is.
    until("the host that is left says that there is no quorum", || {
        (mesh[0].status()?["quorum"] == false).then_some(())
    })?;
    let status = mesh[0].hearten(&["status", "--json"])?;
    ensure!(status.status.code() == Some(6), "a script is told: {status:?}");
    let check = mesh[0].hearten(&["status", "--check"])?;
    ensure!(check.status.code() == Some(2), "a monitoring system is told: {check:?}");
    ensure!(mesh[0].revision()? == before, "something was committed");
    mesh.hosts[1].start()?;
    mesh.hosts[2].start()?;
    mesh.settled()?;
    mesh[0].ok(&apply)?;
    Ok(())
}
