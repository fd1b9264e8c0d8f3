//! What a guest's surgeon is handed: a script, made of what operators signed.
//!
//! A surgeon runs `sh -c` with what it is given, with no time limit and no variables of its own, so
//! both stand in the script: the variables that every command of ours has, and `timeout` where the
//! host has it. Values are quoted and never become code.

use super::{Agent, Work, output::Variables, variables, worker};
use crate::{
    document::Command,
    name::{IncidentId, PeerId},
    refusal::Refusal,
    time::Now,
};
use std::time::Duration;

/// One execution, as a surgeon is handed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// For which incident.
    pub incident: IncidentId,
    /// Which execution.
    pub attempt: u32,
    /// What the surgeon runs.
    pub script: String,
}

impl Agent {
    /// The guest whose surgeon has this application id.
    pub fn guest_of(&self, application_id: &str) -> Option<PeerId> {
        let guest = self.ledger.library().guest_of(application_id)?;
        let mut guests = self.ledger.roster().guests();
        guests.find(|(_, member)| member.card.name == guest.name).map(|(id, _)| id)
    }

    /// What a guest's surgeon may be handed now, the oldest incident first; to be handed over only
    /// when its claim is committed.
    ///
    /// # Errors
    /// The [`Refusal`] that keeps back what waits, if something does.
    pub fn operation_for(&self, guest: PeerId, now: Now) -> Result<Option<Operation>, Refusal> {
        let mut kept_back = None;
        for incident in self.ledger.open_incidents() {
            let Some(attempt) = incident.in_flight().filter(|given| given.worker == guest) else {
                continue;
            };
            if !self.ledger.guests().waits(incident.id, attempt.number) {
                continue;
            }
            let at = self.clock.now(now);
            let made = self
                .ledger
                .claimable(incident.id, attempt.number, at)
                // The log orders, operators authorise: this peer verifies for the guest.
                .and_then(|_| worker::as_signed(self, incident))
                .and_then(|()| self.script_of(incident.id));
            match made {
                Ok(script) => {
                    let (incident, attempt) = (incident.id, attempt.number);
                    return Ok(Some(Operation { incident, attempt, script }));
                }
                Err(refusal) => kept_back = kept_back.or(Some(refusal)),
            }
        }
        kept_back.map_or(Ok(None), Err)
    }

    fn script_of(&self, id: IncidentId) -> Result<String, Refusal> {
        let incident =
            self.ledger.incidents().get(&id).ok_or(Refusal::UnknownIncident { incident: id })?;
        let attempt = incident.in_flight().ok_or(Refusal::IncidentOver { incident: id })?;
        let rung = incident.rung(attempt.rung).ok_or(Refusal::NoRunbook)?;
        let Work::Command(command) = self.work_of(incident, rung, attempt.part)? else {
            return Err(Refusal::NotForSurgeons { rung: rung.name.clone() });
        };
        let mut variables = variables::for_incident(self, incident, Some(attempt));
        let guest = self.ledger.roster().name(attempt.worker);
        variables.insert("HEARTEN_WORKER".to_owned(), guest);
        Ok(script(&command, &variables, rung.timeout))
    }
}

/// The text of a script that does the same as a peer would with this command.
fn script(command: &Command, variables: &Variables, limit: Duration) -> String {
    let mut text = String::new();
    for (name, value) in variables {
        text.push_str(&format!("export {name}={}\n", quoted(value)));
    }
    let command = match command {
        Command::Script(script) => format!("sh -c {}", quoted(script)),
        Command::Argv(elements) => {
            let elements: Vec<String> =
                elements.iter().map(|element| argument(element, variables)).collect();
            elements.join(" ")
        }
    };
    // A minute is a minute on every host; less than a second is none.
    let seconds = limit.as_secs().max(1);
    text.push_str(&format!(
        "if command -v timeout >/dev/null 2>&1; then\n  exec timeout -k 5 {seconds} {command}\nfi\n\
         exec {command}\n"
    ));
    text
}

/// An element of an array: one that is `$HEARTEN_…` as a whole is its value.
fn argument(element: &str, variables: &Variables) -> String {
    let value = element.strip_prefix('$').and_then(|name| variables.get(name));
    quoted(value.map_or(element, String::as_str))
}

/// A text as one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(script: &str) -> (Option<i32>, String) {
        let out = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
        (out.status.code(), String::from_utf8_lossy(&out.stdout).into_owned())
    }

    fn variables(value: &str) -> Variables {
        Variables::from([("HEARTEN_LABEL_ROLE".to_owned(), value.to_owned())])
    }

    #[test]
    fn no_value_becomes_code() {
        for value in ["web", "$(echo no)", "a'b\"c`d", "x; exit 3", "two\nlines", "", "\\"] {
            let print = Command::Script("printf %s \"$HEARTEN_LABEL_ROLE\"".to_owned());
            let text = script(&print, &variables(value), Duration::from_secs(9));
            assert_eq!(run(&text), (Some(0), value.to_owned()), "{text}");
            let array = ["printf", "%s", "$HEARTEN_LABEL_ROLE"].map(str::to_owned).to_vec();
            let text = script(&Command::Argv(array), &variables(value), Duration::from_secs(9));
            assert_eq!(run(&text), (Some(0), value.to_owned()), "{text}");
        }
    }

    #[test]
    fn it_ends_as_the_command_does_and_no_later_than_its_limit() {
        let text = |command: &str, seconds| {
            let command = Command::Script(command.to_owned());
            script(&command, &Variables::new(), Duration::from_secs(seconds))
        };
        assert_eq!(run(&text("echo 'it is'; exit 7", 9)), (Some(7), "it is\n".to_owned()));
        assert_eq!(run(&text("sleep 60", 1)).0, Some(124));
    }
}
