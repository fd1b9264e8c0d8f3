//! `hearten status`: a headline, then the peers; or one line for a monitoring system.

use super::{
    arguments::{Format, StatusOptions},
    output::{self, Colour},
    peers,
    session::{self, Session},
};
use crate::control::{Failure, Request, views::StatusView};

/// `hearten status`; the exit code is 0 unless `--check` asks for a monitoring plugin's.
pub(super) fn status(session: &Session, options: &StatusOptions) -> Result<u8, Failure> {
    if options.check {
        return check(session);
    }
    let answer = session.ask(&Request::Status)?;
    let status: StatusView = match options.shown.format() {
        Format::Table => session::read(&answer)?,
        Format::Json | Format::Yaml => {
            output::show(options.shown, &answer, |_| String::new())?;
            return Ok(0);
        }
    };
    let colour = match status.plugin_code() {
        0 => Colour::Green,
        1 => Colour::Yellow,
        _ => Colour::Red,
    };
    let headline = output::coloured(colour, &status.headline());
    output::data(&format!("{headline}\n\n{}", peers::table(&answer["peers"])))?;
    Ok(0)
}

fn check(session: &Session) -> Result<u8, Failure> {
    let status = session.ask_for::<StatusView>(&Request::Status);
    let (code, text) = match &status {
        Ok(status) => (status.plugin_code(), status.headline()),
        Err(failure) => (3, failure.message.clone()),
    };
    output::data(&format!("{} - {text}\n", plugin_word(code)))?;
    Ok(code)
}

const fn plugin_word(code: u8) -> &'static str {
    match code {
        0 => "OK",
        1 => "WARNING",
        2 => "CRITICAL",
        _ => "UNKNOWN",
    }
}
