//! A mesh of real daemons on loopback, for tests and benchmarks.
//!
//! Real processes, real QUIC and TLS, real disks. Tests wait for conditions with [`until`] and
//! never sleep for luck. Everything a mesh leaves behind is in one temporary directory, which is
//! kept and named when a test fails.

pub mod authority;
pub mod broker;
pub mod desk;
pub mod door;
pub mod hook;
pub mod host;
pub mod intakes;
pub mod lab;
pub mod mesh;
pub mod monitoring;
pub mod parts;
pub mod post_office;
pub mod stranger;
pub mod surgeon;
pub mod turn;
pub mod web;

pub use authority::Authority;
pub use broker::Broker;
pub use desk::Desk;
pub use door::Door;
pub use hook::Hook;
pub use host::Host;
pub use lab::{Bed, Lab};
pub use mesh::Mesh;
pub use stranger::Stranger;
pub use turn::Turn;
pub use web::post;

use anyhow::{Result, bail};
use std::{
    path::PathBuf,
    process::Command,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// How long a condition is waited for, unless the test says otherwise. Generous: a test waits only
/// as long as it must, and a loaded machine must not make it fail.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `look` finds something.
///
/// # Errors
/// When it did not within `patience`; `what` says what was waited for.
pub fn until_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if began.elapsed() > patience {
            bail!("waited {patience:?} in vain until {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until `look` finds something, for [`PATIENCE`].
///
/// # Errors
/// As [`until_within`].
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> Result<T> {
    until_within(PATIENCE, what, look)
}

/// The `hearten` binary of this checkout, built when it is not there yet, or the one that
/// `HEARTEN_BIN` names.
///
/// # Panics
/// When it cannot be built.
pub fn hearten() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY
        .get_or_init(|| match std::env::var_os("HEARTEN_BIN") {
            Some(path) => PathBuf::from(path),
            None => build("node", "hearten"),
        })
        .clone()
}

/// Builds a binary of the workspace with the profile that the caller was built with.
///
/// # Panics
/// When it cannot be built.
pub fn build(package: &str, binary: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--bin", binary]);
    command.args(["--message-format", "json-render-diagnostics"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    // What cargo tells a test of its own package makes build scripts run again that look at it.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let built = command.output();
    let output = match built {
        Ok(output) if output.status.success() => output.stdout,
        failed => panic!("{binary} could not be built: {failed:?}"),
    };
    let path = String::from_utf8_lossy(&output).lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    match path {
        Some(path) => path,
        None => panic!("cargo did not say where it put {binary}"),
    }
}
