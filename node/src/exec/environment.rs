//! The environment of an operator's command: what the contract promises, and nothing else.
//!
//! A command never sees the daemon's own variables, because they may hold tokens and addresses that
//! are none of its business. It gets `PATH`, `HOME` and `LANG`, and the `HEARTEN_…` variables that
//! say what it is for. Values are passed as variables or as whole arguments; they are never pasted
//! into the text of a script, so no label or parameter can become code.

use protocol::{
    document::{Command, Verdict},
    name::{IncidentId, Labels},
};
use std::{
    collections::BTreeMap,
    env,
    ffi::{OsStr, OsString},
};

/// What a command is searched in when the daemon itself has no `PATH`.
const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why the arguments of a command could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// An argument names a variable that this command does not have.
    #[error("the argument ${variable} names a variable that is not set here")]
    Unknown {
        /// The variable, without its `$`.
        variable: String,
    },
    /// There is no program to run.
    #[error("the command is empty")]
    Empty,
}

/// The variables of one command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// The variables that every command has: the affected peer's name, where it is reached, and the
    /// name of the peer that runs the command.
    pub fn new(peer: &str, address: &str, worker: &str) -> Self {
        Self::default().with("PEER", peer).with("PEER_ADDRESS", address).with("WORKER", worker)
    }

    /// Adds the incident: `HEARTEN_INCIDENT`.
    #[must_use]
    pub fn incident(self, incident: IncidentId) -> Self {
        self.with("INCIDENT", &incident.to_string())
    }

    /// Adds the number of the execution: `HEARTEN_ATTEMPT`.
    #[must_use]
    pub fn attempt(self, attempt: u32) -> Self {
        self.with("ATTEMPT", &attempt.to_string())
    }

    /// Adds the runbook's name: `HEARTEN_RUNBOOK`.
    #[must_use]
    pub fn runbook(self, runbook: &str) -> Self {
        self.with("RUNBOOK", runbook)
    }

    /// Adds the rung's name: `HEARTEN_RUNG`.
    #[must_use]
    pub fn rung(self, rung: &str) -> Self {
        self.with("RUNG", rung)
    }

    /// Adds the check's name: `HEARTEN_CHECK`.
    #[must_use]
    pub fn check(self, check: &str) -> Self {
        self.with("CHECK", check)
    }

    /// Adds what the check said: `HEARTEN_VERDICT`, one of the words of [`Verdict::as_str`].
    #[must_use]
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.with("VERDICT", verdict.as_str())
    }

    /// Adds the affected peer's labels: `HEARTEN_LABEL_<KEY>`.
    ///
    /// Of two keys that differ in case only, the later one (in byte order) wins.
    #[must_use]
    pub fn labels(self, labels: &Labels) -> Self {
        labels.iter().fold(self, |all, (key, value)| all.with(&format!("LABEL_{key}"), value))
    }

    /// Adds parameters of the runbook: `HEARTEN_PARAM_<NAME>`.
    #[must_use]
    pub fn params(self, params: &BTreeMap<String, String>) -> Self {
        params.iter().fold(self, |all, (name, value)| all.with(&format!("PARAM_{name}"), value))
    }

    /// The value of a variable by its full name, `HEARTEN_PEER`.
    pub fn get(&self, variable: &str) -> Option<&str> {
        self.0.get(variable).map(String::as_str)
    }

    /// All variables, by their full names.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The program and the arguments of a command: a script is `/bin/sh -c`; in an array each
    /// element that is `$HEARTEN_…` as a whole is replaced by its value and nothing else is.
    ///
    /// # Errors
    /// [`ExpandError`], when an element names a variable that is not set or there is no element.
    pub fn expand(&self, command: &Command) -> Result<Vec<String>, ExpandError> {
        let elements = match command {
            Command::Script(script) => {
                return Ok(vec!["/bin/sh".to_owned(), "-c".to_owned(), script.clone()]);
            }
            Command::Argv(elements) => elements,
        };
        if elements.first().is_none_or(String::is_empty) {
            return Err(ExpandError::Empty);
        }
        elements.iter().map(|element| self.expand_element(element)).collect()
    }

    fn expand_element(&self, element: &str) -> Result<String, ExpandError> {
        let Some(variable) = element.strip_prefix('$').filter(|name| is_ours(name)) else {
            return Ok(element.to_owned());
        };
        match self.get(variable) {
            Some(value) => Ok(value.to_owned()),
            None => Err(ExpandError::Unknown { variable: variable.to_owned() }),
        }
    }

    /// Sets `HEARTEN_<name>`, with the name in capitals and `_` for what no variable may hold.
    fn with(mut self, name: &str, value: &str) -> Self {
        let tail = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
        let variable: String = "HEARTEN_".chars().chain(tail).collect();
        self.0.insert(variable.to_ascii_uppercase(), value.to_owned());
        self
    }
}

/// Whether this is the whole name of a variable of ours.
fn is_ours(name: &str) -> bool {
    name.strip_prefix("HEARTEN_").is_some_and(|tail| {
        !tail.is_empty() && tail.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// The three variables of the daemon that its commands see as well.
pub(super) fn inherited() -> Vec<(&'static str, OsString)> {
    let or = |name: &str, default: &str| env::var_os(name).unwrap_or_else(|| default.into());
    let mut variables = vec![("PATH", or("PATH", PATH_DEFAULT)), ("HOME", or("HOME", "/"))];
    if let Some(language) = env::var_os("LANG").filter(|language| language != OsStr::new("")) {
        variables.push(("LANG", language));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(elements: &[&str]) -> Command {
        Command::Argv(elements.iter().map(|&element| element.to_owned()).collect())
    }

    #[test]
    fn every_variable_of_the_contract_is_there() {
        let labels = Labels::from([("role".to_owned(), "web".to_owned())]);
        let params = BTreeMap::from([("vip-address".to_owned(), "10.0.0.9".to_owned())]);
        let environment = Environment::new("web-1", "10.0.0.5:4327", "db-1")
            .incident(IncidentId(42))
            .attempt(3)
            .runbook("restart-web")
            .rung("call a person")
            .check("web-alive")
            .verdict(Verdict::Fail)
            .labels(&labels)
            .params(&params);
        let all: Vec<_> = environment.variables().collect();
        assert_eq!(
            all,
            [
                ("HEARTEN_ATTEMPT", "3"),
                ("HEARTEN_CHECK", "web-alive"),
                ("HEARTEN_INCIDENT", "INC-42"),
                ("HEARTEN_LABEL_ROLE", "web"),
                ("HEARTEN_PARAM_VIP_ADDRESS", "10.0.0.9"),
                ("HEARTEN_PEER", "web-1"),
                ("HEARTEN_PEER_ADDRESS", "10.0.0.5:4327"),
                ("HEARTEN_RUNBOOK", "restart-web"),
                ("HEARTEN_RUNG", "call a person"),
                ("HEARTEN_VERDICT", "fail"),
                ("HEARTEN_WORKER", "db-1"),
            ]
        );
    }

    #[test]
    fn only_a_whole_element_of_ours_is_replaced() {
        let environment = Environment::new("web-1; reboot", "10.0.0.5:4327", "db-1");
        let command =
            argv(&["rescue", "$HEARTEN_PEER", "x$HEARTEN_PEER", "$HOME", "$HEARTEN_", "$"]);
        assert_eq!(
            environment.expand(&command).unwrap(),
            ["rescue", "web-1; reboot", "x$HEARTEN_PEER", "$HOME", "$HEARTEN_", "$"]
        );
        let script = Command::Script("echo $HEARTEN_PEER".to_owned());
        assert_eq!(environment.expand(&script).unwrap(), ["/bin/sh", "-c", "echo $HEARTEN_PEER"]);
    }

    #[test]
    fn an_unknown_variable_is_refused_by_name() {
        let environment = Environment::new("web-1", "10.0.0.5:4327", "db-1");
        let refusal = environment.expand(&argv(&["rescue", "$HEARTEN_PARAM_VIP"])).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the argument $HEARTEN_PARAM_VIP names a variable that is not set here"
        );
        assert_eq!(environment.expand(&argv(&[])), Err(ExpandError::Empty));
    }
}
