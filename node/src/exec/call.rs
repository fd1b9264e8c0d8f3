//! HTTP requests as rungs: for tickets, load balancers, cloud interfaces.
//!
//! Like a command, a request ends in one of a few ways, and what cannot be known is said to be
//! unknown: a POST whose answer never came may have been carried out. Every request bears the
//! incident and the attempt as its `Idempotency-Key`, so that a receiver can tell a repetition.

use crate::exec::{
    environment::Environment,
    http::{HttpClient, body_beginning, parse_url, root_cause},
    output::beginning,
};
use protocol::{document::HttpCall, record::Outcome};
use std::{collections::BTreeSet, time::Duration};

/// How much of an answer is read: what is longer is cut, however long it is.
const ANSWER_MAX_BYTES: usize = 64 << 10;

/// Why a request is not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It could not be made at all.
    #[error("the request cannot be made: {reason}")]
    Request {
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody took it.
    #[error("not reached: {reason}")]
    Unreachable {
        /// What went wrong at the bottom.
        reason: String,
    },
    /// No answer came in time, and asking again does no harm.
    #[error("no answer within {after:?}")]
    TimedOut {
        /// The time.
        after: Duration,
    },
    /// It may have been carried out.
    #[error("nobody knows whether it was carried out: {reason}")]
    Unknown {
        /// What went wrong.
        reason: String,
    },
    /// The answer is not the one that counts as success.
    #[error("answered {status}, {why}: {answer}")]
    Refused {
        /// The status, with its words.
        status: String,
        /// What was expected.
        why: String,
        /// The beginning of the answer.
        answer: String,
    },
}

impl CallError {
    /// How the attempt ended.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Request { .. } | Self::Unreachable { .. } | Self::Refused { .. } => {
                Outcome::Failed
            }
            Self::TimedOut { .. } => Outcome::TimedOut,
            Self::Unknown { .. } => Outcome::Unknown,
        }
    }
}

/// Makes a request and returns what was answered.
///
/// # Errors
/// [`CallError`], which says how the attempt ended.
pub async fn call(
    http: &HttpClient,
    request: &HttpCall,
    environment: &Environment,
    timeout: Duration,
) -> Result<String, CallError> {
    let built = build(http, request, environment)?;
    // A second GET, PUT or DELETE comes to the same as one; a second POST need not.
    let harmless = !matches!(request.method.as_str(), "POST" | "PATCH");
    let exchange = async {
        let response = built.send().await.map_err(|error| {
            let reason = root_cause(&error);
            match (error.is_connect() || error.is_builder(), harmless) {
                (true, _) | (false, true) => CallError::Unreachable { reason },
                (false, false) => CallError::Unknown { reason },
            }
        })?;
        let status = response.status();
        let answer = body_beginning(response, ANSWER_MAX_BYTES).await;
        judge(request, status, answer.trim())
    };
    match tokio::time::timeout(timeout, exchange).await {
        Ok(result) => result,
        Err(_elapsed) if harmless => Err(CallError::TimedOut { after: timeout }),
        Err(_elapsed) => {
            Err(CallError::Unknown { reason: format!("no answer within {timeout:?}") })
        }
    }
}

fn build(
    http: &HttpClient,
    request: &HttpCall,
    environment: &Environment,
) -> Result<reqwest::RequestBuilder, CallError> {
    let wrong = |reason: String| CallError::Request { reason };
    let url = filled(&request.url, environment, Form::UrlPart).map_err(wrong)?;
    let url = parse_url(&url).map_err(wrong)?;
    let method = reqwest::Method::from_bytes(request.method.as_bytes())
        .map_err(|error| wrong(error.to_string()))?;
    let mut built = http.request(method, url);
    let key = ["HEARTEN_INCIDENT", "HEARTEN_ATTEMPT"]
        .map(|variable| environment.get(variable).unwrap_or("0"))
        .join("/");
    built = built.header("idempotency-key", key);
    if request.body.is_some() && !request.headers.contains_key("content-type") {
        built = built.header("content-type", "application/json");
    }
    for (name, value) in &request.headers {
        let value = filled(value, environment, Form::Plain).map_err(wrong)?;
        built = built.header(name, value);
    }
    if let Some(body) = &request.body {
        built = built.body(filled(body, environment, Form::JsonString).map_err(wrong)?);
    }
    Ok(built)
}

fn judge(
    request: &HttpCall,
    status: reqwest::StatusCode,
    answer: &str,
) -> Result<String, CallError> {
    let (first, last) = request.status;
    let refused = |why: String| {
        let answer = beginning(answer, ANSWER_MAX_BYTES).to_owned();
        Err(CallError::Refused { status: status.to_string(), why, answer })
    };
    if !(first..=last).contains(&status.as_u16()) {
        return refused(if first == last {
            format!("expected {first}")
        } else {
            format!("expected {first} to {last}")
        });
    }
    match &request.answer_contains {
        Some(wanted) if !answer.contains(wanted.as_str()) => {
            refused(format!("expected an answer that holds \"{wanted}\""))
        }
        Some(_) | None => Ok(format!("{status}\n{answer}")),
    }
}

/// As what a value is put into a text.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// As it is.
    Plain,
    /// As one part of an address.
    UrlPart,
    /// As the inside of a JSON string.
    JsonString,
}

/// The secrets that a request's headers and body name, `${secret:NAME}`. An address names none:
/// addresses are logged by everybody on the way.
pub fn secrets_named_in(request: &HttpCall) -> BTreeSet<String> {
    let texts = request.headers.values().chain(request.body.as_ref());
    texts
        .flat_map(|text| text.split("${secret:").skip(1))
        .filter_map(|rest| rest.split_once('}').map(|(name, _)| name.to_owned()))
        .collect()
}

/// Replaces each `${HEARTEN_…}`, and but for an address each `${secret:…}`, by its value, so that
/// no value can be anything else than a value.
fn filled(template: &str, environment: &Environment, form: Form) -> Result<String, String> {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        text.push_str(before);
        let ours = after.starts_with("HEARTEN_")
            || (after.starts_with("secret:") && !matches!(form, Form::UrlPart));
        if !ours {
            text.push_str("${");
            rest = after;
            continue;
        }
        let (variable, after) =
            after.split_once('}').ok_or_else(|| "\"${\" is never closed".to_owned())?;
        let value =
            environment.get(variable).ok_or_else(|| format!("{variable} is not set here"))?;
        match form {
            Form::Plain => text.push_str(value),
            Form::UrlPart => {
                for byte in value.bytes() {
                    if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
                        text.push(char::from(byte));
                    } else {
                        text.push_str(&format!("%{byte:02X}"));
                    }
                }
            }
            Form::JsonString => {
                let quoted = serde_json::Value::from(value).to_string();
                text.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{
        Router,
        body::{Body, Bytes},
        extract::Path,
        http::{HeaderMap, StatusCode},
        response::Redirect,
        routing::{get, post},
    };
    use futures::{Stream, StreamExt, stream};
    use std::{collections::BTreeMap, convert::Infallible};
    use tokio::net::TcpListener;

    fn environment() -> Environment {
        Environment::from(BTreeMap::from(
            [
                ("HEARTEN_PEER", "web-1"),
                ("HEARTEN_LABEL_SHARD", "a/b \"c\""),
                ("HEARTEN_INCIDENT", "INC-7"),
                ("HEARTEN_ATTEMPT", "2"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
        ))
    }

    fn request(method: &str, url: String) -> HttpCall {
        HttpCall {
            method: method.to_owned(),
            url,
            headers: BTreeMap::new(),
            body: None,
            status: (200, 299),
            answer_contains: None,
        }
    }

    /// More than anybody wants to read.
    fn ten_gigabytes() -> impl Stream<Item = Result<Bytes, Infallible>> {
        let chunk = || Ok(Bytes::from_static(&[b'x'; 64 << 10]));
        stream::repeat_with(chunk).take(160_000)
    }

    async fn server() -> (std::net::SocketAddr, tokio::task::JoinHandle<()>) {
        let router = Router::new()
            .route("/hosts/{shard}", get(|Path(shard): Path<String>| async { shard }))
            .route(
                "/tickets",
                post(|headers: HeaderMap, body: String| async move {
                    let key = headers["idempotency-key"].to_str().unwrap_or_default().to_owned();
                    (StatusCode::CREATED, format!("{key} {body}"))
                }),
            )
            .route("/file", get(|| async { Redirect::temporary("file:///etc/passwd") }))
            .route("/huge", get(|| async { Body::from_stream(ten_gigabytes()) }))
            .route(
                "/hangs",
                get(|| async { std::future::pending::<()>().await })
                    .post(|| async { std::future::pending::<()>().await }),
            );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
    }

    #[tokio::test]
    async fn values_are_values_wherever_they_are_put() {
        let (address, server) = server().await;
        let http = HttpClient::new().unwrap();
        let limit = Duration::from_secs(5);
        let shard = request("GET", format!("http://{address}/hosts/${{HEARTEN_LABEL_SHARD}}"));
        let answer = call(&http, &shard, &environment(), limit).await.unwrap();
        assert_eq!(answer, "200 OK\na/b \"c\"");
        let ticket = HttpCall {
            body: Some("{\"host\":\"${HEARTEN_LABEL_SHARD}\"}".to_owned()),
            status: (201, 201),
            answer_contains: Some("INC-7/2 ".to_owned()),
            ..request("POST", format!("http://{address}/tickets"))
        };
        let answer = call(&http, &ticket, &environment(), limit).await.unwrap();
        let body = answer.split_once("INC-7/2 ").unwrap().1;
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["host"], "a/b \"c\"");
        let other = HttpCall { answer_contains: Some("closed".to_owned()), ..ticket };
        let refused = call(&http, &other, &environment(), limit).await.unwrap_err();
        assert_eq!(refused.outcome(), Outcome::Failed, "{refused}");
        let unset = request("GET", format!("http://{address}/hosts/${{HEARTEN_PARAM_X}}"));
        let refused = call(&http, &unset, &environment(), limit).await.unwrap_err();
        assert!(matches!(refused, CallError::Request { .. }), "{refused}");
        server.abort();
    }

    #[tokio::test]
    async fn a_bad_server_costs_its_time_limit_and_no_more() {
        let (address, server) = server().await;
        let http = HttpClient::new().unwrap();
        let limit = Duration::from_millis(500);
        let ask = async |method: &str, path: &str| {
            let request = request(method, format!("http://{address}{path}"));
            call(&http, &request, &environment(), limit).await
        };
        let moved = ask("GET", "/file").await.unwrap_err();
        assert!(matches!(moved, CallError::Refused { .. }), "not followed: {moved}");
        assert!(ask("GET", "/huge").await.unwrap().len() <= ANSWER_MAX_BYTES + 20);
        assert_eq!(ask("GET", "/hangs").await.unwrap_err().outcome(), Outcome::TimedOut);
        assert_eq!(ask("POST", "/hangs").await.unwrap_err().outcome(), Outcome::Unknown);
        server.abort();
        assert!(server.await.is_err());
        assert_eq!(ask("POST", "/tickets").await.unwrap_err().outcome(), Outcome::Failed);
    }
}
