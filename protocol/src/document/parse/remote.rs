//! `fence`, `wake` and `ssh` of a rung: what a neighbour does to a host that cannot act for itself.

use super::reader::{Reader, type_of};
use crate::document::{Fence, Given, Power, Ssh, Wake, problem::quoted, remote::parse_mac};
use crate::name::{Name, parse_label};
use std::{collections::BTreeMap, net::SocketAddr};

/// The longest value, program and command, in bytes.
const TEXT_BYTES_MAX: usize = 4_096;
/// The most parameters of an agent; the longest of them take some thirty.
const PARAMS_MAX: usize = 100;
/// What the fence agents call the action, by their newer and their older convention: Hearten says
/// it, in the order that it verifies.
const OURS: [&str; 2] = ["action", "option"];

/// `fence = { … }`, if it is there.
pub(super) fn fence(reader: &mut Reader<'_, '_>) -> Option<Fence> {
    const EXAMPLE: &str =
        "fence = { agent = \"fence_ipmilan\", action = \"off\", params = { ip = \"label:bmc\" } }";
    let table = reader.table("fence", EXAMPLE)?;
    let title = format!("{}, fence", reader.title());
    let mut reader = Reader::new(title, table, reader.report());
    for (key, example) in [("agent", "agent = \"fence_ipmilan\""), ("action", "action = \"off\"")] {
        if !reader.has(key) {
            reader.missing(key, example);
        }
    }
    let agent = reader.text("agent").map(str::to_owned);
    let named = agent.as_deref().is_none_or(is_program);
    if !named {
        let hint = "write agent = \"fence_ipmilan\", or a path that begins with /".to_owned();
        let message = "\"agent\" must be the name of a program or an absolute path";
        reader.complain("agent", message, Some(hint));
    }
    let powers = [Power::Off, Power::On, Power::Reboot].map(|power| (power.as_str(), power));
    let power = reader.choice("action", &powers);
    let params = params(&mut reader);
    reader.finish();
    Some(Fence { agent: agent.filter(|_| named)?, power: power?, params })
}

fn params(reader: &mut Reader<'_, '_>) -> BTreeMap<String, Given> {
    const EXAMPLE: &str = "params = { ip = \"label:bmc\", password = \"secret:bmc-password\" }";
    let mut params = BTreeMap::new();
    let Some(table) = reader.table("params", EXAMPLE) else { return params };
    if table.entries.len() > PARAMS_MAX {
        reader.complain("params", &format!("it has more than {PARAMS_MAX} parameters"), None);
    }
    for (key, value) in table.entries {
        let name = key.get_ref().as_ref();
        let is_word = !name.is_empty()
            && name.len() <= 64
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let found = match value.get_ref().as_str() {
            _ if OURS.contains(&name) => Err("is said by \"action\" beside \"params\"".to_owned()),
            _ if !is_word => Err("is no name of a parameter".to_owned()),
            Some(text) => given(text),
            None => {
                let found = type_of(value.get_ref());
                Err(format!("must be a string, not {found}: write {name} = \"1\""))
            }
        };
        match found {
            Ok(given) => {
                params.insert(name.to_owned(), given);
            }
            Err(fault) => {
                let message = format!("{}, params: {} {fault}", reader.title(), quoted(name));
                reader.report().add(value.span().start, Some("params"), message, None);
            }
        }
    }
    params
}

/// A value: `label:KEY`, `secret:NAME`, or anything else as it is.
fn given(text: &str) -> Result<Given, String> {
    if text.len() > TEXT_BYTES_MAX || text.chars().any(char::is_control) {
        // A line end would begin another parameter.
        return Err(format!(
            "must be text without control characters, of up to {TEXT_BYTES_MAX} bytes"
        ));
    }
    if let Some(label) = text.strip_prefix("label:") {
        let fits = parse_label(&format!("{label}=x")).is_ok_and(|(key, _)| key == label);
        return if fits {
            Ok(Given::Label(label.to_owned()))
        } else {
            Err(format!("names a label that cannot be: {}", quoted(label)))
        };
    }
    match text.strip_prefix("secret:") {
        Some(secret) => Name::parse(secret).map(Given::Secret).map_err(|error| error.to_string()),
        None => Ok(Given::Literal(text.to_owned())),
    }
}

/// A name such as `fence_ipmilan`, or a path such as `/opt/fence/agent`.
fn is_program(text: &str) -> bool {
    let is_name = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.+".contains(&byte))
    };
    text.len() <= TEXT_BYTES_MAX
        && match text.strip_prefix('/') {
            Some(rest) => !rest.is_empty() && !text.chars().any(char::is_control),
            None => is_name(text),
        }
}

/// `wake = { … }`, if it is there.
pub(super) fn wake(reader: &mut Reader<'_, '_>) -> Option<Wake> {
    let table =
        reader.table("wake", "wake = { mac = \"label:mac\", broadcast = \"10.0.0.255:9\" }")?;
    let title = format!("{}, wake", reader.title());
    let mut reader = Reader::new(title, table, reader.report());
    let mac = value(&mut reader, "mac", "mac = \"label:mac\"", |text| {
        parse_mac(text)
            .is_some()
            .then_some(())
            .ok_or("is no hardware address such as 52:54:00:12:34:56")
    });
    let broadcast = value(&mut reader, "broadcast", "broadcast = \"10.0.0.255:9\"", |text| {
        let address: Result<SocketAddr, _> = text.parse();
        address
            .is_ok_and(|address| address.port() > 0)
            .then_some(())
            .ok_or("is no address and port such as 10.0.0.255:9")
    });
    reader.finish();
    Some(Wake { mac: mac?, broadcast: broadcast? })
}

/// A value of `wake` that must be there; it is no secret.
fn value(
    reader: &mut Reader<'_, '_>,
    key: &'static str,
    example: &str,
    check: impl Fn(&str) -> Result<(), &'static str>,
) -> Option<Given> {
    if !reader.has(key) {
        reader.missing(key, example);
    }
    let text = reader.text(key)?;
    let found = given(text).and_then(|given| match &given {
        Given::Literal(text) => check(text).map(|()| given).map_err(str::to_owned),
        Given::Label(_) => Ok(given),
        Given::Secret(_) => Err("is no secret: everybody on that network hears it".to_owned()),
    });
    match found {
        Ok(given) => Some(given),
        Err(fault) => {
            let message = format!("\"{key}\" = {} {fault}", quoted(text));
            reader.complain(key, &message, Some(format!("write {example}")));
            None
        }
    }
}

/// `ssh = { … }`, if it is there.
pub(super) fn ssh(reader: &mut Reader<'_, '_>) -> Option<Ssh> {
    let table =
        reader.table("ssh", "ssh = { user = \"root\", command = \"systemctl start hearten\" }")?;
    let title = format!("{}, ssh", reader.title());
    let mut reader = Reader::new(title, table, reader.report());
    for (key, example) in
        [("user", "user = \"root\""), ("command", "command = \"systemctl start hearten\"")]
    {
        if !reader.has(key) {
            reader.missing(key, example);
        }
    }
    let user = reader.text("user").map(str::to_owned);
    // It follows "-l": nothing that ssh could take for an option of its own.
    let is_user = user.as_deref().is_none_or(|user| {
        user.len() <= 64
            && user.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_')
            && user.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte))
    });
    if !is_user {
        reader.complain("user", "\"user\" must be the name of an account", None);
    }
    let command = reader.text("command").map(str::to_owned);
    let is_command = command.as_deref().is_none_or(|command| {
        !command.trim().is_empty() && command.len() <= TEXT_BYTES_MAX && !command.contains('\0')
    });
    if !is_command {
        let message = format!("\"command\" must be text of 1 to {TEXT_BYTES_MAX} bytes");
        reader.complain("command", &message, None);
    }
    if command.as_deref().is_some_and(|command| command.contains("$HEARTEN_")) {
        let hint = "name what differs from host to host in a file on the host itself".to_owned();
        let message = "\"command\" runs on the other host, where no variable of ours is set";
        reader.complain("command", message, Some(hint));
    }
    let port = reader.number("port", 1..=65_535).and_then(|port| u16::try_from(port).ok());
    let key = reader.text("key").map(str::to_owned);
    if key.as_deref().is_some_and(|key| !key.starts_with('/') || key.chars().any(char::is_control))
    {
        reader.complain("key", "\"key\" must be an absolute path", None);
    }
    reader.finish();
    let (user, command) = (user.filter(|_| is_user)?, command.filter(|_| is_command)?);
    Some(Ssh { user, command, port: port.unwrap_or(22), key })
}
