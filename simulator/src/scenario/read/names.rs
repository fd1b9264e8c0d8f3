//! What the names of a story mean: its events and rungs, by its peers, guests and documents.

use super::{Documents, Place, ScenarioError, TAKES, no_such_peer, weather, written};
use crate::scenario::{Deed, Disk, Event, Moment, Peer, RungEffect, Who, app_of, file};
use protocol::{
    document::{Document, DocumentKey, DocumentKind, Jobs, Probe, Verdict},
    name::{Labels, Name},
    record::Outcome,
};
use std::{ops::Range, time::Duration};

/// Finds what names mean.
pub(super) struct Names<'a> {
    pub(super) place: &'a Place<'a>,
    pub(super) peers: &'a [Peer],
    pub(super) guests: &'a [Name],
    pub(super) documents: &'a Documents,
}

impl Names<'_> {
    pub(super) fn peer(&self, span: Range<usize>, name: &str) -> Result<usize, ScenarioError> {
        let found = self.peers.iter().position(|peer| peer.name.as_str() == name);
        found.ok_or_else(|| {
            let message = match self.guest(name) {
                Some(_) => format!("\"{name}\" is a guest, and this is for a peer"),
                None => no_such_peer(name, self.peers.len()),
            };
            self.place.error(span, message)
        })
    }

    pub(super) fn guest(&self, name: &str) -> Option<Who> {
        self.guests.iter().position(|guest| guest.as_str() == name).map(Who::Guest)
    }

    /// A peer or a guest, as it is known from the beginning.
    pub(super) fn host(&self, span: Range<usize>, name: &str) -> Result<Who, ScenarioError> {
        match self.guest(name) {
            Some(guest) => Ok(guest),
            None => self.peer(span, name).map(Who::Peer),
        }
    }

    pub(super) fn who(&self, span: Range<usize>, name: &str) -> Result<Who, ScenarioError> {
        match name {
            "leader" => Ok(Who::Leader),
            "worker" => Ok(Who::Worker),
            name => Ok(Who::Peer(self.peer(span, name)?)),
        }
    }

    pub(super) fn rung(
        &self,
        rung: &toml::Spanned<file::Rung>,
    ) -> Result<RungEffect, ScenarioError> {
        let given = rung.get_ref();
        let known = self.documents.values().any(|document| {
            matches!(document, Document::Runbook(runbook) if runbook.name.as_str() == given.runbook
                && runbook.rungs.iter().any(|rung| rung.name == given.rung))
        });
        if !known {
            let (runbook, name) = (&given.runbook, &given.rung);
            let message = format!("no runbook \"{runbook}\" has a rung \"{name}\"");
            return Err(self.place.error(rung.span(), message));
        }
        let peer = match &given.peer {
            Some(name) => Some(self.host(rung.span(), name)?),
            None => None,
        };
        let breaks = match (given.does, &given.check) {
            (file::Does::Breaks, Some(check)) => {
                Some(self.known_check(rung.span(), check.clone())?)
            }
            (file::Does::Breaks, None) => {
                let message = "a rung that breaks something needs \"check\" as well".to_owned();
                return Err(self.place.error(rung.span(), message));
            }
            (_, Some(_)) => {
                let message = "\"check\" is for a rung that breaks something".to_owned();
                return Err(self.place.error(rung.span(), message));
            }
            (_, None) => None,
        };
        let (ends, helps) = match given.does {
            file::Does::Breaks => (Outcome::Succeeded, true),
            file::Does::Repairs => (Outcome::Succeeded, true),
            file::Does::Nothing => (Outcome::Succeeded, false),
            file::Does::Fails => (Outcome::Failed, false),
            file::Does::Hangs => (Outcome::TimedOut, false),
        };
        Ok(RungEffect {
            runbook: Some(given.runbook.clone()),
            rung: given.rung.clone(),
            peer,
            attempt: None,
            ends,
            helps,
            breaks,
            takes: given.takes.map_or(TAKES, |span| span.0),
            chance_percent: given.chance_percent.unwrap_or(100),
        })
    }

    pub(super) fn known_check(
        &self,
        span: Range<usize>,
        check: Name,
    ) -> Result<Name, ScenarioError> {
        let key = DocumentKey { kind: DocumentKind::Check, name: check.clone() };
        if self.documents.contains_key(&key) {
            return Ok(check);
        }
        Err(self.place.error(span, format!("there is no check \"{check}\"")))
    }

    /// A job that a check of the story's documents declares, or watches by its application.
    pub(super) fn watches_job(&self, job: &str) -> bool {
        let labels = app_of(job).map(|app| ("app".to_owned(), app.to_owned()));
        let labels: Option<Labels> = labels.map(|label| Labels::from([label]));
        self.documents.values().any(|document| {
            let Document::Check(check) = document else { return false };
            let Probe::Heartbeat(probe) = &check.probe else { return false };
            match &probe.jobs {
                Jobs::Job(declared) => declared.name == job,
                Jobs::Those(selector) => labels.as_ref().is_some_and(|own| selector.fits(own)),
            }
        })
    }

    pub(super) fn known_job(
        &self,
        span: Range<usize>,
        job: String,
    ) -> Result<String, ScenarioError> {
        if self.watches_job(&job) {
            return Ok(job);
        }
        let message = format!(
            "no check declares the job \"{job}\": write heartbeat = \"{job}\", or call it APP/NAME \
             and write heartbeat = {{ app = \"APP\" }}"
        );
        Err(self.place.error(span, message))
    }

    pub(super) fn known_stream(
        &self,
        span: Range<usize>,
        stream: Name,
    ) -> Result<Name, ScenarioError> {
        let key = DocumentKey { kind: DocumentKind::Stream, name: stream.clone() };
        if self.documents.contains_key(&key) {
            return Ok(stream);
        }
        Err(self.place.error(span, format!("there is no stream \"{stream}\"")))
    }

    pub(super) fn event(&self, event: &toml::Spanned<file::Event>) -> Result<Event, ScenarioError> {
        let given = event.get_ref();
        if given.at.is_none() && given.when.is_none() {
            let message = "an event needs \"at\", \"when\" or both".to_owned();
            return Err(self.place.error(event.span(), message));
        }
        Ok(Event {
            at: given.at.map_or(Duration::ZERO, |span| span.0),
            when: given.when.map(|moment| match moment {
                file::Moment::Recording => Moment::Recording,
                file::Moment::Recorded => Moment::Recorded,
                file::Moment::Executing => Moment::Executing,
                file::Moment::Finished => Moment::Finished,
            }),
            after: given.after.map_or(Duration::ZERO, |span| span.0),
            deed: self.deed(event)?,
        })
    }

    pub(super) fn deed(&self, event: &toml::Spanned<file::Event>) -> Result<Deed, ScenarioError> {
        let given = event.get_ref();
        let missing = |key: &str| {
            self.place.error(event.span(), format!("this event needs \"{key}\" as well"))
        };
        let peer = || {
            let name = given.peer.as_ref().ok_or_else(|| missing("peer"))?;
            self.who(event.span(), name)
        };
        let host = || {
            let name = given.peer.as_ref().ok_or_else(|| missing("peer"))?;
            self.guest(name).map_or_else(|| self.who(event.span(), name), Ok)
        };
        let check = || {
            let check = given.check.clone().ok_or_else(|| missing("check"))?;
            self.known_check(event.span(), check)
        };
        Ok(match given.deed {
            file::Deed::Break => Deed::Break(peer()?, check()?, Verdict::Fail),
            file::Deed::Mend => Deed::Mend(peer()?, check()?),
            file::Deed::Kill => Deed::Kill(peer()?),
            file::Deed::PowerOff => Deed::PowerOff(peer()?),
            file::Deed::Start => Deed::Start(peer()?),
            file::Deed::Stop => Deed::Stop(peer()?),
            file::Deed::Pause => {
                Deed::Pause(peer()?, given.lasting.ok_or_else(|| missing("for"))?.0)
            }
            file::Deed::Clock => {
                let jump = given.by.ok_or_else(|| missing("by"))?;
                Deed::Clock(peer()?, jump.by, jump.back)
            }
            file::Deed::SlowDisk => Deed::Disk(peer()?, Disk::Slow),
            file::Deed::FullDisk => Deed::Disk(peer()?, Disk::Full),
            file::Deed::MendDisk => Deed::Disk(peer()?, Disk::Well),
            file::Deed::FailExecutor => Deed::Executor(peer()?, true),
            file::Deed::MendExecutor => Deed::Executor(peer()?, false),
            file::Deed::Isolate => Deed::Isolate(peer()?, true),
            file::Deed::Rejoin => Deed::Isolate(peer()?, false),
            file::Deed::Partition => {
                let mut groups = Vec::new();
                for group in given.groups.as_ref().ok_or_else(|| missing("groups"))? {
                    let members: Result<Vec<usize>, ScenarioError> =
                        group.iter().map(|name| self.peer(event.span(), name)).collect();
                    groups.push(members?);
                }
                Deed::Partition(groups)
            }
            file::Deed::Cut => {
                let to = given.to.as_ref().ok_or_else(|| missing("to"))?;
                Deed::Cut(peer()?, self.who(event.span(), to)?)
            }
            file::Deed::Heal => Deed::Heal,
            file::Deed::Network => {
                let (loss_percent, duplicate_percent) =
                    (given.loss_percent, given.duplicate_percent);
                let delay = given.delay;
                Deed::Weather(weather(file::Network { loss_percent, duplicate_percent, delay }))
            }
            file::Deed::Freeze => Deed::Freeze,
            file::Deed::Thaw => Deed::Thaw,
            file::Deed::Close => Deed::Close(host()?),
            file::Deed::Forge => Deed::Forge(peer()?),
            file::Deed::Apply => {
                let text = given.documents.as_ref().ok_or_else(|| missing("documents"))?;
                Deed::Apply(written(self.place, text)?.0)
            }
            file::Deed::Maintenance => {
                let peers = match &given.peer {
                    Some(name) => vec![self.peer(event.span(), name)?],
                    None => (0..self.peers.len()).collect(),
                };
                Deed::Maintenance(peers, given.lasting.ok_or_else(|| missing("for"))?.0)
            }
            file::Deed::Alert | file::Deed::AlertEnds => {
                let fires = matches!(given.deed, file::Deed::Alert);
                let labels = given.labels.clone().ok_or_else(|| missing("labels"))?;
                Deed::Alert(host()?, labels, fires)
            }
            file::Deed::SurgeonDies | file::Deed::SurgeonReturns => {
                let name = given.peer.as_ref().ok_or_else(|| missing("peer"))?;
                let Some(guest) = self.guest(name) else {
                    let message = format!("no [[guest]] of the story's documents is \"{name}\"");
                    return Err(self.place.error(event.span(), message));
                };
                Deed::Surgeons(guest, matches!(given.deed, file::Deed::SurgeonReturns))
            }
            file::Deed::Job | file::Deed::JobEnds => {
                let job = given.job.clone().ok_or_else(|| missing("job"))?;
                let begins = matches!(given.deed, file::Deed::Job);
                let every = match given.every.filter(|_| begins) {
                    None if begins => return Err(missing("every")),
                    every => every.map(|span| span.0),
                };
                Deed::Job(self.known_job(event.span(), job)?, every)
            }
            file::Deed::Messages | file::Deed::MessagesEnd => {
                let stream = given.stream.clone().ok_or_else(|| missing("stream"))?;
                let begins = matches!(given.deed, file::Deed::Messages);
                let every = match given.every.filter(|_| begins) {
                    None if begins => return Err(missing("every")),
                    every => every.map(|span| span.0),
                };
                Deed::Messages(self.known_stream(event.span(), stream)?, every)
            }
            file::Deed::Approve => Deed::Answer(host()?, true),
            file::Deed::Deny => Deed::Answer(host()?, false),
            file::Deed::ChannelDown => Deed::ChannelDown,
            file::Deed::ChannelUp => Deed::ChannelUp,
        })
    }
}
