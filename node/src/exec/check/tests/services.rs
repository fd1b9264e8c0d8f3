//! Commands, HTTP and TCP.

use super::*;
use axum::{Router, http::StatusCode, response::Redirect, routing::get};
use std::net::SocketAddr;
use tokio::net::TcpListener;

async fn run_script(script: &str, timeout: Duration) -> CheckRun {
    run_with(&tools(), &format!("command = '''{script}'''"), timeout).await
}

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
    assert_eq!(run_script("echo no disk >&2; exit 2", LONG).await.summary, "no disk");
}

#[tokio::test]
async fn a_commands_numbers_and_long_output_are_taken_apart() {
    let ran = run_script(
        "echo 'OK: fine | time=0.5s;1;@2:3;0 users=7'; echo 'more | load=1;~:5'; echo oops >&2",
        LONG,
    )
    .await;
    assert_eq!((ran.verdict, ran.summary.as_str()), (Verdict::Pass, "OK: fine"));
    assert_eq!((ran.long.as_str(), ran.errors.as_str()), ("more", "oops\n"));
    let labels: Vec<&str> = ran.data.iter().map(|datum| datum.label.as_str()).collect();
    assert_eq!(labels, ["time", "users", "load"]);
    assert!(ran.data[0].crit.unwrap().alerts(2.5) && !ran.data[0].crit.unwrap().alerts(0.5));
    assert_eq!(
        ran.command,
        [
            "/bin/sh",
            "-c",
            "echo 'OK: fine | time=0.5s;1;@2:3;0 users=7'; echo 'more | load=1;~:5'; echo oops >&2"
        ]
    );
}

#[tokio::test]
async fn a_command_that_hangs_fails_and_one_that_is_missing_is_unknown() {
    let ran = run_script("sleep 60", SHORT).await;
    assert_eq!((ran.verdict, ran.summary.as_str()), (Verdict::Fail, "timed out after 300ms"));
    let ran = run("command = [\"/no/such\"]").await;
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
    let ran = run(&format!("tcp = \"{address}\"")).await;
    assert_eq!((ran.verdict, ran.summary), (Verdict::Pass, format!("connected to {address}")));
    drop(listener);
    let ran = run(&format!("tcp = \"{address}\"")).await;
    assert_eq!(ran.verdict, Verdict::Fail);
    assert!(ran.summary.contains("Connection refused"), "{}", ran.summary);
    assert_eq!(run("tcp = \"no.such.invalid:1\"").await.verdict, Verdict::Fail);
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
        .route("/big", get(|| async { "x".repeat(1_000_000) + "end" }))
        .route("/hangs", get(hangs));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

#[tokio::test]
async fn an_http_answer_passes_by_its_status() {
    let address = serve().await;
    let ask = async |path: &str, status: u16, timeout| {
        let lines = format!("http = \"http://{address}{path}\"\nstatus = {status}");
        run_with(&tools(), &lines, timeout).await
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
async fn an_http_answer_passes_by_its_body() {
    let address = serve().await;
    let ask = async |path: &str, body: &str| {
        run(&format!("http = \"http://{address}{path}\"\nbody = {body}")).await
    };
    assert_eq!(ask("/ok", "\"is well\"").await.verdict, Verdict::Pass);
    assert_eq!(ask("/ok", "{ matches = \"^all .* well$\" }").await.verdict, Verdict::Pass);
    assert_eq!(ask("/big", "\"xend\"").await.verdict, Verdict::Pass, "beyond what is kept");
    let ran = ask("/ok", "\"is ill\"").await;
    assert_eq!(ran.verdict, Verdict::Fail);
    assert_eq!(ran.summary, "answered 200 OK, the body does not hold \"is ill\"");
    let ran = ask("/ok", "{ matches = \"^well\" }").await;
    assert_eq!(ran.verdict, Verdict::Fail);
    assert_eq!(ran.summary, "answered 200 OK, the body does not match ^well");
}

#[tokio::test]
async fn an_http_server_that_is_not_there_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let ran = run(&format!("http = \"http://{address}/\"")).await;
    assert_eq!(ran.verdict, Verdict::Fail);
    assert!(ran.summary.contains("Connection refused"), "{}", ran.summary);
}
