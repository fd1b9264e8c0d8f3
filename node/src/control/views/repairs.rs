//! Runbooks, what running one would come to, and maintenances, as they are shown.

use super::SCHEMA;
use protocol::{
    agent::Agent,
    document::{DocumentKey, DocumentKind, On, Runbook, Schedule},
    name::{Labels, Name, PeerId},
    plan::plan,
    refusal::Refusal,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A runbook in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunbookRow {
    /// Its name.
    pub name: String,
    /// The signal that it answers: `check web-alive`, `peer silent`, `ladder shop`, `operator`.
    pub on: String,
    /// `auto`, `ask` or `shadow`.
    pub mode: String,
    /// Its rungs, in their order.
    pub rungs: Vec<String>,
    /// How many peers its labels fit.
    pub peers: usize,
    /// The revision that it comes from.
    pub revision: u64,
    /// Its open incidents.
    pub open: Vec<String>,
}

/// The runbooks in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunbooksView {
    /// The version of this shape.
    pub schema: u32,
    /// The runbooks, by name.
    pub runbooks: Vec<RunbookRow>,
}

impl RunbooksView {
    /// The runbooks as this peer knows them.
    pub fn of(agent: &Agent) -> Self {
        let ledger = agent.ledger();
        let library = ledger.library();
        let mut open: BTreeMap<&Name, Vec<String>> = BTreeMap::new();
        for incident in ledger.open_incidents() {
            if let Some(plan) = &incident.plan {
                open.entry(&plan.name).or_default().push(incident.id.to_string());
            }
        }
        let mut row = |runbook: &Runbook| {
            let name = runbook.name.clone();
            let key = DocumentKey { kind: DocumentKind::Runbook, name };
            RunbookRow {
                name: runbook.name.to_string(),
                on: match &runbook.on {
                    On::Check(check) => format!("check {check}"),
                    On::Peer(silence) => format!("peer {}", silence.as_str()),
                    On::Ladder(ladder) => format!("ladder {ladder}"),
                    On::Operator => "operator".to_owned(),
                },
                mode: runbook.mode.as_str().to_owned(),
                rungs: runbook.rungs.iter().map(|rung| rung.name.clone()).collect(),
                peers: ledger.roster().selected(&runbook.selector).count(),
                revision: library.origin(&key).unwrap_or(0),
                open: open.remove(&runbook.name).unwrap_or_default(),
            }
        };
        Self { schema: SCHEMA, runbooks: library.runbooks().map(&mut row).collect() }
    }
}

/// A rung of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// The rung's name.
    pub rung: String,
    /// What it does.
    pub does: String,
    /// `affected`, `neighbour` or `leader`.
    pub by: String,
    /// What else is said of it.
    pub notes: Vec<String>,
}

/// What a rule says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// Which rule.
    pub rule: String,
    /// Whether it permits the first rung now.
    pub permits: bool,
    /// Why not.
    pub because: Option<String>,
}

/// What running a runbook would come to now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The version of this shape.
    pub schema: u32,
    /// The runbook.
    pub runbook: String,
    /// For which peer.
    pub peer: String,
    /// The rungs, in their order.
    pub steps: Vec<StepView>,
    /// Every rule, in the order in which they are asked.
    pub rules: Vec<RuleView>,
}

impl PlanView {
    /// The plan as this peer would make it now.
    ///
    /// # Errors
    /// The [`Refusal`] of the order itself.
    pub fn of(agent: &Agent, runbook: &Name, peer: PeerId, at: Timestamp) -> Result<Self, Refusal> {
        let plan = plan(agent.ledger(), runbook, peer, at)?;
        let steps = plan.steps.into_iter().map(|step| StepView {
            rung: step.rung,
            does: step.does,
            by: step.by.to_owned(),
            notes: step.notes,
        });
        let rules = plan.answers.into_iter().map(|answer| RuleView {
            rule: answer.rule.to_owned(),
            permits: answer.refusal.is_none(),
            because: answer.refusal.map(|refusal| refusal.to_string()),
        });
        Ok(Self {
            schema: SCHEMA,
            runbook: runbook.to_string(),
            peer: agent.ledger().roster().name(peer),
            steps: steps.collect(),
            rules: rules.collect(),
        })
    }
}

/// A maintenance in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceRow {
    /// Its name.
    pub name: String,
    /// When: `once`, or its cron expression and time zone.
    pub when: String,
    /// How it came about: `document` or `order`.
    pub from: String,
    /// Its end, while it is on.
    pub until: Option<Timestamp>,
    /// How many peers its labels fit.
    pub peers: usize,
    /// Whom it covers, in words: their names where they are few.
    #[serde(default)]
    pub covers: String,
    /// The operator's words.
    pub reason: String,
}

impl MaintenanceRow {
    fn covering(mut self, agent: &Agent, covers: impl Fn(PeerId, &Labels) -> bool) -> Self {
        let roster = agent.ledger().roster();
        let named = roster.hosts().filter(|(peer, member)| covers(*peer, &member.card.labels));
        let mut names: Vec<&str> = named.map(|(_, member)| member.card.name.as_str()).collect();
        names.sort_unstable();
        self.peers = names.len();
        self.covers = whom(&names, roster.hosts().count());
        self
    }
}

/// The most peers that are named one by one: so many fit into a line.
const NAMED_MAX: usize = 4;

fn whom(names: &[&str], all: usize) -> String {
    match names.len() {
        0 => "nobody at the moment".to_owned(),
        count if count == all && count > 1 => format!("all {count} peers"),
        1..=NAMED_MAX => names.join(", "),
        count => format!("{count} peers"),
    }
}

/// The maintenances.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenancesView {
    /// The version of this shape.
    pub schema: u32,
    /// Those of documents first, by name.
    pub maintenances: Vec<MaintenanceRow>,
}

impl MaintenancesView {
    /// The maintenances as this peer knows them; what is over is left out.
    pub fn of(agent: &Agent, at: Timestamp) -> Self {
        let ledger = agent.ledger();
        let written = ledger.library().maintenances().map(|window| {
            let row = MaintenanceRow {
                name: window.name.to_string(),
                when: match &window.schedule {
                    Schedule::Once { from, until } => format!("{from} to {until}"),
                    Schedule::Recurring { cron, time_zone, lasts } => {
                        format!("{cron} {time_zone}, {}", protocol::time::format_span(*lasts))
                    }
                },
                from: "document".to_owned(),
                until: window.schedule.covers(at),
                peers: 0,
                covers: String::new(),
                reason: window.reason.clone(),
            };
            row.covering(agent, |_, labels| window.selector.fits(labels))
        });
        let ordered = ledger.windows().iter().filter(|(_, window)| window.until > at);
        let ordered = ordered.map(|(name, window)| {
            let row = MaintenanceRow {
                name: name.to_string(),
                when: "once".to_owned(),
                from: "order".to_owned(),
                until: Some(window.until),
                peers: 0,
                covers: String::new(),
                reason: window.reason.clone(),
            };
            row.covering(agent, |peer, labels| window.is_for(peer, labels))
        });
        Self { schema: SCHEMA, maintenances: written.chain(ordered).collect() }
    }

    /// Those that keep repairs away at this moment.
    pub fn on_now(agent: &Agent, at: Timestamp) -> Vec<MaintenanceRow> {
        let all = Self::of(agent, at).maintenances.into_iter();
        all.filter(|maintenance| maintenance.until.is_some()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_named_and_many_are_counted() {
        for (names, all, told) in [
            (&[][..], 3, "nobody at the moment"),
            (&["h1"], 1, "h1"),
            (&["h1", "h2"], 3, "h1, h2"),
            (&["h1", "h2"], 2, "all 2 peers"),
            (&["h1", "h2", "h3", "h4", "h5"], 9, "5 peers"),
        ] {
            assert_eq!(whom(names, all), told);
        }
    }
}
