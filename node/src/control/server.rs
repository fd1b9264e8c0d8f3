//! The daemon's side of the control socket.
//!
//! Whoever may use it may give the daemon's host any order that the daemon passes on, so the
//! kernel is asked who calls: root, or the user or group that the daemon runs as. A caller can
//! neither hold the daemon up nor fill its memory: time, size and number are bounded.

use super::{
    api::{Answer, Failure, Reply, Request},
    exit::Exit,
    place::Place,
};
use async_trait::async_trait;
use serde_json::Value;
use std::{
    io,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream, unix::UCred},
    sync::Semaphore,
    time::timeout,
};

/// The largest question, in bytes: a full bundle of documents as JSON fits.
pub const REQUEST_BYTES_MAX: usize = 8 << 20;

/// How long a caller may take to ask.
const ASK_TIME: Duration = Duration::from_secs(5);

/// How long a caller may take to read the answer.
const TAKE_TIME: Duration = Duration::from_secs(10);

/// How many callers are served at once; more wait for their turn.
const CALLERS_MAX: usize = 32;

/// Owner and group may talk to the socket.
const MODE: u32 = 0o660;

/// What the daemon implements to be asked.
#[async_trait]
pub trait Service: Send + Sync + 'static {
    /// Answers one question.
    async fn call(&self, request: Request) -> Result<Value, Failure>;
}

/// The socket, listened on. Its file goes with it.
#[derive(Debug)]
pub struct Listener {
    listener: UnixListener,
    path: PathBuf,
}

impl Listener {
    /// Listens at `path`. A socket that an earlier daemon left there is replaced: the lock on the
    /// data directory makes sure that it is not in use.
    ///
    /// # Errors
    /// What the system said; also when something that is no socket is in the way.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
            Ok(_) => {
                let what = format!("{} is in the way and no socket", path.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, what));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let place = Place::of(path)?;
        let listener = UnixListener::bind(place.path())?;
        // The directory is closed to others, so nobody can come in between.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(MODE))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Serves callers until it is dropped.
    pub async fn serve(self, service: Arc<dyn Service>) {
        let turns = Arc::new(Semaphore::new(CALLERS_MAX));
        loop {
            let Ok(turn) = Arc::clone(&turns).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    let service = Arc::clone(&service);
                    tokio::spawn(async move {
                        attend(stream, service.as_ref()).await;
                        drop(turn);
                    });
                }
                Err(error) => {
                    // Out of descriptors, most likely: others give theirs back.
                    tracing::warn!(%error, "the control socket cannot take a caller");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // One that cannot be removed is replaced at the next start.
        drop(std::fs::remove_file(&self.path));
    }
}

/// Listens at `path` and serves callers until it is dropped.
///
/// # Errors
/// As [`Listener::bind`].
pub async fn serve(path: &Path, service: Arc<dyn Service>) -> io::Result<()> {
    Listener::bind(path)?.serve(service).await;
    Ok(())
}

async fn attend(mut stream: UnixStream, service: &dyn Service) {
    let answer = match stream.peer_cred() {
        Ok(caller) if may_call(&caller) => match read(&mut stream).await {
            Ok(request) => service.call(request).await,
            Err(failure) => Err(failure),
        },
        Ok(caller) => {
            tracing::warn!(uid = caller.uid(), "a user tried the control socket");
            let message = "only root and the daemon's own user may control it: use sudo";
            Err(Failure::new(Exit::NotAllowed, message))
        }
        Err(error) => Err(Failure::new(Exit::NotAllowed, error.to_string())),
    };
    let told = timeout(TAKE_TIME, write(&mut stream, answer)).await;
    if let Ok(Err(error)) = told {
        tracing::debug!(%error, "a caller did not wait for its answer");
    }
}

fn may_call(caller: &UCred) -> bool {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    caller.uid() == 0 || caller.uid() == uid || caller.gid() == gid
}

async fn read(stream: &mut UnixStream) -> Result<Request, Failure> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(REQUEST_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
    let mut bounded = stream.take(limit);
    match timeout(ASK_TIME, bounded.read_to_end(&mut bytes)).await {
        Ok(Ok(_)) if bytes.len() > REQUEST_BYTES_MAX => {
            let message = format!("the request is larger than {REQUEST_BYTES_MAX} bytes");
            Err(Failure::new(Exit::Failed, message))
        }
        Ok(Ok(_)) => serde_json::from_slice(&bytes).map_err(|error| {
            let message = format!(
                "the daemon does not understand this request: is it of another version? ({error})"
            );
            Failure::new(Exit::Failed, message)
        }),
        Ok(Err(error)) => Err(Failure::new(Exit::Failed, error.to_string())),
        Err(_elapsed) => {
            let message = format!("the request was not complete within {ASK_TIME:?}");
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

async fn write(stream: &mut UnixStream, answer: Answer) -> io::Result<()> {
    let bytes = serde_json::to_vec(&Reply::from(answer))?;
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{control::client, setup::data_dir};
    use serde_json::json;
    use std::io::{Read, Write};

    struct Echo;

    #[async_trait]
    impl Service for Echo {
        async fn call(&self, request: Request) -> Result<Value, Failure> {
            if let Request::Peer { name } = request {
                return Err(Failure::not_found(format!("no peer {name}")));
            }
            Ok(json!({ "schema": 1 }))
        }
    }

    fn begin(data: &Path) -> tokio::task::JoinHandle<()> {
        let listener = Listener::bind(&data_dir::control_path(data)).unwrap();
        tokio::spawn(listener.serve(Arc::new(Echo)))
    }

    async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    #[tokio::test]
    async fn a_question_is_answered_and_a_failure_keeps_its_exit_code() {
        let folder = tempfile::tempdir().unwrap();
        // Deeper than a socket's path may be long.
        let data = folder.path().join("d".repeat(60)).join("e".repeat(60));
        std::fs::create_dir_all(&data).unwrap();
        let server = begin(&data);
        let socket = data_dir::control_path(&data);
        let mode = std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o660);
        blocking(move || {
            assert_eq!(client::call(&data, &Request::Status), Ok(json!({ "schema": 1 })));
            let request = Request::Peer { name: "x".to_owned() };
            assert_eq!(client::call(&data, &request), Err(Failure::not_found("no peer x")));
        })
        .await;
        server.abort();
    }

    #[tokio::test]
    async fn what_is_too_large_or_not_understood_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().to_owned();
        let server = begin(&data);
        blocking(move || {
            let huge = Request::Peer { name: "x".repeat(REQUEST_BYTES_MAX) };
            let failure = client::call(&data, &huge).unwrap_err();
            assert!(failure.message.contains("larger than"), "{failure}");
            let raw = |request: &[u8]| {
                let socket = data_dir::control_path(&data);
                let mut stream = std::os::unix::net::UnixStream::connect(socket).unwrap();
                stream.write_all(request).unwrap();
                stream.shutdown(std::net::Shutdown::Write).unwrap();
                let mut answer = String::new();
                stream.read_to_string(&mut answer).unwrap();
                answer
            };
            let answer = raw(&vec![b' '; REQUEST_BYTES_MAX + 1]);
            assert!(answer.contains("larger than"), "{answer}");
            let answer = raw(b"{\"reboot\":{}}");
            assert!(answer.contains("another version"), "{answer}");
            assert!(client::call(&data, &Request::Status).is_ok(), "it still serves");
        })
        .await;
        server.abort();
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = data_dir::control_path(folder.path());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists(), "it was left behind");
        let listener = Listener::bind(&path).unwrap();
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "a file").unwrap();
        assert!(Listener::bind(&path).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
    }
}
