//! Answering a member, on connections made by either side.

use super::{
    endpoint::Shared,
    error::{Close, Refusal},
    follow::FrameSink,
    kind::StreamKind,
    links::{InFlight, Link, Purpose},
    pulse::Beat,
    transport::READ_TIME,
    wire::{self, Fault, Reader},
};
use quinn::{RecvStream, SendStream};
use std::sync::Arc;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Takes a member's connection into use and answers on it until it ends. `false`, and the
/// connection closed, when the peer is not in the book.
pub(crate) fn begin(shared: &Arc<Shared>, link: &Arc<Link>) -> bool {
    let (budget, closed) = shared.links.add(link);
    if closed > 0 {
        shared.counters.too_many_connections.refused(link.peer, closed);
    }
    // Asked after it was added: of a peer that leaves the book, either this sees that it has
    // left, or the sweep that follows its leaving sees this connection.
    if !shared.book.contains(link.peer) {
        shared.links.remove(link);
        shared.counters.not_in_roster.refused(link.peer, link.connection.remote_address());
        Close::NotInRoster.close(&link.connection);
        return false;
    }
    drop(tokio::spawn(serve(Arc::clone(shared), Arc::clone(link), budget)));
    true
}

async fn serve(shared: Arc<Shared>, link: Arc<Link>, budget: Arc<Semaphore>) {
    loop {
        let (send, receive) = tokio::select! {
            opened = link.connection.accept_bi() => match opened {
                Ok((send, receive)) => (Some(send), receive),
                Err(_ended) => break,
            },
            opened = link.connection.accept_uni() => match opened {
                Ok(receive) => (None, receive),
                Err(_ended) => break,
            },
            datagram = link.connection.read_datagram() => match datagram {
                Ok(datagram) => {
                    beat(&shared, &link, &datagram);
                    continue;
                }
                Err(_ended) => break,
            },
        };
        // Closed as unused at this very moment: the other side sends it again elsewhere.
        let Some(under_way) = link.enter() else { break };
        let call = Call {
            shared: Arc::clone(&shared),
            link: Arc::clone(&link),
            budget: Arc::clone(&budget),
            under_way,
        };
        drop(tokio::spawn(call.answer(send, receive)));
    }
    shared.links.remove(&link);
}

/// Answers a ping, notes an answer.
fn beat(shared: &Shared, link: &Link, datagram: &[u8]) {
    match Beat::read(datagram) {
        // Who cannot do its work does not claim to be alive.
        Some(Beat::Ping(number)) => {
            shared.pulses.hear(link.peer);
            if shared.handler.probe_answer(link.peer) {
                link.beat(Beat::Pong(number));
            }
        }
        Some(Beat::Pong(number)) => shared.pulses.pong(link.peer, number),
        None => shared.counters.misplaced_stream.refused(link.peer, "a datagram that is no beat"),
    }
}

/// One stream that a member has opened.
struct Call {
    shared: Arc<Shared>,
    link: Arc<Link>,
    budget: Arc<Semaphore>,
    under_way: InFlight,
}

/// A stream's message, and its share of the sender's budget.
type Message = (StreamKind, Vec<u8>, Option<OwnedSemaphorePermit>);

impl Call {
    async fn answer(self, mut send: Option<SendStream>, receive: RecvStream) {
        let mut reader = Reader::new(receive, Arc::clone(&self.shared.counters));
        let message = timeout(READ_TIME, self.message(&mut reader, send.is_none())).await;
        let (kind, message, share) = match message {
            Ok(Ok(message)) => message,
            Ok(Err(fault)) => return self.refuse(&fault, &mut reader, send.as_mut()),
            Err(_elapsed) => {
                self.shared.counters.slow_stream.refused(self.link.peer, "its message is late");
                return;
            }
        };
        let from = self.link.peer;
        self.shared.pulses.hear(from);
        let handler = &self.shared.handler;
        match (kind, send) {
            (StreamKind::Gossip, _) => handler.gossip(from, message).await,
            (StreamKind::Raft | StreamKind::Forward, Some(mut send)) => {
                let answer = handler.answer(from, kind, message).await;
                self.reply(&mut send, kind, &answer).await;
            }
            (StreamKind::Probe, Some(mut send)) => {
                if handler.probe_answer(from) {
                    self.reply(&mut send, kind, &Ok(message)).await;
                } else {
                    self.shared.counters.probe_unanswered.add(1);
                    drop(send.reset(Refusal::Unwilling.code()));
                }
            }
            (StreamKind::Follow, Some(send)) => {
                // A subscription lasts; its request does not count against the others.
                drop(share);
                let sink = FrameSink::new(from, send, Arc::clone(&self.shared.counters));
                tokio::select! {
                    () = handler.follow(from, message, sink) => {}
                    _ended = self.link.connection.closed() => {}
                }
            }
            (
                StreamKind::Join
                | StreamKind::Raft
                | StreamKind::Forward
                | StreamKind::Probe
                | StreamKind::Follow,
                _,
            ) => unreachable!("`message` lets through only what has its place"),
        }
        drop(self.under_way);
    }

    /// Reads the message that opens the stream, if a stream of that kind has its place here.
    async fn message(&self, reader: &mut Reader, one_way: bool) -> Result<Message, Fault> {
        let kind = reader.kind().await?;
        let has_place = match self.link.purpose {
            Purpose::Everything => kind != StreamKind::Join && kind.is_one_way() == one_way,
            Purpose::Probe => kind == StreamKind::Probe && !one_way,
        };
        if !has_place {
            return Err(Fault::Misplaced(kind));
        }
        let (message, share) = reader.request(kind, &self.budget).await?;
        Ok((kind, message, share))
    }

    async fn reply(
        &self,
        send: &mut SendStream,
        kind: StreamKind,
        answer: &Result<Vec<u8>, String>,
    ) {
        let written = wire::write_answer(send, kind, answer, &self.shared.counters).await;
        if let Err(error) = written {
            tracing::debug!(peer = %self.link.peer, %kind, %error, "nobody waited for the answer");
        }
    }

    /// Refuses the stream and keeps the connection: others use it, and a newer version may well
    /// know kinds that this one does not.
    fn refuse(&self, fault: &Fault, reader: &mut Reader, send: Option<&mut SendStream>) {
        let Some(refusal) = fault.refusal() else { return };
        let counters = &self.shared.counters;
        let counter = match refusal {
            Refusal::Oversized => &counters.oversized_frame,
            Refusal::UnknownKind => &counters.unknown_kind,
            Refusal::Misplaced => &counters.misplaced_stream,
            Refusal::Unwilling => &counters.probe_unanswered,
        };
        counter.refused(self.link.peer, fault);
        reader.refuse(refusal);
        if let Some(send) = send {
            drop(send.reset(refusal.code()));
        }
    }
}
