//! Whether a notice that was not taken is sent again, and whether it may have arrived all the same.
//!
//! What a receiver will never take is not sent for a day: who is to be told hears of that sooner
//! from somebody else. Only what a receiver documents to be for good counts, since a proxy in front
//! of one answers 404 while it is started anew; what an operator can put right on a host, a password
//! for instance, is tried on.

use super::{NoticeError, process::End};
use crate::exec::{
    mail::{MailError, Said},
    webhook::WebhookError,
};
use protocol::{
    agent::{Again, NotTaken},
    document::Channel,
};

/// What an error of a channel means.
pub fn not_taken(channel: &Channel, error: &NoticeError) -> NotTaken {
    let (perhaps, again) = match error {
        NoticeError::Secret(_) | NoticeError::Route(_) => (false, Again::Later),
        NoticeError::Webhook(error) => posted(channel, error),
        NoticeError::Mail(error) => mailed(error),
        NoticeError::Command { end, .. } => match end {
            End::Exited(_) | End::NotStarted(_) => (false, Again::Later),
            End::Signalled(_) | End::TimedOut | End::Cancelled => (true, Again::Later),
        },
    };
    NotTaken { why: error.to_string(), perhaps, again }
}

fn posted(channel: &Channel, error: &WebhookError) -> (bool, Again) {
    match error {
        WebhookError::Address { .. } => (false, Again::Later),
        WebhookError::Unreachable { perhaps, .. } => (*perhaps, Again::Later),
        WebhookError::TimedOut { .. } => (true, Again::Later),
        WebhookError::NotTaken { code, after, .. } => {
            // A proxy that did not understand what its server said, or did not wait for it.
            let perhaps = matches!(code, 502 | 504);
            let again = match after {
                _ if is_for_good(channel, *code) => Again::Never,
                Some(after) if matches!(code, 429 | 503) => Again::After(*after),
                Some(_) | None => Again::Later,
            };
            (perhaps, again)
        }
    }
}

/// Whether a receiver says by this status that it will never take it.
const fn is_for_good(channel: &Channel, code: u16) -> bool {
    match channel {
        // https://api.slack.com/messaging/webhooks#handling_errors: a body that is none, an
        // administrator who forbids it, a hook or a channel that is gone.
        Channel::Slack { .. } => matches!(code, 400 | 403 | 404 | 410),
        // https://developer.pagerduty.com/docs/events-api-v2-overview#response-codes--retry-logic
        Channel::PagerDuty { .. } => code == 400,
        // RFC 9110: what was sent cannot be used, or there is nobody any more.
        Channel::Webhook { .. } | Channel::SignedWebhook { .. } | Channel::Ntfy { .. } => {
            matches!(code, 400 | 410)
        }
        Channel::Mail(_) | Channel::Command { .. } | Channel::Route(_) => false,
    }
}

const fn mailed(error: &MailError) -> (bool, Again) {
    match error {
        MailError::Ca(_) | MailError::NoTls { .. } => (false, Again::Later),
        MailError::Made(_) | MailError::Nobody { .. } => (false, Again::Never),
        MailError::Server { said, .. } => match said {
            Said::Later => (false, Again::Later),
            Said::Never => (false, Again::Never),
            Said::Nothing => (true, Again::Later),
        },
        MailError::TimedOut { .. } => (true, Again::Later),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::{document::Where, name::Name};
    use std::time::Duration;

    fn answered(channel: &Channel, code: u16, after: Option<u64>) -> NotTaken {
        let after = after.map(Duration::from_secs);
        let (status, answer) = (code.to_string(), String::new());
        let error = WebhookError::NotTaken { code, status, after, answer };
        not_taken(channel, &NoticeError::Webhook(error))
    }

    #[test]
    fn what_a_receiver_will_never_take_is_not_sent_again_and_its_wait_is_kept() {
        let url = || "http://h/".to_owned();
        let slack = Channel::Slack { url: Where::At(url()) };
        let routing_key = Name::parse("pd").unwrap();
        let pager = Channel::PagerDuty { url: url(), routing_key, severity: None };
        let hook = Channel::Webhook { url: url() };
        let seven = Again::After(Duration::from_secs(7));
        for (channel, code, after, again) in [
            (&slack, 404, None, Again::Never),
            (&slack, 403, Some(7), Again::Never),
            (&slack, 429, Some(7), seven),
            (&slack, 500, None, Again::Later),
            (&pager, 400, None, Again::Never),
            (&pager, 429, None, Again::Later),
            (&pager, 404, None, Again::Later),
            (&hook, 404, None, Again::Later),
            (&hook, 410, None, Again::Never),
            (&hook, 503, Some(7), seven),
            (&hook, 500, Some(7), Again::Later),
        ] {
            assert_eq!(answered(channel, code, after).again, again, "{code}: {channel:?}");
        }
        assert!(answered(&hook, 504, None).perhaps && !answered(&hook, 500, None).perhaps);
    }

    #[test]
    fn what_has_no_answer_may_have_arrived() {
        let hook = Channel::Webhook { url: "http://h/".to_owned() };
        let perhaps = |error: NoticeError| not_taken(&hook, &error).perhaps;
        let after = Duration::from_secs(10);
        assert!(perhaps(WebhookError::TimedOut { after }.into()));
        assert!(perhaps(MailError::TimedOut { server: "h:25".to_owned() }.into()));
        let command = |end| NoticeError::Command { end, printed: String::new() };
        assert!(perhaps(command(End::TimedOut)) && !perhaps(command(End::Exited(1))));
        let refused = |said| {
            let (server, reason) = ("h:25".to_owned(), String::new());
            NoticeError::Mail(MailError::Server { server, step: "connecting", reason, said })
        };
        assert!(perhaps(refused(Said::Nothing)) && !perhaps(refused(Said::Later)));
    }
}
