//! Who is connected to the HTTP address.
//!
//! Only so many are, and of one address no more than as many as are free: whoever opens all that he
//! can, and lets each dawdle, keeps nobody else out. One too many is told so, as far as it listens.
//! What is no HTTP at all, or has a head that is too long, hyper answers by itself: 400 or 431, and
//! nothing else. A head that does not end is closed without a word.

use super::{
    sender::{From, Sender},
    shares::{NoRoom, Shares},
    tls::Tls,
};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::sync::CancellationToken;

/// How many may be connected at the same time.
const CONNECTIONS_MAX: usize = 256;

/// How long a request's head may take, and what comes before it with TLS.
const HEAD_WITHIN: Duration = Duration::from_secs(10);

/// As many are told at the same time that they are too many; others are closed at once.
const TOLD_MAX: usize = 64;

/// How long it may take to tell one.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// What is read of somebody who is told so, that his system does not throw the answer away.
const PASSED_OVER_BYTES_MAX: u64 = 64 << 10;

/// Serves whoever connects until the daemon stops.
pub(super) async fn serve(
    listener: TcpListener,
    mut tls: Option<Tls>,
    router: Router,
    stop: CancellationToken,
) {
    let room = Shares::of(CONNECTIONS_MAX);
    let told = Arc::new(Semaphore::new(TOLD_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, from) = match accepted {
            Ok((stream, from)) => (stream, from.ip()),
            Err(error) => {
                tracing::warn!(%error, "a connection to the HTTP address was not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let place = match room.take(&Sender::at(from), 1) {
            Ok(place) => place,
            // It would not understand what is not in its language.
            Err(_why) if tls.is_some() => continue,
            Err(why) => {
                if let Ok(turn) = Arc::clone(&told).try_acquire_owned() {
                    drop(tokio::spawn(async move {
                        drop(tokio::time::timeout(TOLD_WITHIN, tell(stream, &why)).await);
                        drop(turn);
                    }));
                }
                continue;
            }
        };
        let (router, stop) = (router.clone().layer(Extension(From(from))), stop.clone());
        let tls = tls.as_mut().map(Tls::acceptor);
        drop(tokio::spawn(async move {
            let spoken = async {
                match tls {
                    None => speak(stream, router).await,
                    Some(tls) => {
                        match tokio::time::timeout(HEAD_WITHIN, tls.accept(stream)).await {
                            Ok(Ok(stream)) => speak(stream, router).await,
                            Ok(Err(error)) => {
                                tracing::debug!(%error, "somebody spoke no TLS with us")
                            }
                            Err(_elapsed) => {}
                        }
                    }
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = spoken => {}
            }
            drop(place);
        }));
    }
}

/// Answers what comes over a connection, until it ends.
async fn speak(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, router: Router) {
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let service = TowerToHyperService::new(router);
    if let Err(error) = server.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the HTTP address ended");
    }
}

/// Tells somebody that there is no room for him, whatever he wants.
async fn tell(mut stream: TcpStream, why: &NoRoom) -> std::io::Result<()> {
    stream.write_all(refusal(why).as_bytes()).await?;
    stream.shutdown().await?;
    let mut rest = stream.take(PASSED_OVER_BYTES_MAX);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

fn refusal(why: &NoRoom) -> String {
    let status = match why {
        NoRoom::Share { .. } => "429 Too Many Requests",
        NoRoom::Full { .. } => "503 Service Unavailable",
    };
    let error = format!("too many connections: {why}");
    let body = json!({ "schema": 1, "status": "error", "error": error }).to_string();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
