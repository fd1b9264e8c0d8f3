//! A web server that is killed is started again, and one that cannot start gets back the
//! configuration with which it last could.
//!
//! nginx puts itself into the background: what a rung starts has to outlive the rung, and the
//! daemon that ran it. The check is `check_http`, as monitoring has used it for decades.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tests::{
    Mesh, PATIENCE,
    parts::{evidence, free_port, get, program},
    until,
};

#[test]
fn a_killed_web_server_is_started_again_with_its_last_good_configuration_if_need_be() -> Result<()>
{
    let (Some(nginx), Some(check)) =
        (program("nginx", "nginx-light"), program("check_http", "monitoring-plugins-basic"))
    else {
        return Ok(());
    };
    let mut mesh = Mesh::of(&["role=web", "", ""])?;
    let web = Web::start(&nginx, &mesh.folder())?;
    mesh.apply(&documents(&web, &check))?;
    until("the check passes", || {
        let status = mesh[0].status()?;
        let peers = status["peers"].as_array()?;
        peers.iter().any(|peer| peer["name"] == "h1" && peer["health"] == "passing").then_some(())
    })?;

    let killed = web.kill()?;
    let first = mesh.incident(0, "nginx is started again", |incident| {
        incident["runbook"] == "start-web" && incident["state"] == "resolved"
    })?;
    assert_eq!(climbed(&first), [("nginx", "succeeded")], "{first:#}");
    assert_eq!(get(web.port, PATIENCE)?, 200);
    assert_ne!(web.pid()?, killed);
    let bundle = evidence(&mesh[0], &first)?;
    assert!(bundle.contains("syntax is ok"), "{bundle}");

    std::fs::write(web.configuration(), "nonsense;\n")?;
    web.kill()?;
    let second = mesh.incident(0, "the last good configuration is back", |incident| {
        incident["id"] != first["id"] && incident["state"] == "resolved"
    })?;
    let rungs = [("nginx", "failed"), ("last good configuration", "succeeded")];
    assert_eq!(climbed(&second), rungs, "{second:#}");
    let bundle = evidence(&mesh[0], &second)?;
    assert!(bundle.contains("unknown directive \"nonsense\""), "{bundle}");
    let output = second["attempts"][0]["output"].as_str().unwrap_or_default();
    assert!(output.contains("nonsense"), "{output}");
    assert_eq!(get(web.port, PATIENCE)?, 200);

    // What a rung has left behind on purpose is not the daemon's to end.
    let pid = web.pid()?;
    assert_eq!(mesh.hosts[0].stop()?, 0);
    assert_eq!(get(web.port, PATIENCE)?, 200);
    assert_eq!(web.pid()?, pid);
    Ok(())
}

/// Each attempt's rung and outcome.
fn climbed(incident: &Value) -> Vec<(&str, &str)> {
    let attempts = incident["attempts"].as_array().map_or(&[][..], Vec::as_slice);
    attempts
        .iter()
        .map(|attempt| {
            let part = |key: &str| attempt[key].as_str().unwrap_or("nothing");
            (part("rung"), part("outcome"))
        })
        .collect()
}

fn documents(web: &Web, check: &Path) -> String {
    let (start, configuration) = (web.command(), web.configuration());
    let (check, configuration, port) = (check.display(), configuration.display(), web.port);
    format!(
        r#"
[[check]]
name    = "web"
every   = "500ms"
timeout = "5s"
command = ["{check}", "-H", "127.0.0.1", "-p", "{port}"]
where   = {{ role = "web" }}

[[runbook]]
name     = "start-web"
on       = {{ check = "web" }}
cooldown = "0s"

[[runbook.evidence]]
run     = "{start} -t"
timeout = "5s"

[[runbook.rung]]
name    = "nginx"
run     = "{start}"
timeout = "10s"
settle  = "5s"

[[runbook.rung]]
name    = "last good configuration"
run     = "cp {configuration}.good {configuration} && {start}"
timeout = "10s"
settle  = "5s"
"#
    )
}

/// nginx with a folder of its own.
struct Web {
    program: PathBuf,
    folder: PathBuf,
    port: u16,
}

impl Web {
    fn start(program: &Path, folder: &Path) -> Result<Self> {
        let folder = folder.join("nginx");
        std::fs::create_dir(&folder)?;
        let web = Self { program: program.to_owned(), folder, port: free_port()? };
        let configuration = format!(
            "daemon on;
worker_processes 2;
pid nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{};
        location / {{ return 200 'well'; }}
    }}
}}
",
            web.port
        );
        std::fs::write(web.configuration(), &configuration)?;
        std::fs::write(web.configuration().with_extension("conf.good"), configuration)?;
        let started = Command::new("/bin/sh").arg("-c").arg(web.command()).output()?;
        ensure!(started.status.success(), "nginx does not start: {started:?}");
        until("nginx answers", || (get(web.port, PATIENCE).ok()? == 200).then_some(()))?;
        Ok(web)
    }

    fn configuration(&self) -> PathBuf {
        self.folder.join("nginx.conf")
    }

    /// How it is started.
    fn command(&self) -> String {
        let (program, folder) = (self.program.display(), self.folder.display());
        format!("{program} -p {folder} -e {folder}/error.log -c {folder}/nginx.conf")
    }

    /// The master's process id.
    fn pid(&self) -> Result<String> {
        let pid = std::fs::read_to_string(self.folder.join("nginx.pid"));
        Ok(pid.context("reading nginx.pid")?.trim().to_owned())
    }

    /// `kill -9` for the master and its workers; the master's process id.
    fn kill(&self) -> Result<String> {
        let master = self.pid()?;
        // Stopped first: it would replace its workers while they are killed.
        signal("STOP", &[&master])?;
        let workers = std::fs::read_to_string(format!("/proc/{master}/task/{master}/children"))?;
        let mut processes: Vec<&str> = workers.split_whitespace().collect();
        ensure!(!processes.is_empty(), "nginx has no workers");
        processes.push(&master);
        signal("KILL", &processes)?;
        Ok(master)
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        // Nothing of a test may stay behind; what cannot be killed has ended.
        drop(self.kill());
    }
}

fn signal(signal: &str, processes: &[&str]) -> Result<()> {
    let sent = Command::new("kill").arg(format!("-{signal}")).args(processes).status()?;
    ensure!(sent.success(), "the signal {signal} was not sent to {processes:?}");
    Ok(())
}
