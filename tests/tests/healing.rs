//! A check fails and the host heals itself: evidence, rungs, verification, people.

use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, net::TcpListener, path::Path};
use tests::{Hook, Mesh, until};

/// The contract's example, where everything that it touches lies in the test's own folder.
fn example(folder: &Path, hook: &Hook) -> String {
    let text = include_str!("../../protocol/tests/fixtures/example.toml");
    let folder = folder.to_string_lossy();
    let here = text
        .replace("http://127.0.0.1:9099/hook", &hook.url())
        .replace("/usr/local/bin/rescue", &format!("{folder}/rescue"))
        .replace("/run/web", &format!("{folder}/web"));
    assert!(here.contains(&hook.url()) && !here.contains("\"/run"), "{here}");
    here
}

/// A check that fails while `FOLDER/NAME.ok` is missing on the host that is called `PEER`.
const FLAG: &str = r#"
[[check]]
name    = "NAME"
every   = "500ms"
timeout = "5s"
command = "test $HEARTEN_PEER != PEER || test -e FOLDER/NAME.ok || exit 2"

[[runbook]]
name     = "mend-NAME"
on       = { check = "NAME" }
cooldown = "0s"

[[runbook.rung]]
name    = "mend"
settle  = "500ms"
timeout = "TIMEOUT"
run     = "RUN"
"#;

fn flag(folder: &Path, name: &str, peer: &str, timeout: &str, run: &str) -> String {
    FLAG.replace("\"RUN\"", &format!("'''{run}'''"))
        .replace("TIMEOUT", timeout)
        .replace("NAME", name)
        .replace("!= PEER", &format!("!= {peer}"))
        .replace("FOLDER", &folder.to_string_lossy())
}

/// What happened, in order, by the facts' names.
fn facts(incident: &Value) -> Vec<&str> {
    let timeline = incident["timeline"].as_array().into_iter().flatten();
    timeline.filter_map(|line| line["fact"].as_str()).collect()
}

fn of_runbook<'a>(name: &'a str, state: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |incident| incident["runbook"] == *name && incident["state"] == *state
}

/// The processes whose command line holds `text`.
fn processes(text: &str) -> Vec<String> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = all.filter_map(|entry| fs::read_to_string(entry.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(text)).collect()
}

#[test]
fn the_contracts_example_heals_a_host_and_tells_the_whole_story() {
    let hook = Hook::listen().unwrap();
    let mesh = Mesh::of(&["role=web,zone=a", "", ""]).unwrap();
    let folder = mesh.folder();
    let dump = format!("env > {}/env; touch {}/env-dump.ok", folder.display(), folder.display());
    let documents = example(&folder, &hook) + &flag(&folder, "env-dump", "h1", "5s", &dump);
    let path = folder.join("all.toml");
    fs::write(&path, &documents).unwrap();
    let path = path.to_string_lossy().into_owned();
    assert!(mesh[1].ok(&["document", "validate", &path]).unwrap().contains("valid"));
    let preview = mesh[0].ok(&["apply", &path, "--dry-run"]).unwrap();
    assert!(preview.contains("+ check/web-alive"), "{preview}");
    assert_eq!(mesh[0].status().unwrap()["revision"], 0, "a dry run changes nothing");
    assert_eq!(mesh[0].ok(&["apply", &path]).unwrap().trim(), "revision 1");

    let healed = mesh.incident(2, "the host is healed", of_runbook("restart-web", "resolved"));
    let healed = healed.unwrap();
    assert_eq!(
        facts(&healed),
        ["Opened", "EvidenceTaken", "Assigned", "Reported", "Resolved"],
        "{healed:#}"
    );
    assert!(folder.join("web/h1.ok").exists());
    assert_eq!((&healed["schema"], &healed["peer"]), (&json!(1), &json!("h1")));
    assert_eq!(
        (&healed["because"]["kind"], &healed["because"]["verdict"]),
        (&json!("check"), &json!("warn"))
    );
    assert_eq!(healed["because"]["check"], "web-alive");
    let attempts = healed["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 1);
    let attempt = &attempts[0];
    assert_eq!((&attempt["number"], &attempt["rung"]), (&json!(1), &json!("restart")));
    assert_eq!((&attempt["worker"], &attempt["exit_code"]), (&json!("h1"), &json!(0)));
    assert_eq!(attempt["outcome"], "succeeded");
    assert!(attempt["started_at"].is_string() && attempt["finished_at"].is_string());
    assert_eq!(attempt["output"], "");
    assert_eq!(healed["evidence"]["taken_by"], "h1");
    assert!(healed["evidence"]["bytes"].as_u64().unwrap() > 0);
    let id = healed["id"].as_str().unwrap();
    let story = mesh[1].ok(&["incident", "explain", id]).unwrap();
    for word in ["web-alive", "restart", "succeeded", "resolved"] {
        assert!(story.contains(word), "{word} is missing in {story}");
    }
    assert_eq!(mesh[1].fails(&["incident", "show", "INC-999999"]).unwrap().0, 3);
    assert!(hook.taken().is_empty(), "nobody is called for what heals itself");

    // What a rung sees is what the contract promises, and nothing of the daemon's own.
    let dumped = mesh.incident(0, "it is dumped", of_runbook("mend-env-dump", "resolved")).unwrap();
    let text = fs::read_to_string(folder.join("env")).unwrap();
    let mut seen: BTreeMap<&str, &str> =
        text.lines().filter_map(|line| line.split_once('=')).collect();
    for (name, value) in [
        ("PEER", "h1"),
        ("PEER_ADDRESS", "127.0.0.1"),
        ("WORKER", "h1"),
        ("INCIDENT", dumped["id"].as_str().unwrap()),
        ("ATTEMPT", "1"),
        ("RUNBOOK", "mend-env-dump"),
        ("RUNG", "mend"),
        ("CHECK", "env-dump"),
        ("VERDICT", "fail"),
        ("LABEL_ROLE", "web"),
        ("LABEL_ZONE", "a"),
    ] {
        let name = format!("HEARTEN_{name}");
        assert_eq!(seen.remove(name.as_str()), Some(value), "{name} in {text}");
    }
    assert!(seen.remove("PATH").is_some());
    // The mark by which the daemon finds what a rung leaves behind.
    assert!(seen.remove("HEARTEN_RUN").is_some());
    // The shell itself adds the last three.
    for name in ["HOME", "LANG", "PWD", "SHLVL", "_", "OLDPWD"] {
        seen.remove(name);
    }
    assert_eq!(seen, BTreeMap::new(), "the rung sees more than it should");

    // What is in force, as its operator wrote it, and since when.
    let list = mesh[2].json(&["document", "list"]).unwrap();
    let names: Vec<String> = list["documents"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| format!("{}/{}", d["kind"].as_str().unwrap(), d["name"].as_str().unwrap()))
        .collect();
    for name in ["check/web-alive", "runbook/host-is-silent", "notifier/ops", "limits/limits"] {
        assert!(names.iter().any(|known| known == name), "{name} is missing in {names:?}");
    }
    let shown = mesh[2].json(&["document", "show", "check/web-alive"]).unwrap();
    assert_eq!(shown["revision"], 1);
    assert!(mesh[2].ok(&["document", "show", "runbook/restart-web"]).unwrap().contains("settle"));
    let history = mesh[2].json(&["document", "history"]).unwrap();
    assert_eq!(history["revisions"].as_array().map(Vec::len), Some(1));
    assert_eq!(mesh[2].fails(&["document", "show", "check/none"]).unwrap().0, 3);
}

#[test]
fn a_ladder_is_climbed_to_a_person_and_what_hangs_is_gone_at_its_limit() {
    let hook = Hook::listen().unwrap();
    let mesh = Mesh::sized(3).unwrap();
    let folder = mesh.folder();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, other) = (free.local_addr().unwrap(), hook.url());
    drop(free);
    // The marker makes the tree's processes known in /proc: a shell that ignores TERM, its child,
    // and a grandchild in a session of its own.
    let marker = format!("{}/marker", folder.display());
    let tree = r#"
trap '' TERM
(trap '' TERM; sh -c 'while :; do sleep 1; done' MARKER) &
setsid sh -c 'trap "" TERM; while :; do sleep 1; done' MARKER &
touch FOLDER/grown
while :; do sleep 1; done
"#;
    let documents = r#"
[[check]]
name    = "port"
every   = "500ms"
timeout = "1s"
tcp     = "PORT"
fail_after = 1

[[check]]
name    = "page"
every   = "500ms"
timeout = "1s"
http    = "OTHER"
status  = 204

[[runbook]]
name     = "open-the-port"
on       = { check = "port" }
where    = { role = "nobody" }
[[runbook.rung]]
name = "never"
run  = "exit 1"

[[check]]
name    = "service"
every   = "500ms"
timeout = "5s"
command = "test $HEARTEN_PEER != h2 || test -e FOLDER/service.ok"

[[runbook]]
name     = "mend-service"
on       = { check = "service" }
cooldown = "0s"

[[runbook.rung]]
name    = "hang"
run     = '''TREE'''
timeout = "2s"
settle  = "200ms"

[[runbook.rung]]
name    = "try in vain"
run     = ["/bin/sh", "-c", "echo tried for $0; exit 3", "$HEARTEN_PEER"]
settle  = "200ms"

[[runbook.rung]]
name    = "call a person"
notify  = "ops"

[[notifier]]
name = "ops"
kind = "webhook"
url  = "OTHER"
"#;
    let documents = documents
        .replace("TREE", tree)
        .replace("MARKER", &marker)
        .replace("FOLDER", &folder.to_string_lossy())
        .replace("PORT", &port.to_string())
        .replace("OTHER", &other);
    mesh.apply(&documents).unwrap();
    until("the tree has grown", || folder.join("grown").exists().then_some(())).unwrap();
    until("the whole tree is gone", || processes(&marker).is_empty().then_some(())).unwrap();

    let called = mesh.incident(0, "a person is called", of_runbook("mend-service", "escalated"));
    let called = called.unwrap();
    assert!(processes(&marker).is_empty());
    let attempts = called["attempts"].as_array().unwrap();
    let ends: Vec<(&str, &str)> = attempts
        .iter()
        .filter_map(|a| Some((a["rung"].as_str()?, a["outcome"].as_str()?)))
        .collect();
    assert_eq!(ends, [("hang", "timed out"), ("try in vain", "failed")]);
    assert_eq!(
        (&attempts[1]["exit_code"], &attempts[1]["output"]),
        (&json!(3), &json!("tried for h2\n"))
    );
    let id = called["id"].as_str().unwrap();
    let news = |news: &str| {
        hook.taken().into_iter().find(|body| body["incident"] == *id && body["news"] == *news)
    };
    let call = until("the hook is called", || news("called")).unwrap();
    assert_eq!((&call["schema"], &call["peer"]), (&json!(1), &json!("h2")));
    assert_eq!(call["runbook"], "mend-service");
    assert!(call["key"].as_str().is_some_and(|key| key.contains(id)), "{call}");
    assert!(call["text"].as_str().is_some_and(|text| text.contains("h2")), "{call}");
    assert!(news("resolved").is_none());
    fs::write(folder.join("service.ok"), "").unwrap();
    let told = until("the hook is told that it is over", || news("resolved")).unwrap();
    assert_ne!(told["key"], call["key"]);
    let over = mesh.incident(1, "it is over", of_runbook("mend-service", "resolved")).unwrap();
    assert!(
        facts(&over).contains(&"Called") && facts(&over).ends_with(&["Resolved", "Notified"]),
        "{:?}",
        facts(&over)
    );

    // The port that nobody listens on is an incident on each host, which no runbook answers.
    let closed = |i: &Value| i["because"]["check"] == "port" && i["state"] == "waiting";
    let closed = mesh.incident(0, "the closed port is seen", closed).unwrap();
    assert_eq!((&closed["runbook"], &closed["attempts"]), (&Value::Null, &json!([])));
    let verdict = |check: &str| {
        let peer = mesh[0].json(&["peer", "show", "h3"]).ok()?;
        let checks = peer["checks"].as_array()?.clone();
        checks.iter().find(|c| c["name"] == *check)?["verdict"].as_str().map(str::to_owned)
    };
    assert_eq!(verdict("port").as_deref(), Some("fail"));
    assert_eq!(verdict("page").as_deref(), Some("pass"), "204 is what was asked for");
    let open = mesh[0].json(&["incident", "list", "--open", "--peer", "h3"]).unwrap();
    assert_eq!(open["incidents"].as_array().map(Vec::len), Some(1), "{open:#}");
    let listener = TcpListener::bind(port).unwrap();
    until("the open port is seen", || (verdict("port")? == "pass").then_some(())).unwrap();
    until("all is well", || (mesh[0].status()?["incidents"]["open"] == 0).then_some(())).unwrap();
    drop(listener);
    let since = mesh[0].json(&["incident", "list", "--since", "1h"]).unwrap();
    assert!(since["incidents"].as_array().is_some_and(|all| all.len() >= 4), "{since:#}");
    assert!(since["incidents"][0].get("timeline").is_none());
}

#[test]
fn a_host_that_forbids_it_executes_nothing_and_says_why() {
    let mut mesh = Mesh::sized(3).unwrap();
    let folder = mesh.folder();
    for (host, forbids, instead_of) in [
        (1, "observe_only = true", "observe_only = false"),
        (2, "denied_runbooks = [\"mend-denied\"]", "denied_runbooks = []"),
    ] {
        assert_eq!(mesh.hosts[host].stop().unwrap(), 0);
        let path = mesh[host].data.join("hearten.toml");
        let before = fs::read_to_string(&path).unwrap();
        assert!(before.contains(instead_of), "{before}");
        fs::write(&path, before.replace(instead_of, forbids)).unwrap();
        mesh.hosts[host].start().unwrap();
    }
    mesh.settled().unwrap();
    let touch = |name: &str| format!("echo ran >> FOLDER/{name}.ran; touch FOLDER/{name}.ok");
    let documents = [
        flag(&folder, "observed", "h2", "5s", &touch("observed")),
        flag(&folder, "denied", "h3", "5s", &touch("denied")),
        flag(&folder, "allowed", "h3", "5s", &touch("allowed")),
    ];
    mesh.apply(&documents.concat()).unwrap();
    mesh.incident(0, "what is allowed is done", of_runbook("mend-allowed", "resolved")).unwrap();
    for (name, key) in [("mend-observed", "observe_only"), ("mend-denied", "denied_runbooks")] {
        let refused = mesh.incident(0, "it goes to a person", of_runbook(name, "escalated"));
        let refused = refused.unwrap();
        let attempts = refused["attempts"].as_array().unwrap();
        assert!(!attempts.is_empty());
        for attempt in attempts {
            assert_eq!(attempt["outcome"], "refused", "{attempt:#}");
            assert!(attempt["output"].as_str().is_some_and(|why| why.contains(key)), "{attempt:#}");
        }
        let id = refused["id"].as_str().unwrap();
        let story = mesh[1].ok(&["incident", "explain", id]).unwrap();
        assert!(story.contains(key), "the story does not say why: {story}");
    }
    assert!(folder.join("allowed.ran").exists());
    assert!(!folder.join("observed.ran").exists() && !folder.join("denied.ran").exists());
}
