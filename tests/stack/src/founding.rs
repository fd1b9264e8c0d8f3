//! How the mesh comes about: the first host founds it, the others have their certificates of it,
//! and the founder's daemon commits that they have joined, as it would for any that asked.

use anyhow::{Context, Result};
use ed25519_dalek::SigningKey;
use node::{
    daemon::Running,
    identity::{Identity, Issuer, PeerKey},
    setup::{
        card,
        config::{Config, Http, Seed},
        data_dir::DataDir,
        init::{self, HostOptions},
        operator, trust,
    },
};
use protocol::{
    document::bundle::{Bundle, Source},
    name::{Labels, Name, PeerId},
    order::{Action, Order},
    record::{PeerCard, Record, TokenGrant, TokenId},
    time::Timestamp,
};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};

use crate::interpose::EPOCH;

/// Where every daemon listens on its host.
pub const PORT: u16 = 4327;

/// The one token that all have joined by.
const TOKEN: TokenId = TokenId(1);

/// A host that may run a daemon.
#[derive(Debug, Clone)]
pub struct Place {
    /// Who it is.
    pub peer: PeerId,
    /// What it is called.
    pub name: Name,
    /// Its data directory.
    pub data: PathBuf,
    /// Where the others reach it.
    pub address: SocketAddr,
    card: PeerCard,
}

/// What it takes to begin.
#[derive(Debug)]
pub struct Foundation {
    /// The hosts, the founder first.
    pub places: Vec<Place>,
    operator: SigningKey,
    mesh: [u8; 32],
}

fn config(name: &Name, address: SocketAddr) -> Config {
    let listen = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
    Config {
        name: name.clone(),
        listen,
        advertise: address,
        http_certificate: None,
        http_key: None,
        http: Http::Off,
        labels: Labels::default(),
        seeds: Vec::new(),
        observe_only: false,
        denied_runbooks: std::collections::BTreeSet::new(),
        secrets: None,
        intake_tokens: None,
        intake: Vec::new(),
    }
}

/// Makes the hosts' directories below `dir`.
///
/// # Errors
/// What could not be made.
pub fn prepare(dir: &Path, hosts: &[(Name, IpAddr)]) -> Result<Foundation> {
    let (first, others) = hosts.split_first().context("a mesh has at least one host")?;
    let data = |name: &Name| dir.join(name.as_str());
    let address = |ip: &IpAddr| SocketAddr::new(*ip, PORT);
    let options = HostOptions {
        name: first.0.clone(),
        listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT),
        advertise: Some(address(&first.1)),
        http: Http::Off,
        labels: Labels::default(),
    };
    let founder = data(&first.0);
    let founded = init::init(&founder, &Name::parse("stack")?, &options, EPOCH)?;
    let issuer = Issuer::load(&founder)?.context("the founder holds the root's key")?;
    let pinned = trust::load(&founder)?;
    let seed = Seed { peer: founded.peer, address: address(&first.1).to_string() };
    let identity = Identity::load(&founder)?.context("the founder has an identity")?;
    let own =
        card::first_card(&config(&first.0, address(&first.1)), founded.peer, identity.public_key());
    let mut places = vec![Place {
        peer: founded.peer,
        name: first.0.clone(),
        data: founder.clone(),
        address: address(&first.1),
        card: own,
    }];
    for (name, ip) in others {
        let (data, address) = (data(name), address(ip));
        drop(DataDir::create(&data)?);
        let key = PeerKey::load_or_create(&Identity::key_path(&data))?;
        let public_key = key.public_key();
        let peer = card::peer_id(&public_key);
        let leaf = issuer.issue(peer, &public_key, EPOCH)?;
        Identity::new(key, leaf, issuer.certificate().clone())?.store(&data)?;
        trust::store(&data, &pinned)?;
        let mut config = config(name, address);
        config.seeds = vec![seed.clone()];
        config.store(&data)?;
        let card = card::first_card(&config, peer, public_key);
        places.push(Place { peer, name: name.clone(), data, address, card });
    }
    let operator = operator::load(&operator::path(None, &founder))?;
    Ok(Foundation { places, operator, mesh: issuer.fingerprint().0 })
}

/// Has the founder's daemon commit who has joined and what is to be done.
///
/// # Errors
/// What the log did not take.
pub async fn commit(running: &Running, by: &Foundation, documents: Vec<Source>) -> Result<()> {
    let until = Timestamp::from_millis(EPOCH * 1_000).plus(Duration::from_secs(365 * 86_400));
    let grant = TokenGrant {
        id: TOKEN,
        verifying_key: [9; 32],
        expires: until,
        uses: u32::try_from(by.places.len())?,
        name: None,
    };
    let action = Action::CreateToken(grant);
    let order = Order { mesh: by.mesh, nonce: 1, expires: until, action }.sign(&by.operator);
    let mut records = vec![Record::Ordered { order }];
    for place in &by.places[1..] {
        records.push(Record::PeerJoined { token: TOKEN, peer: place.card.clone() });
    }
    let bundle = Bundle { mesh: by.mesh, revision: 1, sources: documents }.sign(&by.operator);
    records.push(Record::DocumentsApplied { bundle });
    for record in records {
        let kind = format!("{record:.40?}");
        let outcome = running.propose(record).await.with_context(|| kind.clone())?;
        outcome.with_context(|| kind)?;
    }
    Ok(())
}
