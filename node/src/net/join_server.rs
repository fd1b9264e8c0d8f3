//! Answering an applicant: one question, one answer, and the connection is closed.

use super::{
    endpoint::Shared,
    error::Close,
    handler::JoinBinding,
    kind::StreamKind,
    wire::{self, Fault, Reader},
};
use quinn::Connection;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// How many applicants are heard at once.
pub(crate) const JOINS_MAX: usize = 16;

/// How long an applicant may take to ask.
const ASK_TIME: Duration = Duration::from_secs(5);

/// How long it may take to take the answer.
const TAKE_TIME: Duration = Duration::from_secs(3);

pub(crate) async fn serve(shared: &Arc<Shared>, connection: Connection, public_key: [u8; 32]) {
    let remote = connection.remote_address();
    let Ok(_turn) = shared.joins.try_acquire() else {
        shared.counters.too_many_joins.refused(remote, JOINS_MAX);
        return Close::TooMany.close(&connection);
    };
    let (mut send, receive) = match timeout(ASK_TIME, connection.accept_bi()).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(_gone)) => return,
        Err(_elapsed) => return misused(shared, &connection, "it did not ask in time"),
    };
    let answering = async {
        let reader = Reader::new(receive, Arc::clone(&shared.counters));
        let request = match timeout(ASK_TIME, question(reader)).await {
            Ok(Ok(request)) => request,
            Ok(Err(fault)) => return Err(fault.to_string()),
            Err(_elapsed) => return Err("it did not ask in time".to_owned()),
        };
        let binding = JoinBinding::of(&connection, public_key);
        let answer = shared.handler.join(request, binding, remote).await;
        wire::write_answer(&mut send, StreamKind::Join, &Ok(answer), &shared.counters)
            .await
            .map_err(|error| error.to_string())
    };
    let answered = tokio::select! {
        answered = answering => answered,
        () = anything_else(&connection) => Err("it opened another stream".to_owned()),
    };
    match answered {
        Ok(()) => {
            // The applicant closes when it has the answer.
            drop(timeout(TAKE_TIME, connection.closed()).await);
            Close::Done.close(&connection);
        }
        Err(detail) => misused(shared, &connection, &detail),
    }
}

/// The one thing that an applicant may ask.
async fn question(mut reader: Reader) -> Result<Vec<u8>, Fault> {
    let kind = reader.kind().await?;
    if kind != StreamKind::Join {
        return Err(Fault::Misplaced(kind));
    }
    reader.frame(kind, kind.request_max()).await?.ok_or(Fault::Truncated)
}

/// Returns when the applicant opens any other stream, or goes.
async fn anything_else(connection: &Connection) {
    tokio::select! {
        _second = connection.accept_bi() => {}
        _second = connection.accept_uni() => {}
    }
}

fn misused(shared: &Shared, connection: &Connection, detail: &str) {
    shared.counters.join_misused.refused(connection.remote_address(), detail);
    Close::Misused.close(connection);
}
