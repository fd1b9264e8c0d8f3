//! Many who want all of the HTTP address: each has a share of it, and whoever else sends something
//! is heard.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use tests::{
    Host, Mesh, post, until,
    web::{Answer, connect_from, exchange_over},
};

/// Two other hosts, as far as the peer can tell.
const LOUD: [u8; 4] = [127, 0, 0, 2];
const QUIET: [u8; 4] = [127, 0, 0, 3];

/// As many may be connected from one address when nobody else is.
const SHARE: usize = 128;

fn mesh() -> Result<(Mesh, u16)> {
    let mesh = Mesh::with_http(1)?;
    let port = mesh[0].http.context("it takes HTTP")?;
    Ok((mesh, port))
}

/// A request without a body, from an address.
fn ask_from(from: [u8; 4], port: u16, call: &str) -> Result<Answer> {
    let head = format!("{call} HTTP/1.1\r\nhost: localhost\r\n");
    exchange_over(connect_from(from, port)?, &head, |_| Ok(()))
}

/// Asks the same over and over, without waiting for an answer to what was asked before; the first
/// refusal among the answers.
fn ask_in_a_loop(port: u16) -> Result<Option<String>> {
    const TIMES: usize = 200;
    let mut stream = connect_from(LOUD, port)?;
    stream.set_read_timeout(Some(Duration::from_secs(45)))?;
    let ask = "GET /v1/alerts HTTP/1.1\r\nhost: localhost\r\n";
    let asked = format!("{ask}\r\n").repeat(TIMES - 1) + ask + "connection: close\r\n\r\n";
    stream.write_all(asked.as_bytes())?;
    let mut answers = String::new();
    stream.read_to_string(&mut answers)?;
    let refused = answers.find("HTTP/1.1 429").map(|at| answers[at..].to_owned());
    Ok(refused)
}

#[test]
fn a_sender_in_a_loop_is_sent_back_and_another_is_heard() -> Result<()> {
    let (mesh, port) = mesh()?;
    let (stop, refusals, first) =
        (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(String::new()));
    let looping = || {
        while !stop.load(Ordering::Relaxed) {
            let Ok(Some(refused)) = ask_in_a_loop(port) else { continue };
            if refusals.fetch_add(1, Ordering::Relaxed) == 0
                && let Ok(mut first) = first.lock()
            {
                *first = refused;
            }
        }
    };
    let mut others = Vec::new();
    let told = thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(looping);
        }
        let more = |than: usize| {
            until("one in a loop is sent back", || {
                (refusals.load(Ordering::Relaxed) > than).then_some(())
            })
        };
        let mut outcome = more(0);
        for number in 0..10 {
            let alert =
                json!([{ "labels": { "alertname": "Quiet", "number": number.to_string() } }]);
            others.push(post(port, "/api/v2/alerts", alert.to_string().as_bytes()));
        }
        // It went on all the while.
        outcome = outcome.and_then(|()| more(refusals.load(Ordering::Relaxed)));
        stop.store(true, Ordering::Relaxed);
        outcome
    });
    told?;
    for other in others {
        let (status, told) = other?;
        ensure!(status == 200 && told["news"] == 1, "{status} {told}");
    }
    let refused = first.lock().map(|first| first.clone()).unwrap_or_default();
    let (head, rest) = refused.split_once("\r\n\r\n").context("a head and a body")?;
    ensure!(head.to_ascii_lowercase().contains("\r\nretry-after: 1"), "{head}");
    let body = rest.split("HTTP/1.1").next().unwrap_or_default();
    let answer = Answer { status: 429, head: head.to_owned(), body: body.to_owned() };
    let why = answer.error()?;
    ensure!(why.contains("127.0.0.2 has had its part") && why.contains("1000 a second"), "{why}");
    drop(mesh);
    Ok(())
}

#[test]
fn one_address_full_of_dawdlers_keeps_nobody_else_out() -> Result<()> {
    let (mesh, port) = mesh()?;
    let mut dawdlers: Vec<TcpStream> = Vec::new();
    // Whose head does not end is closed after ten seconds, and there are as many again.
    let refused = until("one more is one too many", || {
        dawdlers.clear();
        for _ in 0..SHARE {
            let mut dawdler = connect_from(LOUD, port).ok()?;
            dawdler.write_all(b"POST /v1/alertmanager HTTP/1.1\r\nhost: localh").ok()?;
            dawdlers.push(dawdler);
        }
        ask_from(LOUD, port, "GET /ping").ok().filter(|answer| answer.status == 429)
    })?;
    let why = refused.error()?;
    assert_eq!(
        why, "too many connections: 127.0.0.2 has 128 of 256 already, which is its share",
        "{refused:?}"
    );
    assert_eq!(refused.header("retry-after"), Some("1"), "{refused:?}");
    for from in [QUIET, [127, 0, 0, 1]] {
        let answer = ask_from(from, port, "GET /ping")?;
        assert_eq!((answer.status, answer.body.as_str()), (200, "Pong"));
    }
    drop(dawdlers);
    until("there is room again", || {
        ask_from(LOUD, port, "GET /ping").ok().filter(|answer| answer.status == 200)
    })?;
    drop(mesh);
    Ok(())
}

/// Tells of so many alerts from an address, numbered from this one on.
fn tell(from: [u8; 4], port: u16, numbers: std::ops::Range<usize>) -> Result<Answer> {
    let alert =
        |number: usize| json!({ "labels": { "alertname": "Flood", "number": number.to_string() } });
    let body = json!(numbers.map(alert).collect::<Vec<_>>()).to_string();
    let head = format!(
        "POST /api/v2/alerts HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n",
        body.len()
    );
    exchange_over(connect_from(from, port)?, &head, |stream| stream.write_all(body.as_bytes()))
}

#[test]
fn one_who_makes_up_alerts_leaves_room_for_those_of_others() -> Result<()> {
    const AT_ONCE: usize = 500;
    const SHARE: usize = 7_500;
    let (mesh, port) = mesh()?;
    for from in (0..SHARE).step_by(AT_ONCE) {
        let answer = tell(LOUD, port, from..from + AT_ONCE)?;
        ensure!(answer.status == 200, "{from}: {answer:?}");
    }
    let refused = tell(LOUD, port, SHARE..SHARE + AT_ONCE)?;
    let why = refused.error()?;
    assert_eq!(
        why, "too many alerts fire: 127.0.0.2 has 7500 of 10000 already, which is its share",
        "{refused:?}"
    );
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")), "{refused:?}");
    let answer = tell(QUIET, port, 9_000..9_100)?;
    ensure!(answer.status == 200 && answer.body.contains("\"news\":100"), "{answer:?}");
    drop(mesh);
    Ok(())
}

/// A number of kibibytes that the system knows of a daemon.
fn kib(host: &Host, what: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", host.pid()?))?;
    let line = status.lines().find(|line| line.starts_with(what)).context("it has a size")?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}

/// Sends 100 MB to a path, in chunks or not, for as long as they are taken.
fn send_much(port: u16, path: &str, chunked: bool) -> Result<Answer> {
    const PIECE: usize = 1_000_000;
    const PIECES: usize = 100;
    let length = match chunked {
        true => "transfer-encoding: chunked".to_owned(),
        false => format!("content-length: {}", PIECE * PIECES),
    };
    let head = format!("POST {path} HTTP/1.1\r\nhost: localhost\r\n{length}\r\n");
    let piece = vec![b'['; PIECE];
    exchange_over(TcpStream::connect(("127.0.0.1", port))?, &head, |stream| {
        for _ in 0..PIECES {
            if chunked {
                stream.write_all(format!("{PIECE:x}\r\n").as_bytes())?;
            }
            stream.write_all(&piece)?;
            if chunked {
                stream.write_all(b"\r\n")?;
            }
        }
        if chunked { stream.write_all(b"0\r\n\r\n") } else { Ok(()) }
    })
}

#[test]
fn a_hundred_megabytes_are_not_held() -> Result<()> {
    const PATHS: [&str; 4] = ["/v1/alertmanager", "/v1/passive", "/checkin", "/ping/key/job"];
    let (mesh, port) = mesh()?;
    let before = kib(&mesh[0], "VmRSS:")?;
    let answers: Vec<_> = thread::scope(|scope| {
        let senders: Vec<_> = PATHS
            .iter()
            .flat_map(|path| [true, false].map(|chunked| (*path, chunked)))
            .map(|(path, chunked)| {
                let sender = scope.spawn(move || send_much(port, path, chunked));
                (path, chunked, sender)
            })
            .collect();
        let joined = senders.into_iter().map(|(path, chunked, sender)| {
            let panicked = |_panic| Err(anyhow::anyhow!("a thread panicked"));
            (path, chunked, sender.join().unwrap_or_else(panicked))
        });
        joined.collect()
    });
    for (path, chunked, answer) in answers {
        let answer = answer.with_context(|| format!("{path}, chunked: {chunked}"))?;
        let why = answer.error()?;
        // Of a ping only the ends are kept, however long it is: this one is for no job.
        let (status, word) =
            if path.starts_with("/ping/") { (404, "no job") } else { (413, "4194304 bytes") };
        ensure!(answer.status == status && why.contains(word), "{path} {answer:?}");
    }
    let most = kib(&mesh[0], "VmHWM:")?.saturating_sub(before);
    ensure!(most < 160 << 10, "the peer grew by {most} KiB for 800 MB that it did not want");
    assert_eq!(post(port, "/v1/passive", b"[]")?.0, 200, "it goes on");
    drop(mesh);
    Ok(())
}
