//! A repair ends in time also when the daemon that began it was killed or stands still: the mesh
//! lets another host act after that.

#![expect(clippy::unwrap_used, reason = "a test stops at what it does not expect")]

use rustix::process::{Pid, Signal, kill_process};
use std::{fs, path::Path, time::Duration};
use tests::{Mesh, until};

/// A check that fails until `FOLDER/ok` is there, and a repair of which each process has `WORD` in
/// its command line.
const DOCUMENTS: &str = r#"
[[check]]
name    = "ill"
every   = "500ms"
command = ["/bin/sh", "-c", "test -e FOLDER/ok"]

[[runbook]]
name       = "mend"
on         = { check = "ill" }
on_unknown = "ask"

[[runbook.rung]]
name    = "mend"
run     = "BODY"
timeout = "TIMEOUT"
"#;

/// It acts ten times a second, does not want to end, and has a child that left its session.
const STUBBORN: &str =
    "trap '' TERM; setsid sleep WORD & while sleep 0.1; do : WORD; date +%s%N >> FOLDER/acts; done";

/// How long the mesh takes an attempt to be able to act beyond its time limit.
const MARGIN: Duration = Duration::from_secs(10);

struct Scene {
    mesh: Mesh,
    word: String,
}

impl Scene {
    fn of(body: &str, timeout: &str) -> Self {
        let mesh = Mesh::sized(1).unwrap();
        let word = format!("9999.{}", std::process::id());
        // A word that no other test of this program has.
        let word = format!("{word}{}", mesh.hosts[0].pid().unwrap());
        let documents = DOCUMENTS
            .replace("BODY", body)
            .replace("TIMEOUT", timeout)
            .replace("WORD", &word)
            .replace("FOLDER", &mesh.folder().to_string_lossy());
        mesh.apply(&documents).unwrap();
        Self { mesh, word }
    }

    /// The processes of the repair, the guardian not among them.
    fn alive(&self) -> Vec<i32> {
        let pids = fs::read_dir("/proc").unwrap().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        pids.filter(|pid| {
            let line = fs::read(Path::new("/proc").join(pid.to_string()).join("cmdline"));
            String::from_utf8_lossy(&line.unwrap_or_default()).contains(&self.word)
        })
        .collect()
    }

    /// When it acted, in nanoseconds since 1970.
    fn acts(&self) -> Vec<u128> {
        let text = fs::read_to_string(self.mesh.folder().join("acts")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn acting(&self) {
        until("it acts, and its child is there", || {
            (!self.acts().is_empty() && self.alive().len() >= 2).then_some(())
        })
        .unwrap();
    }

    fn gone(&self) {
        until("nothing of it is left", || self.alive().is_empty().then_some(())).unwrap();
    }

    /// How the first attempt ended, once the daemon has said so.
    fn outcome(&self) -> String {
        until("the log has it", || {
            let incidents = self.mesh.incidents(0).ok()?;
            let outcome = &incidents.first()?["attempts"][0]["outcome"];
            outcome.as_str().map(str::to_owned)
        })
        .unwrap()
    }
}

#[test]
fn a_repair_ends_when_its_daemon_is_killed() {
    let mut scene = Scene::of(STUBBORN, "10m");
    scene.acting();
    scene.mesh.hosts[0].kill().unwrap();
    scene.gone();
    scene.mesh.hosts[0].start().unwrap();
    assert_eq!(scene.outcome(), "unknown");
}

#[test]
fn a_repair_ends_at_its_time_when_its_daemon_stands_still() {
    let scene = Scene::of(STUBBORN, "3s");
    scene.acting();
    scene.mesh.hosts[0].signal("STOP").unwrap();
    scene.gone();
    let acts = scene.acts();
    let lasted = Duration::from_nanos((acts[acts.len() - 1] - acts[0]).try_into().unwrap());
    assert!(lasted < Duration::from_secs(3) + MARGIN, "{lasted:?}");
    scene.mesh.hosts[0].signal("CONT").unwrap();
    assert_eq!(scene.outcome(), "timed out");
}

#[test]
fn what_a_repair_left_running_outlives_the_daemon() {
    let mut scene = Scene::of("setsid sleep WORD & touch FOLDER/ok", "30s");
    assert_eq!(scene.outcome(), "succeeded");
    scene.mesh.hosts[0].kill().unwrap();
    scene.mesh.hosts[0].start().unwrap();
    let alive = scene.alive();
    assert_eq!(alive.len(), 1, "the service that it started");
    kill_process(Pid::from_raw(alive[0]).unwrap(), Signal::KILL).unwrap();
}
