//! Healthchecks' pings: by a key and a slug, or by a job's own secret.

use super::{
    Shared,
    bodies::{Ends, read_ends},
    jobs::{Failure, find, may_make},
    sender::{Caller, Sender},
};
use crate::intake::{
    healthchecks::{self, Call, Whose},
    namespace::Namespace,
};
use axum::{
    body::Body,
    extract::{RawQuery, State},
    http::{HeaderName, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use protocol::{
    heartbeat::{BODY_BYTES_MAX, JobRef, Pace, Ping, Reservation, Word, shortened_ends},
    ledger::heartbeats::{Heartbeats, Job},
};
use std::{collections::BTreeMap, sync::Arc};

/// That a page may read what is answered, wherever it is from.
const FOR_PAGES: (HeaderName, &str) = (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*");

/// What it may send.
const PAGES_SEND: (HeaderName, &str) =
    (header::ACCESS_CONTROL_ALLOW_METHODS, "HEAD, GET, POST, OPTIONS");

/// `/ping/…`
pub(super) async fn ping(
    State(shared): State<Arc<Shared>>,
    method: Method,
    caller: Caller,
    uri: Uri,
    RawQuery(query): RawQuery,
    body: Body,
) -> Result<Response, Failure> {
    let path = uri.path().strip_prefix("/ping/").unwrap_or_default();
    // Who may not come in is not told what is wrong with his address.
    let read = healthchecks::call(path, query.as_deref());
    let mut who = match &read {
        Ok(Call { whose: Whose::Slug { key, .. }, .. }) => shared.door.by_key(&caller, key)?,
        Ok(Call { whose: Whose::Uuid(_), .. }) => shared.door.by_secret(&caller)?,
        Err(_) => shared.door.open(&caller)?,
    };
    let Call { whose, signal, run, create } = read?;
    // A job that is in a loop has its own share; who guesses at jobs has that of his address.
    if let Some(job) = by(shared.daemon.agent().ledger().heartbeats(), &who.jobs, &whose) {
        who.sender = Sender::Job(job.name.clone());
    }
    let who = shared.door.let_in(who)?;
    let jobs = &who.jobs;
    let by_secret = matches!(whose, Whose::Uuid(_));
    if by_secret && method == Method::OPTIONS {
        // A browser asks first whether its page may send more than a form does.
        return Ok((StatusCode::NO_CONTENT, [FOR_PAGES, PAGES_SEND]).into_response());
    }
    let at = shared.daemon.log_now();
    let Ends { beginning, between, end } = read_ends(body).await;
    let body = shortened_ends(&beginning, between, &end);
    let look = |heartbeats: &Heartbeats| by(heartbeats, jobs, &whose).map(|job| job.id);
    let id = find(&shared, look).await?;
    let word = |job: JobRef| Word::Ping(Ping { job, at, signal, run, body });
    match (id, &whose) {
        (Some(id), _) => {
            shared.jobs.commit(&who.sender, vec![word(JobRef::Id(id))]).await?;
            let ponged = ponged(StatusCode::OK, "OK");
            Ok(if by_secret { ([FOR_PAGES], ponged).into_response() } else { ponged })
        }
        (None, Whose::Slug { slug, .. }) if create => {
            may_make(&shared, jobs, &jobs.job(slug))?;
            let mut reservation = created(slug);
            jobs.put(&mut reservation)?;
            let job = JobRef::Name(reservation.name.clone());
            shared.jobs.commit(&who.sender, vec![Word::Reserve(reservation), word(job)]).await?;
            Ok(ponged(StatusCode::CREATED, "Created"))
        }
        (None, Whose::Slug { slug, .. }) => Err(Failure::Unknown(jobs.job(slug))),
        (None, Whose::Uuid(uuid)) => Err(Failure::Unknown(healthchecks::uuid_text(*uuid))),
    }
}

/// A job that its first ping makes: once a day, an hour later at the latest, as at Healthchecks.
fn created(slug: &str) -> Reservation {
    let mut reservation = Reservation::new(slug, Pace::USUAL);
    reservation.uuid = Some(healthchecks::new_uuid(rand::random()));
    reservation.labels = BTreeMap::from([("job".to_owned(), slug.to_owned())]);
    reservation.only_new = true;
    reservation
}

fn ponged(status: StatusCode, text: &'static str) -> Response {
    let limit = BODY_BYTES_MAX.to_string();
    (status, [("ping-body-limit", limit.as_str())], text).into_response()
}

fn by<'a>(heartbeats: &'a Heartbeats, jobs: &Namespace, whose: &Whose) -> Option<&'a Job> {
    match whose {
        Whose::Uuid(uuid) => heartbeats.with_uuid(*uuid),
        Whose::Slug { slug, .. } => jobs.find(heartbeats, slug),
    }
}
