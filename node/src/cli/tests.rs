//! Commands against a daemon that is nothing but a ledger: what is signed here has to hold there.

use super::{
    arguments::{ApplyOptions, ChangeOptions, Cli, Command, Shown},
    carry_out, documents,
    session::Session,
};
use crate::{
    control::{
        Exit, Failure, Request, answers,
        server::{Listener, Service},
        views::{effect, testing::Sample},
    },
    identity::PeerKey,
    setup::data_dir,
};
use async_trait::async_trait;
use clap::Parser;
use protocol::record::Record;
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

struct Daemon(Mutex<Sample>);

#[async_trait]
impl Service for Daemon {
    async fn call(&self, request: Request) -> Result<Value, Failure> {
        let mut sample = self.0.lock().unwrap();
        let now = sample.now();
        if let Some(answer) = answers::read(&sample.agent, now, &BTreeMap::new(), &request) {
            return answer;
        }
        let record = if let Request::Apply { bundle } = request {
            Record::DocumentsApplied { bundle }
        } else if let Request::Order { order } = request {
            Record::Ordered { order }
        } else {
            return Err(Failure::new(Exit::Failed, format!("{request:?}")));
        };
        effect(&sample.try_commit(1, record))
    }
}

struct Host {
    folder: tempfile::TempDir,
    daemon: Arc<Daemon>,
    server: tokio::task::JoinHandle<()>,
}

impl Host {
    fn begin(sample: Sample) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let daemon = Arc::new(Daemon(Mutex::new(sample)));
        let listener = Listener::bind(&data_dir::control_path(folder.path())).unwrap();
        let server = tokio::spawn(listener.serve(daemon.clone()));
        let host = Self { folder, daemon, server };
        host.give_key(9);
        host
    }

    fn give_key(&self, seed: u8) {
        let path = data_dir::operator_key_path(self.folder.path());
        PeerKey::from_seed(&[seed; 32]).store(&path).unwrap();
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    /// The exit code of a command line.
    async fn run(&self, line: &str) -> u8 {
        let words: Vec<String> = ["hearten", "--data-dir", &self.data().display().to_string()]
            .into_iter()
            .chain(line.split_whitespace())
            .map(str::to_owned)
            .collect();
        let Cli { data_dir, command } = Cli::try_parse_from(words).unwrap();
        let work = move || match carry_out(&Session::new(data_dir), command) {
            Ok(code) => code,
            Err(failure) => failure.exit_code.code(),
        };
        tokio::task::spawn_blocking(work).await.unwrap()
    }

    fn with<T>(&self, look: impl FnOnce(&Sample) -> T) -> T {
        look(&self.daemon.0.lock().unwrap())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.server.abort();
    }
}

#[tokio::test]
async fn documents_are_signed_here_and_hold_there() {
    let host = Host::begin(Sample::quiet());
    let path = host.data().join("limits.toml");
    std::fs::write(&path, "[limits]\nat_once = 7\n").unwrap();
    let line = format!("apply {}", path.display());
    assert_eq!(host.run(&format!("{line} --dry-run")).await, 0);
    let revision = |sample: &Sample| sample.agent.ledger().library().revision();
    assert_eq!(host.with(revision), 1, "it was only looked at");
    assert_eq!(host.run(&line).await, 0);
    assert_eq!(host.with(revision), 2);
    assert_eq!(host.with(|sample| sample.agent.ledger().library().limits().mesh.at_once), Some(7));
    assert_eq!(host.run(&line).await, 0);
    assert_eq!(host.with(revision), 2, "nothing changes, so nothing is committed");
    std::fs::write(&path, "[limits]\nat_onec = 7\n").unwrap();
    assert_eq!(host.run(&line).await, 1);
    assert_eq!(host.with(revision), 2);
}

#[tokio::test]
async fn without_an_operators_key_nothing_changes() {
    let host = Host::begin(Sample::quiet());
    host.give_key(8);
    assert_eq!(host.run("freeze --reason storm").await, 4, "a stranger's key");
    std::fs::remove_file(data_dir::operator_key_path(host.data())).unwrap();
    assert_eq!(host.run("freeze --reason storm").await, 4, "no key");
    assert!(host.with(|sample| sample.agent.ledger().frozen().is_none()));
    let options = ApplyOptions {
        files: vec![host.data().join("none.toml")],
        change: ChangeOptions::default(),
    };
    let session = Session::new(host.data().to_owned());
    let missing = documents::apply(&session, options).unwrap_err();
    assert_eq!(missing.exit_code, Exit::NotFound);
}

#[tokio::test]
async fn orders_are_carried_out_once_signed() {
    let host = Host::begin(Sample::with_failing_check());
    let tokens = host.with(|sample| sample.agent.ledger().tokens().len());
    assert_eq!(host.run("token create --uses 3 --ttl 5m").await, 0);
    assert_eq!(host.with(|sample| sample.agent.ledger().tokens().len()), tokens + 1);
    assert_eq!(host.run("freeze --reason storm").await, 0);
    assert!(host.with(|sample| sample.agent.ledger().frozen().is_some()));
    assert_eq!(host.run("thaw").await, 0);
    assert!(host.with(|sample| sample.agent.ledger().frozen().is_none()));
    let id = host.with(Sample::incident);
    assert_eq!(host.run(&format!("incident close {id} --reason done")).await, 0);
    assert_eq!(host.run(&format!("incident close {id} --reason done")).await, 5);
    assert_eq!(host.run("peer remove web-1").await, 5, "it runs");
    assert!(host.with(|sample| sample.agent.ledger().roster().by_name("web-1").is_some()));
    assert_eq!(host.run("peer remove web-1 --force").await, 0);
    assert!(host.with(|sample| sample.agent.ledger().roster().by_name("web-1").is_none()));
    assert_eq!(host.run("peer remove web-2").await, 5, "it may run");
    assert_eq!(host.run("peer remove web-2 --force").await, 0);
    assert_eq!(host.run("peer remove web-2").await, 3);
}

#[tokio::test]
async fn every_look_is_answered_in_every_form() {
    let host = Host::begin(Sample::with_failing_check());
    let id = host.with(Sample::incident);
    for look in [
        "status",
        "peer list",
        "peer show web-1",
        "document list",
        "document show check/web-alive",
        "document history",
        "incident list --open --peer web-1",
        &format!("incident show {id}"),
        &format!("incident explain {id}"),
        "raft members",
        "counters",
    ] {
        for form in ["", "--json", "-o yaml"] {
            assert_eq!(host.run(&format!("{look} {form}")).await, 0, "{look} {form}");
        }
    }
    assert_eq!(host.run("status --check").await, 2, "a check fails");
    for nothing in ["peer show nobody", "document show check/none", "incident explain 9999"] {
        assert_eq!(host.run(nothing).await, 3, "{nothing}");
    }
    assert_eq!(host.run("incident list --peer nobody").await, 3);
}

#[test]
fn without_a_daemon_a_command_ends_with_six_and_a_check_with_three() {
    let folder = tempfile::tempdir().unwrap();
    let session = Session::new(folder.path().to_owned());
    let status = |check: bool| {
        let options = super::arguments::StatusOptions { check, shown: Shown::default() };
        carry_out(&session, Command::Status(options))
    };
    assert_eq!(status(false).unwrap_err().exit_code, Exit::Unavailable);
    assert_eq!(status(true), Ok(3));
}
