//! Fencing with real agents, where they are installed, and with agents that lie, refuse and hang.

use super::*;
use std::{fs, os::unix::fs::PermissionsExt};

/// An agent of ours: a script with this text for each action, in a folder of its own.
struct Agent {
    folder: tempfile::TempDir,
}

impl Agent {
    /// The script sees `$action` and every parameter as a variable, and may keep things in `$PWD`.
    fn new(body: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent");
        let script = format!(
            "#!/bin/sh\ncd {}\nwhile IFS== read -r key value; do\n  \
             printf '%s=%s\\n' \"$key\" \"$value\" >> told\n  eval \"$key=\\$value\"\ndone\n\
             echo \"$action\" >> actions\n{body}\n",
            folder.path().display()
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(folder.path().join("power"), "0").unwrap();
        Self { folder }
    }

    fn order(&self, power: Power, millis: u64) -> FenceOrder {
        FenceOrder {
            agent: self.folder.path().join("agent").display().to_string(),
            power,
            params: BTreeMap::from([("ip".to_owned(), "10.0.1.5".to_owned())]),
            timeout: Duration::from_millis(millis),
        }
    }

    async fn fence(&self, power: Power, millis: u64) -> Fenced {
        let environment = Environment::default();
        fence(&self.order(power, millis), &environment, &CancellationToken::new()).await
    }

    fn actions(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.path().join("actions")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// `power` holds 0 for on and 2 for off.
const HONEST: &str = "case $action in
off) echo 2 > power; echo 'Success: Powered OFF';;
on) echo 0 > power; echo 'Success: Powered ON';;
status) exit $(cat power);;
*) exit 1;;
esac";

#[tokio::test]
async fn a_host_is_off_when_the_status_says_so() {
    let agent = Agent::new(HONEST);
    let fenced = agent.fence(Power::Off, 10_000).await;
    assert_eq!(fenced.outcome, Outcome::Succeeded, "{}", fenced.output);
    assert!(fenced.output.starts_with("the host is off: "), "{}", fenced.output);
    assert_eq!(fenced.exit_code, Some(2), "the status is the last word");
    assert_eq!(agent.actions(), ["status", "off", "status"]);
    let told = fs::read_to_string(agent.folder.path().join("told")).unwrap();
    assert!(told.contains("ip=10.0.1.5\n"), "{told}");
    // Off already: nothing is switched.
    let fenced = agent.fence(Power::Off, 10_000).await;
    assert_eq!(fenced.outcome, Outcome::Succeeded);
    assert!(fenced.output.contains("off already"), "{}", fenced.output);
    assert_eq!(agent.actions().len(), 4);
    let fenced = agent.fence(Power::On, 10_000).await;
    assert_eq!(fenced.outcome, Outcome::Succeeded, "{}", fenced.output);
    assert!(fenced.output.starts_with("the host is on: "), "{}", fenced.output);
}

#[tokio::test]
async fn a_reboot_is_off_and_on_again_each_verified() {
    let agent = Agent::new(HONEST);
    let fenced = agent.fence(Power::Reboot, 10_000).await;
    assert_eq!(fenced.outcome, Outcome::Succeeded, "{}", fenced.output);
    assert!(fenced.output.starts_with("the host was off and is on again"), "{}", fenced.output);
    assert_eq!(agent.actions(), ["status", "off", "status", "on", "status"]);
}

#[tokio::test]
async fn an_agent_that_says_on_after_off_is_not_believed() {
    // It claims success, and its status goes on saying on.
    let agent = Agent::new("[ $action = status ] && exit 0\necho 'Success: Powered OFF'");
    let fenced = agent.fence(Power::Off, 2_000).await;
    assert_eq!(fenced.outcome, Outcome::Failed, "{}", fenced.output);
    let first = fenced.output.lines().next().unwrap();
    assert!(first.contains("the host is not known to be off"), "{first}");
    assert!(first.contains("its status still says on"), "{first}");
    // A reboot whose first half is not seen never comes to its second.
    let rebooted = agent.fence(Power::Reboot, 2_000).await;
    assert_eq!(rebooted.outcome, Outcome::Failed, "{}", rebooted.output);
    assert!(!agent.actions().contains(&"on".to_owned()), "{:?}", agent.actions());
}

#[tokio::test]
async fn a_power_that_takes_a_while_is_waited_for() {
    let agent = Agent::new(
        "case $action in
        off) date +%s%N > since; exit 1;;
        status) [ -e since ] || exit 0
          [ $(($(date +%s%N) - $(cat since))) -gt 900000000 ] && exit 2; exit 0;;
        esac",
    );
    let fenced = agent.fence(Power::Off, 20_000).await;
    // Its own word, that "off" failed, counts as little as another's that it did not.
    assert_eq!(fenced.outcome, Outcome::Succeeded, "{}", fenced.output);
    assert!(agent.actions().len() > 3, "{:?}", agent.actions());
}

#[tokio::test]
async fn an_agent_that_is_not_let_in_says_why_and_switches_nothing() {
    let agent = Agent::new(
        "[ \"$verbose\" ] && echo 'Error: Unable to establish IPMI v2 / RMCP+ session'
        echo 'Failed: Unable to obtain correct plug status' >&2; exit 1",
    );
    let fenced = agent.fence(Power::Off, 10_000).await;
    assert_eq!((fenced.outcome, fenced.exit_code), (Outcome::Failed, Some(1)));
    let first = fenced.output.lines().next().unwrap();
    assert!(first.starts_with("nothing was switched: "), "{first}");
    assert!(first.contains("was not let in (a wrong name or password?)"), "{first}");
    assert!(first.contains("Unable to establish IPMI"), "{first}");
    assert_eq!(agent.actions(), ["status", "status"]);
}

#[tokio::test]
async fn an_agent_that_does_not_answer_costs_a_few_seconds_of_a_long_time_limit() {
    let agent = Agent::new("sleep 100");
    let began = Instant::now();
    let fenced = agent.fence(Power::Off, 60_000).await;
    let took = began.elapsed();
    assert!(took >= ANSWER_WITHIN && took < ANSWER_WITHIN * 2, "{took:?}");
    assert_eq!(fenced.outcome, Outcome::Failed, "{}", fenced.output);
    assert!(fenced.output.contains("does not answer within 5.0s"), "{}", fenced.output);
    assert_eq!(agent.actions(), ["status"], "nothing was switched");
}

#[tokio::test]
async fn an_agent_that_falls_silent_after_the_deed_has_not_done_it() {
    let agent = Agent::new("[ -e off ] && sleep 100\n[ $action = off ] && touch off\nexit 0");
    let began = Instant::now();
    let fenced = agent.fence(Power::Off, 2_000).await;
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    assert_eq!(fenced.outcome, Outcome::TimedOut, "{}", fenced.output);
    assert!(fenced.output.contains("not known to be off"), "{}", fenced.output);
}

#[tokio::test]
async fn an_agent_that_is_not_there_is_refused_and_not_run() {
    for agent in ["fence_of_nobody", "/nonexistent/fence"] {
        let order = FenceOrder {
            agent: agent.to_owned(),
            power: Power::Off,
            params: BTreeMap::new(),
            timeout: Duration::from_secs(1),
        };
        let fenced = fence(&order, &Environment::default(), &CancellationToken::new()).await;
        assert_eq!(fenced.outcome, Outcome::Refused);
        assert!(fenced.output.starts_with("nothing was done: there is no program"), "{fenced:?}");
    }
}

#[tokio::test]
async fn a_daemon_that_stops_meanwhile_does_not_know_how_it_ended() {
    let agent = Agent::new("[ $action = off ] && { touch switching; sleep 100; }\nexit 0");
    let cancel = CancellationToken::new();
    let order = agent.order(Power::Off, 30_000);
    let environment = Environment::default();
    let switching = agent.folder.path().join("switching");
    let stop = async {
        while !switching.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        cancel.cancel();
    };
    let (fenced, ()) = tokio::join!(fence(&order, &environment, &cancel), stop);
    assert_eq!(fenced.outcome, Outcome::Unknown, "{}", fenced.output);
}

/// Debian's `fence_dummy` keeps the power in a file, as the real agents keep it in a controller.
#[tokio::test]
async fn debians_own_agent_is_understood() {
    if find("fence_dummy").is_err() {
        assert!(std::env::var_os("CI").is_none(), "the package fence-agents is missing");
        eprintln!("skipped: the package fence-agents is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("status");
    let order = |power| FenceOrder {
        agent: "fence_dummy".to_owned(),
        power,
        params: BTreeMap::from([("status_file".to_owned(), file.display().to_string())]),
        timeout: Duration::from_secs(30),
    };
    let environment = Environment::default();
    let cancel = CancellationToken::new();
    for (power, left) in [(Power::On, "on"), (Power::Off, "off"), (Power::Reboot, "on")] {
        let fenced = fence(&order(power), &environment, &cancel).await;
        assert_eq!(fenced.outcome, Outcome::Succeeded, "{power:?}: {}", fenced.output);
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), left, "{power:?}");
    }
    // The one that says its host is on whatever was done.
    let stubborn = FenceOrder {
        params: BTreeMap::from([
            ("status_file".to_owned(), file.display().to_string()),
            ("type".to_owned(), "fail".to_owned()),
        ]),
        timeout: Duration::from_secs(4),
        ..order(Power::Off)
    };
    let fenced = fence(&stubborn, &environment, &cancel).await;
    assert_ne!(fenced.outcome, Outcome::Succeeded, "{}", fenced.output);
}
