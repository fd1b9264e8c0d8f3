//! Who was told what, in a mesh with one check whose runbook calls somebody.

use super::{WEB, driver::Driver};
use protocol::{
    agent::{Message, Output},
    document::Verdict,
    ledger::incident::{News, State},
    order::Action,
};

/// One check whose runbook calls these, and the notifiers.
pub(crate) fn documents(notify: &str, notifiers: &str) -> String {
    format!(
        r#"
{WEB}
[[runbook]]
name = "restart-web"
on = {{ check = "web" }}
cooldown = "0s"

[[runbook.rung]]
name = "call a person"
notify = "{notify}"
{notifiers}
"#
    )
}

pub(crate) fn notifier(name: &str, lines: &str) -> String {
    format!("[[notifier]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"http://h/\"\n{lines}\n")
}

/// What was told so far, by whom, in order.
pub(crate) fn told(driver: &Driver) -> Vec<(String, News)> {
    messages(driver)
        .into_iter()
        .map(|message| (message.notifier.to_string(), message.news))
        .collect()
}

pub(crate) fn messages(driver: &Driver) -> Vec<Message> {
    let message = |output: &Output| {
        if let Output::Notify { message, .. } = output { Some(message.clone()) } else { None }
    };
    driver.outputs.iter().filter_map(|(_, _, output)| message(output)).collect()
}

pub(crate) fn called(driver: &Driver, by: &str) -> usize {
    told(driver).iter().filter(|(name, news)| name == by && *news == News::Called).count()
}

pub(crate) fn state(driver: &Driver) -> Option<State> {
    driver.ledger.incidents().values().last().map(|incident| incident.state)
}

pub(crate) fn order(driver: &mut Driver, action: Action) {
    let order = super::ordered(7, protocol::time::Timestamp::from_millis(u64::MAX / 2), action);
    driver.write(protocol::record::Record::Ordered { order }).expect("an order that is taken");
    driver.settle();
}

pub(crate) fn recovers(driver: &mut Driver) {
    driver.host(2).verdict = Verdict::Pass;
    driver.until("resolved", |driver| state(driver) == Some(State::Resolved));
    driver.pass(2_000);
}

pub(crate) fn of(driver: &Driver, by: &str, wanted: News) -> usize {
    told(driver).iter().filter(|(name, news)| name == by && *news == wanted).count()
}
