//! What is usual on one host, and what is to come: a model for each number of each check that asks to
//! be told.

use super::{
    ahead::{Heading, Trend},
    metric::{Expected, Metric},
};
use crate::{
    document::{Ahead, Check, Verdict},
    name::Name,
    perfdata::Datum,
    time::{Timestamp, format_span},
};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// So many numbers of one check are learned; what follows is left out.
pub const METRICS_MAX: usize = 32;

/// The models of a host's numbers, by check and label.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Habits {
    checks: BTreeMap<Name, BTreeMap<String, Metric>>,
    trends: BTreeMap<Name, BTreeMap<String, Trend>>,
}

impl Habits {
    /// What a run says in view of what is usual and of what is to come, and in one line why.
    pub fn judge(
        &mut self,
        check: &Check,
        run: (Verdict, &str),
        data: &[Datum],
        at: Timestamp,
    ) -> (Verdict, String) {
        let (verdict, summary) = self.judge_unusual(check, run, data, at);
        let Some(ahead) = &check.ahead else {
            self.trends.remove(&check.name);
            return (verdict, summary);
        };
        let told = self.look_ahead(check, ahead, data, at);
        if told.is_empty() || matches!(verdict, Verdict::Fail | Verdict::Unknown) {
            return (verdict, summary);
        }
        (verdict.worse(ahead.verdict), format!("{}; {summary}", told.join(", ")))
    }

    /// Which numbers are on their way to a failure.
    fn look_ahead(
        &mut self,
        check: &Check,
        ahead: &Ahead,
        data: &[Datum],
        at: Timestamp,
    ) -> Vec<String> {
        let trends = self.trends.entry(check.name.clone()).or_default();
        let mut told = Vec::new();
        for datum in numbers(data).filter(|datum| ahead.is_about(&datum.label)) {
            let (Some(value), Some(range)) = (datum.value, &datum.crit) else { continue };
            if !trends.contains_key(&datum.label) && trends.len() >= METRICS_MAX {
                continue;
            }
            let trend = trends.entry(datum.label.clone()).or_default();
            trend.note(at, value, ahead.within);
            if let Some(heading) = trend.heads_for(range, (at, value), ahead.within) {
                told.push(on_its_way(datum, value, &heading));
            }
        }
        told
    }

    /// What a run says in view of what is usual. Its numbers are learned, unless it failed: what is
    /// known to be broken is no habit.
    fn judge_unusual(
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
        for datum in numbers(data).filter(|datum| unusual.is_about(&datum.label)) {
            let (Some(value), label, unit) = (datum.value, &datum.label, &datum.unit) else {
                continue;
            };
            if !models.contains_key(label) && models.len() >= METRICS_MAX {
                continue;
            }
            let model = models.entry(label.clone()).or_default();
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
        self.trends.retain(|name, _| checks.contains(name));
    }
}

/// The numbers that there are, each label once.
fn numbers(data: &[Datum]) -> impl Iterator<Item = &Datum> {
    let mut seen = BTreeSet::new();
    data.iter()
        // A counter only rises: it says something by its pace alone.
        .filter(|datum| datum.unit != "c")
        .filter(move |datum| seen.insert(datum.label.as_str()))
}

fn on_its_way(datum: &Datum, value: f64, heading: &Heading) -> String {
    let Datum { label, unit, .. } = datum;
    let (now, limit) = (short(value), short(heading.limit));
    let minutes = Duration::from_secs(heading.after.as_secs().div_ceil(60) * 60);
    let after = format_span(minutes);
    format!("{label} is {now}{unit} and on its way to {limit}{unit}, in {after} if it goes on so")
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
    use crate::document::{LoadProbe, Probe, Thresholds, Unusual};
    use crate::learn::metric::SEEN_MIN;

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

    #[test]
    fn what_is_on_its_way_to_a_failure_is_told_before_it_is_one() {
        let ahead = Ahead {
            within: Duration::from_secs(4 * 3_600),
            verdict: Verdict::Fail,
            metric: Some("disk".to_owned()),
        };
        let mut check = check(soon());
        (check.unusual, check.ahead) = (None, Some(Box::new(ahead)));
        let mut habits = Habits::default();
        let mut judge = |check: &Check, minute: u32| {
            let used = 50.0 + 10.0 * f64::from(minute) / 60.0;
            let text = format!("other={used}%;;60 disk={used}%;;90");
            let at = Timestamp::from_millis(1_795_219_200_000 + u64::from(minute) * 60_000);
            habits.judge(check, PASS, &data(&text), at)
        };
        for minute in 0..60 {
            assert_eq!(judge(&check, minute), (Verdict::Pass, "all is well".to_owned()));
        }
        let told = "disk is 60.0% and on its way to 90.0%, in 3h if it goes on so; all is well";
        assert_eq!(judge(&check, 60), (Verdict::Fail, told.to_owned()));
        // Whoever does not ask is not told, and what was known is forgotten.
        check.ahead = None;
        assert_eq!(judge(&check, 61).0, Verdict::Pass);
        assert_eq!(habits, Habits::default());
    }
}
