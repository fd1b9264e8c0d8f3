//! The command's side of the control socket.

use super::{
    api::{Answer, Failure, Reply, Request},
    exit::Exit,
    place::Place,
    server::REQUEST_BYTES_MAX,
};
use crate::setup::{SetupError, data_dir, farewell::Farewell};
use std::{
    io::{self, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

/// Asks the daemon of the data directory.
///
/// # Errors
/// The daemon's own [`Failure`], or one that says why it cannot be asked.
pub fn call(data: &Path, request: &Request) -> Answer {
    let bytes = serde_json::to_vec(request)
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    if bytes.len() > REQUEST_BYTES_MAX {
        let message = format!("the request is larger than {REQUEST_BYTES_MAX} bytes: split it");
        return Err(Failure::new(Exit::Failed, message));
    }
    let socket = data_dir::control_path(data);
    let stream = Place::of(&socket).and_then(|place| UnixStream::connect(place.path()));
    let mut stream = stream.map_err(|error| unreachable_daemon(data, &error))?;
    let reply = exchange(&mut stream, &bytes, request.patience()).map_err(|error| {
        let late = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut].contains(&error.kind());
        Failure::unavailable(if late {
            let seconds = request.patience().as_secs();
            format!("the daemon did not answer within {seconds} s: look at its log")
        } else {
            format!("the daemon went away before it answered: {error}")
        })
    })?;
    match serde_json::from_slice::<Reply>(&reply) {
        Ok(reply) => reply.into(),
        Err(_cut) if reply.is_empty() => {
            Err(Failure::unavailable("the daemon went away before it answered: look at its log"))
        }
        Err(error) => {
            let message = format!("the daemon's answer cannot be read: {error}");
            Err(Failure::new(Exit::Failed, message))
        }
    }
}

fn exchange(stream: &mut UnixStream, request: &[u8], within: Duration) -> io::Result<Vec<u8>> {
    stream.set_read_timeout(Some(within))?;
    stream.set_write_timeout(Some(within))?;
    let written = stream.write_all(request).and_then(|()| stream.shutdown(Shutdown::Write));
    let mut reply = Vec::new();
    // A daemon that refuses early has answered although it did not take everything.
    stream.read_to_end(&mut reply)?;
    if reply.is_empty() {
        written?;
    }
    Ok(reply)
}

fn unreachable_daemon(data: &Path, error: &io::Error) -> Failure {
    let shown = data.display();
    if error.kind() == io::ErrorKind::PermissionDenied {
        let message = format!(
            "you may not talk to the daemon of {shown}: run this as root or as the daemon's user"
        );
        return Failure::new(Exit::NotAllowed, message);
    }
    if let Ok(Some(how)) = Farewell::of(data) {
        let gone = SetupError::Gone { path: data.to_owned(), how };
        return Failure::unavailable(gone.to_string());
    }
    if data_dir::config_path(data).exists() {
        return Failure::unavailable(format!(
            "the daemon of {shown} does not run: start it with `hearten run --data-dir {shown}`"
        ));
    }
    Failure::unavailable(format!(
        "{shown} holds no peer: begin with `hearten init` or `hearten join`, or name another --data-dir"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_daemon_it_is_said_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let failure = call(folder.path(), &Request::Status).unwrap_err();
        assert_eq!(failure.exit_code, Exit::Unavailable);
        assert!(failure.message.contains("hearten init"), "{failure}");
        std::fs::write(data_dir::config_path(folder.path()), "").unwrap();
        let failure = call(folder.path(), &Request::Status).unwrap_err();
        assert_eq!(failure.exit_code, Exit::Unavailable);
        assert!(failure.message.contains("hearten run"), "{failure}");
        assert!(!failure.message.contains('\n'));
        Farewell::Removed.keep(folder.path()).unwrap();
        let failure = call(folder.path(), &Request::Status).unwrap_err();
        assert_eq!(failure.exit_code, Exit::Unavailable);
        assert!(failure.message.contains("was removed"), "{failure}");
    }
}
