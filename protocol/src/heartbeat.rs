//! Heartbeats: jobs outside the mesh that must check in, and what is told of them.
//!
//! A job is declared by a check (`heartbeat = "nightly-backup"`), reserved by a request, or made by
//! its first ping. It is known by its name; a job that was not declared has a secret UUID as well,
//! by which it may be pinged without anything else. Nothing that is told of a job holds a command:
//! what is done about a missed one stands in documents that operators signed.

mod beat;
mod body;
mod calendar;
mod schedule;

pub use beat::{Beat, Health, Number};
pub use body::{BODY_BYTES_MAX, shortened, shortened_ends};
pub use schedule::{Due, ONE_IN, Rule, Schedule, ScheduleError};

use crate::{ledger::roster::Member, time::Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, fmt, time::Duration};

/// The longest name of a job, in bytes: an application, a slash and a component.
pub const NAME_BYTES_MAX: usize = 256;

/// The longest name of a job that is a part of an address. Healthchecks'.
pub const SLUG_BYTES_MAX: usize = 100;

/// The most labels of a job.
pub const LABELS_MAX: usize = 16;

/// The most bytes of a label's key and of its value.
pub const LABEL_BYTES_MAX: usize = 256;

/// The most bytes of a text that is told when a job is missed.
pub const TEXT_BYTES_MAX: usize = 600;

/// The label of a job that only some senders make and see; no request can set it.
pub const NAMESPACE: &str = "namespace";

/// The shortest time from one check-in to the next. GoTel's.
pub const PERIOD_MIN: Duration = Duration::from_secs(10);

/// The longest period, grace and snooze: a year, as at Healthchecks.
pub const SPAN_MAX: Duration = Duration::from_secs(365 * 86_400);

/// For how long a job that was reserved need not check in for the first time. GoTel's.
pub const BAKES_FOR: Duration = Duration::from_secs(86_400);

/// A job's number within its mesh; never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// When a job must check in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// When it is expected.
    pub schedule: Schedule,
    /// How much later it may check in, and how long it may run once it has said that it began.
    pub grace: Duration,
}

impl Pace {
    /// Healthchecks' own default: once a day, an hour later at the latest.
    pub const USUAL: Self = Self {
        schedule: Schedule::Every { period: Duration::from_secs(86_400) },
        grace: Duration::from_secs(3_600),
    };

    /// Whether a mesh can keep it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), ScheduleError> {
        if self.grace > SPAN_MAX {
            return Err(ScheduleError::TooLong);
        }
        self.schedule.check()
    }

    /// How long a run may take that said that it began: the grace, or where there is none the
    /// period. What is learned waits for the end of a run already.
    pub fn runs_for(&self) -> Duration {
        match &self.schedule {
            Schedule::Every { period } if self.grace.is_zero() => *period,
            Schedule::Learned { .. } if self.grace.is_zero() => SPAN_MAX,
            Schedule::Every { .. }
            | Schedule::Cron { .. }
            | Schedule::Calendar { .. }
            | Schedule::Learned { .. } => self.grace,
        }
    }
}

/// A job as a request reserves it; by its name it replaces what was reserved before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// What it is called: a slug, or application and component with a slash between them.
    pub name: String,
    /// The secret by which it may be pinged, drawn by whoever takes the reservation; one that the
    /// job has already stays.
    pub uuid: Option<u128>,
    /// What checks choose it by: `app`, `component`, `owner`, `notify`, `level`, `host`, …
    pub labels: BTreeMap<String, String>,
    /// When it must check in.
    pub pace: Pace,
    /// What is told when it does not, with GoTel's placeholders; nothing for the usual words.
    pub text: String,
    /// How long the first check-in may take beside that; only for a job that is new.
    pub bakes_for: Duration,
    /// Whether a job of that name that is there already is left as it is: made by a ping.
    pub only_new: bool,
}

/// Which job is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobRef {
    /// The one with this number: what is told every minute is short.
    Id(JobId),
    /// The one of this name.
    Name(String),
}

/// What a job says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signal {
    /// It is done, and all is well.
    Success,
    /// It has begun.
    Start,
    /// It has failed; with its exit code, where it told one.
    Fail(Option<u8>),
    /// Something worth keeping, which changes nothing.
    Log,
}

impl Signal {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Start => "start",
            Self::Fail(_) => "fail",
            Self::Log => "log",
        }
    }
}

/// One ping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ping {
    /// Whose.
    pub job: JobRef,
    /// When it came in, by the log's time as the peer that took it reckons it.
    pub at: Timestamp,
    /// What it says.
    pub signal: Signal,
    /// Which run it is about, where several may be under way.
    pub run: Option<u128>,
    /// What came with it.
    pub body: String,
}

/// What is told of jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// A job is to check in from now on, or otherwise than before.
    Reserve(Reservation),
    /// It pings.
    Ping(Ping),
    /// It is not missed for so long, whatever it does meanwhile.
    Snooze {
        /// Which job.
        job: JobRef,
        /// For how long, from when the log has it.
        lasts: Duration,
    },
    /// It is not waited for until it is waited for again, or pings.
    Pause {
        /// Which job.
        job: JobRef,
        /// Whether it pauses, or goes on.
        pauses: bool,
    },
    /// It will not check in any more.
    Checkout {
        /// Which job.
        job: JobRef,
    },
    /// It lives, in `PaceHB`'s words.
    Beat(Beat),
    /// Somebody says what he thinks of its alerts.
    Vote {
        /// Which job.
        job: JobRef,
        /// Whether they were worth it.
        up: bool,
    },
}

/// Why something that is told of a job cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// The name.
    #[error("a job's name has 1 to {NAME_BYTES_MAX} bytes, none of them a control character")]
    Name,
    /// The labels.
    #[error(
        "what describes the job is too much: {LABELS_MAX} fields of {LABEL_BYTES_MAX} bytes are kept"
    )]
    Labels,
    /// The text of its alert.
    #[error("the text that is told has more than {TEXT_BYTES_MAX} bytes")]
    Text,
    /// The body.
    #[error("more than {BODY_BYTES_MAX} bytes of a body are kept")]
    Body,
    /// A span.
    #[error("the span is longer than a year, or none")]
    Span,
    /// When it must check in.
    #[error("{0}")]
    Schedule(#[from] ScheduleError),
}

impl Word {
    /// Whether it is as small as what is kept, and its schedule one that comes.
    ///
    /// # Errors
    /// [`WordError`].
    pub fn check(&self) -> Result<(), WordError> {
        self.check_size()?;
        match self {
            Self::Reserve(reservation) => Ok(reservation.pace.check()?),
            Self::Ping(_)
            | Self::Snooze { .. }
            | Self::Pause { .. }
            | Self::Checkout { .. }
            | Self::Beat(_)
            | Self::Vote { .. } => Ok(()),
        }
    }

    /// The part of it that every replica finds alike, whichever time zones its program knows.
    pub(crate) fn check_size(&self) -> Result<(), WordError> {
        match self {
            Self::Reserve(reservation) => reservation.check_size(),
            Self::Ping(ping) if ping.body.len() > BODY_BYTES_MAX => Err(WordError::Body),
            Self::Snooze { lasts, .. } if lasts.is_zero() || *lasts > SPAN_MAX => {
                Err(WordError::Span)
            }
            Self::Beat(beat) => beat.check_size(),
            Self::Ping(_)
            | Self::Snooze { .. }
            | Self::Pause { .. }
            | Self::Checkout { .. }
            | Self::Vote { .. } => Ok(()),
        }
    }

    /// Which job it is about.
    pub fn job(&self) -> JobRef {
        match self {
            Self::Reserve(reservation) => JobRef::Name(reservation.name.clone()),
            Self::Ping(ping) => ping.job.clone(),
            Self::Beat(beat) => beat.job.clone(),
            Self::Snooze { job, .. }
            | Self::Pause { job, .. }
            | Self::Checkout { job }
            | Self::Vote { job, .. } => job.clone(),
        }
    }
}

impl Reservation {
    /// A job with nothing said but its name and when it must check in.
    pub fn new(name: &str, pace: Pace) -> Self {
        Self {
            name: name.to_owned(),
            uuid: None,
            labels: BTreeMap::new(),
            pace,
            text: String::new(),
            bakes_for: Duration::ZERO,
            only_new: false,
        }
    }

    fn check_size(&self) -> Result<(), WordError> {
        let name = &self.name;
        if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            return Err(WordError::Name);
        }
        let long = |text: &String| text.len() > LABEL_BYTES_MAX;
        let labels = &self.labels;
        if labels.len() > LABELS_MAX || labels.iter().any(|(key, value)| long(key) || long(value)) {
            return Err(WordError::Labels);
        }
        if self.text.len() > TEXT_BYTES_MAX {
            return Err(WordError::Text);
        }
        if self.bakes_for > SPAN_MAX || self.pace.grace > SPAN_MAX {
            return Err(WordError::Span);
        }
        if let Schedule::Learned { by } = &self.pace.schedule {
            by.check()?;
        }
        Ok(())
    }
}

/// Whether this may be a job's name that is a part of an address. Healthchecks' slugs are some of
/// these: they have small letters alone, and no `.`.
pub fn is_slug(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=SLUG_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with('.')
}

/// A UUID as an address has it.
pub fn uuid_text(uuid: u128) -> String {
    let digits = format!("{uuid:032x}");
    let (a, b, c, d, e) =
        (&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

/// What a document says of a UUID.
pub fn hash_of_uuid(uuid: u128) -> [u8; 32] {
    Sha256::digest(uuid_text(uuid).as_bytes()).into()
}

/// Whether a job's label `host` names this member: by its name, the first part of it, or its
/// address.
pub fn is_host(told: &str, member: &Member) -> bool {
    let card = &member.card;
    let short = told.split('.').next().unwrap_or(told);
    let address = told.parse::<std::net::IpAddr>();
    match address {
        Ok(address) => address == card.address.ip(),
        Err(_) => {
            let is =
                |name: &str| name.eq_ignore_ascii_case(told) || name.eq_ignore_ascii_case(short);
            is(card.name.as_str()) || card.labels.get("hostname").is_some_and(|name| is(name))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_named() {
        let fine = Reservation::new("backup", Pace::USUAL);
        assert_eq!(Word::Reserve(fine.clone()).check(), Ok(()));
        let with = |change: fn(&mut Reservation)| {
            let mut one = fine.clone();
            change(&mut one);
            Word::Reserve(one).check()
        };
        assert_eq!(with(|one| one.name.clear()), Err(WordError::Name));
        assert_eq!(with(|one| one.name = "a\nb".to_owned()), Err(WordError::Name));
        assert_eq!(with(|one| one.text = "x".repeat(601)), Err(WordError::Text));
        assert_eq!(
            with(|one| drop(one.labels.insert("owner".to_owned(), "x".repeat(300)))),
            Err(WordError::Labels)
        );
        let short = Schedule::Every { period: Duration::from_secs(9) };
        let pace = Pace { schedule: short, grace: Duration::ZERO };
        let word = Word::Reserve(Reservation::new("backup", pace));
        assert_eq!(word.check(), Err(WordError::Schedule(ScheduleError::TooShort)));
        let job = || JobRef::Id(JobId(1));
        let snooze = |lasts| Word::Snooze { job: job(), lasts }.check();
        assert_eq!(snooze(Duration::ZERO), Err(WordError::Span));
        assert_eq!(snooze(SPAN_MAX * 2), Err(WordError::Span));
        assert_eq!(snooze(Duration::from_secs(1)), Ok(()));
    }
}
