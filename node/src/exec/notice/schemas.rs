//! What goes to Slack and PagerDuty, held against what they publish of what they take.

use super::{
    News, pagerduty, slack,
    tests::{message, name},
};
use protocol::document::Template;
use serde_json::{Value, json};

fn validator(schema: &str) -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// Words as an operator writes them, with places for what comes from outside.
const OWN: [&str; 3] = [
    "{severity}: {check} on {host} ({label.rack}) {alert.device}",
    "{why} {alert.device} {since}",
    "{\"json\": \"{why}\"} *{title}* `{ran}` {nothing",
];

/// What is put into their places.
const HOSTILE: [&str; 4] =
    ["<!channel> & <@U1> <https://evil|here>", "a\u{0}\u{1b}[2J\r\nb", "\"}]}", ""];

/// Each kind of news, with and without a runbook, in few and in very many words, in the usual ones
/// and in an operator's own.
fn bodies(make: impl Fn(&protocol::agent::Message) -> Value) -> Vec<Value> {
    let mut bodies = Vec::new();
    let places = ["check", "why", "alert.device", "alert.alertname", "ran", "label.rack"];
    for (own, hostile) in OWN.iter().flat_map(|own| HOSTILE.map(|hostile| (own, hostile))) {
        let mut message = message(News::Called);
        message.facts.extend(places.map(|place| (place.to_owned(), hostile.to_owned())));
        let filled = Template::parse(own).unwrap().fill(&message.facts, str::to_owned);
        (message.title, message.text) = (filled.clone(), filled);
        bodies.push(make(&message));
    }
    for news in [News::Called, News::Asked, News::Resolved, News::Repaired] {
        for text in ["web-1 is dark <!channel> & <@U1>".to_owned(), "ä".repeat(30_000)] {
            for runbook in [None, Some(name("restart-web"))] {
                let mut message = message(news);
                message.text = text.clone();
                message.title = text.clone();
                message.runbook = runbook;
                bodies.push(make(&message));
            }
        }
    }
    bodies
}

#[test]
fn every_event_is_one_that_pagerduty_takes() {
    let validator = validator(include_str!("pagerduty.schema.json"));
    for severity in [None, Some("critical"), Some("error"), Some("warning"), Some("info")] {
        for event in bodies(|message| pagerduty(message, "k3y", severity)) {
            let faults: Vec<String> =
                validator.iter_errors(&event).map(|fault| fault.to_string()).collect();
            assert!(faults.is_empty(), "{faults:?}: {event}");
        }
    }
    assert!(!validator.is_valid(&json!({ "routing_key": "x", "event_action": "trigger" })));
    assert!(!validator.is_valid(&json!({ "routing_key": "x", "event_action": "resolve" })));
}

#[test]
fn every_message_is_one_that_slack_takes() {
    let validator = validator(include_str!("slack.schema.json"));
    for body in bodies(slack) {
        let faults: Vec<String> =
            validator.iter_errors(&body).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}: {body}");
    }
    assert!(!validator.is_valid(&json!({ "attachments": [{ "text": "<!here>" }] })));
}
