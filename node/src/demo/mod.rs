//! `hearten demo`: a mesh of real daemons on loopback that heals itself while one looks on.
//!
//! Everything is real: processes, QUIC, TLS, the log on disk, the same commands that an operator
//! types. Each step is told as it happens, with the time it took, and the demo succeeds only if
//! all of it was seen. It needs no root and no configuration.

mod documents;
pub mod service;
mod stage;
mod story;

use anyhow::Context;
use stage::Stage;
use std::time::Instant;

/// Tells the story as it happens.
pub(crate) struct Teller {
    began: Instant,
}

impl Teller {
    /// A line of the story, with the time since the demo began.
    pub(crate) fn say(&self, text: &str) -> anyhow::Result<()> {
        let seconds = self.began.elapsed().as_secs_f64();
        self.line(&format!("[{seconds:5.1} s]  {text}"))
    }

    /// A line as it is.
    pub(crate) fn line(&self, text: &str) -> anyhow::Result<()> {
        Ok(crate::cli::print(&format!("{text}\n"))?)
    }
}

/// Shows a mesh of `peers` daemons; with `keep` its data and logs stay, and the daemons run on
/// until Ctrl-C.
///
/// # Errors
/// What was expected and not seen, or what the system said.
pub fn run(peers: usize, keep: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let stage = Stage::new(peers)?;
        let folder = stage.folder().to_owned();
        let show = tokio::task::spawn_blocking(move || show(stage, keep));
        tokio::select! {
            shown = show => shown.context("the demo broke off")?,
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.context("waiting for Ctrl-C")?;
                stage::clear(&folder, keep);
                anyhow::bail!("interrupted before the end");
            }
        }
    })
}

fn show(mut stage: Stage, keep: bool) -> anyhow::Result<()> {
    let teller = Teller { began: Instant::now() };
    let told = story::tell(&mut stage, &teller);
    if keep {
        teller.line(&format!(
            "\nThe mesh runs on; its data and logs are in {}",
            stage.folder().display()
        ))?;
        teller.line(&format!(
            "  look at it:  hearten --data-dir {} status",
            stage.data(0).display()
        ))?;
        teller.line("  Ctrl-C ends it")?;
        stage.wait_for_ever();
    }
    let failed = told.is_err();
    stage::clear(stage.folder(), keep || failed);
    told.with_context(|| {
        format!(
            "the demo did not show what it should; the logs are in {}",
            stage.folder().display()
        )
    })
}
