//! Hospital's surgeons: `GET /v1/operation` waits for something to do, `POST /v1/report` says how it
//! ended.
//!
//! An operation is answered only when its claim is committed, and to nobody else after that: not
//! when the answer is lost, not to another surgeon with the same id, not by another peer. A surgeon
//! that vanishes with it leaves an unknown outcome, about which the runbook says what to do.

use super::{Shared, gather::NotTaken, intake::Failure, jobs::be_fresh, sender::Caller};
use crate::{
    daemon::{Daemon, forward, service},
    intake::surgeon,
};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use protocol::{
    agent::operation::Operation,
    ledger::{Outcome, guests::hash_of},
    name::PeerId,
    record::{Entry, Record},
    refusal::Refusal,
};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::Semaphore;

/// How long a surgeon waits for something to do before it is told that there is nothing.
const WAITS: Duration = Duration::from_secs(30);

/// How often it is looked whether there is.
const LOOKS_EVERY: Duration = Duration::from_millis(250);

/// As many wait at one peer; more are told at once that there is nothing, and ask again in a few
/// seconds: whoever else sends something needs connections too.
pub(super) const WAITING_MAX: usize = 64;

/// How long a claim may take. What the mesh cannot commit by then is not handed over.
const CLAIMED_WITHIN: Duration = Duration::from_secs(20);

/// How long the mesh tries to take a report: a surgeon sends it once.
const REPORTED_WITHIN: Duration = Duration::from_secs(60);

/// Bits of an operation's id: what every reader of JSON takes for a whole number.
const ID_BITS: u32 = 53;

/// Who waits for something to do.
#[derive(Debug)]
pub(super) struct Surgeons(Semaphore);

impl Default for Surgeons {
    fn default() -> Self {
        Self(Semaphore::new(WAITING_MAX))
    }
}

/// Something to do for the guest whose surgeon asks, as soon as there is something.
pub(super) async fn operation(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Response, Response> {
    let failed = |failure: Failure| failure.into_response();
    let who = shared.door.open_to_secret(&caller);
    let who = who.map_err(|why| failed(Failure::Barred(why)))?;
    let body = shared.bodies.shortened(&caller, &who.sender, body).await.map_err(failed)?;
    let asking = |body: Vec<u8>, _cut| surgeon::asking(&body);
    let asking = shared.bodies.read(body, asking).await.map_err(failed)?;
    let id = asking.map_err(|why| failed(why.into()))?;
    let Some(guest) = shared.daemon.agent().guest_of(&id) else { return Err(unknown_guest()) };
    let nothing = || StatusCode::NO_CONTENT.into_response();
    let Ok(_place) = shared.surgeons.0.try_acquire() else { return Ok(nothing()) };
    let until = Instant::now() + WAITS;
    while Instant::now() < until {
        if let Some(operation) = next(&shared.daemon, guest)
            && let Some(id) = claim(&shared.daemon, &operation).await
        {
            let told = json!([{ "id": id, "script": operation.script }]);
            return Ok(Json(told).into_response());
        }
        tokio::select! {
            () = shared.daemon.stop.cancelled() => break,
            () = tokio::time::sleep(LOOKS_EVERY) => {}
        }
    }
    Ok(nothing())
}

/// What may be handed over now.
fn next(daemon: &Daemon, guest: PeerId) -> Option<Operation> {
    let now = daemon.now();
    match daemon.agent().operation_for(guest, now) {
        Ok(operation) => operation,
        Err(refusal) => {
            tracing::debug!(%guest, %refusal, "an operation is kept back");
            None
        }
    }
}

/// Brings a claim to the log; answers the operation's id once the log has it, and took it.
async fn claim(daemon: &Daemon, operation: &Operation) -> Option<u64> {
    let id = rand::random::<u64>() >> (u64::BITS - ID_BITS);
    let Operation { incident, attempt, .. } = *operation;
    let record = Record::Claimed { incident, attempt, operation: hash_of(id) };
    // Brought again by the same id it is the same claim, so a lost answer costs nothing.
    match bring(daemon, record, CLAIMED_WITHIN).await {
        Ok(Ok(_)) => {
            tracing::info!(%incident, attempt, "handed to a surgeon");
            Some(id)
        }
        Ok(Err(refusal)) => {
            tracing::debug!(%incident, attempt, %refusal, "not handed to a surgeon");
            None
        }
        // It may be in the log: then nobody has it, and its outcome will be unknown.
        Err(error) => {
            tracing::warn!(%incident, attempt, %error, "the claim of a surgeon was not committed");
            None
        }
    }
}

async fn bring(
    daemon: &Daemon,
    record: Record,
    within: Duration,
) -> Result<Outcome, forward::ForwardError> {
    let term = daemon.standing().term;
    let entry = Entry { at: daemon.log_now(), by: daemon.me, term, record };
    let (position, outcome) = forward::to_leader(daemon, entry, within).await?;
    service::seen(daemon, position).await;
    Ok(outcome)
}

/// How an operation ended. Told again it is answered like the first time.
pub(super) async fn report(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Response> {
    let failed = |failure: Failure| failure.into_response();
    let who = shared.door.open_to_secret(&caller);
    let who = who.map_err(|why| failed(Failure::Barred(why)))?;
    let body = shared.bodies.begun(&who.sender, body).await.map_err(failed)?;
    let daemon = &shared.daemon;
    let now = daemon.log_now();
    let told = move |body: Vec<u8>, cut: bool| {
        // Logs that are too long must not make of an end that is known one that is not.
        let body = if cut { surgeon::completed(body) } else { body };
        surgeon::report(&body, now)
    };
    let told = shared.bodies.read(body, told).await.map_err(failed)?;
    let (operation, report) = told.map_err(|why| failed(why.into()))?;
    // What a stranger makes up is no matter for the log.
    if !is_known(&shared, operation).await.map_err(|why| failed(Failure::NotTaken(why)))? {
        return Err(answer(StatusCode::NOT_FOUND, &Refusal::NoSuchOperation.to_string()));
    }
    match bring(daemon, Record::Operated { operation, report }, REPORTED_WITHIN).await {
        Ok(Ok(_)) => Ok(Json(json!({ "status": "success" }))),
        Ok(Err(refusal @ Refusal::NoSuchOperation)) => {
            Err(answer(StatusCode::NOT_FOUND, &refusal.to_string()))
        }
        Ok(Err(refusal)) => Err(answer(StatusCode::CONFLICT, &refusal.to_string())),
        Err(error) => Err(failed(Failure::NotTaken(NotTaken::Unknown(error.to_string())))),
    }
}

/// Whether a surgeon was handed this, on a replica that is up to date before it says no.
async fn is_known(shared: &Shared, operation: u64) -> Result<bool, NotTaken> {
    let is_known = || shared.daemon.agent().ledger().guests().knows(operation);
    if is_known() {
        return Ok(true);
    }
    be_fresh(shared).await?;
    Ok(is_known())
}

fn unknown_guest() -> Response {
    answer(
        StatusCode::UNAUTHORIZED,
        "no guest has a surgeon with this application id: `hearten guest new NAME` makes one",
    )
}

fn answer(status: StatusCode, error: &str) -> Response {
    let body = Json(json!({ "schema": 1, "status": "error", "error": error }));
    (status, body).into_response()
}
