//! Evidence on a real mesh: taken before the cure destroys it, handed to neighbours, and read from
//! any peer after the host that took it is gone.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tests::Mesh;

/// A service whose log is lost when it is mended, as on a host that is re-imaged.
const DOCUMENTS: &str = r#"
[[check]]
name    = "web"
every   = "500ms"
command = "test ! -e FOLDER/broken || exit 2"
where   = { role = "web" }

[[runbook]]
name     = "reinstall-web"
on       = { check = "web" }
cooldown = "0s"
redact   = ['password=\S+']

[[runbook.evidence]]
files = ["FOLDER/web.log", "FOLDER/none.log"]

[[runbook.evidence]]
run    = "echo asked $HEARTEN_PEER with token=abc and password=xyz"
redact = ['token=\w+']

[[runbook.evidence]]
journal = { unit = "hearten-test", lines = 5 }
timeout = "5s"

[[runbook.evidence]]
processes = true

[[runbook.evidence]]
sockets = true

[[runbook.evidence]]
filesystems = true

[[runbook.rung]]
name = "reinstall"
run  = "rm -f FOLDER/web.log FOLDER/broken"
"#;

/// The bundles on a host.
fn bundles(data: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data.join("evidence")).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "zst")).collect()
}

fn names(list: &Value) -> Vec<String> {
    let list = list.as_array().into_iter().flatten();
    let mut names: Vec<String> = list.filter_map(|name| name.as_str().map(str::to_owned)).collect();
    names.sort();
    names
}

#[test]
fn evidence_is_read_from_any_peer_after_its_taker_is_gone() -> Result<()> {
    let mut mesh = Mesh::of(&["zone=a", "zone=b", "zone=c", "role=web,zone=a"])?;
    mesh.settled()?;
    let folder = mesh.folder();
    mesh.apply(&DOCUMENTS.replace("FOLDER", &folder.to_string_lossy()))?;
    fs::write(folder.join("web.log"), "it began well\npassword=hunter2\nout of disk\n")?;
    fs::write(folder.join("broken"), "")?;
    let healed =
        mesh.incident(0, "the host is healed", |incident| incident["state"] == "resolved")?;
    ensure!(!folder.join("web.log").exists(), "the cure has destroyed what told of it");
    let facts: Vec<&str> = healed["timeline"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|l| l["fact"].as_str())
        .collect();
    ensure!(facts.starts_with(&["Opened", "EvidenceTaken", "Assigned"]), "{facts:?}");
    let id = healed["id"].as_str().context("an id")?;
    let evidence = &healed["evidence"];
    ensure!(evidence["taken_by"] == "h4", "{evidence:#}");
    ensure!(names(&evidence["keepers"]) == ["h2", "h3"], "other zones keep it: {evidence:#}");
    let story = mesh[1].ok(&["incident", "explain", id])?;
    let kept = ["kept on h4, h2, h3", "kept on h4, h3, h2"].iter().any(|kept| story.contains(kept));
    ensure!(kept, "{story}");
    for (n, count) in [(0, 0), (1, 1), (2, 1), (3, 1)] {
        ensure!(bundles(&mesh[n].data).len() == count, "h{} has other bundles", n + 1);
    }

    let text = mesh[3].ok(&["incident", "evidence", id])?;
    for part in [
        "Evidence for INC-",
        "/web.log: ",
        "it began well\n[redacted]\nout of disk\n",
        "/none.log: No such file",
        "asked h4 with [redacted] and [redacted]",
        "the last 5 lines of hearten-test in the journal",
        "PID  PARENT USER",
        "hearten",
        "PROTO STATE",
        "SIZE_MB",
    ] {
        ensure!(text.contains(part), "{part:?} is not in {text}");
    }
    ensure!(!text.contains("hunter2") && !text.contains("xyz"), "a secret was stored: {text}");

    // The taker is re-imaged: its daemon and all its data are gone.
    mesh.hosts[3].kill()?;
    fs::remove_dir_all(&mesh[3].data)?;
    ensure!(mesh[0].ok(&["incident", "evidence", id])? == text, "h1 shows the same");
    let shown = mesh[0].json(&["incident", "evidence", id])?;
    ensure!(shown["hash"] == evidence["hash"] && shown["text"] == text, "{shown:#}");
    let from = shown["read_from"].as_str().context("from whom")?;
    ensure!(from == "h2" || from == "h3", "{from}");
    let file = folder.join("evidence.txt");
    let path = file.to_string_lossy().into_owned();
    ensure!(mesh[0].ok(&["incident", "evidence", id, "--output", &path])?.is_empty(), "no data");
    ensure!(fs::read_to_string(&file)? == text, "the file holds it");
    a_damaged_copy_is_never_shown(&mesh, id, &text)
}

fn a_damaged_copy_is_never_shown(mesh: &Mesh, id: &str, text: &str) -> Result<()> {
    let damage = |host: usize| -> Result<()> {
        let bundle = bundles(&mesh[host].data).pop().context("it keeps a bundle")?;
        let mut bytes = fs::read(&bundle)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        Ok(fs::write(&bundle, bytes)?)
    };
    damage(1)?;
    let shown = mesh[1].json(&["incident", "evidence", id])?;
    ensure!(shown["text"] == text && shown["read_from"] == "h3", "the whole copy is found");
    damage(2)?;
    for host in 0..3 {
        let words = ["cannot be read now", "h4 does not answer", "was changed since it was taken"];
        let words = if host == 0 { &words[..] } else { &words[..1] };
        mesh[host].refused(&["incident", "evidence", id], 6, words)?;
    }
    mesh[0].refused(&["incident", "evidence", "INC-999999"], 3, &["INC-999999"])?;
    Ok(())
}
