//! Prometheus, Alertmanager and the node exporter, as users run them, beside a mesh.

use crate::{
    Mesh, PATIENCE,
    parts::{free_port, get, program},
    until,
};
use anyhow::{Result, ensure};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// What runs beside the mesh, and is ended with the test.
#[derive(Debug)]
pub struct Program(Child);

impl Program {
    fn start(program: &Path, log: &Path, arguments: &[String]) -> Result<Self> {
        let log = File::create(log)?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn()?))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// The exporter that the runbook starts; its process id stands in a file.
#[derive(Debug)]
pub struct Exporter {
    program: PathBuf,
    /// Where it listens.
    pub port: u16,
    folder: PathBuf,
}

impl Exporter {
    /// A command that starts it and goes away, as a service manager's would. First it writes down
    /// what time it is, in nanoseconds, in `rung`.
    fn command(&self) -> String {
        format!(
            "date +%s%N > {folder}/rung.new && mv {folder}/rung.new {folder}/rung; setsid -f sh -c 'echo $$ > {folder}/exporter.pid; exec {program} \
             --web.listen-address=127.0.0.1:{port}' > {folder}/exporter.log 2>&1 < /dev/null",
            folder = self.folder.display(),
            program = self.program.display(),
            port = self.port,
        )
    }

    /// Starts it by hand.
    fn start(&self) -> Result<()> {
        ensure!(Command::new("sh").arg("-c").arg(self.command()).status()?.success());
        until("the exporter answers", || get(self.port, PATIENCE).ok())?;
        Ok(())
    }

    /// Kills it.
    ///
    /// # Errors
    /// When it is not there.
    pub fn kill(&self) -> Result<()> {
        let pid = fs::read_to_string(self.folder.join("exporter.pid"))?;
        let killed = Command::new("kill").args(["-9", pid.trim()]).status()?;
        ensure!(killed.success(), "process {pid} could not be killed");
        Ok(())
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        drop(self.kill());
    }
}

/// A mesh whose first host has an exporter that a runbook starts again.
#[derive(Debug)]
pub struct Monitored {
    /// The mesh.
    pub mesh: Mesh,
    /// The exporter.
    pub exporter: Exporter,
    prometheus: PathBuf,
    alertmanager: PathBuf,
}

impl Monitored {
    /// One of so many hosts, where the programs are installed.
    ///
    /// # Errors
    /// When it does not come about.
    pub fn with(hosts: usize) -> Result<Option<Self>> {
        let found = (
            program("prometheus", "prometheus"),
            program("prometheus-alertmanager", "prometheus-alertmanager"),
            program("prometheus-node-exporter", "prometheus-node-exporter"),
        );
        let (Some(prometheus), Some(alertmanager), Some(exporter)) = found else { return Ok(None) };
        let mesh = Mesh::with_http(hosts)?;
        let exporter = Exporter { program: exporter, port: free_port()?, folder: mesh.folder() };
        exporter.start()?;
        let documents = format!(
            r#"
[[check]]
name  = "exporter-down"
alert = {{ alertname = "ExporterDown" }}

[[runbook]]
name     = "exporter"
on       = {{ check = "exporter-down" }}
cooldown = "0s"

[[runbook.rung]]
name    = "start it"
timeout = "10s"
settle  = "60s"
run     = """{}"""
"#,
            exporter.command()
        );
        mesh.apply(&documents)?;
        Ok(Some(Self { mesh, exporter, prometheus, alertmanager }))
    }

    /// A host's HTTP port.
    pub fn http(&self, host: usize) -> u16 {
        self.mesh[host].http.unwrap_or_default()
    }

    /// A Prometheus that looks at the exporter every second and sends its alerts to these ports.
    ///
    /// # Errors
    /// When it does not start.
    pub fn prometheus(&self, to: &[u16]) -> Result<Program> {
        let folder = self.mesh.folder();
        let targets: Vec<String> = to.iter().map(|port| format!("'127.0.0.1:{port}'")).collect();
        let configuration = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: ['{folder}/rules.yml']\n\
             alerting:\n  alertmanagers:\n  - api_version: v2\n    static_configs:\n    \
             - targets: [{targets}]\n\
             scrape_configs:\n- job_name: node\n  static_configs:\n  \
             - targets: ['127.0.0.1:{port}']\n    labels: {{ host: h1 }}\n",
            folder = folder.display(),
            targets = targets.join(", "),
            port = self.exporter.port,
        );
        let rules = "groups:\n- name: node\n  rules:\n  - alert: ExporterDown\n    expr: up == 0\n    \
                     annotations: { summary: 'the exporter of {{ $labels.host }} is gone' }\n";
        fs::write(folder.join("prometheus.yml"), configuration)?;
        fs::write(folder.join("rules.yml"), rules)?;
        let port = free_port()?;
        let started = Program::start(
            &self.prometheus,
            &folder.join("prometheus.log"),
            &[
                format!("--config.file={}/prometheus.yml", folder.display()),
                format!("--storage.tsdb.path={}/tsdb", folder.display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
            ],
        )?;
        until("Prometheus answers", || get(port, PATIENCE).ok())?;
        Ok(started)
    }

    /// An Alertmanager of a cluster of two, which sends to these addresses, a group after it has
    /// waited so long for more; and its port.
    ///
    /// # Errors
    /// When it does not start.
    pub fn alertmanager(
        &self,
        name: &str,
        to: &[String],
        waits: &str,
        gossip: (u16, u16),
    ) -> Result<(Program, u16)> {
        let folder = self.mesh.folder();
        let configuration = format!(
            "route: {{ receiver: hearten, group_wait: {waits}, group_interval: 1s, repeat_interval: 1m, \
             group_by: [alertname, host] }}\n\
             receivers:\n- name: hearten\n  webhook_configs:\n{}",
            to.iter().map(|url| format!("  - url: '{url}'\n")).collect::<String>()
        );
        fs::write(folder.join(format!("{name}.yml")), configuration)?;
        let port = free_port()?;
        let started = Program::start(
            &self.alertmanager,
            &folder.join(format!("{name}.log")),
            &[
                format!("--config.file={}/{name}.yml", folder.display()),
                format!("--storage.path={}/{name}", folder.display()),
                format!("--web.listen-address=127.0.0.1:{port}"),
                format!("--cluster.listen-address=127.0.0.1:{}", gossip.0),
                format!("--cluster.advertise-address=127.0.0.1:{}", gossip.0),
                format!("--cluster.peer=127.0.0.1:{}", gossip.1),
                "--cluster.settle-timeout=1s".to_owned(),
            ],
        )?;
        until("Alertmanager answers", || get(port, PATIENCE).ok())?;
        Ok((started, port))
    }
}
