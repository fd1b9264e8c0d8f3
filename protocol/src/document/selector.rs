//! Which peers a document is for.

use super::Pattern;
use crate::name::Labels;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

/// Which peers a document is for: those whose labels meet all of these conditions. An empty one
/// fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selector(pub BTreeMap<String, Condition>);

/// What is asked of one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Condition {
    /// It has one of these values: `role = "web"`, `role = ["web", "api"]`.
    OneOf(BTreeSet<String>),
    /// It has none of them; a peer without the label fits: `zone = { not = "a" }`.
    NoneOf(BTreeSet<String>),
    /// This pattern fits its value: `rack = { matches = "^r[0-9]+$" }`.
    Matches(Pattern),
}

impl Condition {
    /// That the label has exactly this value.
    pub fn is(value: &str) -> Self {
        Self::OneOf(BTreeSet::from([value.to_owned()]))
    }

    /// Whether this value meets it; nothing where a peer has no such label.
    pub fn fits(&self, value: Option<&str>) -> bool {
        match self {
            Self::OneOf(wanted) => value.is_some_and(|value| wanted.contains(value)),
            Self::NoneOf(unwanted) => value.is_none_or(|value| !unwanted.contains(value)),
            Self::Matches(pattern) => value.is_some_and(|value| pattern.fits(value)),
        }
    }

    /// Whether it is certain that no value meets both.
    fn excludes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::OneOf(values), condition) | (condition, Self::OneOf(values)) => {
                !values.iter().any(|value| condition.fits(Some(value)))
            }
            // Of two patterns nobody knows, and what bears none of some values may bear any other.
            (Self::NoneOf(_) | Self::Matches(_), Self::NoneOf(_) | Self::Matches(_)) => false,
        }
    }
}

impl Selector {
    /// Those that have all of these labels.
    pub fn of(labels: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(labels.into_iter().map(|(key, value)| (key, Condition::is(&value))).collect())
    }

    /// Whether a peer with these labels is meant.
    pub fn fits(&self, labels: &Labels) -> bool {
        let fits = |(key, condition): (&String, &Condition)| {
            condition.fits(labels.get(key).map(String::as_str))
        };
        self.0.iter().all(fits)
    }

    /// Whether one peer may fit both: unless it is certain that none can.
    pub fn overlaps(&self, other: &Self) -> bool {
        let disjoint = |(key, condition): (&String, &Condition)| {
            other.0.get(key).is_some_and(|asked| asked.excludes(condition))
        };
        !self.0.iter().any(disjoint)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (label, condition)) in self.0.iter().enumerate() {
            let blank = if place > 0 { " " } else { "" };
            let joined = |values: &BTreeSet<String>| {
                values.iter().map(String::as_str).collect::<Vec<_>>().join(",")
            };
            match condition {
                Condition::OneOf(values) => write!(f, "{blank}{label}={}", joined(values))?,
                Condition::NoneOf(values) => write!(f, "{blank}{label}!={}", joined(values))?,
                Condition::Matches(pattern) => write!(f, "{blank}{label}~{pattern}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(values: &[&str]) -> BTreeSet<String> {
        values.iter().map(|&value| value.to_owned()).collect()
    }

    fn one_of(values: &[&str]) -> Condition {
        Condition::OneOf(set(values))
    }

    fn none_of(values: &[&str]) -> Condition {
        Condition::NoneOf(set(values))
    }

    fn matches(pattern: &str) -> Condition {
        Condition::Matches(Pattern::parse(pattern).unwrap())
    }

    fn role(condition: Condition) -> Selector {
        Selector(BTreeMap::from([("role".to_owned(), condition)]))
    }

    fn fits(condition: Condition, value: Option<&str>) -> bool {
        let labels = value.map(|value| ("role".to_owned(), value.to_owned()));
        role(condition).fits(&labels.into_iter().collect())
    }

    #[test]
    fn each_condition_fits_what_it_says() {
        assert!(fits(one_of(&["web", "api"]), Some("api")));
        assert!(!fits(one_of(&["web", "api"]), Some("db")));
        assert!(!fits(one_of(&["web"]), None));
        assert!(fits(none_of(&["web"]), Some("db")));
        assert!(!fits(none_of(&["web", "db"]), Some("db")));
        assert!(fits(none_of(&["web"]), None), "who has no role is no web host");
        assert!(fits(matches("^web-[0-9]+$"), Some("web-12")));
        assert!(!fits(matches("^web-[0-9]+$"), Some("web-x")));
        assert!(!fits(matches(".*"), None));
    }

    #[test]
    fn a_selector_is_shown_in_short() {
        let conditions = [
            ("role", one_of(&["web", "api"])),
            ("zone", none_of(&["a"])),
            ("rack", matches("^r[0-9]$")),
        ];
        let conditions = conditions.map(|(label, condition)| (label.to_owned(), condition));
        let shown = Selector(BTreeMap::from(conditions)).to_string();
        assert_eq!(shown, "rack~^r[0-9]$ role=api,web zone!=a");
        assert_eq!(Selector::default().to_string(), "");
    }

    #[test]
    fn two_selectors_overlap_unless_they_are_certainly_disjoint() {
        let overlap = |left: Condition, right: Condition| {
            let (left, right) = (role(left), role(right));
            assert_eq!(left.overlaps(&right), right.overlaps(&left));
            left.overlaps(&right)
        };
        assert!(!overlap(one_of(&["web"]), one_of(&["db"])));
        assert!(overlap(one_of(&["web", "api"]), one_of(&["api", "db"])));
        assert!(!overlap(one_of(&["web"]), none_of(&["web", "api"])));
        assert!(overlap(one_of(&["web", "db"]), none_of(&["web"])));
        assert!(!overlap(one_of(&["web"]), matches("^db")));
        assert!(overlap(one_of(&["web", "db-1"]), matches("^db")));
        assert!(overlap(matches("^a"), matches("^b")), "nobody knows");
        assert!(overlap(none_of(&["a"]), none_of(&["b"])));
        assert!(overlap(none_of(&["a"]), matches("^a$")), "nobody knows");
        assert!(role(one_of(&["web"])).overlaps(&Selector::default()));
    }
}
