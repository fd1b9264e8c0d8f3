//! GoTel's pages: the jobs, the worst of them, and the peers; and a form for a reservation.
//!
//! They are made here, without scripts. A browser may send the form because it says where its page
//! is from; a page of somebody else's may not. Where the address needs a token, the browser asks for
//! it: any name, and the token as the password. With `Accept: application/json` each is JSON.

use super::{
    Shared,
    intake::said,
    jobs::{Failure, as_gotel, last_check_in, make, relative},
    sender::Caller,
};
use crate::{control::views::state_of_heartbeat, intake::gotel};
use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
};
use protocol::{
    ledger::heartbeats::{FAILURE_DAYS, Job},
    time::{Timestamp, format_span},
};
use serde_json::{Value, json};
use std::{cmp::Reverse, sync::Arc};

const STYLE: &str = "body{font:15px sans-serif;margin:2em}table{border-collapse:collapse}\
    td,th{text-align:left;padding:.3em 1em .3em 0;border-bottom:1px solid #ccc}\
    .bad{color:#b00;font-weight:bold}nav a{margin-right:1em}form input,form select{margin:0 .6em .6em 0}";

const FORM: &str = r#"<h2>Reserve</h2><form method="post" action="/status">
<input name="app" placeholder="app" required> <input name="component" placeholder="component" required>
<input name="frequency" type="number" min="1" placeholder="frequency" required>
<select name="time_units"><option>seconds<option selected>minutes<option>hours</select><br>
<input name="owner" placeholder="owner"> <input name="notify" placeholder="notify">
<input name="level" placeholder="level"> <input name="alerters" placeholder="alerters">
<input name="host" placeholder="host"> <input name="alert_msg" placeholder="alert text" size="40"><br>
<button>Reserve</button></form>"#;

/// A page, or its facts; or why neither.
type Page = Result<Response, PageFailure>;

/// A failure that a browser can do something about.
pub(super) struct PageFailure(Failure);

impl<T: Into<Failure>> From<T> for PageFailure {
    fn from(failure: T) -> Self {
        Self(failure.into())
    }
}

impl IntoResponse for PageFailure {
    fn into_response(self) -> Response {
        let mut answer = self.0.into_response();
        if answer.status() == StatusCode::UNAUTHORIZED {
            let ask = header::HeaderValue::from_static("Basic realm=\"hearten\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, ask);
        }
        answer
    }
}

/// `GET /status`
pub(super) async fn status(State(shared): State<Arc<Shared>>, caller: Caller) -> Page {
    let seen = shared.door.open_to_browser(&caller)?.jobs;
    let at = shared.daemon.log_now();
    let agent = shared.daemon.agent();
    let jobs = agent.ledger().heartbeats().jobs();
    let mut jobs: Vec<&Job> = jobs.filter(|job| seen.covers(job)).collect();
    jobs.sort_by_key(|job| (job.trouble.is_none(), Reverse(last_check_in(job))));
    if wants_json(&caller.headers) {
        let result: Vec<Value> = jobs.into_iter().map(|job| as_gotel(job, at)).collect();
        return Ok(Json(json!({ "schema": 1, "success": true, "result": result })).into_response());
    }
    let rows = jobs.into_iter().map(|job| row(job, at));
    let headings = [
        "App",
        "Component",
        "State",
        "Last check-in",
        "Every",
        "Check-ins",
        "Misses",
        "Failures",
        "Last run",
        "Level",
        "Owner",
        "Notify",
        "Said",
    ];
    Ok(page("Jobs", &table(&headings, rows), FORM))
}

fn row(job: &Job, at: Timestamp) -> Vec<Cell> {
    let told = as_gotel(job, at);
    let text = |key: &str| Cell::from(told[key].as_str().unwrap_or_default().to_owned());
    let last = job.last.map_or_else(|| "never".to_owned(), |last| relative(last, at));
    let state = state_of_heartbeat(job, at).to_owned();
    vec![
        text("app"),
        text("component"),
        Cell { text: state, bad: job.trouble.is_some() },
        last.into(),
        text("schedule"),
        job.checkins.to_string().into(),
        job.misses.to_string().into(),
        job.failures.to_string().into(),
        job.ran_for.map(format_span).unwrap_or_default().into(),
        text("level"),
        text("owner"),
        text("notify"),
        job.body.lines().next().unwrap_or_default().chars().take(80).collect::<String>().into(),
    ]
}

/// `POST /status`: the form.
pub(super) async fn reserve(State(shared): State<Arc<Shared>>, caller: Caller, body: Body) -> Page {
    let who = shared.door.open_to_browser(&caller)?;
    let uuid = crate::intake::healthchecks::new_uuid(rand::random());
    let read = move |body: &[u8], _now| gotel::form(body, uuid);
    let told = said(&shared, &caller, &who.sender, body, read).await?;
    make(&shared, &who, told).await?;
    Ok(Redirect::to("/status").into_response())
}

/// `GET /badguests`: who was missed or failed most often within a month, the worst first. GoTel
/// forgets what is older.
pub(super) async fn bad_guests(State(shared): State<Arc<Shared>>, caller: Caller) -> Page {
    let seen = shared.door.open_to_browser(&caller)?.jobs;
    let at = shared.daemon.log_now();
    let agent = shared.daemon.agent();
    let lately = |job: &Job| job.lately.lately(at);
    let ever = |job: &Job| u64::from(job.misses) + u64::from(job.failures);
    let guests = agent.ledger().heartbeats().jobs().filter(|job| seen.covers(job));
    let mut guests: Vec<&Job> = guests.filter(|job| lately(job) > 0).collect();
    guests.sort_by_key(|job| (Reverse(lately(job)), Reverse(ever(job)), job.name.clone()));
    let label = |job: &Job, key: &str| job.labels.get(key).cloned();
    let app = |job: &Job| label(job, "app").unwrap_or_else(|| job.name.clone());
    let component = |job: &Job| label(job, "component").unwrap_or_default();
    if wants_json(&caller.headers) {
        let guest = |job: &&Job| {
            json!({
                "app": app(job), "component": component(job), "num_fails": lately(job),
                "num_fails_ever": ever(job), "misses": job.misses, "failures": job.failures,
            })
        };
        let result: Vec<Value> = guests.iter().map(guest).collect();
        let said = json!({
            "schema": 1, "success": true, "days": FAILURE_DAYS, "result": result,
        });
        return Ok(Json(said).into_response());
    }
    let rows = guests.into_iter().map(|job| {
        let counts = [lately(job), ever(job)].map(|count| Cell::from(count.to_string()));
        [app(job).into(), component(job).into()].into_iter().chain(counts).collect()
    });
    let within = format!("Fails in {FAILURE_DAYS} days");
    let headings = ["App", "Component", within.as_str(), "Ever"];
    Ok(page("Bad guests", &table(&headings, rows), ""))
}

/// `GET /nodes`: the peers, and who leads them.
pub(super) async fn nodes(State(shared): State<Arc<Shared>>, caller: Caller) -> Page {
    shared.door.open_to_browser(&caller)?;
    let leader = shared.daemon.standing().leader;
    let agent = shared.daemon.agent();
    let mut nodes: Vec<Value> = Vec::new();
    for (peer, member) in agent.ledger().roster().members() {
        nodes.push(json!({
            "node_id": peer.to_string(), "name": member.card.name.as_str(),
            "ip_address": member.card.address.ip().to_string(),
            "is_coordinator": leader == Some(peer),
        }));
    }
    if wants_json(&caller.headers) {
        return Ok(Json(json!({ "schema": 1, "success": true, "result": nodes })).into_response());
    }
    let rows = nodes.iter().map(|node| {
        let text = |key: &str| Cell::from(node[key].as_str().unwrap_or_default().to_owned());
        let leads = if node["is_coordinator"] == true { "leads" } else { "" };
        vec![text("name"), text("node_id"), text("ip_address"), leads.to_owned().into()]
    });
    Ok(page("Nodes", &table(&["Name", "Id", "Address", "Coordinator"], rows), ""))
}

/// `GET /is-coordinator`: whether this peer leads.
pub(super) async fn is_coordinator(State(shared): State<Arc<Shared>>) -> Json<bool> {
    Json(shared.daemon.standing().leads)
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("application/json"))
}

/// A cell of a table.
struct Cell {
    text: String,
    bad: bool,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, bad: false }
    }
}

fn table(headings: &[&str], rows: impl Iterator<Item = Vec<Cell>>) -> String {
    let mut text = String::from("<table><tr>");
    for heading in headings {
        text.push_str(&format!("<th>{heading}"));
    }
    for row in rows {
        text.push_str("<tr>");
        for cell in row {
            let class = if cell.bad { " class=bad" } else { "" };
            text.push_str(&format!("<td{class}>{}", escaped(&cell.text)));
        }
    }
    text.push_str("</table>");
    text
}

fn page(title: &str, content: &str, below: &str) -> Response {
    let html = format!(
        "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>\
         <style>{STYLE}</style><nav><a href=/status>Jobs</a><a href=/badguests>Bad guests</a>\
         <a href=/nodes>Nodes</a></nav><h1>{title}</h1>{content}{below}</html>"
    );
    // What a job says of itself must not become a part of the page, whatever is missed above.
    let policy = [(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    )];
    (policy, Html(html)).into_response()
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_job_says_is_no_part_of_the_page() {
        let hostile = "<script>alert('x & \"y\"')</script>".to_owned();
        let text = table(&["A"], std::iter::once(vec![hostile.into()]));
        assert!(text.ends_with(
            "<td>&lt;script&gt;alert(&#39;x &amp; &quot;y&quot;&#39;)&lt;/script&gt;</table>"
        ));
    }
}
