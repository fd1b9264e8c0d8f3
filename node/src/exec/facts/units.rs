//! The systemd units, as `systemctl` knows them.

use super::Places;
use crate::exec::{
    environment::Environment,
    process::{self, RunLimits, Streams},
};
use protocol::document::Command;
use serde::Serialize;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long `systemctl` may take; it waits for the manager, which may be busy.
const WITHIN: Duration = Duration::from_secs(10);

/// What it prints of some thousand units.
const OUTPUT_BYTES_MAX: usize = 4 << 20;

/// One unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unit {
    /// Its name with its kind: `nginx.service`.
    pub name: String,
    /// Whether its file could be read: `loaded`, `not-found`, `masked` and so on.
    pub load: String,
    /// What it is: `active`, `failed`, `inactive`, `activating` and so on.
    pub active: String,
    /// The same, closer: `running`, `dead`, `auto-restart` and so on.
    pub sub: String,
}

/// Reads every unit that the manager has loaded.
pub(super) async fn read(places: &Places) -> Result<Vec<Unit>, String> {
    ask(places, "*").await
}

/// Asks about one unit, which need not be loaded.
///
/// # Errors
/// Why it could not be asked.
pub async fn one(places: &Places, name: &str) -> Result<Option<Unit>, String> {
    Ok(ask(places, name).await?.into_iter().next())
}

async fn ask(places: &Places, pattern: &str) -> Result<Vec<Unit>, String> {
    if !places.systemd.exists() {
        return Err("this host is not run by systemd".to_owned());
    }
    let properties = "--property=Id,LoadState,ActiveState,SubState";
    let words = [places.systemctl.as_str(), "show", "--no-pager", properties, "--", pattern];
    let command = Command::Argv(words.map(str::to_owned).to_vec());
    let mut limits = RunLimits::new(WITHIN);
    limits.output_max_bytes = OUTPUT_BYTES_MAX;
    let streams = Streams { apart: true, ..Streams::default() };
    let cancel = CancellationToken::new();
    let ran = process::run_with(&command, &Environment::default(), limits, streams, &cancel).await;
    if ran.end.is_success() {
        return Ok(parse(&ran.output));
    }
    let said = ran.errors.lines().next().unwrap_or("").trim();
    Err(if said.is_empty() { format!("systemctl: {}", ran.end) } else { said.to_owned() })
}

/// Reads blocks of `Property=value`, with an empty line between two units.
fn parse(text: &str) -> Vec<Unit> {
    let block = |block: &str| {
        let value = |key: &str| {
            let line = block.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or("").trim().to_owned()
        };
        let unit = Unit {
            name: value("Id"),
            load: value("LoadState"),
            active: value("ActiveState"),
            sub: value("SubState"),
        };
        (!unit.name.is_empty()).then_some(unit)
    };
    text.split("\n\n").filter_map(block).collect()
}
