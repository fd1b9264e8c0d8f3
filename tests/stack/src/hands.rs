//! What is done to a host and outside the mesh, without programs: what they would have done.

use crate::eye::{Eye, lock};
use async_trait::async_trait;
use node::daemon::Hands;
use protocol::{
    agent::{BOOT_ID, Input, Message, NotTaken, Output, WorkOrder},
    document::{Check, Verdict},
    name::{IncidentId, Name, PeerId},
    record::{AttemptReport, EvidenceSummary, Outcome},
    time::Timestamp,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// How often a rung helps, of a hundred.
const HELPS_PERCENT: u32 = 70;

/// The programs of one host, for one life of its daemon.
pub struct VirtualHands {
    me: PeerId,
    boot: u64,
    eye: Arc<Mutex<Eye>>,
    dice: Mutex<StdRng>,
}

impl VirtualHands {
    /// The programs of this peer's host, which was switched on so many times.
    pub fn new(me: PeerId, boot: u64, eye: Arc<Mutex<Eye>>, seed: u64) -> Self {
        Self { me, boot, eye, dice: Mutex::new(StdRng::seed_from_u64(seed)) }
    }

    fn throw(&self, least: u64, most: u64) -> u64 {
        lock(&self.dice).random_range(least..=most)
    }

    async fn takes(&self, least: u64, most: u64) {
        let millis = self.throw(least, most);
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }

    async fn check(&self, check: Check) -> Input {
        self.takes(2, 30).await;
        let key = (self.me, check.name.clone());
        let verdict = lock(&self.eye).broken.get(&key).copied().unwrap_or(Verdict::Pass);
        let summary = match verdict {
            Verdict::Pass => "it answers",
            Verdict::Warn | Verdict::Fail | Verdict::Unknown => "it does not answer",
        };
        Input::CheckRan { check: check.name, verdict, summary: summary.to_owned() }
    }

    async fn execute(
        &self,
        order: WorkOrder,
        log_now: &(dyn Fn() -> Timestamp + Send + Sync),
    ) -> Input {
        let WorkOrder { incident, attempt, timeout, variables, .. } = order;
        let told = |key: &str| variables.get(key).map_or("", String::as_str);
        let started_at = log_now();
        let target = lock(&self.eye).peer_called(told("HEARTEN_PEER")).unwrap_or(self.me);
        let under_way = UnderWay::begin(&self.eye, (incident, attempt), target);
        let lasts = Duration::from_millis(self.throw(200, 6_000));
        tokio::time::sleep(lasts.min(timeout)).await;
        let helps = self.throw(1, 100) <= u64::from(HELPS_PERCENT);
        drop(under_way);
        let (outcome, exit_code) = match (lasts < timeout, helps) {
            (false, _) => (Outcome::TimedOut, None),
            (true, true) => (Outcome::Succeeded, Some(0)),
            (true, false) => (Outcome::Failed, Some(1)),
        };
        if outcome == Outcome::Succeeded {
            let mut eye = lock(&self.eye);
            match Name::parse(told("HEARTEN_CHECK")) {
                Ok(check) => drop(eye.broken.remove(&(target, check))),
                // What answers a silence switches the host on.
                Err(_) => drop(eye.switched_on.insert(target)),
            }
        }
        let finished_at = log_now();
        let report = AttemptReport {
            outcome,
            exit_code,
            started_at: Some(started_at),
            finished_at,
            output: String::new(),
        };
        Input::Finished { incident, attempt, report }
    }

    async fn evidence(&self, incident: IncidentId) -> Input {
        self.takes(10, 400).await;
        let evidence = EvidenceSummary {
            hash: Sha256::digest(incident.to_string()).into(),
            bytes: 1_000,
            taken_by: self.me,
            steps_failed: 0,
            keepers: Vec::new(),
        };
        Input::EvidenceTaken { incident, evidence }
    }

    async fn notify(&self, message: Message) -> Input {
        self.takes(20, 200).await;
        let (incident, notice) = (message.incident, message.notice);
        let mut eye = lock(&self.eye);
        let result = if eye.channel_up {
            *eye.received.entry((incident, notice)).or_insert(0) += 1;
            Ok("taken".to_owned())
        } else {
            Err(NotTaken::this_time("nobody answers"))
        };
        Input::NoticeSent { incident, notice, result }
    }
}

#[async_trait]
impl Hands for VirtualHands {
    async fn carry_out(
        &self,
        output: Output,
        log_now: &(dyn Fn() -> Timestamp + Send + Sync),
    ) -> Option<Input> {
        match output {
            Output::RunCheck { check, .. } => Some(self.check(check).await),
            Output::Execute(order) => Some(self.execute(order, log_now).await),
            Output::TakeEvidence { incident, .. } => Some(self.evidence(incident).await),
            Output::Notify { message, .. } => Some(self.notify(message).await),
            Output::CheckIn(_) => Some(Input::CheckedIn(Ok(()))),
            Output::Publish(_)
            | Output::Watch { .. }
            | Output::Suspect { .. }
            | Output::StepDown { .. }
            | Output::Probe { .. }
            | Output::AskWitness { .. }
            | Output::Propose { .. }
            | Output::Forward { .. }
            | Output::RecordStart { .. }
            | Output::ChangeMembers(_) => None,
        }
    }

    fn facts(&self) -> BTreeMap<String, String> {
        BTreeMap::from([(BOOT_ID.to_owned(), format!("boot-{}", self.boot))])
    }
}

/// An execution; when its daemon dies it dies with it.
struct UnderWay {
    eye: Arc<Mutex<Eye>>,
    key: (IncidentId, u32),
}

impl UnderWay {
    fn begin(eye: &Arc<Mutex<Eye>>, key: (IncidentId, u32), target: PeerId) -> Self {
        lock(eye).executions.insert(key, target);
        Self { eye: Arc::clone(eye), key }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        lock(&self.eye).executions.remove(&self.key);
    }
}
