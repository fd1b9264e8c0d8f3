//! Whose jobs a sender makes and sees: those of the namespace that his token is for, or all.
//!
//! A job of a namespace is called `NAMESPACE/…` and has the label `namespace`, which no request can
//! set: documents choose by it whom to tell. It is the label that says whose a job is, and the ledger
//! never changes it. So a job that somebody without a namespace calls alike is his, and stays so.

use super::Unreadable;
use protocol::{
    heartbeat::{NAMESPACE, Reservation, Word},
    ledger::heartbeats::{Heartbeats, Job},
    name::Name,
};

/// The jobs of a sender: of this namespace; nothing where he sees all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Namespace(Option<Name>);

impl Namespace {
    /// All jobs.
    pub const ALL: Self = Self(None);

    /// Those of this one.
    pub const fn of(name: Name) -> Self {
        Self(Some(name))
    }

    /// Whether he sees all of them.
    pub const fn is_all(&self) -> bool {
        self.0.is_none()
    }

    /// What the job is called that he calls so.
    pub fn job(&self, name: &str) -> String {
        match &self.0 {
            Some(namespace) => format!("{namespace}/{name}"),
            None => name.to_owned(),
        }
    }

    /// Whether he sees it.
    pub fn covers(&self, job: &Job) -> bool {
        self.is_all() || self.is_of(job)
    }

    /// Whether it is one as he would make it.
    pub fn is_of(&self, job: &Job) -> bool {
        job.namespace() == self.0.as_ref().map(Name::as_str)
    }

    /// The job that he calls so, if he sees it.
    pub fn find<'a>(&self, heartbeats: &'a Heartbeats, name: &str) -> Option<&'a Job> {
        heartbeats.named(&self.job(name)).filter(|job| self.covers(job))
    }

    /// What he reserves, as one of his jobs.
    ///
    /// # Errors
    /// When it is too large with the namespace.
    pub fn put(&self, reservation: &mut Reservation) -> Result<(), Unreadable> {
        let Some(namespace) = &self.0 else { return Ok(()) };
        reservation.name = self.job(&reservation.name);
        reservation.labels.insert("job".to_owned(), reservation.name.clone());
        reservation.labels.insert(NAMESPACE.to_owned(), namespace.to_string());
        let word = Word::Reserve(reservation.clone());
        word.check().map_err(|error| Unreadable(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::heartbeat::Pace;

    #[test]
    fn a_job_of_a_namespace_has_its_name_and_its_label() {
        let mut reservation = Reservation::new("shop/orders", Pace::USUAL);
        Namespace::ALL.put(&mut reservation).unwrap();
        assert_eq!((reservation.name.as_str(), reservation.labels.len()), ("shop/orders", 0));
        let team = Namespace::of(Name::parse("team-a").unwrap());
        team.put(&mut reservation).unwrap();
        assert_eq!(reservation.name, "team-a/shop/orders");
        assert_eq!(reservation.labels["job"], "team-a/shop/orders");
        assert_eq!(reservation.labels[NAMESPACE], "team-a");
        let mut long = Reservation::new(&"x".repeat(250), Pace::USUAL);
        let why = team.put(&mut long).unwrap_err().to_string();
        assert!(why.contains("1 to 256 bytes"), "{why}");
    }
}
