//! The intakes: a request is read, what is new in it is brought to the leader, and it is answered
//! when that is committed. So what was answered with success is not lost, and what is sent again
//! changes nothing.

use super::{
    Shared, bodies,
    door::{Barred, Known},
    gather::NotTaken,
    sender::{Caller, Sender},
    shares::NoRoom,
    tellers::InLog,
};
use crate::{
    control::views::AlertsView,
    daemon::Daemon,
    intake::{Unreadable, Words, alertmanager as formats, hospital, passive},
};
use axum::{
    Json,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use protocol::{alert::Word, time::Timestamp};
use serde_json::{Value, json};
use std::sync::{Arc, PoisonError};

/// When a sender may try again.
const AGAIN_AFTER_SECONDS: &str = "1";

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    Barred(Barred),
    TooLarge,
    TooSlow,
    /// Its end did not come.
    Broken,
    /// Too many long ones are held, of this sender or of all.
    NoPlace(NoRoom),
    Unreadable(String),
    /// Nobody wrote a mapping of that name.
    NoSuchIntake,
    /// Too many alerts fire of this sender's.
    Firing(NoRoom),
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
                let message = format!("the body has more than {} bytes", bodies::BYTES_MAX);
                (StatusCode::PAYLOAD_TOO_LARGE, message)
            }
            Self::TooSlow => {
                let message = format!("the body did not come within {:?}", bodies::WITHIN);
                (StatusCode::REQUEST_TIMEOUT, message)
            }
            Self::Broken => {
                (StatusCode::BAD_REQUEST, "the body is not what its head says of it".to_owned())
            }
            Self::Firing(why) => {
                (StatusCode::TOO_MANY_REQUESTS, format!("too many alerts fire: {why}"))
            }
            Self::NoPlace(why) => {
                let message = format!("too many long bodies at once: {why}");
                (StatusCode::TOO_MANY_REQUESTS, message)
            }
            Self::Unreadable(why) => (StatusCode::BAD_REQUEST, why.clone()),
            Self::NoSuchIntake => {
                let message = "hearten.toml of this host has no [[intake]] of that name";
                (StatusCode::NOT_FOUND, message.to_owned())
            }
            Self::Useless(why) => (StatusCode::BAD_REQUEST, why.join("; ")),
            Self::NotTaken(why @ (NotTaken::Refused(_) | NotTaken::Waiting(_))) => {
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
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, WebhookFailure> {
    let (who, words) = let_in(&shared, &caller, body, formats::webhook).await?;
    Ok(take(&shared, &who.sender, words).await.map(|taken| Json(taken.json()))?)
}

pub(super) async fn prometheus(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (who, words) = let_in(&shared, &caller, body, formats::api).await?;
    take(&shared, &who.sender, words).await.map(|taken| Json(taken.json()))
}

/// Hospital's answer says "was", and what it would have begun an operation for or not.
pub(super) async fn reception(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (who, read) = let_in(&shared, &caller, body, hospital::read).await?;
    let now = shared.daemon.log_now();
    let read = {
        let agent = shared.daemon.agent();
        let library = agent.ledger().library();
        let guest = |id: &str| library.guest_of(id).map(|guest| guest.name.clone());
        read.reception(now, agent.ledger().alerts(), guest)
    };
    let was = read.was;
    take(&shared, &who.sender, read.words).await?;
    Ok(Json(json!({ "status": format!("was {was}") })))
}

/// Passive results of monitoring plugins.
pub(super) async fn passive(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let (who, words) = let_in(&shared, &caller, body, passive::results).await?;
    take(&shared, &who.sender, words).await.map(|taken| Json(taken.json()))
}

/// JSON of a sender that `hearten.toml` has a mapping for.
pub(super) async fn mapped(
    State(shared): State<Arc<Shared>>,
    name: Result<Path<String>, PathRejection>,
    caller: Caller,
    body: Body,
) -> Result<Json<Value>, Failure> {
    let mapping = name.ok().and_then(|Path(name)| {
        shared.mappings.iter().find(|mapping| mapping.name.as_str() == name).cloned()
    });
    // Who may not come in is not told which there are.
    let read = move |body: &[u8], now| mapping.map(|mapping| mapping.words(body, now)).transpose();
    let (who, words) = let_in(&shared, &caller, body, read).await?;
    let words = words.ok_or(Failure::NoSuchIntake)?;
    let taken = take(&shared, &who.sender, words).await?;
    Ok(Json(taken.json()))
}

/// The alerts that fire, as this peer's replica has them.
pub(super) async fn firing(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
) -> Result<Json<Value>, Failure> {
    shared.door.open(&caller).map_err(Failure::Barred)?;
    let at = shared.daemon.log_now();
    let view = AlertsView::of(&shared.daemon.agent(), at);
    let view =
        serde_json::to_value(view).map_err(|error| Failure::Unreadable(error.to_string()))?;
    Ok(Json(view))
}

pub(super) async fn no_such_path() -> Response {
    let error = "there is nothing at this path: POST /v1/alertmanager, /api/v2/alerts, /v1/reception, \
         /v1/passive, /v1/report or /v1/intake/NAME, GET /v1/alerts, /v1/operation, /counters or /ping; POST /reservation, \
         /checkin, /snooze or /checkout, GET /reservation, /status, /badguests or /nodes; \
         /ping/UUID or /ping/KEY/SLUG";
    let body = Json(json!({ "schema": 1, "status": "error", "error": error }));
    (StatusCode::NOT_FOUND, body).into_response()
}

/// Which methods there are is in the answer's head.
pub(super) async fn no_such_method(method: Method) -> Response {
    let shown: String = method.as_str().chars().take(20).collect();
    let error = format!("{shown} is not for this path: `Allow` says what is");
    let body = Json(json!({ "schema": 1, "status": "error", "error": error }));
    (StatusCode::METHOD_NOT_ALLOWED, body).into_response()
}

/// Who sends a request and what its body says, if it may come in.
pub(super) async fn let_in<T: Send + 'static>(
    shared: &Shared,
    caller: &Caller,
    body: Body,
    read: impl FnOnce(&[u8], Timestamp) -> Result<T, Unreadable> + Send + 'static,
) -> Result<(Known, T), Failure> {
    let who = shared.door.open(caller).map_err(Failure::Barred)?;
    let said = said(shared, caller, &who.sender, body, read).await?;
    Ok((who, said))
}

/// What the body of a request says that was let in.
pub(super) async fn said<T: Send + 'static>(
    shared: &Shared,
    caller: &Caller,
    sender: &Sender,
    body: Body,
    read: impl FnOnce(&[u8], Timestamp) -> Result<T, Unreadable> + Send + 'static,
) -> Result<T, Failure> {
    let came = shared.bodies.whole(caller, sender, body).await?;
    let now = shared.daemon.log_now();
    Ok(shared.bodies.read(came, move |bytes, _cut| read(&bytes, now)).await??)
}

/// Words that say how it is and not since when, as the log knows them.
pub(in crate::daemon) fn dated(daemon: &Daemon, words: Vec<Word>) -> Vec<Word> {
    let now: Timestamp = daemon.log_now();
    let agent = daemon.agent();
    agent.ledger().alerts().all_dated(words, now)
}

/// Brings what is new to the log.
async fn take(shared: &Shared, sender: &Sender, words: Words) -> Result<Taken, Failure> {
    let count = words.len();
    let Words { mut words, undated, refused } = words;
    if count == 0 && !refused.is_empty() {
        return Err(Failure::Useless(refused));
    }
    words.extend(dated(&shared.daemon, undated));
    let news = news(&shared.daemon, words);
    let taken = Taken { words: count, news: news.len(), refused };
    leaves_room(shared, sender, &news).map_err(Failure::Firing)?;
    shared.gatherer.commit(sender, news).await.map_err(Failure::NotTaken)?;
    Ok(taken)
}

/// Whether what a sender tells of leaves room for the alerts of others.
fn leaves_room(shared: &Shared, sender: &Sender, news: &[Word]) -> Result<(), NoRoom> {
    let at: Timestamp = shared.daemon.log_now();
    let agent = shared.daemon.agent();
    let alerts = agent.ledger().alerts();
    let fires = |id| alerts.fires(id, at);
    let log = InLog { kept: alerts.kept(), fires: &fires };
    let mut tellers = shared.tellers.lock().unwrap_or_else(PoisonError::into_inner);
    tellers.take(sender, news, &log, at)
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
    use protocol::refusal::Refusal;

    #[test]
    fn an_alertmanager_is_told_to_send_again_where_others_are_told_that_it_is_too_much() {
        let full = || {
            let most = 10;
            Failure::NotTaken(NotTaken::Refused(Box::new(Refusal::TooManyAlerts { most })))
        };
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
