//! What a daemon stands on: its host's network, programs and disk; or those of a world with a
//! clock of its own, in which a whole mesh of the very same daemons is put to the proof.

use async_trait::async_trait;
use consensus::Disk;
use protocol::{
    agent::{Agent, Input, Output},
    document::Probe,
    time::Timestamp,
};
use quinn::AsyncUdpSocket;
use std::{collections::BTreeMap, sync::Arc};

/// What is not the host's own; by default everything is.
#[derive(Default)]
pub struct Ground {
    /// The endpoint's socket. With another one than the host's nobody is knocked at: what a kernel
    /// says is not known there.
    pub socket: Option<Arc<dyn AsyncUdpSocket>>,
    /// What is done to the host, and to receivers outside the mesh.
    pub hands: Option<Arc<dyn Hands>>,
    /// What lies between the Raft log and the host's disk.
    pub disk: Option<Arc<dyn Disk>>,
    /// Who looks on.
    pub onlooker: Option<Arc<dyn Onlooker>>,
}

/// Carries out what the agent wants done to a host or outside the mesh.
#[async_trait]
pub trait Hands: Send + Sync {
    /// Carries it out and says what came of it; `log_now` is the log's time, for reports.
    async fn carry_out(
        &self,
        output: Output,
        log_now: &(dyn Fn() -> Timestamp + Send + Sync),
    ) -> Option<Input>;

    /// The facts of the host.
    fn facts(&self) -> BTreeMap<String, String>;
}

/// Sees every step of the agent.
pub trait Onlooker: Send + Sync {
    /// The agent was told `input` and wants `outputs` done.
    fn stepped(&self, agent: &Agent, input: &Input, outputs: &[Output]);
}

/// Whether something is done by hands: the rest is between the daemons.
pub(super) fn is_by_hand(output: &Output) -> bool {
    match output {
        // These two are read off the daemon itself.
        Output::RunCheck { check, .. } => !matches!(check.probe, Probe::Alert(_) | Probe::Mesh(_)),
        Output::Execute(_)
        | Output::TakeEvidence { .. }
        | Output::Notify { .. }
        | Output::CheckIn(_) => true,
        Output::Publish(_)
        | Output::Watch { .. }
        | Output::Suspect { .. }
        | Output::StepDown { .. }
        | Output::Probe { .. }
        | Output::AskWitness { .. }
        | Output::Propose { .. }
        | Output::Forward { .. }
        | Output::RecordStart { .. }
        | Output::ChangeMembers(_) => false,
    }
}
