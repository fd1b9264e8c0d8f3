//! `hearten.toml`: what a host needs in order to start, and what it forbids by itself.
//!
//! Everything else travels as signed documents. A key that is not known is refused with its line:
//! a deny-policy with a typing error in it must not look as if it held.

use super::{SetupError, data_dir};
use crate::{files, intake::mapped::Mapping};
use protocol::{
    agent::LocalPolicy,
    name::{Labels, Name, PeerId, parse_label},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    str::FromStr,
};

/// The UDP port that peers listen on unless said otherwise.
pub const PORT: u16 = 4327;

/// The TCP port of the HTTP interface unless said otherwise.
pub const HTTP_PORT: u16 = 4328;

/// Where a peer listens unless said otherwise.
pub const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), PORT);

/// Where the HTTP interface listens, if it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Http {
    /// Here.
    At(SocketAddr),
    /// Nowhere.
    Off,
}

impl Default for Http {
    fn default() -> Self {
        Self::At(SocketAddr::from((Ipv4Addr::LOCALHOST, HTTP_PORT)))
    }
}

impl fmt::Display for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(address) => address.fmt(f),
            Self::Off => f.write_str("off"),
        }
    }
}

impl FromStr for Http {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(address) => Ok(Self::At(address)),
            Err(_not_an_address) if text == "off" => Ok(Self::Off),
            Err(_not_an_address) => Err(format!("\"{text}\" is neither IP:PORT nor \"off\"")),
        }
    }
}

impl TryFrom<String> for Http {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Http> for String {
    fn from(http: Http) -> Self {
        http.to_string()
    }
}

/// A peer to begin with: `ID@HOST:PORT`. The id says whose certificate is expected there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Seed {
    /// Which peer.
    pub peer: PeerId,
    /// Where: `HOST:PORT`.
    pub address: String,
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.peer, self.address)
    }
}

impl TryFrom<String> for Seed {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let (peer, address) = text
            .split_once('@')
            .ok_or_else(|| format!("\"{text}\" is not a seed: write ID@HOST:PORT"))?;
        let peer = PeerId::parse(peer).map_err(|error| error.to_string())?;
        Ok(Self { peer, address: address.to_owned() })
    }
}

impl From<Seed> for String {
    fn from(seed: Seed) -> Self {
        seed.to_string()
    }
}

/// The local configuration of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The peer's name.
    pub name: Name,
    /// Where it listens, over UDP; `0.0.0.0:4327` unless said. Port 0 takes any that is free.
    #[serde(default = "listen")]
    pub listen: SocketAddr,
    /// Where the others reach it. With port 0 the port is the one that it really listens on.
    pub advertise: SocketAddr,
    /// Where the HTTP interface listens; `127.0.0.1:4328` unless said, `off` for nowhere.
    #[serde(default)]
    pub http: Http,
    /// The file with the tokens of those who may send something to the HTTP address: a name and a
    /// token on each line. Needed where that address is reached from other hosts.
    #[serde(default)]
    pub intake_tokens: Option<PathBuf>,
    /// The certificate of the HTTP address in PEM, with those that lead to its authority: then it
    /// speaks TLS and nothing else. Both files are read anew when one of them changes.
    #[serde(default)]
    pub http_certificate: Option<PathBuf>,
    /// The key of that certificate, in PEM.
    #[serde(default)]
    pub http_key: Option<PathBuf>,
    /// The peer's labels.
    #[serde(default)]
    pub labels: Labels,
    /// Some peers of the mesh, `ID@HOST:PORT`, to begin with; the founder has none.
    #[serde(default)]
    pub seeds: Vec<Seed>,
    /// Nothing is executed on this host but checks; off unless said.
    #[serde(default)]
    pub observe_only: bool,
    /// Runbooks that are never executed on this host.
    #[serde(default)]
    pub denied_runbooks: BTreeSet<Name>,
    /// Where this host's secrets are: an absolute path; `secrets.toml` in the data directory unless
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<PathBuf>,
    /// How the JSON of other senders is understood: `[[intake]]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub intake: Vec<Mapping>,
}

const fn listen() -> SocketAddr {
    LISTEN
}

impl Config {
    /// Reads the configuration of a data directory.
    ///
    /// # Errors
    /// [`SetupError::NotAPeer`] when there is none, [`SetupError::Config`] with the line.
    pub fn load(data: &Path) -> Result<Self, SetupError> {
        let path = data_dir::config_path(data);
        match files::read_if_present(&path).map_err(SetupError::file(&path))? {
            Some(bytes) => match String::from_utf8(bytes) {
                Ok(text) => Self::parse(&text, &path),
                Err(error) => Err(SetupError::Damaged { path, reason: error.to_string() }),
            },
            None => Err(SetupError::NotAPeer { path: data.to_owned() }),
        }
    }

    /// Reads a configuration's text; `path` is for messages.
    ///
    /// # Errors
    /// [`SetupError::Config`] with the line.
    pub fn parse(text: &str, path: &Path) -> Result<Self, SetupError> {
        let refusal = |line: usize, reason: String| SetupError::Config {
            path: path.to_owned(),
            line,
            reason,
        };
        let config: Self = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1;
            refusal(line, error.message().lines().collect::<Vec<_>>().join(" "))
        })?;
        for (key, value) in &config.labels {
            if let Err(error) = parse_label(&format!("{key}={value}")) {
                return Err(refusal(line_with(text, key), error.to_string()));
            }
        }
        for (key, path) in config.files() {
            if let Some(path) = path.filter(|path| !path.is_absolute()) {
                let reason = format!("{key} = \"{}\" is no absolute path", path.display());
                return Err(refusal(line_with(text, key), reason));
            }
        }
        if config.http_certificate.is_some() != config.http_key.is_some() {
            let reason = "TLS on the HTTP address needs http_certificate and http_key".to_owned();
            return Err(refusal(line_with(text, "http_"), reason));
        }
        for (place, mapping) in config.intake.iter().enumerate() {
            if let Err(reason) = mapping.check() {
                return Err(refusal(line_with(text, mapping.name.as_str()), reason));
            }
            let same = |other: &Mapping| other.name == mapping.name;
            if config.intake.iter().take(place).any(same) {
                let reason = format!("there are two [[intake]] \"{}\"", mapping.name);
                return Err(refusal(line_with(text, mapping.name.as_str()), reason));
            }
        }
        Ok(config)
    }

    /// The files that it names, by their keys.
    fn files(&self) -> [(&'static str, Option<&PathBuf>); 4] {
        [
            ("secrets", self.secrets.as_ref()),
            ("intake_tokens", self.intake_tokens.as_ref()),
            ("http_certificate", self.http_certificate.as_ref()),
            ("http_key", self.http_key.as_ref()),
        ]
    }

    /// Where this host's secrets are.
    pub fn secrets_path(&self, data: &Path) -> PathBuf {
        self.secrets.clone().unwrap_or_else(|| data_dir::secrets_path(data))
    }

    /// The configuration as the file that an operator finds.
    pub fn render(&self) -> String {
        let quoted = |text: &dyn fmt::Display| toml::Value::String(text.to_string()).to_string();
        let list = |items: Vec<String>| format!("[{}]", items.join(", "));
        let labels: Vec<String> =
            self.labels.iter().map(|(key, value)| format!("{key} = {}", quoted(value))).collect();
        let labels = if labels.is_empty() {
            "{}".to_owned()
        } else {
            format!("{{ {} }}", labels.join(", "))
        };
        let seeds = list(self.seeds.iter().map(|seed| quoted(seed)).collect());
        let denied = list(self.denied_runbooks.iter().map(|name| quoted(name)).collect());
        let secrets = self.secrets.as_ref().map_or_else(String::new, |path| {
            format!(
                "\n# Passwords that documents name as secret:NAME; mode 0600.\nsecrets = {}\n",
                quoted(&path.display())
            )
        });
        let tokens = self.intake_tokens.as_ref().map_or_else(String::new, |path| {
            format!(
                "\n# Who may send alerts: a name and a token on each line; mode 0600.\n\
                 intake_tokens = {}\n",
                quoted(&path.display())
            )
        });
        let tls = [("certificate", &self.http_certificate), ("key", &self.http_key)];
        let tls: String = tls
            .into_iter()
            .filter_map(|(what, path)| Some((what, path.as_ref()?)))
            .map(|(what, path)| format!("http_{what} = {}\n", quoted(&path.display())))
            .collect();
        let intake: String = self.intake.iter().map(render_mapping).collect();
        format!(
            "# What this host needs in order to start. Everything else are documents: `hearten apply`.\n\
             # After a change: restart the daemon, or send it SIGHUP for labels and the deny-policy.\n\
             name = {}\n\
             listen = {}\n\
             advertise = {}\n\
             http = {}\n\
             {tls}labels = {labels}\n\
             \n\
             # Peers to begin with; the others are learnt from them.\n\
             seeds = {seeds}\n\
             \n\
             # What this host forbids by itself, whatever the documents say.\n\
             observe_only = {}\n\
             denied_runbooks = {denied}\n\
             {secrets}{tokens}{intake}",
            quoted(&self.name),
            quoted(&self.listen),
            quoted(&self.advertise),
            quoted(&self.http),
            self.observe_only,
        )
    }

    /// Writes the configuration into a data directory.
    ///
    /// # Errors
    /// What the file system said.
    pub fn store(&self, data: &Path) -> Result<(), SetupError> {
        let path = data_dir::config_path(data);
        files::write_durably(&path, self.render().as_bytes(), 0o644)
            .map_err(SetupError::file(&path))
    }

    /// What this host forbids by itself.
    pub fn policy(&self) -> LocalPolicy {
        LocalPolicy {
            denied_runbooks: self.denied_runbooks.clone(),
            observe_only: self.observe_only,
        }
    }
}

/// A mapping as it is written.
fn render_mapping(mapping: &Mapping) -> String {
    // What was read from TOML is written as TOML.
    let text = toml::to_string(mapping).unwrap_or_default();
    let within = text.replace("\n[", "\n[intake.");
    format!("\n[[intake]]\n{within}")
}

fn line_with(text: &str, key: &str) -> usize {
    text.lines().position(|line| line.contains(key)).unwrap_or(0) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMAL: &str = "name = \"web-1\"\nadvertise = \"10.0.0.5:4327\"\n";

    fn fault(text: &str) -> String {
        Config::parse(text, Path::new("hearten.toml")).unwrap_err().to_string()
    }

    #[test]
    fn what_is_written_reads_back() {
        let minimal = Config::parse(MINIMAL, Path::new("hearten.toml")).unwrap();
        assert_eq!(minimal.listen.to_string(), "0.0.0.0:4327");
        assert_eq!(minimal.http.to_string(), "127.0.0.1:4328");
        let mut full = minimal;
        full.http = Http::Off;
        full.labels.insert("role".to_owned(), "we\"b".to_owned());
        let seed = format!("{}@db-1.example.org:4327", PeerId::from_random(7));
        full.seeds.push(Seed::try_from(seed).unwrap());
        full.observe_only = true;
        full.http_certificate = Some("/etc/hearten/chain.pem".into());
        full.http_key = Some("/etc/hearten/key.pem".into());
        full.secrets = Some("/etc/hearten/\"s\".toml".into());
        full.denied_runbooks.insert(Name::parse("fence").unwrap());
        for name in ["zabbix", "other"] {
            let text = format!(
                "name = \"{name}\"\nlist = \"/a\"\nfires = {{ at = \"/x\", is = [\"1\"] }}\n\
                 labels = {{ alertname = \"/n\", \"a b\" = \"/c\" }}\nset = {{ s = \"[x]\" }}\n"
            );
            full.intake.push(toml::from_str(&text).unwrap());
        }
        let back = Config::parse(&full.render(), Path::new("hearten.toml")).unwrap();
        assert_eq!(back, full);
        assert!(back.policy().observe_only);
    }

    #[test]
    fn a_mistake_is_told_with_its_line() {
        let unknown = fault(&format!("{MINIMAL}\nobserve_onyl = true\n"));
        assert!(unknown.starts_with("hearten.toml:4: unknown field `observe_onyl`"), "{unknown}");
        let name = fault("advertise = \"10.0.0.5:4327\"\nname = \"a b\"\n");
        assert!(name.starts_with("hearten.toml:2: ") && name.contains("valid name"), "{name}");
        let http = fault(&format!("{MINIMAL}http = \"on\"\n"));
        assert!(http.contains("hearten.toml:3") && http.contains("nor \"off\""), "{http}");
        let label = fault(&format!("{MINIMAL}labels = {{ \"1a\" = \"x\" }}\n"));
        assert!(label.starts_with("hearten.toml:3: "), "{label}");
        let secrets = fault(&format!("{MINIMAL}secrets = \"secrets.toml\"\n"));
        assert!(secrets.contains("hearten.toml:3") && secrets.contains("absolute"), "{secrets}");
        let lone = fault(&format!("{MINIMAL}http_key = \"/k\"\n"));
        assert!(lone.contains("hearten.toml:3") && lone.contains("http_certificate"), "{lone}");
        let key = "http_certificate = \"/c\"\nhttp_key = \"k\"\n";
        let key = fault(&format!("{MINIMAL}{key}"));
        assert!(key.contains("hearten.toml:4") && key.contains("absolute"), "{key}");
        let intake = "\n[[intake]]\nname = \"zabbix\"\nlabels = { alertname = \"name\" }\n";
        let intake = fault(&format!("{MINIMAL}{intake}"));
        assert!(intake.contains("zabbix") && intake.contains("JSON pointer"), "{intake}");
        assert!(fault("name = ").starts_with("hearten.toml:1: "));
        assert!(fault("name = \"web-1\"\n").contains("advertise"));
    }
}
