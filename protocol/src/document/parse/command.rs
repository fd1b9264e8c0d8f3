//! Commands as operators write them: a string is a script, an array is a program and its arguments.

use super::reader::{Reader, type_of};
use crate::document::Command;
use toml::de::{DeArray, DeValue};

/// A longer script belongs into a file of its own on the host.
const SCRIPT_BYTES_MAX: usize = 64 << 10;
/// The most elements of an argv array.
const ARGUMENTS_MAX: usize = 256;
/// The longest element; with [`ARGUMENTS_MAX`] it stays below what a kernel takes (2 MiB on Linux).
const ARGUMENT_BYTES_MAX: usize = 8 << 10;

impl<'a> Reader<'a, '_> {
    /// A command, if the key is there.
    pub(super) fn command(&mut self, key: &'static str) -> Option<Command> {
        let value = self.value(key)?;
        if let Some(script) = value.as_str() {
            return self.script(key, script);
        }
        if let Some(items) = value.as_array() {
            return self.argv(key, items);
        }
        let hint = format!("write {key} = \"SCRIPT\" or {key} = [\"PROGRAM\", \"ARGUMENT\"]");
        self.wrong_type(key, "a string or an array of strings", value, Some(hint));
        None
    }

    fn script(&mut self, key: &'static str, script: &str) -> Option<Command> {
        let fault = if script.trim().is_empty() {
            "is empty".to_owned()
        } else if script.len() > SCRIPT_BYTES_MAX {
            format!("is a script of {} bytes; at most {SCRIPT_BYTES_MAX} fit", script.len())
        } else if script.contains('\0') {
            "holds a NUL, which no command can be given".to_owned()
        } else {
            return Some(Command::Script(script.to_owned()));
        };
        self.complain(key, &format!("\"{key}\" {fault}"), None);
        None
    }

    fn argv(&mut self, key: &'static str, items: &'a DeArray<'a>) -> Option<Command> {
        if items.len() > ARGUMENTS_MAX {
            let message =
                format!("\"{key}\" has {} elements; at most {ARGUMENTS_MAX} fit", items.len());
            self.complain(key, &message, None);
            return None;
        }
        if items.first().is_none_or(|first| first.get_ref().as_str() == Some("")) {
            let hint = Some(format!("write {key} = [\"PROGRAM\", \"ARGUMENT\"]"));
            self.complain(key, &format!("\"{key}\" names no program"), hint);
            return None;
        }
        let mut argv = Vec::with_capacity(items.len());
        for (place, item) in (1_usize..).zip(items.iter()) {
            match argument(item.get_ref()) {
                Ok(text) => argv.push(text.to_owned()),
                Err(fault) => {
                    let message = format!("{}: element {place} of \"{key}\" {fault}", self.title());
                    self.report().add(item.span().start, Some(key), message, None);
                }
            }
        }
        (argv.len() == items.len()).then_some(Command::Argv(argv))
    }
}

fn argument<'a>(value: &'a DeValue<'a>) -> Result<&'a str, String> {
    match value.as_str() {
        None => Err(format!("must be a string, not {}", type_of(value))),
        Some(text) if text.len() > ARGUMENT_BYTES_MAX => {
            Err(format!("has {} bytes; at most {ARGUMENT_BYTES_MAX} fit", text.len()))
        }
        Some(text) if text.contains('\0') => {
            Err("holds a NUL, which no command can be given".to_owned())
        }
        Some(text) => Ok(text),
    }
}
