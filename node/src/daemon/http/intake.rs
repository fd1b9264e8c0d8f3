//! The intakes: a request is read, what is new in it is brought to the leader, and it is answered
//! when that is committed. So what was answered with success is not lost, and what is sent again
//! changes nothing.

use super::{Shared, door::Barred, gather::NotTaken};
use crate::{
    control::views::AlertsView,
    daemon::Daemon,
    intake::{Unreadable, Words, alertmanager as formats, hospital, namespace::Namespace, passive},
};
use axum::{
    Json,
    body::{Body, to_bytes},
    extract::{Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::StreamExt;
use protocol::{alert::Word, time::Timestamp};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

/// The longest body.
const BODY_BYTES_MAX: usize = 4 << 20;

/// The longest body of which the beginning is taken.
const PASSED_OVER_BYTES_MAX: usize = 64 << 20;

/// How long a body may take to come in.
const BODY_WITHIN: Duration = Duration::from_secs(10);

/// When a sender may try again.
const AGAIN_AFTER_SECONDS: &str = "1";

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    Barred(Barred),
    TooLarge,
    TooSlow,
    Unreadable(String),
    /// Nothing of it could be used.
    Useless(Vec<String>),
    /// It is not known to be committed.
    NotTaken(NotTaken),
}

impl Failure {
    pub(super) fn told(&self) -> (StatusCode, String) {
        match self {
            Self::Barred(why) => (why.status(), why.to_string()),
            Self::TooLarge => {
                let message = format!("the body has more than {BODY_BYTES_MAX} bytes");
                (StatusCode::PAYLOAD_TOO_LARGE, message)
            }
            Self::TooSlow => {
                let message = format!("the body did not come within {BODY_WITHIN:?}");
                (StatusCode::REQUEST_TIMEOUT, message)
            }
            Self::Unreadable(why) => (StatusCode::BAD_REQUEST, why.clone()),
            Self::Useless(why) => (StatusCode::BAD_REQUEST, why.join("; ")),
            Self::NotTaken(why @ (NotTaken::Refused(_) | NotTaken::Full)) => {
                (StatusCode::TOO_MANY_REQUESTS, why.to_string())
            }
            Self::NotTaken(why @ NotTaken::Unknown(_)) => {
                let message = format!("not known to be in the log, send it again: {why}");
                (StatusCode::SERVICE_UNAVAILABLE, message)
            }
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let (status, error) = self.told();
        answer(status, &error)
    }
}

fn answer(status: StatusCode, error: &str) -> Response {
    let body = Json(json!({ "schema": 1, "status": "error", "error": error }));
    let again = [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE];
    if again.contains(&status) {
        (status, [(header::RETRY_AFTER, AGAIN_AFTER_SECONDS)], body).into_response()
    } else {
        (status, body).into_response()
    }
}

/// The same for the webhook of an Alertmanager, which sends again what is answered with 5xx, and
/// gives up at once what is answered with 429 (its `notify/webhook` has a `Retrier` without codes).
#[derive(Debug)]
pub(super) struct WebhookFailure(Failure);

impl IntoResponse for WebhookFailure {
    fn into_response(self) -> Response {
        let (status, error) = self.0.told();
        let status = match status {
            StatusCode::TOO_MANY_REQUESTS => StatusCode::SERVICE_UNAVAILABLE,
            other => other,
        };
        answer(status, &error)
    }
}

impl From<Failure> for WebhookFailure {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// What came of a request that was taken.
struct Taken {
    words: usize,
    news: usize,
    refused: Vec<String>,
}

impl Taken {
    fn json(self) -> Value {
        json!({
            "schema": 1,
            "status": "success",
            "alerts": self.words,
            "news": self.news,
            "refused": self.refused,
        })
    }
}

pub(super) async fn alertmanager(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, WebhookFailure> {
    let body = let_in(&shared, &headers, body).await?;
    let words = formats::webhook(&body, shared.daemon.log_now()).map_err(Failure::from)?;
    Ok(take(&shared, words).await.map(|taken| Json(taken.json()))?)
}

pub(super) async fn prometheus(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let body = let_in(&shared, &headers, body).await?;
    let words = formats::api(&body, shared.daemon.log_now())?;
    take(&shared, words).await.map(|taken| Json(taken.json()))
}

/// Hospital's answer says "was", and what it would have begun an operation for or not.
pub(super) async fn reception(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let body = let_in(&shared, &headers, body).await?;
    let now = shared.daemon.log_now();
    let read = {
        let agent = shared.daemon.agent();
        let library = agent.ledger().library();
        let guest = |id: &str| library.guest_of(id).map(|guest| guest.name.clone());
        hospital::reception(&body, now, agent.ledger().alerts(), guest)?
    };
    let was = read.was;
    take(&shared, read.words).await?;
    Ok(Json(json!({ "status": format!("was {was}") })))
}

/// Passive results of monitoring plugins.
pub(super) async fn passive(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let body = let_in(&shared, &headers, body).await?;
    let words = passive::results(&body, shared.daemon.log_now())?;
    take(&shared, words).await.map(|taken| Json(taken.json()))
}

/// JSON of a sender that `hearten.toml` has a mapping for.
pub(super) async fn mapped(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Response> {
    let body = let_in(&shared, &headers, body).await.map_err(Failure::into_response)?;
    let Some(mapping) = shared.mappings.iter().find(|mapping| mapping.name.as_str() == name) else {
        return Err(not_found("hearten.toml of this host has no [[intake]] of that name"));
    };
    let words = mapping.words(&body, shared.daemon.log_now());
    let words = words.map_err(|error| Failure::from(error).into_response())?;
    let taken = take(&shared, words).await.map_err(Failure::into_response)?;
    Ok(Json(taken.json()))
}

/// The alerts that fire, as this peer's replica has them.
pub(super) async fn firing(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Json<Value>, Failure> {
    shared.door.open(&headers).map_err(Failure::Barred)?;
    let at = shared.daemon.log_now();
    let view = AlertsView::of(&shared.daemon.agent(), at);
    let view =
        serde_json::to_value(view).map_err(|error| Failure::Unreadable(error.to_string()))?;
    Ok(Json(view))
}

pub(super) async fn no_such_path() -> Response {
    not_found(
        "there is nothing at this path: POST /v1/alertmanager, /api/v2/alerts, /v1/reception, \
         /v1/passive, /v1/report or /v1/intake/NAME, GET /v1/alerts, /v1/operation, /counters or /ping; POST /reservation, \
         /checkin, /snooze or /checkout, GET /reservation, /status, /badguests or /nodes; \
         /ping/UUID or /ping/KEY/SLUG",
    )
}

fn not_found(error: &str) -> Response {
    let body = Json(json!({ "schema": 1, "status": "error", "error": error }));
    (StatusCode::NOT_FOUND, body).into_response()
}

/// A request's body, if it may come in. Alerts are everybody's.
pub(super) async fn let_in(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<u8>, Failure> {
    let (_everybodys, body) = let_in_for(shared, headers, body).await?;
    Ok(body)
}

/// The same, with whose jobs it is about.
pub(super) async fn let_in_for(
    shared: &Shared,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Namespace, Vec<u8>), Failure> {
    let namespace = shared.door.open(headers).map_err(Failure::Barred)?;
    Ok((namespace, read_body(headers, body).await?))
}

/// The body of a request that was let in.
pub(super) async fn read_body(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Failure> {
    let told = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    let told = told.and_then(|length| length.parse::<usize>().ok());
    if told.is_some_and(|length| length > BODY_BYTES_MAX) {
        return Err(Failure::TooLarge);
    }
    match tokio::time::timeout(BODY_WITHIN, to_bytes(body, BODY_BYTES_MAX)).await {
        Ok(Ok(bytes)) => Ok(bytes.to_vec()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a body was not read");
            Err(Failure::TooLarge)
        }
        Err(_elapsed) => Err(Failure::TooSlow),
    }
}

/// The beginning of the body of a request that was let in, and whether there was more, which is
/// read and not kept. For who sends something once and has no shorter way to say it.
pub(super) async fn read_beginning(body: Body) -> Result<(Vec<u8>, bool), Failure> {
    let reading = async {
        let (mut kept, mut read) = (Vec::new(), 0_usize);
        let mut frames = body.into_data_stream();
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|error| {
                tracing::debug!(%error, "a body was not read");
                Failure::TooSlow
            })?;
            read = read.saturating_add(frame.len());
            if read > PASSED_OVER_BYTES_MAX {
                return Err(Failure::TooLarge);
            }
            let room = BODY_BYTES_MAX - kept.len();
            kept.extend_from_slice(&frame[..room.min(frame.len())]);
        }
        let more = read > kept.len();
        Ok((kept, more))
    };
    match tokio::time::timeout(BODY_WITHIN, reading).await {
        Ok(read) => read,
        Err(_elapsed) => Err(Failure::TooSlow),
    }
}

/// Words that say how it is and not since when, as the log knows them.
pub(in crate::daemon) fn dated(daemon: &Daemon, words: Vec<Word>) -> Vec<Word> {
    let now: Timestamp = daemon.log_now();
    let agent = daemon.agent();
    agent.ledger().alerts().all_dated(words, now)
}

/// Brings what is new to the log.
async fn take(shared: &Shared, words: Words) -> Result<Taken, Failure> {
    let count = words.len();
    let Words { mut words, undated, refused } = words;
    if count == 0 && !refused.is_empty() {
        return Err(Failure::Useless(refused));
    }
    words.extend(dated(&shared.daemon, undated));
    let news = news(&shared.daemon, words);
    let taken = Taken { words: count, news: news.len(), refused };
    shared.gatherer.commit(news).await.map_err(Failure::NotTaken)?;
    Ok(taken)
}

/// What of it would change anything, as far as this peer knows.
pub(in crate::daemon) fn news(daemon: &Daemon, mut words: Vec<Word>) -> Vec<Word> {
    let at: Timestamp = daemon.log_now();
    let agent = daemon.agent();
    let alerts = agent.ledger().alerts();
    words.retain(|word| alerts.is_news(word, at));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alertmanager_is_told_to_send_again_where_others_are_told_that_it_is_too_much() {
        let full = || Failure::NotTaken(NotTaken::Full);
        let unreadable = || Failure::Unreadable("no JSON".to_owned());
        for (response, status, again) in [
            (full().into_response(), StatusCode::TOO_MANY_REQUESTS, true),
            (WebhookFailure(full()).into_response(), StatusCode::SERVICE_UNAVAILABLE, true),
            (WebhookFailure(unreadable()).into_response(), StatusCode::BAD_REQUEST, false),
        ] {
            assert_eq!(response.status(), status);
            assert_eq!(response.headers().contains_key(header::RETRY_AFTER), again);
        }
    }
}
