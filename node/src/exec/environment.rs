//! The environment of an operator's command: what the contract promises, and nothing else.
//!
//! A command never sees the daemon's own variables, because they may hold tokens and addresses that
//! are none of its business. It gets `PATH`, `HOME` and `LANG`, and the `HEARTEN_…` variables that
//! say what it is for. Values are passed as variables or as whole arguments; they are never pasted
//! into the text of a script, so no label or parameter can become code.

use protocol::document::Command;
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

impl From<BTreeMap<String, String>> for Environment {
    /// Takes the variables by their full names, as the agent gives them.
    fn from(variables: BTreeMap<String, String>) -> Self {
        Self(variables)
    }
}

impl Environment {
    /// The value of a variable by its full name, `HEARTEN_PEER`.
    pub fn get(&self, variable: &str) -> Option<&str> {
        self.0.get(variable).map(String::as_str)
    }

    /// All variables, by their full names.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The names of all variables that a command sees, the inherited ones included.
    pub fn names(&self) -> Vec<String> {
        let inherited = inherited().into_iter().map(|(name, _)| name.to_owned());
        let mut names: Vec<String> = self.0.keys().cloned().chain(inherited).collect();
        names.sort();
        names
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

    fn of_peer(name: &str) -> Environment {
        Environment::from(BTreeMap::from([("HEARTEN_PEER".to_owned(), name.to_owned())]))
    }

    #[test]
    fn only_a_whole_element_of_ours_is_replaced() {
        let environment = of_peer("web-1; reboot");
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
        let environment = of_peer("web-1");
        let refusal = environment.expand(&argv(&["rescue", "$HEARTEN_PARAM_VIP"])).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "the argument $HEARTEN_PARAM_VIP names a variable that is not set here"
        );
        assert_eq!(environment.expand(&argv(&[])), Err(ExpandError::Empty));
    }
}
