//! What a parameter's value is, and whether it may be handed to a command.
//!
//! Values reach a command by its environment or as one element of its argv, never as part of a
//! script's text, so that no label and no check's output can become a command.

use super::{Param, ParamKind, ParamSource, SignalField};
use crate::{document::Verdict, name::Labels, record::Because, refusal::Refusal};
use regex_lite::Regex;
use std::collections::BTreeMap;

/// The longest value, in bytes.
pub const VALUE_BYTES_MAX: usize = 1_000;

/// Reads a pattern; it has to match a whole value.
///
/// # Errors
/// What is wrong with it.
pub fn pattern(text: &str) -> Result<Regex, String> {
    if text.len() > VALUE_BYTES_MAX {
        return Err(format!("it has {} bytes; at most {VALUE_BYTES_MAX} fit", text.len()));
    }
    regex_lite::RegexBuilder::new(&format!("^(?:{text})$"))
        .size_limit(1 << 18)
        .build()
        .map_err(|error| error.to_string())
}

/// Whether a value is what its parameter asks for.
///
/// # Errors
/// What it must be.
pub fn fits(param: &Param, value: &str) -> Result<(), String> {
    if value.len() > VALUE_BYTES_MAX || value.chars().any(char::is_control) {
        return Err(format!("must be printable text of up to {VALUE_BYTES_MAX} bytes"));
    }
    match &param.kind {
        ParamKind::Text => {}
        ParamKind::Number if value.parse::<i64>().is_err() => {
            return Err("must be a whole number".to_owned());
        }
        ParamKind::Boolean if !matches!(value, "true" | "false") => {
            return Err("must be true or false".to_owned());
        }
        ParamKind::OneOf(words) if !words.iter().any(|word| word == value) => {
            return Err(format!("must be one of {}", words.join(", ")));
        }
        ParamKind::Number | ParamKind::Boolean | ParamKind::OneOf(_) => {}
    }
    match param.pattern.as_deref().map(pattern) {
        Some(Ok(pattern)) if !pattern.is_match(value) => {
            Err(format!("must match {}", param.pattern.as_deref().unwrap_or_default()))
        }
        Some(Err(why)) => Err(format!("cannot be held against its pattern: {why}")),
        Some(Ok(_)) | None => Ok(()),
    }
}

/// The values of a runbook's parameters for one signal of a peer with these labels; `told` are those
/// of the alert or the job that it is about.
///
/// # Errors
/// [`Refusal::Parameter`] for the first that has no value or one that does not fit.
pub fn resolve(
    params: &[Param],
    labels: &Labels,
    because: &Because,
    told: &Labels,
) -> Result<BTreeMap<String, String>, Refusal> {
    let mut values = BTreeMap::new();
    for param in params {
        let refused = |why: String| Refusal::Parameter { name: param.name.clone(), why };
        let found = match &param.from {
            ParamSource::Document => None,
            ParamSource::Label(label) => labels.get(label).cloned(),
            ParamSource::Signal(field) => from_signal(*field, because),
            ParamSource::Alert(label) if !is_of_job(because) => told.get(label).cloned(),
            ParamSource::Job(label) if is_of_job(because) => told.get(label).cloned(),
            ParamSource::Alert(_) | ParamSource::Job(_) => None,
        };
        let Some(value) = found.or_else(|| param.default.clone()) else {
            return Err(refused("has no value and no default".to_owned()));
        };
        fits(param, &value).map_err(refused)?;
        values.insert(param.name.clone(), value);
    }
    Ok(values)
}

const fn is_of_job(because: &Because) -> bool {
    matches!(because, Because::Job { .. })
}

fn from_signal(field: SignalField, because: &Because) -> Option<String> {
    match (field, because) {
        (SignalField::Check, Because::Check { check, .. } | Because::Job { check, .. }) => Some(check.to_string()),
        (SignalField::Verdict, Because::Check { verdict, .. }) => Some(verdict.as_str().to_owned()),
        (SignalField::Verdict, Because::Job { .. }) => Some(Verdict::Fail.as_str().to_owned()),
        (SignalField::Summary, Because::Check { summary, .. } | Because::Job { summary, .. }) => {
            Some(summary.lines().next().unwrap_or_default().to_owned())
        }
        (SignalField::Verdict, Because::Silent { kind, .. }) => Some(kind.as_str().to_owned()),
        (
            SignalField::Check | SignalField::Summary,
            Because::Silent { .. } | Because::Ladder { .. } | Because::Operator { .. },
        )
        | (SignalField::Verdict, Because::Ladder { .. } | Because::Operator { .. })
        // No runbook answers a storm.
        | (_, Because::Storm { .. } | Because::Untold { .. }) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(kind: ParamKind, pattern: Option<&str>) -> Param {
        Param {
            name: "p".to_owned(),
            kind,
            from: ParamSource::Label("p".to_owned()),
            default: None,
            pattern: pattern.map(str::to_owned),
        }
    }

    #[test]
    fn a_value_must_be_what_its_parameter_asks_for() {
        let number = param(ParamKind::Number, None);
        assert!(fits(&number, "-5").is_ok());
        assert!(fits(&number, "5; reboot").is_err());
        let text = param(ParamKind::Text, Some("[a-z]+"));
        assert!(fits(&text, "disk").is_ok());
        assert!(fits(&text, "disk; reboot").is_err(), "a pattern is for the whole value");
        assert!(fits(&param(ParamKind::Text, None), "two\nlines").is_err());
        let words = param(ParamKind::OneOf(vec!["a".to_owned()]), None);
        assert!(fits(&words, "b").is_err());
        assert!(fits(&param(ParamKind::Boolean, None), "yes").is_err());
    }

    #[test]
    fn a_value_comes_from_its_source_or_its_default_or_nothing_is_done() {
        let because = Because::Check {
            check: crate::name::Name::parse("disk").unwrap(),
            verdict: Verdict::Fail,
            since: crate::time::Timestamp::default(),
            summary: "sda is bad\nmore".to_owned(),
        };
        let mut labels = Labels::new();
        let one = param(ParamKind::Text, None);
        assert!(matches!(
            resolve(std::slice::from_ref(&one), &labels, &because, &Labels::new()),
            Err(Refusal::Parameter { .. })
        ));
        labels.insert("p".to_owned(), "x".to_owned());
        let summary = Param {
            name: "s".to_owned(),
            from: ParamSource::Signal(SignalField::Summary),
            ..one.clone()
        };
        let values = resolve(&[one, summary], &labels, &because, &Labels::new()).unwrap();
        assert_eq!(values["p"], "x");
        assert_eq!(values["s"], "sda is bad");
    }
}
