//! A peer that dies without a word and comes back at the same address.

use super::*;
use tokio::runtime::Runtime;

/// Starts a peer in a runtime of its own, to be killed with it.
fn start_apart(identity: &Identity, listen: SocketAddr) -> (Runtime, Peer) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let started = Instant::now();
    loop {
        let peer = runtime.block_on(async { Peer::start_as(identity.clone(), listen) });
        match peer {
            Ok(peer) => return (runtime, peer),
            // The one before has not quite let go of the port.
            Err(error) => assert!(started.elapsed() < SOON, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn requests_work_again_soon_after_a_peer_was_killed_and_came_back() {
    let issuer = issuer("blue");
    let identity = Identity::create(&issuer, id(2), now()).unwrap();
    let own = Runtime::new().unwrap();
    let a = own.block_on(async { Peer::start(&issuer, 1) });
    let (runtime, b) = start_apart(&identity, LOOPBACK.parse().unwrap());
    introduce(&[&a, &b]);
    let listen = b.address();
    own.block_on(a.ask(b.id, "hello")).unwrap();
    let mut frames = own.block_on(a.net.follow(b.id, b"endless")).unwrap();
    for _ in 0..3 {
        own.block_on(frames.next()).unwrap();
    }

    // Killed: no connection is closed.
    drop(b);
    runtime.shutdown_background();
    let (runtime, b) = start_apart(&identity, listen);
    introduce(&[&a, &b]);

    let back = Instant::now();
    // This begins on the old connection, which the new process disowns.
    let first = own.block_on(a.ask(b.id, "hello"));
    if let Err(error) = &first {
        assert!(error.to_string().contains("reset by peer"), "{error}");
    }
    own.block_on(a.ask(b.id, "hello")).unwrap();
    let took = back.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?} is not soon");
    // Whoever followed the old process knows as well.
    own.block_on(frames.next()).unwrap_err();
    assert!(back.elapsed() < Duration::from_secs(3));
    runtime.shutdown_background();
}
