//! What a command has at hand: the data directory, the daemon, the operator's key.

use super::{
    age,
    arguments::{ChangeOptions, KeyOption},
};
use crate::{
    control::{
        Exit, Failure, Request, client,
        views::{MeshView, SCHEMA},
    },
    identity::Fingerprint,
    setup::operator,
};
use ed25519_dalek::SigningKey;
use protocol::order::{Action, Order};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long an order may be carried out after it was signed: long enough for an election, too
/// short to be kept and given later.
const ORDER_HOLDS: Duration = Duration::from_secs(60);

/// One command's surroundings.
#[derive(Debug)]
pub(super) struct Session {
    data: PathBuf,
}

/// An operator who may sign for this mesh.
pub(super) struct Operator {
    pub(super) key: SigningKey,
    pub(super) mesh: MeshView,
    pub(super) fingerprint: Fingerprint,
}

impl Session {
    pub(super) const fn new(data: PathBuf) -> Self {
        Self { data }
    }

    /// The data directory.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Asks the daemon.
    pub(super) fn ask(&self, request: &Request) -> Result<Value, Failure> {
        client::call(&self.data, request)
    }

    /// Asks the daemon and reads the answer.
    pub(super) fn ask_for<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Failure> {
        read(&self.ask(request)?)
    }

    /// The operator's key for a change of documents; nothing where it is only looked at: then
    /// nothing has to be signed.
    pub(super) fn operator_unless_dry(
        &self,
        change: ChangeOptions,
    ) -> Result<Option<Operator>, Failure> {
        (!change.dry_run).then(|| self.operator(change.key)).transpose()
    }

    /// The operator's key, once it is known that it counts in this mesh.
    ///
    /// The key is looked for first: without it nothing has to be asked.
    pub(super) fn operator(&self, option: KeyOption) -> Result<Operator, Failure> {
        let path = operator::path(option.key, &self.data);
        let key = operator::load(&path)?;
        let mesh: MeshView = self.ask_for(&Request::Mesh)?;
        let public = data_encoding::HEXLOWER.encode(key.verifying_key().as_bytes());
        if !mesh.trust.operators.contains(&public) {
            let message = format!(
                "the key {} is not of an operator of mesh {}: name another with --key FILE",
                path.display(),
                mesh.mesh
            );
            return Err(Failure::new(Exit::NotAllowed, message));
        }
        let fingerprint = Fingerprint::parse(&mesh.fingerprint)
            .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
        Ok(Operator { key, mesh, fingerprint })
    }

    /// Signs an order and gives it.
    pub(super) fn order(&self, operator: &Operator, action: Action) -> Result<Value, Failure> {
        let order = Order {
            mesh: operator.fingerprint.0,
            nonce: rand::random(),
            // By the log's time, so that this host's clock does not matter.
            expires: operator.mesh.now.plus(ORDER_HOLDS),
            action,
        };
        self.ask(&Request::Order { order: order.sign(&operator.key) })
    }
}

/// Reads an answer of the daemon's.
pub(super) fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    serde_json::from_value(answer.clone()).map_err(|error| {
        let schema = &answer["schema"];
        let message = format!(
            "the daemon's answer (schema {schema}) is not one that this command (schema {SCHEMA}) reads: use the daemon's version ({error})"
        );
        Failure::new(Exit::Failed, message)
    })
}

/// Seconds since 1970, as this host believes.
pub(super) fn seconds_now() -> u64 {
    age::now().millis() / 1_000
}
