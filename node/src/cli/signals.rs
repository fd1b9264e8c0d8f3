//! `hearten signal`: a program of this host says that something is the case, or is over.

use super::{arguments::SignalOptions, output, session::Session};
use crate::{control::Failure, daemon::Signal};

/// `hearten signal NAME`
pub(super) fn signal(session: &Session, options: SignalOptions) -> Result<(), Failure> {
    let SignalOptions { name, host, severity, labels, summary, lasts, over, shown } = options;
    let mut labels: std::collections::BTreeMap<String, String> = labels.into_iter().collect();
    labels.extend(severity.map(|severity| ("severity".to_owned(), severity)));
    let signal = Signal { name: name.clone(), host, labels, summary, lasts, over };
    let answer = session.ask(&signal.into())?;
    output::show(shown, &answer, |answer| match (over, answer["news"] == true) {
        (false, true) => format!("{name} fires"),
        (false, false) => format!("{name} fires already"),
        (true, true) => format!("{name} is over"),
        (true, false) => format!("{name} did not fire"),
    })
}
