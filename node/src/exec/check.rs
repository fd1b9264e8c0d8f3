//! Runs a check once and says what it found.
//!
//! A service that does not answer in time is not well: a timeout is `fail`. A probe that could not
//! be made at all (no such program, no address) says nothing about the service: that is `unknown`.

use crate::exec::{
    environment::Environment,
    http::{HttpClient, body_beginning, parse_url, root_cause},
    output::beginning,
    process::{self, End, RunLimits},
};
use protocol::{
    document::{Check, Command, Probe, Verdict},
    time::format_span,
};
use std::time::{Duration, Instant};
use tokio::{
    net::{TcpStream, lookup_host},
    time,
};
use tokio_util::sync::CancellationToken;

/// The most of a check's output that is kept.
const OUTPUT_MAX_BYTES: usize = 4096;

/// The most of it that is told to others; gossip repeats it often.
const SUMMARY_MAX_BYTES: usize = 200;

/// What one run of a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRun {
    /// What it says.
    pub verdict: Verdict,
    /// The first line of its output, or how it ended: one printable line of at most 200 bytes.
    pub summary: String,
    /// Its output, at most 4 KiB.
    pub output: String,
    /// How long it took.
    pub took: Duration,
}

/// Runs a check once, within its timeout.
///
/// A command that hangs takes up to [`RunLimits::longest`] to be ended on top.
pub async fn run_check(check: &Check, environment: &Environment, http: &HttpClient) -> CheckRun {
    let started = Instant::now();
    let found = match &check.probe {
        Probe::Command(command) => run_command(command, environment, check.timeout).await,
        Probe::Http { url, status } => in_time(check.timeout, probe_http(http, url, *status)).await,
        Probe::Tcp { address } => in_time(check.timeout, probe_tcp(address, check.timeout)).await,
    };
    CheckRun {
        verdict: found.verdict,
        summary: summary_of(&found.summary),
        output: found.output,
        took: started.elapsed(),
    }
}

struct Found {
    verdict: Verdict,
    summary: String,
    output: String,
}

impl Found {
    fn new(verdict: Verdict, summary: impl Into<String>) -> Self {
        Self { verdict, summary: summary.into(), output: String::new() }
    }
}

async fn run_command(command: &Command, environment: &Environment, timeout: Duration) -> Found {
    let mut limits = RunLimits::new(timeout);
    limits.output_max_bytes = OUTPUT_MAX_BYTES;
    let ran = process::run(command, environment, limits, &CancellationToken::new()).await;
    let first_line = || {
        let line = ran.output.lines().map(str::trim).find(|line| !line.is_empty());
        line.map_or_else(|| ran.end.to_string(), str::to_owned)
    };
    let (verdict, summary) = match &ran.end {
        End::Exited(code) => (Verdict::from_exit_code(*code), first_line()),
        End::TimedOut => (Verdict::Fail, timed_out(timeout)),
        End::Signalled(_) | End::NotStarted(_) | End::Cancelled => {
            (Verdict::Unknown, ran.end.to_string())
        }
    };
    Found { verdict, summary, output: ran.output }
}

async fn probe_http(http: &HttpClient, url: &str, status: u16) -> Found {
    let url = match parse_url(url) {
        Ok(url) => url,
        Err(reason) => return Found::new(Verdict::Unknown, reason),
    };
    let response = match http.get(url).send().await {
        Ok(response) => response,
        Err(error) => return Found::new(Verdict::Fail, root_cause(&error)),
    };
    let answered = response.status();
    let (verdict, summary) = if answered.as_u16() == status {
        (Verdict::Pass, format!("answered {answered}"))
    } else {
        (Verdict::Fail, format!("answered {answered}, not {status}"))
    };
    Found { verdict, summary, output: body_beginning(response, OUTPUT_MAX_BYTES).await }
}

/// Tries each address of the name; one that swallows packets gets its share of the time only.
async fn probe_tcp(address: &str, timeout: Duration) -> Found {
    let addresses: Vec<_> = match lookup_host(address).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Found::new(Verdict::Fail, format!("{address}: {error}")),
    };
    let share = timeout / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut reasons = Vec::new();
    for candidate in addresses {
        match time::timeout(share, TcpStream::connect(candidate)).await {
            Ok(Ok(_connection)) => {
                return Found::new(Verdict::Pass, format!("connected to {candidate}"));
            }
            Ok(Err(error)) => reasons.push(format!("{candidate}: {error}")),
            Err(_elapsed) => reasons.push(format!("{candidate}: {}", timed_out(share))),
        }
    }
    if reasons.is_empty() {
        reasons.push(format!("{address} has no address"));
    }
    Found::new(Verdict::Fail, reasons.join("; "))
}

async fn in_time(timeout: Duration, probe: impl Future<Output = Found>) -> Found {
    match time::timeout(timeout, probe).await {
        Ok(found) => found,
        Err(_elapsed) => Found::new(Verdict::Fail, timed_out(timeout)),
    }
}

fn timed_out(timeout: Duration) -> String {
    format!("timed out after {}", format_span(timeout))
}

/// One line that is safe to show anywhere.
fn summary_of(text: &str) -> String {
    let printable: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    beginning(printable.trim(), SUMMARY_MAX_BYTES).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, http::StatusCode, response::Redirect, routing::get};
    use protocol::{document::Selector, name::Name};
    use std::net::SocketAddr;
    use tokio::net::TcpListener;

    async fn run(probe: Probe, timeout: Duration) -> CheckRun {
        let check = Check {
            name: Name::parse("it").unwrap(),
            probe,
            selector: Selector::default(),
            every: Duration::from_secs(30),
            timeout,
            fail_after: 1,
            pass_after: 1,
        };
        let environment =
            Environment::from(BTreeMap::from([("HEARTEN_PEER".to_owned(), "web-1".to_owned())]));
        run_check(&check, &environment, &HttpClient::new().unwrap()).await
    }

    async fn run_script(script: &str, timeout: Duration) -> CheckRun {
        run(Probe::Command(Command::Script(script.to_owned())), timeout).await
    }

    const LONG: Duration = Duration::from_secs(10);
    const SHORT: Duration = Duration::from_millis(300);

    #[tokio::test]
    async fn a_command_speaks_by_its_exit_code_and_first_line() {
        for (code, verdict) in [
            (0, Verdict::Pass),
            (1, Verdict::Warn),
            (2, Verdict::Fail),
            (3, Verdict::Unknown),
            (99, Verdict::Unknown),
        ] {
            let ran = run_script(&format!("echo; echo 'disk\t{code}'; exit {code}"), LONG).await;
            assert_eq!((ran.verdict, ran.summary), (verdict, format!("disk {code}")));
        }
        assert_eq!(run_script("exit 2", LONG).await.summary, "exit code 2");
    }

    #[tokio::test]
    async fn a_command_that_hangs_fails_and_one_that_is_missing_is_unknown() {
        let ran = run_script("sleep 60", SHORT).await;
        assert_eq!((ran.verdict, ran.summary.as_str()), (Verdict::Fail, "timed out after 300ms"));
        let ran = run(Probe::Command(Command::Argv(vec!["/no/such".to_owned()])), LONG).await;
        assert_eq!(ran.verdict, Verdict::Unknown);
        assert!(ran.summary.starts_with("not started: /no/such: no such program"));
    }

    #[tokio::test]
    async fn what_is_told_is_short_and_whole() {
        let ran = run_script("for i in $(seq 3000); do printf ää; done", LONG).await;
        assert_eq!(ran.summary, "ä".repeat(100));
        assert!(ran.output.len() <= 4096, "{}", ran.output.len());
    }

    #[tokio::test]
    async fn a_tcp_connection_passes_and_a_refused_or_unknown_one_fails() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let ran = run(Probe::Tcp { address: address.clone() }, LONG).await;
        assert_eq!((ran.verdict, ran.summary), (Verdict::Pass, format!("connected to {address}")));
        drop(listener);
        let ran = run(Probe::Tcp { address }, LONG).await;
        assert_eq!(ran.verdict, Verdict::Fail);
        assert!(ran.summary.contains("Connection refused"), "{}", ran.summary);
        let ran = run(Probe::Tcp { address: "no.such.invalid:1".to_owned() }, LONG).await;
        assert_eq!(ran.verdict, Verdict::Fail);
    }

    async fn serve() -> SocketAddr {
        let hangs = || async {
            time::sleep(Duration::from_secs(60)).await;
            "late"
        };
        let router = Router::new()
            .route("/ok", get(|| async { "all is well" }))
            .route("/ill", get(|| async { (StatusCode::SERVICE_UNAVAILABLE, "no database") }))
            .route("/moved", get(|| async { Redirect::temporary("/ok") }))
            .route("/big", get(|| async { "x".repeat(1_000_000) }))
            .route("/hangs", get(hangs));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        address
    }

    #[tokio::test]
    async fn an_http_answer_passes_by_its_status_alone() {
        let address = serve().await;
        let ask = async |path: &str, status, timeout| {
            run(Probe::Http { url: format!("http://{address}{path}"), status }, timeout).await
        };
        let ran = ask("/ok", 200, LONG).await;
        assert_eq!((ran.verdict, ran.output.as_str()), (Verdict::Pass, "all is well"));
        let ran = ask("/ill", 200, LONG).await;
        assert_eq!((ran.verdict, ran.output.as_str()), (Verdict::Fail, "no database"));
        assert_eq!(ran.summary, "answered 503 Service Unavailable, not 200");
        // A redirect is an answer, not a way.
        assert_eq!(ask("/moved", 200, LONG).await.verdict, Verdict::Fail);
        assert_eq!(ask("/moved", 307, LONG).await.verdict, Verdict::Pass);
        assert_eq!(ask("/big", 200, LONG).await.output.len(), OUTPUT_MAX_BYTES);
        let ran = ask("/hangs", 200, SHORT).await;
        assert_eq!((ran.verdict, ran.summary.as_str()), (Verdict::Fail, "timed out after 300ms"));
    }

    #[tokio::test]
    async fn an_http_server_that_is_not_there_fails_and_nonsense_is_unknown() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let ran = run(Probe::Http { url: format!("http://{address}/"), status: 200 }, LONG).await;
        assert_eq!(ran.verdict, Verdict::Fail);
        assert!(ran.summary.contains("Connection refused"), "{}", ran.summary);
        let ran = run(Probe::Http { url: "ftp://x/".to_owned(), status: 200 }, LONG).await;
        assert_eq!(ran.verdict, Verdict::Unknown);
    }
}
