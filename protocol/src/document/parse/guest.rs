//! `[[guest]]`: a host that cannot run the daemon.

use super::reader::{Reader, Table, Zero};
use crate::{
    document::{
        Guest,
        guest::CLAIM_WITHIN,
        problem::{Report, quoted},
    },
    name::{Labels, parse_label},
};
use std::net::IpAddr;

/// The most labels of a guest; a peer has no more.
const LABELS_MAX: usize = 64;

pub(super) fn guest(table: Table<'_>, report: &mut Report) -> Option<Guest> {
    let mut reader = Reader::new(table.title("guest"), table, report);
    let name = reader.own_name();
    if !reader.has("surgeon_sha256") {
        reader.missing("surgeon_sha256", "what `hearten guest new NAME` prints");
    }
    let hint = "write the hash that `hearten guest new NAME` prints";
    let surgeon = reader.sha256("surgeon_sha256", hint);
    let labels = labels(&mut reader);
    let address = address(&mut reader);
    let claim_within = reader.span("claim_within", CLAIM_WITHIN, Zero::Refused);
    reader.finish();
    Some(Guest { name: name?, labels, address, surgeon: surgeon?, claim_within })
}

fn labels(reader: &mut Reader<'_, '_>) -> Labels {
    let example = "labels = { role = \"db\" }";
    let Some(table) = reader.table("labels", example) else { return Labels::new() };
    if table.entries.len() > LABELS_MAX {
        let message = format!("\"labels\": at most {LABELS_MAX} fit");
        reader.complain("labels", &message, None);
    }
    let mut labels = Labels::new();
    for (key, value) in table.entries {
        let key = key.get_ref().as_ref();
        let text = value.get_ref().as_str().map(|text| format!("{key}={text}"));
        match text.as_deref().map(parse_label) {
            Some(Ok((key, value))) => {
                labels.insert(key, value);
            }
            Some(Err(_)) | None => {
                let message = format!("\"labels\": {} is no label", quoted(key));
                let hint = format!("write {example}");
                reader.complain("labels", &message, Some(hint));
            }
        }
    }
    labels
}

fn address(reader: &mut Reader<'_, '_>) -> Option<IpAddr> {
    let text = reader.text("address")?;
    let address = text.parse::<IpAddr>().ok().filter(|address| !address.is_unspecified());
    if address.is_none() {
        let message = format!("\"address\": {} is no address of a host", quoted(text));
        let hint = "write \"10.0.0.7\"; where it has none, leave it out".to_owned();
        reader.complain("address", &message, Some(hint));
    }
    address
}
