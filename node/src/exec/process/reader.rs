//! What a command prints: read while it runs, and read on where it leaves a service behind.

use crate::exec::output::Output;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{io::AsyncReadExt, net::unix::pipe, task::JoinHandle, time};
use tokio_util::sync::CancellationToken;

/// How long after the end of the command its output may still come in. Whoever holds the pipe open
/// longer is a service that it left behind.
pub(super) const DRAIN: Duration = Duration::from_millis(200);

/// The pause after each read of what is not kept.
const FLOOD_PAUSE: Duration = Duration::from_millis(1);

/// How many pipes of services that commands left behind are read on. Beyond that they are closed.
const LEFT_PIPES_MAX: usize = 256;

static LEFT_PIPES: AtomicUsize = AtomicUsize::new(0);

/// Reads the pipe on a task of its own.
///
/// It reads on after the command has ended, as long as a service that was left behind holds the
/// other end: if the pipe were closed, the next line that the service prints would kill it.
pub(super) struct Reader {
    kept: Arc<Mutex<Output>>,
    ended: CancellationToken,
    /// Bytes are being left out.
    pub(super) flooded: CancellationToken,
    task: JoinHandle<()>,
}

impl Reader {
    pub(super) fn start(pipe: pipe::Receiver, output_max_bytes: usize) -> Self {
        let kept = Arc::new(Mutex::new(Output::new(output_max_bytes)));
        let (ended, flooded) = (CancellationToken::new(), CancellationToken::new());
        let task = tokio::spawn(read(pipe, Arc::clone(&kept), ended.clone(), flooded.clone()));
        Self { kept, ended, flooded, task }
    }

    /// What was read, after waiting a little for the rest, and whether there was more.
    pub(super) async fn finish(mut self) -> (String, bool) {
        let at_end_of_file = time::timeout(DRAIN, &mut self.task).await.is_ok();
        if !at_end_of_file && LEFT_PIPES.load(Ordering::Relaxed) >= LEFT_PIPES_MAX {
            tracing::warn!("too many services hold a command's output open: one pipe is closed");
            self.task.abort();
        }
        let empty = Output::new(0);
        let kept = &mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = std::mem::replace(kept, empty);
        let flooded = kept.overflows();
        (kept.into_text(), flooded)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

async fn read(
    mut pipe: pipe::Receiver,
    kept: Arc<Mutex<Output>>,
    ended: CancellationToken,
    flooded: CancellationToken,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let bytes = tokio::select! {
            () = ended.cancelled() => break,
            read = pipe.read(&mut buffer) => match read {
                Ok(0) | Err(_) => return,
                Ok(bytes) => bytes,
            },
        };
        let overflows = {
            let mut output = kept.lock().unwrap_or_else(PoisonError::into_inner);
            output.push(&buffer[..bytes]);
            output.overflows()
        };
        if overflows {
            flooded.cancel();
            // A flood is read at some 60 MB/s, so that it costs the daemon next to nothing.
            time::sleep(FLOOD_PAUSE).await;
        }
    }
    drop(kept);
    let _left = LeftPipe::count();
    let mut buffer = [0; 1024];
    while pipe.read(&mut buffer).await.is_ok_and(|bytes| bytes > 0) {
        time::sleep(FLOOD_PAUSE).await;
    }
}

/// One pipe that is read on; counted while it lives.
struct LeftPipe;

impl LeftPipe {
    fn count() -> Self {
        LEFT_PIPES.fetch_add(1, Ordering::Relaxed);
        Self
    }
}

impl Drop for LeftPipe {
    fn drop(&mut self) {
        LEFT_PIPES.fetch_sub(1, Ordering::Relaxed);
    }
}
