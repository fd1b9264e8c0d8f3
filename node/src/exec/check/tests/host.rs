//! Processes, units, file systems, memory, load and files of this very host.

use super::*;
use crate::exec::facts::Places;
use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Child};

/// A process with a name that no other has; it ends with the test.
struct Sleeper {
    child: Child,
    name: String,
    folder: tempfile::TempDir,
}

impl Sleeper {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("s{:08x}", rand::random::<u32>());
        let program = folder.path().join(&name);
        fs::copy("/bin/sleep", &program).unwrap();
        let child = std::process::Command::new(&program).arg("60").spawn().unwrap();
        Self { child, name, folder }
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
async fn processes_are_counted_by_name_pattern_and_user() {
    let mut sleeper = Sleeper::start();
    let name = sleeper.name.clone();
    let ran = run(&format!("process = \"{name}\"")).await;
    assert_eq!((ran.verdict, ran.summary), (Verdict::Pass, format!("1 process called {name}")));
    assert!(ran.output.contains(&sleeper.folder.path().display().to_string()), "{}", ran.output);
    let pattern = format!("process = {{ pattern = \"{name} [0-9]+$\", max = 1 }}");
    assert_eq!(run(&pattern).await.verdict, Verdict::Pass);
    let ran = run(&format!("process = {{ name = \"{name}\", min = 2 }}")).await;
    assert_eq!(ran.verdict, Verdict::Fail);
    assert_eq!(ran.summary, format!("1 process called {name}; wanted at least 2"));
    assert_eq!(ran.data[0].value, Some(1.0));
    let ran = run(&format!("process = {{ name = \"{name}\", user = \"nobody\" }}")).await;
    assert_eq!(ran.verdict, Verdict::Fail);
    let ran = run(&format!("process = {{ name = \"{name}\", max = 0 }}")).await;
    assert_eq!(ran.verdict, Verdict::Fail, "one too many: {}", ran.summary);

    let tools = tools();
    let lines = format!("process = \"{name}\"");
    assert_eq!(run_with(&tools, &lines, LONG).await.verdict, Verdict::Pass);
    sleeper.child.kill().unwrap();
    // It is dead and nobody has waited for it: that is no process that does anything.
    let ended = || {
        fs::read_to_string(format!("/proc/{}/stat", sleeper.child.id())).unwrap().contains(") Z")
    };
    while !ended() {
        time::sleep(Duration::from_millis(5)).await;
    }
    tools.facts.forget();
    assert_eq!(run_with(&tools, &lines, LONG).await.verdict, Verdict::Fail);
}

#[tokio::test]
async fn checks_share_one_look_at_the_process_table() {
    let tools = tools();
    for _ in 0..5 {
        run_with(&tools, "process = { name = \"no-such\", min = 0 }", LONG).await;
    }
    assert_eq!(tools.facts.collections(), 1);
}

#[tokio::test]
async fn a_disk_is_judged_by_its_space_and_its_inodes() {
    let ran = run("disk = { path = \"/\", warn = 100, fail = 100 }").await;
    assert!(matches!(ran.verdict, Verdict::Pass | Verdict::Fail), "{}", ran.summary);
    assert!(ran.summary.starts_with("/ is "), "{}", ran.summary);
    assert_eq!(ran.data[0].label, "/");
    let ran = run("disk = { path = \"/\", fail = 1, inodes_fail = 100 }").await;
    assert_eq!(ran.verdict, Verdict::Fail, "{}", ran.summary);
    let ran = run("disk = { path = \"/proc/self\", fail = 1 }").await;
    assert_eq!(ran.verdict, Verdict::Pass, "it holds nothing: {}", ran.summary);
    let ran = run("disk = \"/no/such/path\"").await;
    assert_eq!(
        (ran.verdict, ran.summary.as_str()),
        (Verdict::Unknown, "/no/such/path does not exist")
    );
}

#[tokio::test]
async fn this_hosts_memory_and_load_can_be_read() {
    let ran = run("memory = { fail = 100 }").await;
    assert!(ran.summary.contains(" % of "), "{}", ran.summary);
    assert!(ran.data[0].value.is_some_and(|used| used > 0.0 && used <= 100.0));
    let ran = run("load = { fail = 9999 }").await;
    assert_eq!(ran.verdict, Verdict::Pass, "{}", ran.summary);
}

/// A host that is made up.
fn elsewhere(files: &[(&str, &str)]) -> (tempfile::TempDir, Tools) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let places = Places { proc: folder.path().to_owned(), ..Places::default() };
    (folder, Tools { facts: Facts::of(places), ..tools() })
}

#[tokio::test]
async fn memory_that_the_kernel_could_free_is_free() {
    let meminfo = "MemTotal: 1024000 kB\nMemFree: 1000 kB\nMemAvailable: 204800 kB\n";
    let (_folder, tools) = elsewhere(&[("meminfo", meminfo)]);
    let ran = run_with(&tools, "memory = { warn = 80, fail = 90 }", LONG).await;
    assert_eq!((ran.verdict, ran.summary.as_str()), (Verdict::Warn, "80 % of 1000 MiB are used"));
    let (_folder, tools) = elsewhere(&[("meminfo", "nonsense\n")]);
    assert_eq!(run_with(&tools, "memory = { fail = 1 }", LONG).await.verdict, Verdict::Unknown);
}

#[tokio::test]
async fn load_is_reckoned_for_each_processor() {
    let files =
        [("loadavg", "8.00 3.99 1.00 1/2 3\n"), ("stat", "cpu 1\ncpu0 1\ncpu1 1\nintr 5\n")];
    let (_folder, tools) = elsewhere(&files);
    for (minutes, verdict) in [(1, Verdict::Fail), (5, Verdict::Warn), (15, Verdict::Pass)] {
        let lines = format!("load = {{ warn = 1.5, fail = 4, minutes = {minutes} }}");
        let ran = run_with(&tools, &lines, LONG).await;
        assert_eq!(ran.verdict, verdict, "{}", ran.summary);
    }
    let (_folder, tools) = elsewhere(&[]);
    assert_eq!(run_with(&tools, "load = { fail = 1 }", LONG).await.verdict, Verdict::Unknown);
}

#[tokio::test]
async fn a_file_must_exist_be_young_and_hold_something() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backup");
    let shown = path.display();
    let tools = tools();
    let look = async |more: &str| {
        run_with(&tools, &format!("file = {{ path = \"{shown}\"{more} }}"), LONG).await
    };
    let ran = look("").await;
    assert_eq!((ran.verdict, ran.summary), (Verdict::Fail, format!("{shown} does not exist")));
    fs::write(&path, "four").unwrap();
    assert_eq!(look(", max_age = \"1m\", min_bytes = 4").await.verdict, Verdict::Pass);
    let ran = look(", min_bytes = 5").await;
    assert_eq!(ran.summary, format!("{shown} holds 4 bytes; at least 5"));
    assert_eq!(ran.verdict, Verdict::Fail);
    let yesterday = std::time::SystemTime::now() - Duration::from_secs(86_400);
    fs::File::options().write(true).open(&path).unwrap().set_modified(yesterday).unwrap();
    let ran = look(", max_age = \"2h\"").await;
    assert_eq!(ran.verdict, Verdict::Fail);
    assert_eq!(ran.summary, format!("{shown} was written 1d ago; at most 2h"));
    assert_eq!(look("").await.verdict, Verdict::Pass, "any age will do");
}

/// A `systemctl` that knows two units in its list and one more when it is asked by name.
const SYSTEMCTL: &str = r#"#!/bin/sh
show() { printf 'Id=%s\nLoadState=%s\nActiveState=%s\nSubState=%s\n\n' "$@"; }
case "$5" in
'*') show good.service loaded active running; show loop.service loaded activating auto-restart ;;
once.service) show once.service loaded inactive dead ;;
broken.service) echo "Failed to connect to bus" >&2; exit 1 ;;
*) show "$5" not-found inactive dead ;;
esac
"#;

#[tokio::test]
async fn a_unit_must_be_active() {
    let folder = tempfile::tempdir().unwrap();
    let systemctl = folder.path().join("systemctl");
    fs::write(&systemctl, SYSTEMCTL).unwrap();
    fs::set_permissions(&systemctl, fs::Permissions::from_mode(0o755)).unwrap();
    let systemctl = systemctl.to_string_lossy().into_owned();
    let places = Places { systemd: folder.path().into(), systemctl, ..Places::default() };
    let tools = Tools { facts: Facts::of(places), ..tools() };
    for (unit, verdict, summary) in [
        ("good", Verdict::Pass, "good.service is active (running)"),
        ("loop", Verdict::Fail, "loop.service is activating (auto-restart)"),
        ("once", Verdict::Fail, "once.service is inactive (dead)"),
        ("none", Verdict::Fail, "there is no unit none.service"),
        ("broken", Verdict::Unknown, "Failed to connect to bus"),
    ] {
        let ran = run_with(&tools, &format!("unit = \"{unit}.service\""), LONG).await;
        assert_eq!((ran.verdict, ran.summary.as_str()), (verdict, summary));
    }
}

#[tokio::test]
async fn a_host_without_systemd_knows_nothing_of_units() {
    if Path::new("/run/systemd/system").exists() {
        return;
    }
    let ran = run("unit = \"ssh.service\"").await;
    assert_eq!(
        (ran.verdict, ran.summary.as_str()),
        (Verdict::Unknown, "this host is not run by systemd")
    );
}
