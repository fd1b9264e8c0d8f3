//! No rung is executed before the evidence was taken or its deadline has passed: a repair destroys
//! what would tell why it was needed.

use super::{Invariant, Observed, Step, executions};

/// Looks at each step for itself.
#[derive(Debug)]
pub(super) struct EvidenceFirst;

impl Invariant for EvidenceFirst {
    fn name(&self) -> &'static str {
        "evidence comes before the first rung"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        for execution in executions(world, step) {
            let (incident, attempt) = execution?;
            let wanted = incident.plan.as_ref().is_some_and(|plan| !plan.evidence.is_empty());
            let too_late = attempt.assigned_at >= incident.evidence_until;
            if wanted && incident.evidence.is_none() && !too_late {
                return Err(format!(
                    "attempt {} of {} was given out at {}; no evidence was taken and it had until {}",
                    attempt.number, incident.id, attempt.assigned_at, incident.evidence_until
                ));
            }
        }
        Ok(())
    }
}
