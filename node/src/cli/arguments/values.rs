//! How values are read.

use super::Since;
use protocol::{
    document::{DocumentKey, DocumentKind},
    name::{IncidentId, Name, parse_label},
    time::{Timestamp, parse_span},
};
use std::time::Duration;

pub(super) fn parse_name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parse_one_label(text: &str) -> Result<(String, String), String> {
    parse_label(text).map_err(|error| error.to_string())
}

pub(super) fn parse_incident(text: &str) -> Result<IncidentId, String> {
    IncidentId::parse(text).map_err(|error| error.to_string())
}

pub(super) fn parse_some_time(text: &str) -> Result<Duration, String> {
    match parse_span(text) {
        Ok(span) if span.is_zero() => Err("it has to be longer than nothing".to_owned()),
        Ok(span) => Ok(span),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn parse_since(text: &str) -> Result<Since, String> {
    match (Timestamp::parse(text), parse_span(text)) {
        (Ok(moment), _) => Ok(Since::Moment(moment)),
        (Err(_), Ok(span)) => Ok(Since::Ago(span)),
        (Err(_), Err(_)) => {
            Err("write a moment such as 2026-11-21T02:00:00Z, or a span such as 2h".to_owned())
        }
    }
}

pub(super) fn parse_key(text: &str) -> Result<DocumentKey, String> {
    let kinds = DocumentKind::ALL.map(DocumentKind::as_str).join(", ");
    let refusal = || format!("write KIND/NAME, with a KIND of {kinds}");
    // The single ones bear their kind as their name.
    let (kind, name) = text.split_once('/').unwrap_or((text, text));
    let kind = DocumentKind::ALL.into_iter().find(|known| known.as_str() == kind);
    let name = Name::parse(name).map_err(|error| error.to_string())?;
    match kind {
        Some(kind @ (DocumentKind::Limits | DocumentKind::Mesh)) => Ok(DocumentKey { kind, name }),
        Some(kind) if text.contains('/') => Ok(DocumentKey { kind, name }),
        Some(_) | None => Err(refusal()),
    }
}
