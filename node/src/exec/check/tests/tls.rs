//! Certificates that last, that end soon, and that nobody vouches for.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::{net::SocketAddr, sync::Arc, time::SystemTime};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

const DAY: Duration = Duration::from_secs(86_400);

/// A server on loopback whose certificate ends after this time, and its root certificate.
async fn serve(ends_after: Duration) -> (SocketAddr, Vec<u8>) {
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + (now - 30 * DAY);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + (now - 10 * DAY + ends_after);
    let certificate = params.signed_by(&key, &root).unwrap();
    let secret = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(answer(listener, TlsAcceptor::from(Arc::new(config))));
    (address, root.der().to_vec())
}

/// One request and one answer at a time.
async fn answer(listener: TcpListener, acceptor: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = acceptor.accept(stream).await else { continue };
        let mut request = [0; 4096];
        drop(stream.read(&mut request).await);
        let reply = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
        drop(stream.write_all(reply).await);
        drop(stream.shutdown().await);
    }
}

async fn ask(ends_after: Duration, lines: &str) -> CheckRun {
    // The server takes ten days off, so that one can have ended.
    let (address, root) = serve(ends_after + 10 * DAY).await;
    let tools = Tools { http: HttpClient::trusting(&[&root]).unwrap(), ..tools() };
    run_with(&tools, &format!("http = \"https://{address}/\"\n{lines}"), LONG).await
}

const LIMITS: &str = "tls_expires_within = { warn = \"21d\", fail = \"7d\" }";

#[tokio::test]
async fn a_certificate_is_judged_by_how_long_it_lasts() {
    let hour = Duration::from_secs(3_600);
    let ran = ask(30 * DAY + hour, LIMITS).await;
    assert_eq!(ran.verdict, Verdict::Pass);
    assert_eq!(ran.summary, "answered 200 OK, certificate expires in 30d");
    let ran = ask(20 * DAY + hour, LIMITS).await;
    assert_eq!(ran.verdict, Verdict::Warn);
    assert_eq!(ran.summary, "answered 200 OK, certificate expires in 20d");
    assert_eq!(ask(6 * DAY, LIMITS).await.verdict, Verdict::Fail);
    let ran = ask(6 * DAY, "tls_expires_within = \"7d\"").await;
    assert_eq!(ran.verdict, Verdict::Warn, "a span alone is a warning");
    assert_eq!(ask(6 * DAY, "").await.verdict, Verdict::Pass, "nobody asked");
}

#[tokio::test]
async fn a_certificate_that_has_ended_or_that_nobody_vouches_for_fails() {
    let (address, root) = serve(9 * DAY).await;
    let lines = format!("http = \"https://{address}/\"\n{LIMITS}");
    let trusting = Tools { http: HttpClient::trusting(&[&root]).unwrap(), ..tools() };
    let ran = run_with(&trusting, &lines, LONG).await;
    assert_eq!(ran.verdict, Verdict::Fail);
    assert!(ran.summary.contains("expired"), "{}", ran.summary);
    let (address, _) = serve(50 * DAY).await;
    let ran = run_with(&tools(), &format!("http = \"https://{address}/\""), LONG).await;
    assert_eq!(ran.verdict, Verdict::Fail);
    assert!(ran.summary.contains("UnknownIssuer"), "{}", ran.summary);
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_said_to_be_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            drop(stream.read(&mut [0; 4096]).await);
            drop(stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await);
        }
    });
    let run = run_with(&tools(), &format!("http = \"https://{address}/\""), LONG).await;
    assert_eq!(run.verdict, Verdict::Fail);
    assert!(run.summary.contains("speak no TLS"), "{}", run.summary);
}
