//! A mesh of hosts on loopback.

use crate::{Host, Turn, parts::free_port, until};
use anyhow::{Context, Result};
use serde_json::Value;
use std::{ops::Index, path::PathBuf};
use tempfile::TempDir;

/// A mesh of real daemons.
#[derive(Debug)]
pub struct Mesh {
    /// The hosts; the first one founded the mesh and has the operator's key.
    pub hosts: Vec<Host>,
    folder: Option<TempDir>,
    _turn: Turn,
}

impl Mesh {
    /// Founds a mesh of hosts with these labels (`role=web,zone=a`), named `h1`, `h2`, …, and
    /// waits until all are alive and as many vote as should.
    ///
    /// # Errors
    /// With the step that failed.
    pub fn of(labels: &[&str]) -> Result<Self> {
        let mut mesh = Self::empty()?;
        for labels in labels {
            mesh.add(labels)?;
        }
        mesh.settled()?;
        Ok(mesh)
    }

    /// A mesh of no hosts, to which they are added one by one.
    ///
    /// # Errors
    /// When there is no place for a folder.
    pub fn empty() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hearten-").tempdir()?;
        Ok(Self { hosts: Vec::new(), folder: Some(folder), _turn: Turn::take() })
    }

    /// A mesh of `count` hosts without labels.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn sized(count: usize) -> Result<Self> {
        Self::of(&vec![""; count])
    }

    /// The same, where each host takes HTTP on loopback.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn with_http(count: usize) -> Result<Self> {
        let mut mesh = Self::empty()?;
        for number in 1..=count {
            let mut host = Host::new(&mesh.folder(), &format!("h{number}"))?;
            host.http = Some(free_port()?);
            mesh.add_host(host, "")?;
        }
        mesh.settled()?;
        Ok(mesh)
    }

    /// Where the test may put files.
    ///
    /// # Panics
    /// Never: the folder is there as long as the mesh.
    pub fn folder(&self) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default()
    }

    /// Adds a host: founds the mesh with the first, lets the others join.
    ///
    /// # Errors
    /// With the step that failed.
    pub fn add(&mut self, labels: &str) -> Result<usize> {
        let host = Host::new(&self.folder(), &format!("h{}", self.hosts.len() + 1))?;
        self.add_host(host, labels)
    }

    /// The same with a host that was made already.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn add_host(&mut self, mut host: Host, labels: &str) -> Result<usize> {
        let address = host.address.to_string();
        let mut arguments =
            vec!["--name", &host.name, "--listen", &address, "--advertise", &address];
        let http = host.http.map_or("off".to_owned(), |port| format!("127.0.0.1:{port}"));
        arguments.extend(["--http", &http]);
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            arguments.extend(["--label", label]);
        }
        if let Some(founder) = self.hosts.first() {
            let token = founder.ok(&["token", "create"])?;
            let peer = founder.address.to_string();
            let mut join = vec!["join", "--peer", &peer, "--token", token.trim()];
            join.extend(arguments);
            host.ok_inside(&join)?;
        } else {
            let mut init = vec!["init"];
            init.extend(arguments);
            host.ok(&init)?;
        }
        host.start()?;
        if self.hosts.is_empty() {
            until("the mesh is founded", || {
                host.status().filter(|status| status["mesh"] != "" && status["quorum"] == true)
            })?;
        }
        self.hosts.push(host);
        Ok(self.hosts.len() - 1)
    }

    /// Waits until everyone sees everyone alive and as many vote as should; all hosts have to run.
    ///
    /// # Errors
    /// When that does not come about.
    pub fn settled(&self) -> Result<()> {
        let count = self.hosts.len();
        let voters = match count {
            0..3 => 1,
            3..5 => 3,
            _ => 5,
        };
        until("all are alive and enough of them vote", || {
            let all_agree = self.hosts.iter().all(|host| {
                let Some(status) = host.status() else { return false };
                let Some(peers) = status["peers"].as_array() else { return false };
                let alive = peers.iter().filter(|peer| peer["state"] == "alive").count();
                let votes =
                    peers.iter().filter(|p| p["role"] == "voter" || p["role"] == "leader").count();
                status["quorum"] == true && alive == count && votes == voters
            });
            all_agree.then_some(())
        })
        .with_context(|| format!("{:#?}", self.hosts.iter().map(Host::status).collect::<Vec<_>>()))
    }

    /// The host that leads, as those say that run.
    ///
    /// # Errors
    /// When nobody leads for long.
    pub fn leader(&mut self) -> Result<usize> {
        until("there is a leader", || {
            let running: Vec<usize> =
                (0..self.hosts.len()).filter(|n| self.hosts[*n].is_running()).collect();
            let named = running.iter().find_map(|n| {
                let status = self.hosts[*n].status()?;
                (status["quorum"] == true).then_some(())?;
                status["leader"].as_str().map(str::to_owned)
            })?;
            running.into_iter().find(|n| self.hosts[*n].name == named)
        })
    }

    /// A host that runs, votes and does not lead, and is not the founder.
    ///
    /// # Errors
    /// When there is none for long.
    pub fn follower(&mut self) -> Result<usize> {
        let leader = self.leader()?;
        let candidates: Vec<usize> =
            (1..self.hosts.len()).filter(|n| *n != leader && self.hosts[*n].is_running()).collect();
        until("there is a follower that votes", || {
            candidates.iter().copied().find(|n| {
                let row = self.hosts[leader].peer(&self.hosts[*n].name);
                row.is_some_and(|row| row["role"] == "voter")
            })
        })
    }

    /// The place of the host with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn place(&self, name: &str) -> Result<usize> {
        let place = self.hosts.iter().position(|host| host.name == name);
        place.with_context(|| format!("no host is called {name}"))
    }

    /// The operator's key, which lies on the founder's host.
    pub fn key(&self) -> String {
        self.hosts[0].data.join("operator.key").to_string_lossy().into_owned()
    }

    /// Writes documents to a file and applies them as the operator, on the founder's host.
    ///
    /// # Errors
    /// With what the command said.
    pub fn apply(&self, documents: &str) -> Result<String> {
        self.apply_at(0, documents)
    }

    /// Writes documents to a file and applies them as the operator, on this host.
    ///
    /// # Errors
    /// With what the command said.
    pub fn apply_at(&self, host: usize, documents: &str) -> Result<String> {
        let file = self.folder().join("documents.toml");
        std::fs::write(&file, documents)?;
        self.hosts[host].ok(&["apply", &file.to_string_lossy(), "--key", &self.key()])
    }

    /// The incidents that `host` knows, newest first.
    ///
    /// # Errors
    /// With what the command said.
    pub fn incidents(&self, host: usize) -> Result<Vec<Value>> {
        let list = self.hosts[host].json(&["incident", "list"])?;
        Ok(list["incidents"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until `host` knows an incident for which `fits` holds, and gives all of it.
    ///
    /// # Errors
    /// When there is none for long; with those there are.
    pub fn incident(
        &self,
        host: usize,
        what: &str,
        fits: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        until(what, || {
            let incidents = self.incidents(host).ok()?;
            let id = incidents.iter().find(|incident| fits(incident))?["id"].as_str()?.to_owned();
            self.hosts[host].json(&["incident", "show", &id]).ok()
        })
        .with_context(|| format!("{:#?}", self.incidents(host)))
    }
}

impl Index<usize> for Mesh {
    type Output = Host;
    fn index(&self, place: usize) -> &Host {
        &self.hosts[place]
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        self.hosts.clear();
        if (std::thread::panicking() || std::env::var_os("HEARTEN_KEEP").is_some())
            && let Some(folder) = self.folder.take()
        {
            eprintln!("the mesh's data and logs are kept in {}", folder.keep().display());
        }
    }
}
