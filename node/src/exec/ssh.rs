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

    /// A daemon of OpenSSH on a port of its own, in a mount name space in which root's own folder
    /// and keys are the test's.
    #[tokio::test]
    async fn a_command_runs_on_the_other_host_with_a_key_and_without_one_it_fails_at_once() {
        use crate::exec::{
            environment::Environment,
            process::{self, End, RunLimits},
        };
        let needed = ["/usr/sbin/sshd", "/usr/bin/ssh", "/usr/bin/ssh-keygen", "/usr/bin/unshare"];
        let missing = needed.iter().find(|path| !std::path::Path::new(path).exists());
        if let Some(missing) = missing {
            assert!(std::env::var_os("CI").is_none(), "{missing} is missing");
            eprintln!("skipped: {missing} is missing: install openssh-server");
            return;
        }
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root has a mount name space of its own");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let ssh = Ssh {
            user: "root".to_owned(),
            command: "echo \"$((6 * 7)) of $(id -un)\"".to_owned(),
            port,
            key: Some(at("key")),
        };
        let Command::Argv(argv) = command(&ssh, "127.0.0.1", Duration::from_secs(10)) else {
            panic!("an array")
        };
        let script = format!(
            "set -e; cd {folder}; mkdir -p home /run/sshd
            ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f key
            mount --bind home /root; mkdir -p /root/.ssh; cp key.pub /root/.ssh/authorized_keys
            printf '[127.0.0.1]:{port} %s\\n' \"$(cat host.pub)\" > /root/.ssh/known_hosts
            chmod -R go-rwx /root
            /usr/sbin/sshd -f /dev/null -h $PWD/host -p {port} -o ListenAddress=127.0.0.1 -o StrictModes=no -o PidFile=$PWD/pid
            set +e; while ! [ -s pid ]; do sleep 0.05; done
            \"$@\"; echo \"with the key: $?\"
            rm /root/.ssh/authorized_keys; \"$@\"; echo \"without: $?\"
            kill $(cat pid)",
            folder = folder.path().display(),
        );
        let wrapped: Vec<String> = ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", &script, "sh"]
            .map(str::to_owned)
            .into_iter()
            .chain(argv)
            .collect();
        let ran = process::run(
            &Command::Argv(wrapped),
            &Environment::default(),
            RunLimits::new(Duration::from_secs(30)),
            &tokio_util::sync::CancellationToken::new(),
        )
        .await;
        assert_eq!(ran.end, End::Exited(0), "{}", ran.output);
        assert!(ran.output.contains("42 of root\nwith the key: 0"), "{}", ran.output);
        assert!(ran.output.contains("without: 255"), "it asks nobody: {}", ran.output);
    }
}
