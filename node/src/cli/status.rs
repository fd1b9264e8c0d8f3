//! `hearten status`: a headline, then the peers; or one line for a monitoring system.

use super::{
    arguments::{Format, StatusOptions},
    output::{self, Colour},
    peers,
    session::{self, Session},
    table,
};
use crate::control::{
    Exit, Failure, Request,
    views::{MaintenanceRow, StatusView},
};
use serde_json::Value;

/// `hearten status`; the exit code is 0 where a leader has a quorum and 6 where none has, unless
/// `--check` asks for a monitoring plugin's.
pub(super) fn status(session: &Session, options: &StatusOptions) -> Result<u8, Failure> {
    if options.check {
        return check(session);
    }
    let answer = session.ask(&Request::Status)?;
    let status: StatusView = session::read(&answer)?;
    let code = if status.quorum { Exit::Done } else { Exit::Unavailable };
    match options.shown.format() {
        Format::Table => show(&status, &answer)?,
        Format::Json | Format::Yaml => output::show(options.shown, &answer, |_| String::new())?,
    }
    Ok(code.code())
}

/// The headline, what keeps repairs away, and the peers.
fn show(status: &StatusView, answer: &Value) -> Result<(), Failure> {
    let colour = match status.plugin_code() {
        0 => Colour::Green,
        1 => Colour::Yellow,
        _ => Colour::Red,
    };
    let headline = output::coloured(colour, &status.headline());
    let mut text = format!("{headline}\n");
    for maintenance in &status.maintenances {
        text.push_str(&table::one_line(&on_now(maintenance)));
        text.push('\n');
    }
    output::data(&format!("{text}\n{}", peers::table(&answer["peers"])))
}

fn on_now(maintenance: &MaintenanceRow) -> String {
    let MaintenanceRow { name, covers, reason, .. } = maintenance;
    let until = maintenance.until.map_or_else(String::new, |until| format!(" until {until}"));
    format!("maintenance {name} on {covers}{until}: {reason}")
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
