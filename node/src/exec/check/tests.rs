//! Checks of every kind, against real servers and the real kernel.

mod host;
mod services;
mod tls;

use super::*;
use protocol::{document::bundle::Source, document::parse::parse};
use std::collections::BTreeMap;

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(300);

fn tools() -> Tools {
    Tools {
        http: HttpClient::new().unwrap(),
        facts: Facts::default(),
        plugins: Plugins::default(),
        host: HostCard::default(),
        own: None,
    }
}

/// The check that an operator writes with these lines.
fn written(lines: &str) -> Check {
    let text = format!("[[check]]\nname = \"it\"\nevery = \"30s\"\n{lines}\n");
    let source = Source { file: "it.toml".to_owned(), text };
    let parsed = parse(&source).unwrap_or_else(|problems| panic!("{problems}"));
    let protocol::document::Document::Check(check) = parsed[0].document.clone() else {
        panic!("a check")
    };
    check
}

async fn run_with(tools: &Tools, lines: &str, timeout: Duration) -> CheckRun {
    let check = Check { timeout, ..written(lines) };
    let variables = BTreeMap::from([("HEARTEN_PEER".to_owned(), "web-1".to_owned())]);
    run_check(&check, &Environment::from(variables), tools).await
}

async fn run(lines: &str) -> CheckRun {
    run_with(&tools(), lines, LONG).await
}
