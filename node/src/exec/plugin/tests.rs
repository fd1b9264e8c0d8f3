//! Plugins that behave and plugins that do not, as real executables.

mod examples;

use super::*;
use crate::exec::{
    check::{CheckRun, HostCard, run_check},
    facts::Facts,
    http::HttpClient,
};
use protocol::{
    document::{FactKind, Probe, Setting},
    name::Name,
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
};

/// A plugin on disk and what it is run with.
struct Bench {
    folder: tempfile::TempDir,
    tools: Tools,
    timeout: Duration,
    facts: BTreeSet<FactKind>,
}

impl Bench {
    fn new() -> Self {
        let labels = BTreeMap::from([("role".to_owned(), "web".to_owned())]);
        let host = HostCard { name: "web-1".into(), address: "10.0.0.1".into(), labels };
        let tools = Tools {
            http: HttpClient::new().unwrap(),
            facts: Facts::default(),
            plugins: Plugins::default(),
            host,
            own: None,
        };
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder, tools, timeout: Duration::from_secs(10), facts: BTreeSet::new() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("plugin")
    }

    fn file(&self, text: &str, mode: u32) {
        fs::write(self.path(), text).unwrap();
        fs::set_permissions(self.path(), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn probe(&self) -> PluginProbe {
        let settings = BTreeMap::from([
            ("limit".to_owned(), Setting::Number("1.5".to_owned())),
            ("names".to_owned(), Setting::List(vec![Setting::Text("a".to_owned())])),
        ]);
        let argv = vec![self.path().to_string_lossy().into_owned()];
        PluginProbe { argv, settings, facts: self.facts.clone() }
    }

    fn check(&self) -> Check {
        let name = Name::parse("it").unwrap();
        Check { timeout: self.timeout, ..Check::new(name, Probe::Plugin(self.probe())) }
    }

    async fn scan(&self) -> CheckRun {
        run_check(&self.check(), &Environment::default(), &self.tools).await
    }

    async fn phase(&self, phase: Phase) -> PhaseRun {
        let (check, probe) = (self.check(), self.probe());
        let cancel = CancellationToken::new();
        let environment = Environment::default();
        run_phase(phase, (&check, &probe), &environment, &self.tools, self.timeout, &cancel).await
    }
}

/// What a scan of this shell script comes to.
async fn scan(script: &str) -> (Verdict, String) {
    let bench = Bench::new();
    bench.file(&format!("#!/bin/sh\n{script}\n"), 0o755);
    let ran = bench.scan().await;
    (ran.verdict, ran.summary)
}

#[tokio::test]
async fn a_plugin_passes_without_findings_and_else_by_the_worst_of_them() {
    assert_eq!(scan("cat >/dev/null").await, (Verdict::Pass, "no findings".to_owned()));
    let warns = "echo '{\"finding\": \"slow\", \"severity\": \"warn\"}'";
    assert_eq!(scan(warns).await, (Verdict::Warn, "slow".to_owned()));
    let both = format!("{warns}; echo; echo '{{\"finding\": \"dead\", \"disk\": \"sda\"}}'");
    assert_eq!(scan(&both).await, (Verdict::Fail, "dead (and 1 more)".to_owned()));
}

#[tokio::test]
async fn a_plugin_is_told_phase_host_facts_settings_and_what_it_said_before() {
    let mut bench = Bench::new();
    bench.facts = BTreeSet::from([FactKind::Processes, FactKind::Sockets]);
    let told = bench.folder.path().join("told");
    let script = format!(
        "#!/bin/sh\ncat > {}\necho '{{\"finding\": \"ill\", \"where\": 7}}'\necho '{{\"wants_heal\": true}}'\n",
        told.display()
    );
    bench.file(&script, 0o755);
    let read = || -> Value { serde_json::from_slice(&fs::read(&told).unwrap()).unwrap() };
    let run = bench.scan().await;
    assert_eq!(run.verdict, Verdict::Fail);
    assert_eq!(run.findings[0].details["where"], 7);
    let scan = read();
    assert_eq!((&scan["schema"], &scan["phase"]), (&1.into(), &"scan".into()));
    assert_eq!(scan["check"], "it");
    assert_eq!(scan["host"]["labels"]["role"], "web");
    assert_eq!(scan["settings"], serde_json::json!({ "limit": 1.5, "names": ["a"] }));
    assert_eq!(scan["earlier"], serde_json::json!({}));
    let own = std::process::id();
    let processes = scan["facts"]["processes"].as_array().unwrap();
    assert!(processes.iter().any(|process| process["pid"] == own));
    assert!(scan["facts"]["sockets"].is_array() && scan["facts"].get("units").is_none());

    let answer = bench.phase(Phase::Analyse).await.answer.unwrap();
    assert_eq!(answer.wants_heal, Some(true));
    let lines = serde_json::json!([{ "finding": "ill", "where": 7 }, { "wants_heal": true }]);
    assert_eq!(read()["earlier"], serde_json::json!({ "scan": lines }));
    bench.scan().await;
    bench.phase(Phase::Heal).await.answer.unwrap();
    assert_eq!(read()["phase"], "heal");
    assert_eq!(read()["earlier"], serde_json::json!({ "scan": lines, "analyse": lines }));
}

#[tokio::test]
async fn evidence_and_actions_are_taken_as_they_are_said() {
    let bench = Bench::new();
    let lines = r#"{"evidence": "log", "text": "a\nb"}
{"action": "restarted"}"#;
    bench.file(&format!("#!/bin/sh\ncat <<'END'\n{lines}\nEND\n"), 0o755);
    let answer = bench.phase(Phase::Analyse).await.answer.unwrap();
    assert_eq!(answer.evidence, [Evidence { name: "log".into(), text: "a\nb".into() }]);
    assert_eq!(answer.actions, ["restarted"]);
}

#[tokio::test]
async fn what_is_no_answer_is_unknown_and_says_which_line_is_wrong() {
    for (script, summary) in [
        ("echo '{}'; echo hello", "line 1 holds none of finding, evidence, wants_heal and action"),
        ("echo '[1]'", "line 1 is no object of JSON: \"[1]\""),
        (
            "echo '{\"wants_heal\": true}'; printf '{\"finding\": \"di'",
            "line 2 is cut off: the plugin ended in the middle of it",
        ),
        ("echo '{\"finding\": 3}'", "line 1: \"finding\" must be a string"),
        (
            "echo '{\"finding\": \"a\", \"severity\": \"bad\"}'",
            "line 1: \"severity\" must be \"warn\" or \"fail\"",
        ),
        ("echo '{\"evidence\": \"a\"}'", "line 1: \"text\" must be a string"),
        ("echo '{\"wants_heal\": \"yes\"}'", "line 1: \"wants_heal\" must be true or false"),
        ("echo oops >&2; exit 7", "the plugin ended with exit code 7: oops"),
        ("echo '{\"finding\": \"a\"}'; exit 1", "the plugin ended with exit code 1"),
        ("kill -9 $$", "the plugin was ended by signal 9"),
    ] {
        assert_eq!(scan(script).await, (Verdict::Unknown, summary.to_owned()), "{script}");
    }
    let (verdict, summary) = scan("echo hello").await;
    assert_eq!(verdict, Verdict::Unknown);
    assert!(summary.starts_with("line 1 is no JSON: \"hello\" ("), "{summary}");
    let (verdict, summary) = scan("head -c 5000 /dev/urandom").await;
    assert_eq!(verdict, Verdict::Unknown);
    assert!(summary.contains("is no JSON"), "{summary}");
}

#[tokio::test]
async fn a_gigabyte_is_cut_short_at_once() {
    let started = Instant::now();
    let (verdict, summary) = scan("head -c 1000000000 /dev/zero").await;
    assert_eq!(verdict, Verdict::Unknown);
    assert_eq!(summary, "the plugin printed more than 1024 KiB and was ended");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let (_, summary) = scan("yes >&2").await;
    assert_eq!(summary, "the plugin printed more than 1024 KiB and was ended", "as errors too");
}

#[tokio::test]
async fn a_plugin_that_does_not_read_and_one_that_hangs_are_ended() {
    let mut bench = Bench::new();
    // More than a pipe holds, so that whoever writes it has to wait.
    bench.facts = BTreeSet::from(FactKind::ALL);
    bench.file("#!/bin/sh\nexec <&-\necho '{\"finding\": \"deaf\"}'\n", 0o755);
    assert_eq!(bench.scan().await.summary, "deaf");
    bench.timeout = Duration::from_millis(300);
    bench.file("#!/bin/sh\ntrap '' TERM\nsleep 60 &\nsleep 60\n", 0o755);
    let ran = bench.scan().await;
    assert_eq!((ran.verdict, ran.summary.as_str()), (Verdict::Fail, "timed out after 300ms"));
}

/// The processes whose command line holds this word.
fn alive_with(word: &str) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let holds = |folder: &std::path::Path| {
        fs::read_to_string(folder.join("cmdline")).is_ok_and(|line| line.contains(word))
    };
    all.filter(|entry| holds(&entry.path()))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

#[tokio::test]
async fn what_forks_away_is_ended_with_a_scan_and_left_alone_when_it_heals() {
    let word = format!("6{:09}", rand::random::<u32>());
    let bench = Bench::new();
    let script = format!(
        "#!/bin/sh\nsetsid sh -c 'sleep {word} & sleep {word}' </dev/null >/dev/null 2>&1 &\nsleep 0.2\n"
    );
    bench.file(&script, 0o755);
    let ran = bench.scan().await;
    assert_eq!(ran.verdict, Verdict::Pass);
    assert!(
        ran.summary.starts_with("no findings [processes that it left running"),
        "{}",
        ran.summary
    );
    assert!(alive_with(&word).is_empty());
    assert!(bench.phase(Phase::Heal).await.answer.is_ok());
    let alive = alive_with(&word);
    assert!(!alive.is_empty(), "what heals may start a service");
    for pid in alive {
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
    }
}

#[tokio::test]
async fn one_that_changes_its_user_is_ended_too() {
    if !rustix::process::getuid().is_root() {
        return;
    }
    let word = format!("7{:09}", rand::random::<u32>());
    let mut bench = Bench::new();
    bench.timeout = Duration::from_millis(500);
    bench.file(
        &format!(
            "#!/bin/sh\nexec setpriv --reuid=65534 --regid=65534 --clear-groups sleep {word}\n"
        ),
        0o755,
    );
    assert_eq!(bench.scan().await.summary, "timed out after 500ms");
    assert!(alive_with(&word).is_empty());
}

#[tokio::test]
async fn what_cannot_be_a_plugin_is_told_by_name() {
    let bench = Bench::new();
    let path = bench.path().display().to_string();
    let told = |ran: CheckRun| {
        assert_eq!(ran.verdict, Verdict::Unknown);
        ran.summary.replace(&path, "IT")
    };
    assert_eq!(told(bench.scan().await), "not started: IT: no such program");
    bench.file("print('hello')\n", 0o755);
    let summary = "not started: IT is a text without a first line such as #!/bin/sh";
    assert_eq!(told(bench.scan().await), summary);
    bench.file("", 0o755);
    assert_eq!(told(bench.scan().await), "not started: IT is empty");
    bench.file("#!/no/such/interpreter\n", 0o755);
    let summary =
        "not started: IT: no such program (or the interpreter of its first line is missing)";
    assert_eq!(told(bench.scan().await), summary);
    bench.file("#!/bin/sh\n", 0o644);
    assert_eq!(told(bench.scan().await), "not started: IT: not executable by this daemon's user");
    fs::remove_file(bench.path()).unwrap();
    fs::create_dir(bench.path()).unwrap();
    assert_eq!(told(bench.scan().await), "not started: IT is no file");
}
