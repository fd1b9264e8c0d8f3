//! What a host does about itself: found a mesh, join one, leave it.

use super::{
    arguments::{HostArguments, InitOptions, JoinOptions},
    output,
    session::{Session, seconds_now},
};
use crate::{
    control::{Exit, Failure, Request},
    identity::Token,
    setup::{
        init::{self, HostOptions},
        join,
    },
};
use std::{io::Read, path::PathBuf};
use zeroize::Zeroizing;

/// Longer than any token; what is longer is not one.
const TOKEN_BYTES_MAX: u64 = 4 << 10;

fn host_options(host: HostArguments) -> HostOptions {
    HostOptions {
        name: host.name,
        listen: host.listen,
        advertise: host.advertise,
        http: host.http,
        labels: host.labels.into_iter().collect(),
    }
}

/// `hearten init`
pub(super) fn init(session: &Session, options: InitOptions) -> Result<(), Failure> {
    let host = host_options(options.host);
    let made = init::init(session.data(), &options.mesh, &host, seconds_now())?;
    let data = session.data().display();
    output::data(&format!(
        "mesh {mesh} is founded; {name} ({id}) is its first peer\n\
         root {fingerprint}\n\
         operator's key {key}: whoever has it says what runs; keep a copy elsewhere\n\
         \n\
         next:\n  \
           hearten run --data-dir {data}\n  \
           hearten token create --data-dir {data}\n  \
           hearten join --name NAME --peer {advertise} --token TOKEN     (on each other host)\n  \
           hearten apply FILE --data-dir {data}\n",
        mesh = made.mesh,
        name = made.name,
        id = made.peer,
        fingerprint = made.fingerprint,
        key = made.operator_key.display(),
        advertise = made.advertise,
    ))
}

/// `hearten join`
pub(super) fn join(session: &Session, options: JoinOptions) -> Result<(), Failure> {
    let token = token(options.token, options.token_file)?;
    let host = host_options(options.host);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let joining = join::join(session.data(), &host, &options.peers, &token);
    let member = runtime.block_on(joining)?;
    let data = session.data().display();
    output::data(&format!(
        "{name} ({id}) joined mesh {mesh}; {peers} other peers are known\n\
         \n\
         next:\n  \
           hearten run --data-dir {data}\n",
        name = member.name,
        id = member.peer,
        mesh = member.mesh,
        peers = member.peers,
    ))
}

/// `hearten leave`
pub(super) fn leave(session: &Session) -> Result<(), Failure> {
    session.ask(&Request::Leave)?;
    output::message("this peer has left the mesh for good; its data directory may be deleted");
    Ok(())
}

/// The token from a file, from the command line, from standard input, or from the environment.
fn token(given: Option<String>, file: Option<PathBuf>) -> Result<Token, Failure> {
    let text = match (given, file) {
        (_, Some(path)) => read_token(std::fs::File::open(&path), &path.display())?,
        (Some(dash), None) if dash == "-" => {
            read_token(Ok(std::io::stdin().lock()), &"standard input")?
        }
        (Some(text), None) => Zeroizing::new(text),
        (None, None) => match std::env::var("HEARTEN_TOKEN") {
            Ok(text) => Zeroizing::new(text),
            Err(_unset) => {
                let message = "no token was given: use --token-file FILE, --token - or HEARTEN_TOKEN; `hearten token create` makes one";
                return Err(Failure::new(Exit::Usage, message));
            }
        },
    };
    Token::parse(&text).map_err(|error| Failure::new(Exit::Usage, error.to_string()))
}

fn read_token(
    from: std::io::Result<impl Read>,
    name: &dyn std::fmt::Display,
) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let read = from.and_then(|from| from.take(TOKEN_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| Failure::new(Exit::Failed, format!("the token in {name}: {error}")))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Fingerprint;

    #[test]
    fn a_token_is_read_from_a_file_or_the_command_line() {
        let folder = tempfile::tempdir().unwrap();
        let made = Token::create(7, [5; 32], Fingerprint([9; 32]));
        let path = folder.path().join("token");
        std::fs::write(&path, format!("{}\n", made.text().as_str())).unwrap();
        assert_eq!(token(None, Some(path)).unwrap().id(), 7);
        assert_eq!(token(Some(made.text().to_string()), None).unwrap().id(), 7);
        let wrong = token(Some("secret".to_owned()), None).unwrap_err();
        assert_eq!(wrong.exit_code, Exit::Usage);
        assert!(!wrong.message.contains("secret"), "{wrong}");
        let missing = token(None, Some(PathBuf::from("/nowhere"))).unwrap_err();
        assert!(missing.message.contains("/nowhere"), "{missing}");
    }
}
