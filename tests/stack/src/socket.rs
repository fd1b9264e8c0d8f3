//! QUIC's socket in the simulated network, which may lose and double what is sent.

use quinn::{
    AsyncUdpSocket, UdpPoller,
    udp::{RecvMeta, Transmit},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{
    collections::VecDeque,
    io::{self, IoSliceMut},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};
use turmoil::net::UdpSocket;

/// The largest datagram of QUIC's.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// What becomes of datagrams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weather {
    /// Of a thousand so many are lost.
    pub lost: u32,
    /// Of a thousand so many come twice.
    pub doubled: u32,
}

/// The weather, which may change.
pub type Sky = Arc<Mutex<Weather>>;

/// The socket of one host.
#[derive(Debug)]
pub struct Socket {
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    sky: Sky,
    dice: Mutex<StdRng>,
    inbox: Arc<Mutex<Inbox>>,
}

#[derive(Debug, Default)]
struct Inbox {
    came: VecDeque<(Vec<u8>, SocketAddr)>,
    waker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Socket {
    /// Binds the host's `port`; `local` is where the others reach it.
    ///
    /// # Errors
    /// The port is taken.
    pub async fn bind(local: SocketAddr, sky: Sky, seed: u64) -> io::Result<Arc<Self>> {
        let socket = Arc::new(UdpSocket::bind(("0.0.0.0", local.port())).await?);
        let inbox = Arc::new(Mutex::new(Inbox::default()));
        let (from, to) = (Arc::clone(&socket), Arc::clone(&inbox));
        // The network has no way to ask whether something has come but to wait for it.
        drop(tokio::spawn(async move {
            let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
            while let Ok((length, sender)) = from.recv_from(&mut buffer).await {
                let mut inbox = lock(&to);
                inbox.came.push_back((buffer[..length].to_vec(), sender));
                if let Some(waker) = inbox.waker.take() {
                    waker.wake();
                }
            }
        }));
        let dice = Mutex::new(StdRng::seed_from_u64(seed));
        Ok(Arc::new(Self { socket, local, sky, dice, inbox }))
    }
}

impl AsyncUdpSocket for Socket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Always)
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let weather = *lock(&self.sky);
        let copies = {
            let mut dice = lock(&self.dice);
            let lost = dice.random_range(0..1_000) < weather.lost;
            let doubled = dice.random_range(0..1_000) < weather.doubled;
            if lost { 0 } else { 1 + u32::from(doubled) }
        };
        for _ in 0..copies {
            match self.socket.try_send_to(transmit.contents, transmit.destination) {
                // A host that is not there is none of the sender's business.
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut inbox = lock(&self.inbox);
        let mut count = 0;
        for (buffer, meta) in bufs.iter_mut().zip(meta.iter_mut()) {
            let Some((bytes, sender)) = inbox.came.pop_front() else { break };
            buffer[..bytes.len()].copy_from_slice(&bytes);
            *meta = RecvMeta {
                addr: sender,
                len: bytes.len(),
                stride: bytes.len(),
                ecn: None,
                dst_ip: None,
            };
            count += 1;
        }
        if count == 0 {
            inbox.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.local)
    }

    fn may_fragment(&self) -> bool {
        false
    }
}

/// It can always be sent.
#[derive(Debug)]
struct Always;

impl UdpPoller for Always {
    fn poll_writable(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
