//! A load balancer whose server has stopped answering: the queue grows, and the mesh empties it.
//!
//! HAProxy hands each server two requests at a time and lets the others wait. When the server
//! hangs, clients give up and ask again, but what they have left behind still waits, and every new
//! request waits after it. An operator takes the server out, ends what it holds and lets the spare
//! one in. Here a runbook does.

use anyhow::{Context, Result, ensure};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tests::{
    Mesh, PATIENCE,
    parts::{evidence, free_port, get, program},
    until,
};

/// More waiting requests than this are a failure.
const QUEUE_MAX: u32 = 5;

/// A client that is in a hurry asks again after this.
const HURRY: Duration = Duration::from_millis(100);

#[test]
fn a_queue_behind_a_server_that_hangs_is_emptied() -> Result<()> {
    let (Some(haproxy), Some(socat)) = (program("haproxy", "haproxy"), program("socat", "socat"))
    else {
        return Ok(());
    };
    let mesh = Mesh::of(&["role=proxy", "", ""])?;
    let server = Server::listen()?;
    let spare = Server::listen()?;
    let proxy = Proxy::start(&haproxy, &socat, &mesh.folder(), &server, &spare)?;
    assert_eq!(get(proxy.port, PATIENCE)?, 200);
    assert_eq!(proxy.queue()?, 0);
    mesh.apply(&documents(&proxy))?;
    until("the check passes", || {
        let status = mesh[0].status()?;
        let peers = status["peers"].as_array()?;
        peers.iter().any(|peer| peer["name"] == "h1" && peer["health"] == "passing").then_some(())
    })?;

    server.hangs.store(true, Ordering::SeqCst);
    let (port, mut waiting) = (proxy.port, Vec::new());
    // Two occupy the server; those who come after them wait.
    for place in 1..=3 {
        waiting.push(std::thread::spawn(move || get(port, PATIENCE)));
        until("it is on its way", || (proxy.requests().ok()? == place).then_some(()))?;
    }
    while proxy.queue()? <= QUEUE_MAX + 1 {
        ensure!(get(port, HURRY).is_err(), "the server hangs, and yet it answered");
    }

    let incident = mesh
        .incident(0, "the queue's incident is resolved", |incident| {
            incident["runbook"] == "empty-the-queue" && incident["state"] == "resolved"
        })
        .with_context(|| format!("{} requests wait", proxy.queue().unwrap_or(u32::MAX)))?;
    let attempts = incident["attempts"].as_array().context("it has attempts")?;
    assert_eq!(attempts.len(), 1, "{incident:#}");
    assert_eq!(attempts[0]["rung"], "let the spare server in");
    assert_eq!(attempts[0]["worker"], "h1");
    assert_eq!(attempts[0]["outcome"], "succeeded", "{incident:#}");
    let summary = incident["because"]["summary"].as_str().unwrap_or_default();
    assert!(summary.starts_with("CRITICAL: ") && summary.contains(" requests wait"), "{summary}");

    // The evidence shows how it was before.
    let bundle = evidence(&mesh[0], &incident)?;
    assert!(bundle.contains("Name: HAProxy"), "{bundle}");
    let waited = waiting_requests(&bundle).context("the evidence holds the statistics")?;
    assert!(waited > QUEUE_MAX, "{waited} waited\n{bundle}");

    // Nothing waits any more; who was patient is served, and so is who comes now.
    until("the queue is empty", || (proxy.queue().ok()? == 0).then_some(()))?;
    assert_eq!(get(port, PATIENCE)?, 200);
    let answers: Vec<Option<u16>> =
        waiting.into_iter().map(|client| client.join().ok()?.ok()).collect();
    assert_eq!(answers.last(), Some(&Some(200)), "{answers:?}");
    assert!(answers[..2].iter().all(|answer| *answer != Some(200)), "{answers:?}");
    // One incident, and none after it.
    assert_eq!(mesh.incidents(0)?.len(), 1);
    Ok(())
}

/// The check, and what an operator does about it.
fn documents(proxy: &Proxy) -> String {
    let (check, ask) = (proxy.folder.join("check_queue"), proxy.folder.join("ask"));
    let (check, ask) = (check.display(), ask.display());
    format!(
        r#"
[[check]]
name    = "queue"
kind    = "command"
every   = "500ms"
timeout = "5s"
command = ["/bin/sh", "{check}", "{QUEUE_MAX}"]
where   = {{ role = "proxy" }}

[[runbook]]
name     = "empty-the-queue"
on       = {{ check = "queue" }}
cooldown = "0s"

[[runbook.evidence]]
run     = "sh {ask} show info"
timeout = "5s"

[[runbook.evidence]]
run     = "sh {ask} show stat"
timeout = "5s"

[[runbook.rung]]
name    = "let the spare server in"
run     = '''
set -e
sh {ask} set server app/s1 state maint
sh {ask} set server app/s2 state ready
sh {ask} shutdown sessions server app/s1
'''
timeout = "10s"
settle  = "10s"
"#
    )
}

/// HAProxy in front of two servers, of which the second one is a spare.
struct Proxy {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Proxy {
    fn start(
        haproxy: &Path,
        socat: &Path,
        folder: &Path,
        server: &Server,
        spare: &Server,
    ) -> Result<Self> {
        let folder = folder.join("haproxy");
        std::fs::create_dir(&folder)?;
        let port = free_port()?;
        let (socket, socat) = (folder.join("stats.sock"), socat.display());
        let socket = socket.display();
        let configuration = format!(
            "global
    stats socket {socket} mode 600 level admin
    maxconn 200
defaults
    mode http
    timeout connect 5s
    timeout client 120s
    timeout server 120s
    timeout queue 120s
frontend web
    bind 127.0.0.1:{port}
    default_backend app
backend app
    server s1 127.0.0.1:{} maxconn 2
    server s2 127.0.0.1:{} maxconn 2 disabled
",
            server.port, spare.port
        );
        std::fs::write(folder.join("haproxy.cfg"), configuration)?;
        let ask = format!("echo \"$*\" | {socat} -t 5 - UNIX-CONNECT:{socket}\n");
        std::fs::write(folder.join("ask"), ask)?;
        let ask = folder.join("ask");
        let check = format!(
            r#"waiting=$(sh {} show stat | awk -F, '
    NR == 1 {{ for (i = 1; i <= NF; i++) if ($i == "qcur") column = i }}
    $1 == "app" && $2 == "BACKEND" {{ print $column }}')
case $waiting in
    "" | *[!0-9]*) echo "UNKNOWN: HAProxy does not say how many wait"; exit 3 ;;
esac
if [ "$waiting" -gt "$1" ]; then
    echo "CRITICAL: $waiting requests wait, more than $1"
    exit 2
fi
echo "OK: $waiting requests wait"
"#,
            ask.display()
        );
        std::fs::write(folder.join("check_queue"), check)?;
        let log = std::fs::File::create(folder.join("haproxy.log"))?;
        let process = Command::new(haproxy)
            .args(["-db", "-f"])
            .arg(folder.join("haproxy.cfg"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let proxy = Self { process, folder, port };
        until("HAProxy answers on its socket", || proxy.queue().ok())?;
        Ok(proxy)
    }

    fn ask(&self, question: &str) -> Result<String> {
        let mut command = Command::new("/bin/sh");
        let output = command.arg(self.folder.join("ask")).arg(question).output()?;
        ensure!(output.status.success(), "HAProxy was not asked: {output:?}");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// How many requests wait for a server.
    fn queue(&self) -> Result<u32> {
        waiting_requests(&self.ask("show stat")?).context("there are no statistics")
    }

    /// How many requests wait or are at a server.
    fn requests(&self) -> Result<u32> {
        let stat = self.ask("show stat")?;
        let row = backend(&stat).context("there are no statistics")?;
        Ok(row[4].parse()?)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // Nothing of a test may stay behind; what cannot be killed has ended.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The row of the statistics that is about all servers: name, part, waiting now, most ever
/// waiting, all requests now, and so on.
fn backend(stat: &str) -> Option<Vec<&str>> {
    let row = stat.lines().find(|line| line.starts_with("app,BACKEND,"))?;
    Some(row.split(',').collect())
}

fn waiting_requests(stat: &str) -> Option<u32> {
    backend(stat)?.get(2)?.parse().ok()
}

/// A web server that can be made to hang: it still takes connections and answers none of them.
struct Server {
    port: u16,
    hangs: Arc<AtomicBool>,
}

impl Server {
    fn listen() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let hangs = Arc::<AtomicBool>::default();
        let hanging = Arc::clone(&hangs);
        std::thread::spawn(move || {
            let mut held = Vec::new();
            for stream in listener.incoming().flatten() {
                if hanging.load(Ordering::SeqCst) {
                    held.push(stream);
                } else {
                    std::thread::spawn(move || answer(stream));
                }
            }
        });
        Ok(Self { port, hangs })
    }
}

fn answer(mut stream: TcpStream) -> Result<()> {
    let mut request = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nwell\n";
    Ok(stream.write_all(answer.as_bytes())?)
}
