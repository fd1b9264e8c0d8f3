//! Prometheus, Alertmanager and the node exporter, as users run them: the exporter is killed, the
//! alert fires, the runbook starts it again, and what the sender then says closes the incident.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tests::{
    Mesh, PATIENCE,
    parts::{free_port, get, program},
    until,
};

/// What runs beside the mesh, and is ended with the test.
struct Program(Child);

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
struct Exporter {
    program: PathBuf,
    port: u16,
    folder: PathBuf,
}

impl Exporter {
    /// A command that starts it and goes away, as a service manager's would.
    fn command(&self) -> String {
        format!(
            "setsid -f sh -c 'echo $$ > {folder}/exporter.pid; exec {program} \
             --web.listen-address=127.0.0.1:{port}' > {folder}/exporter.log 2>&1 < /dev/null",
            folder = self.folder.display(),
            program = self.program.display(),
            port = self.port,
        )
    }

    fn start(&self) -> Result<()> {
        ensure!(Command::new("sh").arg("-c").arg(self.command()).status()?.success());
        until("the exporter answers", || get(self.port, PATIENCE).ok())?;
        Ok(())
    }

    fn kill(&self) -> Result<()> {
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

struct Scene {
    mesh: Mesh,
    exporter: Exporter,
    prometheus: PathBuf,
    alertmanager: PathBuf,
}

/// A mesh whose first host has an exporter that a runbook starts again.
fn scene() -> Result<Option<Scene>> {
    let found = (
        program("prometheus", "prometheus"),
        program("prometheus-alertmanager", "prometheus-alertmanager"),
        program("prometheus-node-exporter", "prometheus-node-exporter"),
    );
    let (Some(prometheus), Some(alertmanager), Some(exporter)) = found else { return Ok(None) };
    let mesh = Mesh::with_http(3)?;
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
    Ok(Some(Scene { mesh, exporter, prometheus, alertmanager }))
}

impl Scene {
    fn http(&self, host: usize) -> u16 {
        self.mesh[host].http.unwrap_or_default()
    }

    /// A Prometheus that looks at the exporter every second and sends its alerts to these ports.
    fn prometheus(&self, to: &[u16]) -> Result<Program> {
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

    /// An Alertmanager of a cluster of two, which sends to one host of the mesh; and its port.
    fn alertmanager(&self, name: &str, host: usize, gossip: (u16, u16)) -> Result<(Program, u16)> {
        let folder = self.mesh.folder();
        let configuration = format!(
            "route: {{ receiver: hearten, group_wait: 1s, group_interval: 1s, repeat_interval: 1m, \
             group_by: [alertname, host] }}\n\
             receivers:\n- name: hearten\n  webhook_configs:\n  \
             - url: 'http://127.0.0.1:{}/v1/alertmanager'\n",
            self.http(host)
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

    /// The exporter is killed, started again by the mesh, and seen to be well by its sender.
    fn heals(&self) -> Result<Value> {
        let before = self.mesh.incidents(0)?.len();
        self.exporter.kill()?;
        let healed = self.mesh.incident(0, "the exporter is started again", |incident| {
            incident["because"]["check"] == "exporter-down" && incident["state"] == "resolved"
        })?;
        assert_eq!(get(self.exporter.port, PATIENCE)?, 200);
        assert_eq!(self.mesh.incidents(0)?.len(), before + 1, "one alert is one incident");
        let rungs = healed["attempts"].as_array().context("it has attempts")?;
        assert_eq!((rungs.len(), &healed["peer"]), (1, &Value::from("h1")), "{healed:#}");
        let why = healed["because"]["summary"].as_str().unwrap_or_default();
        ensure!(why.contains("the exporter of h1 is gone"), "{healed:#}");
        Ok(healed)
    }
}

#[test]
fn two_alertmanagers_that_tell_of_a_killed_exporter_heal_it_once() -> Result<()> {
    let Some(scene) = scene()? else { return Ok(()) };
    let gossip = (free_port()?, free_port()?);
    let (_first, one) = scene.alertmanager("am1", 1, gossip)?;
    let (_second, other) = scene.alertmanager("am2", 2, (gossip.1, gossip.0))?;
    let _prometheus = scene.prometheus(&[one, other])?;
    scene.heals().map(drop)
}

#[test]
fn a_prometheus_without_an_alertmanager_sends_straight_to_the_mesh() -> Result<()> {
    let Some(scene) = scene()? else { return Ok(()) };
    let _prometheus = scene.prometheus(&[scene.http(2), scene.http(1)])?;
    scene.heals().map(drop)
}
