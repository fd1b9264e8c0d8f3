//! Hands a message over to a web hook.
//!
//! Only a 2xx answer counts as delivered. Anything else is told in words, and whoever sends tries
//! again later: a message goes out at least once, so its body bears what a receiver tells
//! duplicates by.

use crate::exec::{
    http::{HttpClient, body_beginning, parse_url, root_cause},
    output::beginning,
};
use std::time::Duration;

/// How long a receiver has for its answer: a queue behind a busy proxy takes seconds, not minutes.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// How much of an answer is kept.
const ANSWER_MAX_BYTES: usize = 500;

/// Why a message was not delivered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WebhookError {
    /// The address cannot be used.
    #[error("not a web hook's address: {reason}")]
    Address {
        /// What is wrong with it.
        reason: String,
    },
    /// There was no answer.
    #[error("no answer: {reason}")]
    Unreachable {
        /// What went wrong at the bottom.
        reason: String,
        /// Whether the receiver was reached, and may have taken it.
        perhaps: bool,
    },
    /// The time was up.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The time.
        after: Duration,
    },
    /// The receiver answered, but not that it took the message.
    #[error("answered {status}: {answer}")]
    NotTaken {
        /// The status.
        code: u16,
        /// The status, with its words.
        status: String,
        /// When it may be asked again at the earliest, if it says so.
        after: Option<Duration>,
        /// The beginning of what it said.
        answer: String,
    },
}

/// A message as it is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    /// Where to.
    pub url: String,
    /// What stands before it, beside the type of the body.
    pub headers: Vec<(&'static str, String)>,
    /// The media type of the body.
    pub media_type: &'static str,
    /// The message itself.
    pub body: Vec<u8>,
}

impl Post {
    /// A message in JSON.
    pub fn json(url: &str, body: Vec<u8>) -> Self {
        let url = url.to_owned();
        Self { url, headers: Vec::new(), media_type: "application/json", body }
    }

    /// A message in plain text.
    pub fn text(url: &str, body: &str) -> Self {
        let (url, body) = (url.to_owned(), body.as_bytes().to_vec());
        Self { url, headers: Vec::new(), media_type: "text/plain; charset=utf-8", body }
    }
}

/// Posts a message and returns what the receiver said: its status and the beginning of its
/// answer.
///
/// # Errors
/// [`WebhookError`]; the message may have been taken all the same, unless the address was wrong.
pub async fn send(
    http: &HttpClient,
    post: Post,
    timeout: Duration,
) -> Result<String, WebhookError> {
    let url = parse_url(&post.url).map_err(|reason| WebhookError::Address { reason })?;
    let mut request = http.post(url).header("content-type", post.media_type);
    for (name, value) in post.headers {
        request = request.header(name, value);
    }
    exchange(request.body(post.body), timeout).await
}

/// Makes a request without a body, and returns what the receiver said.
///
/// # Errors
/// [`WebhookError`], as for a message.
pub async fn call(
    http: &HttpClient,
    method: reqwest::Method,
    url: &str,
    timeout: Duration,
) -> Result<String, WebhookError> {
    let url = parse_url(url).map_err(|reason| WebhookError::Address { reason })?;
    exchange(http.request(method, url), timeout).await
}

async fn exchange(
    request: reqwest::RequestBuilder,
    timeout: Duration,
) -> Result<String, WebhookError> {
    let exchange = async {
        let response = request.send().await.map_err(|error| WebhookError::Unreachable {
            reason: root_cause(&error),
            perhaps: !(error.is_connect() || error.is_builder()),
        })?;
        let status = response.status();
        let after =
            response.headers().get("retry-after").and_then(|value| wait(value.to_str().ok()?));
        let answer = body_beginning(response, ANSWER_MAX_BYTES).await;
        let answer = beginning(answer.trim(), ANSWER_MAX_BYTES).to_owned();
        if !status.is_success() {
            let (code, status) = (status.as_u16(), status.to_string());
            return Err(WebhookError::NotTaken { code, status, after, answer });
        }
        Ok(if answer.is_empty() { status.to_string() } else { format!("{status}: {answer}") })
    };
    match tokio::time::timeout(timeout, exchange).await {
        Ok(result) => result,
        Err(_elapsed) => Err(WebhookError::TimedOut { after: timeout }),
    }
}

/// A wait as a receiver asks for it (RFC 9110): in seconds, or up to a moment.
fn wait(asked: &str) -> Option<Duration> {
    if let Ok(seconds) = asked.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = jiff::fmt::rfc2822::parse(asked.trim()).ok()?.timestamp();
    // What is over by now waits no longer.
    Some(Duration::try_from(until.duration_since(jiff::Timestamp::now())).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, http::StatusCode, response::Redirect, routing::post as route_post};
    use serde_json::json;
    use std::sync::{Arc, Mutex};
    use tokio::net::TcpListener;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_up_to_a_moment() {
        assert_eq!(wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(wait("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        let later = wait("Wed, 21 Oct 2150 07:28:00 GMT").unwrap();
        assert!(later > Duration::from_secs(86_400));
        assert_eq!((wait("soon"), wait("-1"), wait("")), (None, None, None));
    }

    #[tokio::test]
    async fn only_a_success_counts_as_delivered() {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&taken);
        let take = move |body: String| async move {
            keep.lock().unwrap().push(body);
            StatusCode::NO_CONTENT
        };
        let hangs = || async {
            tokio::time::sleep(Duration::from_secs(60)).await;
        };
        let router = Router::new()
            .route("/hook", route_post(take))
            .route("/talks", route_post(|| async { "x".repeat(1_000_000) }))
            .route("/moved", route_post(|| async { Redirect::temporary("/hook") }))
            .route("/broken", route_post(|| async { (StatusCode::BAD_GATEWAY, "try later\n") }))
            .route(
                "/busy",
                route_post(|| async { (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "7")]) }),
            )
            .route("/hangs", route_post(hangs));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = HttpClient::new().unwrap();
        let body = json!({"incident": "INC-42", "text": "ä"});
        let send = async |path: &str| {
            let url = format!("http://{address}{path}");
            send(&http, Post::json(&url, body.to_string().into_bytes()), Duration::from_millis(500))
                .await
        };

        assert_eq!(send("/hook").await, Ok("204 No Content".to_owned()));
        assert!(send("/talks").await.unwrap().len() < ANSWER_MAX_BYTES + 20);
        assert!(matches!(send("/moved").await, Err(WebhookError::NotTaken { .. })));
        assert_eq!(
            send("/broken").await.unwrap_err().to_string(),
            "answered 502 Bad Gateway: try later"
        );
        assert!(matches!(send("/hangs").await, Err(WebhookError::TimedOut { .. })));
        let busy = send("/busy").await.unwrap_err();
        let seven = Some(Duration::from_secs(7));
        assert!(matches!(busy, WebhookError::NotTaken { code: 429, after, .. } if after == seven));
        let got = taken.lock().unwrap().clone();
        assert_eq!(got.len(), 1, "the redirect was not followed");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&got[0]).unwrap(), body);

        server.abort();
        assert!(server.await.is_err());
        let refused = send("/hook").await.unwrap_err();
        assert!(matches!(refused, WebhookError::Unreachable { perhaps: false, .. }), "{refused:?}");
        assert!(refused.to_string().contains("Connection refused"), "{refused}");
        assert!(matches!(
            super::send(&http, Post::json("mailto:x", Vec::new()), TIMEOUT).await,
            Err(WebhookError::Address { .. })
        ));
    }
}
