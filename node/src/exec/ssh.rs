//! The command that runs another one on the affected host, by `ssh`.
//!
//! It never asks anybody: what it cannot do by a key it does not do. Whether the host's own key is
//! trusted is for the worker's `known_hosts` to say. The operator's command is one argument, handed
//! over as it was signed; no value of a host or an incident is pasted into it.

use protocol::document::{Command, Ssh};
use std::time::Duration;

/// How long the connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// The program.
const PROGRAM: &str = "/usr/bin/ssh";

/// The arguments for a host at this address, within this time.
pub fn command(ssh: &Ssh, address: &str, timeout: Duration) -> Command {
    let connect = CONNECT_WITHIN.min(timeout).as_secs().max(1);
    let mut argv: Vec<String> = [PROGRAM, "-T", "-n", "-o", "BatchMode=yes", "-o"]
        .map(str::to_owned)
        .into_iter()
        .chain([format!("ConnectTimeout={connect}")])
        .collect();
    // What hangs after it was connected is noticed before the time limit.
    for option in ["ServerAliveInterval=5", "ServerAliveCountMax=2"] {
        argv.extend(["-o".to_owned(), option.to_owned()]);
    }
    argv.extend(["-p".to_owned(), ssh.port.to_string(), "-l".to_owned(), ssh.user.clone()]);
    if let Some(key) = &ssh.key {
        argv.extend([
            "-i".to_owned(),
            key.clone(),
            "-o".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
        ]);
    }
    // After "--" nothing is an option: neither the address nor the command.
    argv.extend(["--".to_owned(), address.to_owned(), ssh.command.clone()]);
    Command::Argv(argv)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_command_is_one_argument_as_it_was_signed() {
        let ssh = Ssh {
            user: "root".to_owned(),
            command: "systemctl start hearten; echo $HOME".to_owned(),
            port: 2222,
            key: Some("/etc/hearten/id".to_owned()),
        };
        let Command::Argv(argv) = command(&ssh, "10.0.0.5", Duration::from_secs(3)) else {
            panic!("an array")
        };
        assert_eq!(argv[0], "/usr/bin/ssh");
        assert_eq!(
            argv[argv.len() - 3..],
            ["--", "10.0.0.5", "systemctl start hearten; echo $HOME"]
        );
        for pair in [
            ["-o", "BatchMode=yes"],
            ["-o", "ConnectTimeout=3"],
            ["-p", "2222"],
            ["-l", "root"],
            ["-i", "/etc/hearten/id"],
        ] {
            assert!(argv.windows(2).any(|two| two == pair), "{pair:?}: {argv:?}");
        }
        assert!(!argv.iter().any(|word| word.contains("StrictHostKeyChecking")), "{argv:?}");
    }
}
