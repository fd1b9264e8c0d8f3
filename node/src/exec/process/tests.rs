//! Commands that behave and commands that do not, on the real kernel.

use super::*;
use std::{fs, path::Path};

pub(super) fn environment() -> Environment {
    Environment::from(std::collections::BTreeMap::from([(
        "HEARTEN_PEER".to_owned(),
        "web-1".to_owned(),
    )]))
}

async fn run_script(script: &str, limits: RunLimits) -> Ran {
    run(&Command::Script(script.to_owned()), &environment(), limits, &CancellationToken::new())
        .await
}

async fn run_argv(argv: &[&str]) -> Ran {
    let command = Command::Argv(argv.iter().map(|&element| element.to_owned()).collect());
    run(&command, &environment(), seconds(10), &CancellationToken::new()).await
}

pub(super) const fn seconds(seconds: u64) -> RunLimits {
    RunLimits::new(Duration::from_secs(seconds))
}

/// A short time limit and a short grace.
const fn short() -> RunLimits {
    let mut limits = RunLimits::new(Duration::from_millis(700));
    limits.grace = Duration::from_millis(300);
    limits
}

/// A word that is in the command line of whatever a test starts.
fn unique_word() -> String {
    format!("word{:032x}", rand::random::<u128>())
}

/// The pids of living processes whose command line holds this word.
pub(in crate::exec) fn alive_with(word: &str) -> Vec<i32> {
    let holds = |pid: &i32| {
        let proc = Path::new("/proc").join(pid.to_string());
        let line = fs::read(proc.join("cmdline")).unwrap_or_default();
        let stat = fs::read_to_string(proc.join("stat")).unwrap_or_default();
        let dead = stat.rsplit_once(')').is_none_or(|(_, rest)| rest.starts_with(" Z"));
        !dead && line.windows(word.len()).any(|part| part == word.as_bytes())
    };
    let entries = fs::read_dir("/proc").unwrap();
    entries.filter_map(|e| e.unwrap().file_name().to_str()?.parse().ok()).filter(holds).collect()
}

pub(in crate::exec) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_exit_code_and_both_streams_in_their_order_are_told() {
    let ran = run_script("echo one; echo two >&2; echo three; exit 7", seconds(10)).await;
    assert_eq!(ran.end, End::Exited(7));
    assert_eq!(ran.output, "one\ntwo\nthree\n");
    assert!(ran.pid.is_some() && ran.survivors.is_empty());
    assert!(run_script("true", seconds(10)).await.end.is_success());
    assert_eq!(run_script("kill -9 $$", seconds(10)).await.end, End::Signalled(9));
}

#[tokio::test]
async fn a_command_sees_nothing_of_the_daemons_own() {
    // Cargo has set variables for this process that stand for the daemon's secrets.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
    let ran = run_script("env; echo \"in $(pwd) $(umask)\"; cat", seconds(10)).await;
    assert_eq!(ran.end, End::Exited(0), "{}", ran.output);
    assert!(ran.output.contains("HEARTEN_PEER=web-1\n"), "{}", ran.output);
    assert!(ran.output.ends_with("in / 0077\n"), "{}", ran.output);
    for line in ran.output.lines().filter(|line| line.contains('=')) {
        let name = line.split('=').next().unwrap();
        // PWD, OLDPWD, SHLVL and _ are the shell's own.
        let fits = ["PATH", "HOME", "LANG", "PWD", "OLDPWD", "SHLVL", "_"].contains(&name);
        assert!(fits || name.starts_with("HEARTEN_"), "{line}");
    }
}

#[tokio::test]
async fn arguments_are_passed_as_they_are() {
    let ran = run_argv(&["printf", "%s|", "$HEARTEN_PEER", "$HOME", "a;b `c` $(d)"]).await;
    assert_eq!(ran.output, "web-1|$HOME|a;b `c` $(d)|");
    let ran = run_argv(&["printf", "$HEARTEN_PARAM_X"]).await;
    assert!(matches!(&ran.end, End::NotStarted(reason) if reason.contains("$HEARTEN_PARAM_X")));
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    for (program, reason) in [
        ("/no/such/program", "/no/such/program: no such program"),
        ("no-such-program-anywhere", "no-such-program-anywhere: no such program"),
        ("/etc/passwd", "/etc/passwd: not executable"),
        ("a\0b", "nul byte"),
    ] {
        let ran = run_argv(&[program]).await;
        assert!(
            matches!(&ran.end, End::NotStarted(said) if said.contains(reason)),
            "{program:?}: {:?}",
            ran.end
        );
    }
}

#[tokio::test]
async fn a_script_that_ends_on_sigterm_may_say_its_last_words() {
    // It takes its time, so that a second SIGTERM would make it speak twice.
    let script = "trap 'echo bye; sleep 0.1; exit 3' TERM; echo hi; sleep 60 & wait";
    let ran = run_script(script, short()).await;
    assert_eq!(ran.end, End::TimedOut);
    assert_eq!(ran.output, "hi\nbye\n");
    assert!(ran.took < Duration::from_secs(3), "{:?}", ran.took);
}

#[tokio::test]
async fn a_script_that_ignores_sigterm_is_killed_after_the_grace() {
    let word = unique_word();
    let script = format!("trap '' TERM; echo {word}; while :; do sleep 1; done");
    let ran = run_script(&script, short()).await;
    assert_eq!(ran.end, End::TimedOut);
    assert!(ran.took >= Duration::from_secs(1), "it had its grace: {:?}", ran.took);
    assert!(ran.took < Duration::from_secs(4), "{:?}", ran.took);
    assert_eq!(alive_with(&word), Vec::<i32>::new());
}

#[tokio::test]
async fn two_hundred_children_are_killed_with_their_parent() {
    let word = unique_word();
    let script = format!(
        "trap '' TERM; i=0; while [ $i -lt 200 ]; do \
         sh -c 'trap \"\" TERM; while :; do sleep 5; done' {word} & i=$((i+1)); done; wait"
    );
    let command = Command::Script(script);
    let (environment, cancel) = (environment(), CancellationToken::new());
    let running = run(&command, &environment, seconds(20), &cancel);
    let (ran, ()) = tokio::join!(running, async {
        until("all are up", || alive_with(&word).len() > 200).await;
        cancel.cancel();
    });
    assert_eq!(ran.end, End::Cancelled);
    assert_eq!(alive_with(&word), Vec::<i32>::new());
}

#[tokio::test]
async fn what_forked_away_into_its_own_session_is_killed_as_well() {
    let word = unique_word();
    // The first keeps its parent; the second loses it, as daemons do; the third empties its
    // environment; all ignore SIGTERM.
    let stay = "trap \"\" TERM; while :; do sleep 1; done";
    let script = format!(
        "setsid sh -c '{stay}' {word} >/dev/null 2>&1 & \
         (setsid sh -c '({stay}) & exit' {word} >/dev/null 2>&1 &); \
         env -i setsid sh -c '{stay}' {word} >/dev/null 2>&1 & \
         sleep 60"
    );
    let command = Command::Script(script);
    let (environment, cancel) = (environment(), CancellationToken::new());
    let running = run(&command, &environment, seconds(20), &cancel);
    let (ran, ()) = tokio::join!(running, async {
        // The shell that bears the script in its own command line makes four.
        until("all are up", || alive_with(&word).len() == 4).await;
        time::sleep(Duration::from_millis(300)).await;
        cancel.cancel();
    });
    assert_eq!(ran.end, End::Cancelled);
    assert_eq!(ran.survivors, Vec::<i32>::new());
    assert_eq!(alive_with(&word), Vec::<i32>::new());
}

#[tokio::test]
async fn a_service_that_a_quick_script_starts_lives_on() {
    let word = unique_word();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("alive");
    // It holds the pipe and writes to it for as long as it lives.
    let script = format!(
        "setsid sh -c 'while :; do echo tick || exit; echo >> {}; sleep 0.05; done' {word} & \
         echo started",
        file.display()
    );
    let ran = run_script(&script, seconds(10)).await;
    assert_eq!(ran.end, End::Exited(0));
    assert!(ran.output.contains("started\n"), "{}", ran.output);
    assert!(ran.took < Duration::from_secs(3), "{:?}", ran.took);
    let ticks = || fs::metadata(&file).map_or(0, |metadata| metadata.len());
    let before = ticks();
    until("it goes on", || ticks() > before + 10).await;
    for pid in alive_with(&word) {
        rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }
}

#[tokio::test]
async fn a_flood_of_output_is_cut_and_takes_no_memory() {
    let resident = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap().to_owned();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = resident();
    let ran = run_script("echo first; yes", short()).await;
    assert_eq!(ran.end, End::TimedOut);
    assert!(ran.output.len() <= 64 * 1024, "{}", ran.output.len());
    assert!(ran.output.starts_with("first\ny\ny\n"));
    let line = ran.output.lines().find(|line| line.starts_with("[…")).unwrap();
    let left_out: u64 = line.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(left_out > 1_000_000, "it was a flood: {line}");
    // Other tests run beside this one, in the same process.
    assert!(resident() < before + 20_000, "{before} kB became {} kB", resident());
}

#[tokio::test]
async fn a_dropped_run_leaves_nothing_behind() {
    let word = unique_word();
    let script = format!("setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' {word} & wait");
    let running = tokio::spawn(async move { run_script(&script, seconds(60)).await });
    until("both are up", || alive_with(&word).len() == 2).await;
    running.abort();
    assert!(running.await.is_err());
    assert_eq!(alive_with(&word), Vec::<i32>::new());
}

#[tokio::test]
async fn what_is_cancelled_beforehand_is_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let script = Command::Script(format!("touch {}/begun", folder.path().display()));
    let ran = run(&script, &environment(), seconds(10), &cancel).await;
    assert_eq!((ran.end, ran.pid), (End::Cancelled, None));
    assert!(!folder.path().join("begun").exists());
}
