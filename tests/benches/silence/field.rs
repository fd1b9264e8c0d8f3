//! Both meshes in one bed: the same hosts, the same cables, the same victims, the same handler.

use crate::serf::Serf;
use anyhow::{Context, Result};
use serde_json::Value;
use std::{fs, path::PathBuf, time::Duration};
use tests::{Hook, Lab, build, until_within};

/// How long the slower of the two may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was started when, by whom, about whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) nanos: u64,
    pub(crate) by: String,
    pub(crate) about: Vec<String>,
}

/// Both meshes.
pub(crate) struct Field {
    // Dropped first: its agents run in the bed of the other.
    pub(crate) serf: Serf,
    pub(crate) lab: Lab,
    pub(crate) hook: Hook,
}

impl Field {
    /// Forms both. Zones `a`, `b` and `c` hold a third of the hosts each.
    pub(crate) fn form(hosts: usize) -> Result<Self> {
        let zones: Vec<String> = (0..hosts)
            .map(|host| format!("zone={}", ["a", "b", "c"][(host * 3 / hosts).min(2)]))
            .collect();
        let lab = Lab::of(&zones.iter().map(String::as_str).collect::<Vec<_>>())?;
        let hook = lab.hook()?;
        let stamp = build("tests", "stamp");
        let stamp = stamp.to_str().context("the handler's path is text")?;
        let folder = lab.folder();
        let ours = folder.join("ours");
        lab.apply(&documents(stamp, &ours.to_string_lossy(), &hook.url()))?;
        let theirs = folder.join("theirs");
        let serf = Serf::form(&lab.bed, &folder, &format!("{stamp} {}", theirs.display()))?;
        Ok(Self { serf, lab, hook })
    }

    /// The name of a host.
    pub(crate) fn name(&self, host: usize) -> &str {
        &self.lab.hosts[host].name
    }

    /// The rungs that our neighbours started.
    pub(crate) fn ours(&self) -> Result<Vec<Stamp>> {
        stamps(self.lab.folder().join("ours"))
    }

    /// The handlers that serf started.
    pub(crate) fn theirs(&self) -> Result<Vec<Stamp>> {
        stamps(self.lab.folder().join("theirs"))
    }

    /// Waits until somebody but the host itself did something about it since, on both sides; when
    /// the first of each did. What did not come in time is none.
    pub(crate) fn first_about(&self, host: usize, since: u64) -> Result<[Option<u64>; 2]> {
        let name = self.name(host).to_owned();
        let first = |stamps: Vec<Stamp>| {
            let about = |stamp: &Stamp| stamp.nanos >= since && stamp.about.contains(&name);
            let others = stamps.into_iter().filter(|stamp| about(stamp) && stamp.by != name);
            others.map(|stamp| stamp.nanos).min()
        };
        let both = until_within(PATIENCE, "both have done something", || {
            let both = [first(self.ours().ok()?), first(self.theirs().ok()?)];
            both.iter().all(Option::is_some).then_some(both)
        });
        match both {
            Ok(both) => Ok(both),
            Err(late) => {
                eprintln!("{name}: {late}");
                Ok([first(self.ours()?), first(self.theirs()?)])
            }
        }
    }

    /// Waits until both meshes are whole and all incidents over.
    pub(crate) fn calm(&self) -> Result<()> {
        self.ours_calm()?;
        self.serf.settled(&self.lab.bed)
    }

    /// The same for ours alone. A storm that is over is ended by a person, as one would: by itself it
    /// ends after five minutes.
    pub(crate) fn ours_calm(&self) -> Result<()> {
        until_within(PATIENCE, "everybody is back", || {
            let status = self.lab[0].status()?;
            let alive = status["peers"].as_array()?.iter().all(|peer| peer["state"] == "alive");
            (alive && status["quorum"] == true).then_some(())
        })?;
        let open = |i: &Value| i["because"]["kind"] == "storm" && i["closed_at"].is_null();
        if self.incidents()?.iter().any(open) {
            self.lab[0].ok(&["thaw", "--key", &self.lab.key()])?;
        }
        self.lab.calm(0)
    }

    /// The incidents about silences that were opened since, as some host knows them that answers.
    pub(crate) fn silences(&self, known: &[Value]) -> Result<Vec<Value>> {
        let mut all = self.incidents()?;
        all.retain(|incident| !known.iter().any(|old| old["id"] == incident["id"]));
        all.retain(|incident| incident["because"]["kind"] == "silent");
        Ok(all)
    }

    /// All incidents.
    pub(crate) fn incidents(&self) -> Result<Vec<Value>> {
        self.lab.incidents(0)
    }
}

fn documents(stamp: &str, file: &str, hook: &str) -> String {
    let runbook = |kind: &str| {
        format!(
            r#"
[[runbook]]
name     = "host-is-{kind}"
on       = {{ peer = "{kind}" }}
cooldown = "0s"
repeat   = {{ times = 1000, within = "1m" }}

[[runbook.rung]]
name = "stamp"
by   = "neighbour"
run  = ["{stamp}", "{file}", "$HEARTEN_WORKER", "$HEARTEN_PEER"]

[[runbook.rung]]
name   = "call a person"
notify = "ops"
"#
        )
    };
    let notifier =
        format!("\n[[notifier]]\nname = \"ops\"\nkind = \"webhook\"\nurl = \"{hook}\"\n");
    runbook("crashed") + &runbook("dark") + &notifier
}

fn stamps(file: PathBuf) -> Result<Vec<Stamp>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(file)?;
    let parse = |line: &str| {
        let mut words = line.split(' ');
        let nanos = words.next().context("a time")?.parse()?;
        let by = words.next().context("a name")?.to_owned();
        let about = words.next().context("names")?.split(',').map(str::to_owned).collect();
        Ok(Stamp { nanos, by, about })
    };
    text.lines().map(parse).collect()
}
