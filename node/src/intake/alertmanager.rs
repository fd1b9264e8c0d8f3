//! Alertmanager's webhook (version 4), with or without what Grafana adds to it; and Alertmanager's
//! own API (`POST /api/v2/alerts`), to which a Prometheus sends when it has no Alertmanager.

use super::{Unreadable, Words, words};
use protocol::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// For how long an alert without an end fires unless it is told again: the `resolve_timeout` of an
/// Alertmanager that is told none.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// The webhook's envelope.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    group_key: Option<String>,
    #[serde(default)]
    truncated_alerts: u64,
    alerts: Vec<Value>,
}

/// Every alert of a webhook's group.
///
/// # Errors
/// What cannot be read, with its line and column.
pub fn webhook(body: &[u8], now: Timestamp) -> Result<Words, Unreadable> {
    let group: Group = serde_json::from_slice(body)?;
    if let Some(version) =
        group.version.as_deref().filter(|version| *version != "4" && *version != "1")
    {
        let why = format!(
            "version {version:?} of the webhook is not known: \"4\" is, and Grafana's \"1\""
        );
        return Err(Unreadable(why));
    }
    let mut words = words(group.alerts, now, None);
    if group.truncated_alerts > 0 {
        let of = group.group_key.unwrap_or_default();
        words.refused.push(format!(
            "{} alerts of group {of} were left out by the sender: raise max_alerts of its receiver",
            group.truncated_alerts
        ));
    }
    Ok(words)
}

/// Every alert that a Prometheus sends, or whoever sends as it does.
///
/// # Errors
/// What cannot be read, with its line and column.
pub fn api(body: &[u8], now: Timestamp) -> Result<Words, Unreadable> {
    let alerts: Vec<Value> = serde_json::from_slice(body)?;
    Ok(words(alerts, now, Some(RESOLVE_TIMEOUT)))
}
