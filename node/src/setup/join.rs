//! Being let into a mesh: a fresh key, a token, and one question to whoever answers.
//!
//! The key is on disk before the question is asked, so that asking again after a lost answer is
//! asking as the same peer. The configuration is written last: a host is a peer or it is not.

use super::{
    SetupError, address, card,
    config::{Config, Seed},
    data_dir::DataDir,
    farewell,
    init::HostOptions,
    joining::{self, JoinAnswer},
    trust,
};
use crate::{
    identity::{Identity, PeerKey, Token},
    net::{self, Joined},
};
use protocol::{
    name::{Name, PeerId},
    record::{PeerCard, Trust},
};
use rustls_pki_types::CertificateDer;
use std::{net::SocketAddr, path::Path, time::Duration};

/// How often a mesh without a leader is asked; an election takes a few seconds.
const ASKED_MAX: u32 = 10;

/// How long between two questions.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How the host was let in.
#[derive(Debug, Clone)]
pub struct Member {
    /// The mesh's name.
    pub mesh: Name,
    /// Who this host is in it.
    pub peer: PeerId,
    /// Its name.
    pub name: Name,
    /// Where the others reach it.
    pub advertise: SocketAddr,
    /// How many other peers are known.
    pub peers: usize,
}

/// Asks the peers at `addresses` (`HOST:PORT`) to let this host in, and makes it a peer.
///
/// # Errors
/// [`SetupError`]; the host is then no peer and may ask again.
pub async fn join(
    data: &Path,
    options: &HostOptions,
    addresses: &[String],
    token: &Token,
) -> Result<Member, SetupError> {
    let mut reachable = Vec::new();
    for text in addresses {
        reachable.extend(address::resolve(text)?);
    }
    let config = options.config(reachable.first().copied())?;
    let directory = DataDir::create(data)?;
    if directory.is_a_peer() {
        farewell::is_none(data)?;
        return Err(SetupError::AlreadyAPeer { path: data.to_owned() });
    }
    let key = PeerKey::load_or_create(&Identity::key_path(data))?;
    let peer = card::peer_id(&key.public_key());
    let own_card = card::first_card(&config, peer, key.public_key());
    let mut asked = 0;
    loop {
        asked += 1;
        let joined = ask(&reachable, token, &key, &own_card).await?;
        let damaged = |reason: String| SetupError::BadAnswer { address: joined.address, reason };
        match JoinAnswer::decode(&joined.answer).map_err(|error| damaged(error.to_string()))? {
            JoinAnswer::Accepted { certificate, mesh, trust, peers } => {
                let leaf = CertificateDer::from(certificate);
                let identity = Identity::new(key, leaf, joined.root.clone())
                    .map_err(|error| damaged(error.to_string()))?;
                if identity.peer() != peer || *identity.mesh() != mesh {
                    return Err(damaged("the certificate is another peer's".to_owned()));
                }
                return settle(data, config, &identity, &trust, &peers);
            }
            JoinAnswer::Refused(refusal) => return Err(SetupError::Refused(refusal)),
            JoinAnswer::Unavailable(why) if asked >= ASKED_MAX => {
                return Err(SetupError::Unavailable(why));
            }
            JoinAnswer::Unavailable(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

async fn ask(
    addresses: &[SocketAddr],
    token: &Token,
    key: &PeerKey,
    card: &PeerCard,
) -> Result<Joined, SetupError> {
    let build = |binding: &net::JoinBinding| joining::sign(token, binding, card.clone()).encode();
    Ok(net::ask(addresses, token, key, build).await?)
}

/// Writes down what makes the host a peer.
fn settle(
    data: &Path,
    mut config: Config,
    identity: &Identity,
    trust: &Trust,
    peers: &[(PeerId, SocketAddr)],
) -> Result<Member, SetupError> {
    identity.store(data)?;
    trust::store(data, trust)?;
    config.seeds = peers
        .iter()
        .filter(|(other, _)| *other != identity.peer())
        .map(|(other, address)| Seed { peer: *other, address: address.to_string() })
        .collect();
    config.store(data)?;
    let others = peers.iter().filter(|(other, _)| *other != identity.peer()).count();
    Ok(Member {
        mesh: identity.mesh().clone(),
        peer: identity.peer(),
        name: config.name,
        advertise: config.advertise,
        peers: others,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{identity::Issuer, setup::config::Http};

    #[test]
    fn what_makes_a_host_a_peer_is_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let issuer = Issuer::create(&Name::parse("prod").unwrap(), 1_800_000_000).unwrap();
        let key = PeerKey::generate();
        let peer = card::peer_id(&key.public_key());
        let leaf = issuer.issue(peer, &key.public_key(), 1_800_000_000).unwrap();
        let identity = Identity::new(key, leaf, issuer.certificate().clone()).unwrap();
        let options = HostOptions {
            name: Name::parse("web-1").unwrap(),
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            http: Http::Off,
            labels: std::collections::BTreeMap::new(),
        };
        let config = options.config(None).unwrap();
        let trusted = trust::of_founder([3; 32]);
        let others = [
            (PeerId::from_random(1), "10.0.0.1:4327".parse().unwrap()),
            (PeerId::from_random(2), "10.0.0.2:4327".parse().unwrap()),
            (peer, "10.0.0.3:4327".parse().unwrap()),
        ];
        let member = settle(data, config, &identity, &trusted, &others).unwrap();
        assert_eq!((member.peer, member.peers), (peer, 2));
        assert_eq!(trust::load(data).unwrap(), trusted);
        let seeds = Config::load(data).unwrap().seeds;
        let seeds: Vec<&str> = seeds.iter().map(|seed| seed.address.as_str()).collect();
        assert_eq!(seeds, ["10.0.0.1:4327", "10.0.0.2:4327"]);
        assert_eq!(Identity::load(data).unwrap().unwrap().peer(), peer);
    }

    #[tokio::test]
    async fn a_peer_does_not_join_again_and_nobody_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        drop(DataDir::create(folder.path()).unwrap());
        std::fs::write(super::super::data_dir::config_path(folder.path()), "").unwrap();
        let options = HostOptions {
            name: Name::parse("web-1").unwrap(),
            listen: "127.0.0.1:0".parse().unwrap(),
            advertise: None,
            http: Http::Off,
            labels: std::collections::BTreeMap::new(),
        };
        let token = Token::create(7, [5; 32], crate::identity::Fingerprint([9; 32]));
        let seeds = ["127.0.0.1:9".to_owned()];
        let again = join(folder.path(), &options, &seeds, &token).await.unwrap_err();
        assert!(matches!(again, SetupError::AlreadyAPeer { .. }), "{again}");
    }
}
