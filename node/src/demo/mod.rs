//! `hearten demo`: a mesh of real daemons on loopback that heals itself while one looks on.
//!
//! Everything is real: processes, QUIC, TLS, the log on disk, the same commands that an operator
//! types. Each step is told as it happens, with the time it took, and the demo succeeds only if
//! all of it was seen. It needs no root and no configuration.

mod curtain;
mod documents;
pub mod service;
mod stage;
mod story;

use anyhow::Context;
use curtain::Curtain;
use stage::Stage;
use std::{path::PathBuf, sync::Arc, time::Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

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
/// until Ctrl-C. However it ends, nothing that it started runs on.
///
/// # Errors
/// What was expected and not seen, or what the system said.
pub fn run(peers: usize, keep: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(async move {
        // Before anything is there that would have to be cleared away.
        let mut signals = Signals::new().context("waiting for Ctrl-C")?;
        let stage = Stage::new(peers)?;
        let (folder, curtain) = (stage.folder().to_owned(), Arc::clone(&stage.curtain));
        let show = tokio::task::spawn_blocking(move || show(stage, keep));
        tokio::select! {
            shown = show => shown.context("the demo broke off")?,
            () = signals.next() => {
                let told = curtain.is_told();
                tokio::select! {
                    stopped = stop(curtain, folder.clone(), keep) => stopped?,
                    () = signals.next() => anyhow::bail!(
                        "ended at once: what it had started may still run; its folder is {}",
                        folder.display()
                    ),
                }
                anyhow::ensure!(told, "interrupted before the end");
                Ok(())
            }
        }
    });
    // The story may still wait for something that will not come any more.
    runtime.shutdown_background();
    ended
}

/// What asks the demo to end.
struct Signals {
    interrupted: Signal,
    terminated: Signal,
    hung_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            interrupted: signal(SignalKind::interrupt())?,
            terminated: signal(SignalKind::terminate())?,
            hung_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupted.recv() => {}
            _ = self.terminated.recv() => {}
            _ = self.hung_up.recv() => {}
        }
    }
}

/// Lets the curtain fall and clears the stage.
async fn stop(curtain: Arc<Curtain>, folder: PathBuf, keep: bool) -> anyhow::Result<()> {
    say("\nstopping: everything that the demo started is ended (once more ends it at once)");
    let cleared = tokio::task::spawn_blocking({
        let folder = folder.clone();
        move || {
            curtain.fall();
            curtain::clear(&folder, keep)
        }
    });
    cleared.await.context("clearing the stage")??;
    if keep {
        say(&format!("its data and logs are in {}", folder.display()));
    }
    Ok(())
}

/// Says something to whoever may still listen: a terminal that was closed does not.
fn say(text: &str) {
    if let Err(error) = crate::cli::print(&format!("{text}\n")) {
        tracing::debug!(%error, "nobody listens any more");
    }
}

fn show(mut stage: Stage, keep: bool) -> anyhow::Result<()> {
    let teller = Teller { began: Instant::now() };
    let told = story::tell(&mut stage, &teller);
    if stage.curtain.has_fallen() {
        // Whoever let it fall clears the stage.
        return told;
    }
    let failed = told.is_err();
    let told = told.with_context(|| {
        format!(
            "the demo did not show what it should; the logs are in {}",
            stage.folder().display()
        )
    });
    if keep && !failed {
        stage.curtain.was_told();
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
    stage.curtain.fall();
    let cleared = curtain::clear(stage.folder(), keep || failed);
    told.and(cleared)
}
