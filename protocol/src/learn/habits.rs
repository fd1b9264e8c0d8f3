//! What is usual on one host: a model for each number of each check that asks to be told.

use super::metric::{Expected, Metric};
use crate::{
    document::{Check, Unusual, Verdict},
    name::Name,
    perfdata::Datum,
    time::Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// So many numbers of one check are learned; what follows is left out.
pub const METRICS_MAX: usize = 32;

/// The models of a host's numbers, by check and label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    checks: BTreeMap<Name, BTreeMap<String, Metric>>,
}

impl Habits {
    /// What a run says in view of what is usual, and in one line why. Its numbers are learned,
    /// unless it failed: what is known to be broken is no habit.
    pub fn judge(
        &mut self,
        check: &Check,
        run: (Verdict, &str),
        data: &[Datum],
        at: Timestamp,
    ) -> (Verdict, String) {
        let (verdict, summary) = run;
        let as_it_is = || (verdict, summary.to_owned());
        let Some(unusual) = &check.unusual else {
            self.checks.remove(&check.name);
            return as_it_is();
        };
        if matches!(verdict, Verdict::Fail | Verdict::Unknown) {
            return as_it_is();
        }
        let question = unusual.question();
        let mut odd = Vec::new();
        let models = self.checks.entry(check.name.clone()).or_default();
        for (label, value, unit) in numbers(unusual, data) {
            if !models.contains_key(label) && models.len() >= METRICS_MAX {
                continue;
            }
            let model = models.entry(label.to_owned()).or_default();
            let expected = model.observe(at, value, &question);
            if let Some(expected) = expected.filter(|e| e.is_broken_by(value, unusual.side)) {
                odd.push(told(label, value, unit, &expected));
            }
        }
        if odd.is_empty() {
            return as_it_is();
        }
        (verdict.worse(unusual.verdict), format!("{}; {summary}", odd.join(", ")))
    }

    /// What is expected of each number of a check now, by label.
    pub fn expected(
        &self,
        check: &Check,
        at: Timestamp,
    ) -> BTreeMap<&str, (&Metric, Option<Expected>)> {
        let Some(unusual) = &check.unusual else { return BTreeMap::new() };
        let question = unusual.question();
        let models = self.checks.get(&check.name).into_iter().flatten();
        models
            .map(|(label, model)| (label.as_str(), (model, model.expect(at, &question))))
            .collect()
    }

    /// Forgets the checks that are no more.
    pub fn retain(&mut self, checks: &BTreeSet<Name>) {
        self.checks.retain(|name, _| checks.contains(name));
    }
}

/// The numbers that are asked about, each label once.
fn numbers<'a>(
    unusual: &'a Unusual,
    data: &'a [Datum],
) -> impl Iterator<Item = (&'a str, f64, &'a str)> {
    let mut seen = BTreeSet::new();
    data.iter()
        .filter(|datum| unusual.is_about(&datum.label))
        // A counter only rises: it says something by its pace alone.
        .filter(|datum| datum.unit != "c")
        .filter(move |datum| seen.insert(datum.label.as_str()))
        .filter_map(|datum| Some((datum.label.as_str(), datum.value?, datum.unit.as_str())))
}

fn told(label: &str, value: f64, unit: &str, expected: &Expected) -> String {
    let [value, usual, low, high] = [value, expected.value, expected.low, expected.high].map(short);
    format!("{label} is {value}{unit}, which is unusual: {usual} was expected, {low} to {high}")
}

/// A number with three digits that matter, or all before its point.
pub fn short(number: f64) -> String {
    let size = number.abs();
    if size >= 1e15 || (size < 1e-4 && size > 0.0) {
        format!("{number:.2e}")
    } else if size >= 100.0 {
        format!("{number:.0}")
    } else if size >= 10.0 {
        format!("{number:.1}")
    } else if size >= 0.1 || size == 0.0 {
        format!("{number:.2}")
    } else {
        format!("{number:.5}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{LoadProbe, Probe, Thresholds};
    use crate::learn::metric::SEEN_MIN;
    use std::time::Duration;

    fn check(unusual: Unusual) -> Check {
        let per_cpu_hundredths = Thresholds::default();
        let probe = Probe::Load(LoadProbe { per_cpu_hundredths, minutes: 5 });
        let name = Name::parse("load").unwrap();
        Check { unusual: Some(unusual), ..Check::new(name, probe) }
    }

    fn data(text: &str) -> Vec<Datum> {
        text.split(' ').filter_map(Datum::parse).collect()
    }

    fn at(run: u64) -> Timestamp {
        Timestamp::from_millis(1_795_219_200_000 + run * 30_000)
    }

    fn soon() -> Unusual {
        Unusual { learn: Duration::ZERO, ..Unusual::new(Verdict::Warn) }
    }

    const PASS: (Verdict, &str) = (Verdict::Pass, "all is well");

    #[test]
    fn an_unusual_number_is_told_with_what_was_expected() {
        let check = check(soon());
        let mut habits = Habits::default();
        for run in 0..SEEN_MIN {
            let said = habits.judge(&check, PASS, &data("load=2 other=U total=9c"), at(run));
            assert_eq!(said, (Verdict::Pass, "all is well".to_owned()));
        }
        let known = habits.expected(&check, at(SEEN_MIN));
        assert_eq!(known.keys().collect::<Vec<_>>(), [&"load"], "no value, and a counter");
        let said = habits.judge(&check, PASS, &data("load=9s"), at(SEEN_MIN));
        assert_eq!(said.0, Verdict::Warn);
        let told = "load is 9.00s, which is unusual: 2.00 was expected, 1.80 to 2.20; all is well";
        assert_eq!(said.1, told);
        let back = habits.judge(&check, PASS, &data("load=2"), at(SEEN_MIN + 1));
        assert_eq!(back.0, Verdict::Pass);
    }

    #[test]
    fn what_fails_is_not_learned_and_stays_a_failure() {
        let check = check(soon());
        let mut habits = Habits::default();
        for run in 0..SEEN_MIN {
            habits.judge(&check, PASS, &data("load=2"), at(run));
        }
        let before = habits.clone();
        let failed = habits.judge(&check, (Verdict::Fail, "down"), &data("load=900"), at(200));
        assert_eq!(failed, (Verdict::Fail, "down".to_owned()));
        assert_eq!(habits, before);
        let worse = habits.judge(&check, (Verdict::Warn, "hm"), &data("load=900"), at(200));
        assert_eq!(worse.0, Verdict::Warn);
    }

    #[test]
    fn only_what_is_asked_about_is_learned_and_what_is_gone_is_forgotten() {
        let mut check = check(Unusual { metric: Some("b".to_owned()), ..soon() });
        let mut habits = Habits::default();
        habits.judge(&check, PASS, &data("a=1 b=2 b=3"), at(0));
        assert_eq!(habits.expected(&check, at(1)).len(), 1);
        let many: Vec<String> = (0..100).map(|n| format!("m{n}=1")).collect();
        check.unusual = Some(soon());
        habits.judge(&check, PASS, &data(&many.join(" ")), at(1));
        assert_eq!(habits.expected(&check, at(2)).len(), METRICS_MAX);
        habits.retain(&BTreeSet::new());
        assert_eq!(habits, Habits::default());
    }
}
