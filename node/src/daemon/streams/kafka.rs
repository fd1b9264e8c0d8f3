//! A Kafka cluster, as far as it is needed here: which partitions a topic has, where they begin and
//! end, and what stands in them.

use super::advice::advice;
use crate::daemon::Daemon;
use protocol::document::{Mechanism, Stream, Tls};
use rskafka::{
    BackoffConfig,
    client::{
        self, ClientBuilder, Credentials, SaslConfig,
        error::{Error, ProtocolError},
        partition::{OffsetAt, PartitionClient, UnknownTopicHandling},
    },
    record::RecordAndOffset,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use rustls_platform_verifier::BuilderVerifierExt;
use std::{future::Future, sync::Arc, time::Duration};

/// How long a broker may take for anything.
const WITHIN: Duration = Duration::from_secs(10);

/// For how long the library tries again by itself; after that it is said what is wrong.
const RETRIES_FOR: Duration = Duration::from_secs(3);

/// The most bytes of an answer.
const ANSWER_BYTES_MAX: usize = 32 << 20;

/// The most bytes of messages that are asked for; a single message may have more.
const FETCH_BYTES_MAX: i32 = 1 << 20;

/// How long a broker waits for a message when there is none, in milliseconds.
const FETCH_WAIT_MS: i32 = 1_000;

/// How Hearten is called in the brokers' logs.
const CLIENT_ID: &str = "hearten";

/// Why messages were not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unread {
    /// The broker has nothing at this offset: it was deleted, or never was.
    #[error("the broker has nothing at this offset")]
    OutOfRange,
    /// Anything else.
    #[error("{0}")]
    Failed(String),
}

/// A cluster.
pub(super) struct Client {
    client: client::Client,
    stream: Arc<Stream>,
}

impl Client {
    /// Finds the cluster that a stream is in.
    ///
    /// # Errors
    /// What went wrong, or which secret cannot be had.
    pub(super) async fn connect(daemon: &Daemon, stream: &Stream) -> Result<Self, String> {
        let backoff = BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(1),
            base: 2.0,
            deadline: Some(RETRIES_FOR),
        };
        let mut builder = ClientBuilder::new(stream.brokers.clone())
            .client_id(CLIENT_ID)
            .max_message_size(ANSWER_BYTES_MAX)
            .backoff_config(backoff);
        if let Some(tls) = &stream.tls {
            builder = builder.tls_config(Arc::new(tls_config(tls)?));
        }
        if let Some((mechanism, login)) = &stream.login {
            let me = daemon.agent().card().name.to_string();
            let none = |error| format!("secret \"{}\" on {me}: {error}", login.password);
            let secrets = daemon.secrets.open().map_err(none)?;
            let password = secrets.get(&me, &login.password).map_err(none)?;
            let known = Credentials::new(login.user.clone(), password.to_owned());
            builder = builder.sasl_config(match mechanism {
                Mechanism::Plain => SaslConfig::Plain(known),
                Mechanism::ScramSha256 => SaslConfig::ScramSha256(known),
                Mechanism::ScramSha512 => SaslConfig::ScramSha512(known),
            });
        }
        let what = format!("reaching {}", stream.brokers.join(", "));
        let client = in_time(stream, &what, builder.build()).await;
        let client = client.map_err(|error| error.to_string())?;
        Ok(Self { client, stream: Arc::new(stream.clone()) })
    }

    /// The partitions of a topic, if it is there.
    ///
    /// # Errors
    /// What went wrong.
    pub(super) async fn partitions(&self, topic: &str) -> Result<Option<Vec<u32>>, String> {
        let listed = in_time(&self.stream, "listing the topics", self.client.list_topics()).await;
        let listed = listed.map_err(|error| error.to_string())?;
        let found = listed.into_iter().find(|found| found.name == topic);
        // A topic that is being made has no partition for a moment.
        let found = found.filter(|found| !found.partitions.is_empty());
        Ok(found.map(|found| {
            found.partitions.into_iter().filter_map(|number| u32::try_from(number).ok()).collect()
        }))
    }

    /// One partition of a topic.
    ///
    /// # Errors
    /// What went wrong.
    pub(super) async fn partition(&self, topic: &str, number: u32) -> Result<Partition, String> {
        let number = i32::try_from(number).map_err(|error| error.to_string())?;
        let opened = self.client.partition_client(topic, number, UnknownTopicHandling::Error);
        let opened = in_time(&self.stream, "finding the partition's leader", opened).await;
        let partition = opened.map_err(|error| error.to_string())?;
        Ok(Partition { partition, stream: Arc::clone(&self.stream) })
    }
}

/// One partition of a topic.
pub(super) struct Partition {
    partition: PartitionClient,
    stream: Arc<Stream>,
}

impl Partition {
    /// The offset of the first message that is still there.
    ///
    /// # Errors
    /// What went wrong.
    pub(super) async fn earliest(&self) -> Result<u64, String> {
        self.offset(OffsetAt::Earliest).await
    }

    /// The offset of the next message.
    ///
    /// # Errors
    /// What went wrong.
    pub(super) async fn latest(&self) -> Result<u64, String> {
        self.offset(OffsetAt::Latest).await
    }

    async fn offset(&self, at: OffsetAt) -> Result<u64, String> {
        let offset =
            in_time(&self.stream, "asking for an offset", self.partition.get_offset(at)).await;
        let offset = offset.map_err(|error| error.to_string())?;
        u64::try_from(offset).map_err(|_negative| format!("the broker says offset {offset}"))
    }

    /// What stands from an offset on, in its order; nothing where nothing came in a while.
    ///
    /// # Errors
    /// [`Unread`].
    pub(super) async fn fetch(&self, from: u64) -> Result<Vec<RecordAndOffset>, Unread> {
        let from = i64::try_from(from).map_err(|_large| Unread::OutOfRange)?;
        let fetch = self.partition.fetch_records(from, 1..FETCH_BYTES_MAX, FETCH_WAIT_MS);
        in_time(&self.stream, "reading", fetch).await.map(|(records, _end)| records)
    }
}

/// Waits for a broker, but not for ever: one that is halted never answers.
async fn in_time<T>(
    stream: &Stream,
    what: &str,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Unread> {
    match tokio::time::timeout(WITHIN, asked).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(Error::ServerError { protocol_error: ProtocolError::OffsetOutOfRange, .. })) => {
            Err(Unread::OutOfRange)
        }
        Ok(Err(error)) => {
            let said = format!("{what}: {error}");
            let advised = advice(stream, &said).map(|advice| format!("{advice} ({said})"));
            Err(Unread::Failed(advised.unwrap_or(said)))
        }
        Err(_elapsed) => Err(Unread::Failed(format!("{what}: no answer within {WITHIN:?}"))),
    }
}

fn tls_config(tls: &Tls) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let Some(ca) = &tls.ca else {
        let builder = builder.with_platform_verifier().map_err(|error| error.to_string())?;
        return Ok(builder.with_no_client_auth());
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("\"ca\" is no PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("\"ca\": {error}"))?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
