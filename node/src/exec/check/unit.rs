//! `unit`: a systemd unit that must be active.

use super::Found;
use crate::exec::facts::{
    Facts,
    units::{self, Unit},
};
use protocol::document::Verdict;

pub(super) async fn probe(facts: &Facts, name: &str) -> Found {
    let units = facts.units().await;
    let known = match units.as_ref() {
        Ok(units) => units.iter().find(|unit| unit.name == name).cloned(),
        Err(reason) => return Found::new(Verdict::Unknown, reason.clone()),
    };
    // One that is not loaded is not in the list, and neither is another name of one that is.
    let unit = match known {
        Some(unit) => Ok(Some(unit)),
        None => units::one(facts.places(), name).await,
    };
    match unit {
        Ok(Some(unit)) => judge(name, &unit),
        Ok(None) => Found::new(Verdict::Unknown, format!("systemd says nothing of {name}")),
        Err(reason) => Found::new(Verdict::Unknown, reason),
    }
}

fn judge(name: &str, unit: &Unit) -> Found {
    let verdict = match (unit.load.as_str(), unit.active.as_str(), unit.sub.as_str()) {
        ("not-found", _, _) => {
            return Found::new(Verdict::Fail, format!("there is no unit {name}"));
        }
        (_, "active", _) => Verdict::Pass,
        // It ended and is about to be started again, and again.
        (_, "activating", "auto-restart") => Verdict::Fail,
        (_, "activating" | "reloading" | "refreshing" | "deactivating" | "maintenance", _) => {
            Verdict::Warn
        }
        (_, "inactive" | "failed", _) => Verdict::Fail,
        (_, _, _) => Verdict::Unknown,
    };
    let masked = if unit.load == "masked" { ", masked" } else { "" };
    Found::new(verdict, format!("{name} is {} ({}){masked}", unit.active, unit.sub))
}
