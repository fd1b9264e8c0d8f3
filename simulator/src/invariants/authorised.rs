//! Only what the operator signed is executed: checks, evidence and rungs alike.

use super::{Invariant, Observed, Step};
use protocol::{
    agent::{Output, Work},
    document::{Action, Collect, Command, Document, Probe, parse::parse},
};

/// Looks at each step for itself; reads the story's own documents, never the ledger's.
#[derive(Debug, Default)]
pub(super) struct Authorised {
    /// Every command that the story's operator signed.
    signed: Option<Vec<Command>>,
}

impl Invariant for Authorised {
    fn name(&self) -> &'static str {
        "only authorised documents are executed"
    }

    fn after(&mut self, world: &dyn Observed, step: &Step<'_>) -> Result<(), String> {
        let mut wanted: Vec<&Command> = Vec::new();
        for output in step.outputs {
            match output {
                Output::RunCheck { check, .. } => {
                    if let Probe::Command(command) = &check.probe {
                        wanted.push(command);
                    }
                }
                Output::Execute(order) => match &order.work {
                    Work::Command(command) => wanted.push(command),
                    Work::Heal(check) => {
                        if let Probe::Command(command) = &check.probe {
                            wanted.push(command);
                        }
                    }
                    Work::Http(_) | Work::Fence { .. } | Work::Wake { .. } | Work::Ssh(_) => {}
                },
                Output::TakeEvidence { steps, .. } => {
                    wanted.extend(steps.iter().filter_map(|step| match &step.collect {
                        Collect::Run(command) => Some(command),
                        Collect::Files(_)
                        | Collect::Journal { .. }
                        | Collect::Processes
                        | Collect::Sockets
                        | Collect::Filesystems => None,
                    }));
                }
                Output::Watch { .. }
                | Output::Suspect { .. }
                | Output::StepDown { .. }
                | Output::Publish(_)
                | Output::Probe { .. }
                | Output::AskWitness { .. }
                | Output::Propose { .. }
                | Output::Forward { .. }
                | Output::RecordStart { .. }
                | Output::Notify { .. }
                | Output::CheckIn(_)
                | Output::ChangeMembers(_) => {}
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let signed = self.signed.get_or_insert_with(|| commands(world));
        match wanted.into_iter().find(|command| !signed.contains(*command)) {
            None => Ok(()),
            Some(command) => {
                let who = world.name(step.peer);
                Err(format!("{who} executes {command:?}, which no operator signed"))
            }
        }
    }
}

/// Every command of the story's documents.
fn commands(world: &dyn Observed) -> Vec<Command> {
    let sources = world.documents();
    let parsed = sources.iter().flat_map(|source| parse(source).unwrap_or_default());
    let mut commands = Vec::new();
    for document in parsed.map(|parsed| parsed.document) {
        match document {
            Document::Check(check) => {
                if let Probe::Command(command) = check.probe {
                    commands.push(command);
                }
            }
            Document::Runbook(runbook) => {
                for step in runbook.evidence {
                    if let Collect::Run(command) = step.collect {
                        commands.push(command);
                    }
                }
                for rung in runbook.rungs {
                    if let Action::Run(command) = rung.action {
                        commands.push(command);
                    }
                    commands.extend(rung.undo.into_iter().chain(rung.verify));
                }
            }
            Document::Notifier(_)
            | Document::Limits(_)
            | Document::Mesh(_)
            | Document::Ladder(_)
            | Document::Maintenance(_)
            | Document::Stream(_)
            | Document::Guest(_)
            | Document::Remove(_) => {}
        }
    }
    commands
}
