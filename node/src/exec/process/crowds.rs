//! Crowds: a tree of many processes that will not go, and many runs one after the other. The full
//! numbers are run by hand: `cargo test --release -p node --lib crowds -- --ignored --nocapture`.

use super::{tests::*, *};
use std::fs;

/// How long after its time limit a tree that ignores SIGTERM may be there, beyond its grace.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// So many processes that ignore SIGTERM, every tenth of them in a session of its own, are gone in
/// time; says how long it took.
async fn a_crowd_goes(processes: usize) -> Duration {
    let word = unique_number();
    // Whoever is started by a shell that ignores a signal ignores it as well.
    let script = format!(
        "trap '' TERM; i=0; while [ $i -lt {processes} ]; do case $i in *0) setsid sleep {word} & \
         ;; *) sleep {word} & ;; esac; i=$((i+1)); done; wait"
    );
    let command = Command::Script(script);
    let (environment, cancel) = (environment(), CancellationToken::new());
    let limits = RunLimits { grace: Duration::ZERO, ..seconds(120) };
    let running = run(&command, &environment, limits, &cancel);
    let (ran, ended_at) = tokio::join!(running, async {
        // The shell that bears the number in its own script makes one more.
        until("all are up", || alive_with(&word).len() > processes).await;
        cancel.cancel();
        Instant::now()
    });
    let took = ended_at.elapsed();
    assert_eq!(alive_with(&word), Vec::<i32>::new());
    assert_eq!((ran.end, ran.survivors), (End::Cancelled, Vec::new()));
    assert!(took < GONE_WITHIN, "{processes} processes were gone only after {took:?}");
    took
}

/// So many runs, one in four of which times out and one is cancelled, leave nothing behind.
async fn runs_leave_no_orphans(runs: usize) {
    let word = unique_number();
    let mut pids = Vec::new();
    for round in 0..runs {
        let stays = format!("trap '' TERM; sleep {word} & setsid sleep {word} & wait");
        let (script, timeout) = match round % 4 {
            0 => ("true".to_owned(), 10_000),
            1 => (format!("(echo {word} | cat | cat) & wait; exit 3"), 10_000),
            _ => (stays, if round % 4 == 2 { 30 } else { 10_000 }),
        };
        let mut limits = RunLimits::new(Duration::from_millis(timeout));
        limits.grace = Duration::ZERO;
        let cancel = CancellationToken::new();
        let (command, environment) = (Command::Script(script), environment());
        let running = run(&command, &environment, limits, &cancel);
        let (ran, ()) = tokio::join!(running, async {
            if round % 4 == 3 {
                time::sleep(Duration::from_millis(20)).await;
                cancel.cancel();
            }
        });
        let expected =
            [End::Exited(0), End::Exited(3), End::TimedOut, End::Cancelled][round % 4].clone();
        assert_eq!(ran.end, expected, "run {round}: {}", ran.output);
        pids.extend(ran.pid);
    }
    assert_eq!(pids.len(), runs);
    assert_eq!(alive_with(&word), Vec::<i32>::new(), "nobody lives on");
    let own = std::process::id().to_string();
    let unreaped = pids.iter().filter(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        // A pid may have been given anew, to a child of another test as well, but not one dead.
        let mut fields = rest.split_ascii_whitespace();
        fields.next() == Some("Z") && fields.next() == Some(own.as_str())
    });
    assert_eq!(unreaped.count(), 0, "every process was waited for");
}

/// A number that stands in the command line of whatever a test starts: some hours of sleep.
fn unique_number() -> String {
    format!("9999.{}", rand::random::<u64>())
}

#[tokio::test]
async fn two_hundred_forks_that_ignore_sigterm_are_gone_in_a_second() {
    a_crowd_goes(200).await;
}

#[tokio::test]
async fn sixty_runs_leave_no_orphans() {
    runs_leave_no_orphans(60).await;
}

#[tokio::test]
#[ignore = "it takes a minute and a thousand processes"]
async fn a_thousand_forks_that_ignore_sigterm_are_gone_in_a_second() {
    let mut took = Vec::new();
    for _ in 0..5 {
        took.push(a_crowd_goes(1_000).await);
    }
    eprintln!("1,000 forks were gone after {took:?}");
}

#[tokio::test]
#[ignore = "it takes a minute"]
async fn a_thousand_runs_leave_no_orphans() {
    runs_leave_no_orphans(1_000).await;
}
