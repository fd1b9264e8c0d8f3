//! What is usual for this host's checks: kept in memory, written to the data directory now and then
//! and at the end, so that a restart need not learn it anew.

use super::Daemon;
use crate::{exec::check::CheckRun, files};
use consensus::aside;
use protocol::{codec, document::Check, learn::Habits, name::Name};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

/// How often it is written; so much may be forgotten when a host loses its power.
const EVERY: Duration = Duration::from_secs(300);

/// The most that is read of it, in bytes.
const BYTES_MAX: u64 = 64 << 20;

fn path(data: &Path) -> PathBuf {
    data.join("habits")
}

/// What was known when the daemon last ended. What cannot be read is learned anew.
pub(super) fn load(data: &Path) -> Habits {
    let path = path(data);
    let unreadable = |why: String| {
        tracing::warn!(path = %path.display(), why, "what is usual here cannot be read; it is learned anew");
        Habits::default()
    };
    match files::read_if_present(&path) {
        Ok(None) => Habits::default(),
        Ok(Some(bytes)) => codec::decode_within(&bytes, BYTES_MAX)
            .unwrap_or_else(|error| unreadable(error.to_string())),
        Err(error) => unreadable(error.to_string()),
    }
}

/// Keeps it on disk as long as the daemon runs, and once more at the end.
pub(super) async fn keep(daemon: Arc<Daemon>) {
    let mut kept = daemon.habits().clone();
    loop {
        let stopping = tokio::select! {
            () = daemon.stop.cancelled() => true,
            () = tokio::time::sleep(EVERY) => false,
        };
        let checks: BTreeSet<Name> = {
            let agent = daemon.agent();
            let checks = agent.ledger().library().checks();
            let asking = checks.filter(|check| check.unusual.is_some() || check.ahead.is_some());
            asking.map(|check| check.name.clone()).collect()
        };
        let habits = {
            let mut habits = daemon.habits();
            habits.retain(&checks);
            habits.clone()
        };
        if habits != kept {
            let (path, bytes) = (path(&daemon.data), codec::encode(&habits));
            let written = aside(move || files::write_durably(&path, &bytes, files::PRIVATE));
            match written.await {
                Ok(Ok(())) => kept = habits,
                Ok(Err(error)) => tracing::warn!(%error, "what is usual here could not be kept"),
                Err(error) => tracing::warn!(%error, "what is usual here could not be kept"),
            }
        }
        if stopping {
            return;
        }
    }
}

impl Daemon {
    /// What is usual here; held for a moment only.
    pub(super) fn habits(&self) -> MutexGuard<'_, Habits> {
        // Each value is taken in whole: a panic elsewhere leaves it as it was.
        self.habits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes of a run what it is in view of what is usual, and learns from it.
    pub(super) fn judge_habits(&self, check: &Check, run: &mut CheckRun) {
        let at = self.now().wall;
        let judged = self.habits().judge(check, (run.verdict, &run.summary), &run.data, at);
        (run.verdict, run.summary) = judged;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{
        document::{LoadProbe, Probe, Thresholds, Unusual, Verdict},
        perfdata::Datum,
        time::Timestamp,
    };

    #[test]
    fn what_is_kept_is_read_back_and_what_cannot_be_read_is_learned_anew() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), Habits::default());
        let per_cpu_hundredths = Thresholds::default();
        let probe = Probe::Load(LoadProbe { per_cpu_hundredths, minutes: 5 });
        let mut check = Check::new(Name::parse("load").unwrap(), probe);
        check.unusual = Some(Unusual::new(Verdict::Warn));
        let mut habits = Habits::default();
        let data = [Datum::parse("load=2").unwrap()];
        for run in 0..50 {
            habits.judge(&check, (Verdict::Pass, ""), &data, Timestamp::from_millis(run * 1_000));
        }
        let bytes = codec::encode(&habits);
        files::write_durably(&path(folder.path()), &bytes, files::PRIVATE).unwrap();
        assert_eq!(load(folder.path()), habits);
        std::fs::write(path(folder.path()), &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(load(folder.path()), Habits::default());
    }
}
