//! A few facts of this host, for its report.

use super::Daemon;
use protocol::agent::{BOOT_ID, Input, silence::SERVICE_MANAGER};
use std::{collections::BTreeMap, sync::Arc, time::Duration};

/// How often the facts are looked at; they are told only when they have changed.
const EVERY: Duration = Duration::from_secs(60);

/// Tells the agent the facts of this host, now and when they change.
pub(super) async fn collect(daemon: Arc<Daemon>) {
    loop {
        let facts = daemon.ground.hands.as_ref().map_or_else(facts, |hands| hands.facts());
        daemon.tell(Input::Facts(facts)).await;
        tokio::select! {
            () = daemon.stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn facts() -> BTreeMap<String, String> {
    let system = rustix::system::uname();
    let text = |value: &std::ffi::CStr| value.to_string_lossy().into_owned();
    let mut facts = BTreeMap::from([
        ("kernel".to_owned(), text(system.release())),
        ("host".to_owned(), text(system.nodename())),
    ]);
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    facts.insert("cpus".to_owned(), cpus.to_string());
    // A host that was rebooted is told apart from one that was not.
    if let Ok(boot_id) = std::fs::read_to_string("/proc/sys/kernel/random/boot_id") {
        facts.insert(BOOT_ID.to_owned(), boot_id.trim().to_owned());
    }
    // systemd says so to whatever it starts: it will start it again.
    if std::env::var_os("INVOCATION_ID").is_some() {
        facts.insert(SERVICE_MANAGER.to_owned(), "systemd".to_owned());
    }
    facts
}
