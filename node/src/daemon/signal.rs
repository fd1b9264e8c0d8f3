//! What a program of this host says by `hearten signal`, over the control socket: something is the
//! case, or is over. It is answered when the log has it.

use super::{Daemon, service};
use crate::control::{Exit, Failure, Request, views::SCHEMA};
use protocol::{
    alert::{Alert, Word},
    record::Record,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::Duration};

/// Something that is the case on a host.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Signal {
    /// What: the label `alertname`.
    pub name: String,
    /// On which host; on this one unless said.
    pub host: Option<String>,
    /// More labels.
    pub labels: BTreeMap<String, String>,
    /// A line for people.
    pub summary: String,
    /// For how long, if nobody says before that it is over.
    pub lasts: Option<Duration>,
    /// Whether it is over.
    pub over: bool,
}

impl From<Signal> for Request {
    fn from(signal: Signal) -> Self {
        Self::Signal { signal }
    }
}

/// Brings it to the log.
pub(super) async fn take(daemon: &Daemon, signal: Signal) -> Result<Value, Failure> {
    let now = daemon.log_now();
    let usage = |why: String| Failure::new(Exit::Usage, why);
    if signal.name.trim().is_empty() {
        return Err(usage("a signal needs a name".to_owned()));
    }
    let mut labels = signal.labels;
    labels.insert("alertname".to_owned(), signal.name);
    let own = || daemon.agent().card().name.to_string();
    labels.insert("host".to_owned(), signal.host.unwrap_or_else(own));
    let until = signal.lasts.map(|lasts| now.plus(lasts));
    let alert = Alert::new(labels, &signal.summary, now, until);
    let alert = alert.map_err(|error| usage(error.to_string()))?;
    let id = alert.id();
    let word = if signal.over {
        Word::Ended { alert: id, starts_at: None, at: now }
    } else {
        Word::Fires(alert)
    };
    let word = {
        let agent = daemon.agent();
        let alerts = agent.ledger().alerts();
        alerts.dated(word, now).filter(|word| alerts.is_news(word, now))
    };
    let news = word.is_some();
    if let Some(word) = word {
        let (position, outcome) =
            service::commit(daemon, Record::Alerted { words: vec![word] }).await?;
        outcome?;
        service::seen(daemon, position).await;
    }
    Ok(json!({ "schema": SCHEMA, "id": id.to_string(), "fires": !signal.over, "news": news }))
}
