//! Revisions on a real mesh: what a change touches, how two revisions differ, and the way back,
//! also while a repair is under way by what is taken back.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tests::{Mesh, until};

/// A check of the hosts that serve the web, and a repair that takes as long as the test likes.
fn documents(folder: &Path, word: &str) -> String {
    let text = r#"
# The first of all checks.
[[check]]
name    = "web"
every   = "500ms"
command = "test ! -e FOLDER/broken-$HEARTEN_PEER || exit 2"
where   = { role = "web" }

[[runbook]]
name     = "mend"
on       = { check = "web" }
cooldown = "0s"

[[runbook.rung]]
name    = "mend"
timeout = "60s"
run     = "touch FOLDER/begun; while ! test -e FOLDER/go; do sleep 0.1; done; rm FOLDER/broken-$HEARTEN_PEER; echo WORD"

[[check]]
name    = "anything"
every   = "30s"
command = "true"
"#;
    text.replace("FOLDER", &folder.to_string_lossy()).replace("WORD", word)
}

const SECOND: &str = "[[remove]]\nkind = \"check\"\nname = \"anything\"\n\n[limits]\nat_once = 5\n";

fn listed(mesh: &Mesh) -> Result<Vec<(String, Value)>> {
    let list = mesh[1].json(&["document", "list"])?;
    let mut documents = Vec::new();
    for row in list["documents"].as_array().into_iter().flatten() {
        let kind = row["kind"].as_str().unwrap_or_default();
        let key = format!("{kind}/{}", row["name"].as_str().unwrap_or_default());
        let shown = mesh[1].json(&["document", "show", &key])?;
        documents.push((key, shown["document"].clone()));
    }
    Ok(documents)
}

#[test]
fn revisions_are_compared_and_brought_back_while_a_repair_goes_on_by_the_old_text() -> Result<()> {
    let mesh = Mesh::of(&["", "role=web", "role=web"])?;
    mesh.settled()?;
    let folder = mesh.folder();
    let key = mesh.key();
    mesh.apply(&documents(&folder, "old"))?;
    let first = listed(&mesh)?;
    mesh.apply(
        &(documents(&folder, "new").replace(
            "[[check]]\nname    = \"anything\"\nevery   = \"30s\"\ncommand = \"true\"\n",
            "",
        ) + SECOND),
    )?;
    ensure!(mesh[1].revision()? == 2, "two revisions");

    two_revisions_are_compared(&mesh)?;

    // A repair begins by revision 2; while it runs, revision 1 comes back.
    fs::write(folder.join("broken-h2"), "")?;
    until("the repair has begun", || folder.join("begun").exists().then_some(()))?;
    let open = mesh.incident(1, "it is being mended", |one| one["state"] == "acting")?;
    let id = open["id"].as_str().context("an id")?.to_owned();
    a_dry_run_names_hosts_and_open_incidents(&mesh, &id)?;
    what_is_not_done_is_explained(&mesh, &id)?;

    let dry = mesh[1].ok(&["document", "rollback", "1", "--dry-run"])?;
    for line in ["-at_once = 5", "+name    = \"anything\"", "~ runbook/mend  on h2, h3  while"] {
        ensure!(dry.contains(line), "{line:?} is not in {dry}");
    }
    ensure!(mesh[1].revision()? == 2, "a dry run changes nothing");
    mesh[1].refused(&["document", "rollback", "1", "--key", "/none"], 4, &["/none"])?;
    mesh[1].refused(&["document", "rollback", "7", "--key", &key], 3, &["no revision 7"])?;
    let applied = mesh[1].ok(&["document", "rollback", "1", "--key", &key])?;
    ensure!(applied == "revision 3\n", "{applied:?}");
    ensure!(listed(&mesh)? == first, "the documents are what they were");
    let again = mesh[1].ok(&["document", "rollback", "1", "--key", &key])?;
    ensure!(again == "revision 3\n", "it is there already: {again:?}");
    ensure!(mesh[1].ok(&["document", "diff", "1", "3"])? == "revisions 1 and 3 say the same\n");

    let story = mesh[2].ok(&["incident", "explain", &id])?;
    let told = "it runs by revision 2; the mesh is at revision 3, where runbook \"mend\" says something else";
    ensure!(story.contains(told), "{story}");
    fs::write(folder.join("go"), "")?;
    let healed = mesh.incident(1, "it is mended", |one| one["state"] == "resolved")?;
    ensure!(healed["attempts"][0]["output"] == "new\n", "by its own text: {healed:#}");
    let story = mesh[2].ok(&["incident", "explain", &id])?;
    ensure!(!story.contains("the mesh is at revision"), "it is over: {story}");
    // The next one runs by what came back.
    fs::write(folder.join("broken-h3"), "")?;
    let next = mesh.incident(1, "the other one is mended", |one| {
        one["state"] == "resolved" && one["peer"] == "h3"
    })?;
    ensure!(next["attempts"][0]["output"] == "old\n", "by the old text: {next:#}");
    Ok(())
}

fn two_revisions_are_compared(mesh: &Mesh) -> Result<()> {
    let diff = mesh[2].ok(&["document", "diff", "1", "2"])?;
    for line in [
        "--- check/anything (revision 1)",
        "-name    = \"anything\"",
        "+++ limits/limits (revision 2)",
        "+at_once = 5",
        " name    = \"mend\"",
    ] {
        ensure!(diff.lines().any(|one| one == line), "{line:?} is not in {diff}");
    }
    ensure!(!diff.contains("check/web"), "what is the same is not shown: {diff}");
    let json = mesh[2].json(&["document", "diff", "1"])?;
    ensure!(json["schema"] == 1 && json["from"] == 1 && json["to"] == 2, "{json:#}");
    let changes: Vec<&Value> =
        json["documents"].as_array().into_iter().flatten().map(|one| &one["change"]).collect();
    ensure!(changes == [&json!("removed"), &json!("changed"), &json!("added")], "{changes:?}");
    mesh[2].refused(&["document", "diff", "1", "9"], 3, &["no revision 9: the latest is 2"])?;
    Ok(())
}

fn a_dry_run_names_hosts_and_open_incidents(mesh: &Mesh, id: &str) -> Result<()> {
    let file = mesh.folder().join("dry.toml");
    let path = file.to_string_lossy().into_owned();
    let changed = documents(&mesh.folder(), "newer").replace("500ms", "2s");
    fs::write(&file, changed + "[limits]\nat_once = 5\n")?;
    let shown = mesh[0].ok(&["apply", "--dry-run", &path])?;
    let wanted = format!(
        "+ check/anything  on h1, h2, h3\n~ check/web  on h2, h3  while {id} is open\n\
         ~ runbook/mend  on h2, h3  while {id} is open\n"
    );
    ensure!(shown == wanted, "{shown}");
    let json = mesh[0].json(&["apply", "--dry-run", &path])?;
    let check = &json["changes"][1];
    ensure!(check["document"] == "check/web" && check["hosts"] == json!(["h2", "h3"]), "{json:#}");
    ensure!(check["incidents"] == json!([id]), "{json:#}");
    Ok(())
}

fn what_is_not_done_is_explained(mesh: &Mesh, id: &str) -> Result<()> {
    let of = |check: &str, peer: &str| {
        mesh[0].json(&["explain", "--check", check, "--peer", peer]).context(peer.to_owned())
    };
    let open = of("web", "h2")?;
    ensure!(open["reason"] == "open-incident" && open["incident"] == id, "{open:#}");
    ensure!(of("web", "h3")?["reason"] == "passing", "{:#}", of("web", "h3")?);
    ensure!(of("web", "h1")?["reason"] == "not-for-this-peer", "{:#}", of("web", "h1")?);
    let told = mesh[2].ok(&["explain", "--check", "web", "--peer", "h1"])?;
    let wanted = "check \"web\" is not for h1: it is for peers with role=web, and this one has no label role\n";
    ensure!(told == wanted, "{told:?}");
    mesh[2].refused(
        &["explain", "--check", "wbe", "--peer", "h1"],
        3,
        &["did you mean \"web\"?"],
    )?;
    mesh[2].refused(&["explain", "--check", "web", "--peer", "h9"], 3, &["no peer \"h9\""])?;
    Ok(())
}
