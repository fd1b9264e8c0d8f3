//! Learned deadlines: how often they are wrong, at the same delay as `PaceHB`'s rule and as a
//! deadline that is the same for ever.
//!
//! ```text
//! cargo bench -p tests --bench learning                a table
//! cargo bench -p tests --bench learning -- --json      the same as JSON
//! ```
//!
//! Each stream is played to `PaceHB`'s rule first, as it is. Its delay is the mean time from an
//! arrival to the alarm that would follow if that arrival had been the last. The other two are
//! then given the same delay: the fixed deadline is that delay itself, the best that could be
//! written in hindsight; ours is asked for the rarest false alarms whose delay is not greater.
//! A false alarm is an arrival after the deadline. A second round gives everybody twice that delay,
//! `PaceHB` by twice its spans. The last columns are what ours does when it is asked for one false
//! alarm in a hundred and in a thousand arrivals: how many there were of ten thousand, and the delay
//! in mean spans. The first fifth of each stream is learned from and not counted.
//!
//! It reads no clock and has fixed seeds: the same table every time.

#![allow(clippy::print_stdout, reason = "a benchmark's output is its table")]

mod streams;

use anyhow::{Result, ensure};
use protocol::{
    codec,
    learn::{Arrivals, OneIn, PaceHb},
    time::Timestamp,
};
use serde_json::{Value, json};
use streams::{Stream, float};

/// What a rule did on a stream.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    counted: u64,
    alarms: u64,
    delay: f64,
}

impl Tally {
    /// An arrival that was waited for so long, when the next came after so long.
    fn take(&mut self, stream: &Stream, patience: f64, span: u64) {
        self.counted += 1;
        self.delay += patience;
        self.alarms += u64::from(float(span) > patience && span < stream.outage);
    }

    /// The mean delay in milliseconds.
    fn delay(&self) -> f64 {
        self.delay / float(self.counted.max(1))
    }

    /// False alarms in ten thousand arrivals.
    fn alarms(&self) -> f64 {
        float(self.alarms) * 10_000.0 / float(self.counted.max(1))
    }
}

fn main() -> Result<()> {
    // Cargo says `--bench` to every benchmark.
    let mut as_json = false;
    for argument in std::env::args().skip(1).filter(|argument| argument != "--bench") {
        ensure!(argument == "--json", "there is no option {argument}; there is --json");
        as_json = true;
    }
    let mut rows = Vec::new();
    for stream in streams::all()? {
        rows.push(measure(&stream));
    }
    if as_json {
        println!("{:#}", json!({ "schema": 1, "bench": "learning", "streams": rows }));
    } else {
        table(&rows);
    }
    Ok(())
}

/// The questions that ours is asked: one in 2 to one in 2^30, four to the octave.
fn questions() -> Vec<OneIn> {
    let mut many = 2.0_f64;
    let mut all = Vec::new();
    while many < 1e9 {
        all.push(OneIn::new(format!("{many:.0}").parse().unwrap_or(2)));
        many *= 2.0_f64.powf(0.25);
    }
    all.dedup();
    all
}

fn measure(stream: &Stream) -> Value {
    let counts = |n: usize| n >= stream.arrivals.len() / 5;
    let spans = || stream.arrivals.windows(2).enumerate();
    let mut mean = Tally::default();
    let (mut pacehb, mut twice) = (Tally::default(), Tally::default());
    let mut known = None;
    for (n, pair) in spans() {
        let [at, next] = pair else { continue };
        let seconds = |millis: u64| (millis + 500) / 1_000;
        let rule = PaceHb::after(known, seconds(*at), None);
        known = Some(rule);
        let holds = float(rule.expires.unwrap_or(0) - rule.last_seen) * 1_000.0;
        if counts(n) {
            mean.take(stream, float(next - at), next - at);
            // In its whole seconds, as it would see it.
            let span = (seconds(*next) - seconds(*at)) * 1_000;
            pacehb.take(stream, holds, span);
            twice.take(stream, 2.0 * holds, span);
        }
    }
    let questions = questions();
    let mut ours = vec![Tally::default(); questions.len()];
    let asked = [OneIn::new(100), OneIn::new(1_000)];
    let mut wanted = [Tally::default(); 2];
    let mut learner = Arrivals::default();
    for (n, pair) in spans() {
        let [at, next] = pair else { continue };
        learner.observe(Timestamp::from_millis(*at));
        if !counts(n) {
            continue;
        }
        let all = questions.iter().zip(&mut ours).chain(asked.iter().zip(&mut wanted));
        for (question, tally) in all {
            let patience = learner.patience(*question).unwrap_or_default();
            tally.take(stream, patience.as_secs_f64() * 1_000.0, next - at);
        }
    }
    let fixed = |delay: f64| {
        let mut tally = Tally::default();
        for (_, pair) in spans().filter(|(n, _)| counts(*n)) {
            let [at, next] = pair else { continue };
            tally.take(stream, delay, next - at);
        }
        tally
    };
    let ours_at = |delay: f64| {
        let rarest = questions.iter().zip(&ours).rfind(|(_, tally)| tally.delay() <= delay);
        rarest.map(|(one_in, tally)| {
            json!({ "one_in": one_in.many(), "alarms": tally.alarms(), "delay": tally.delay() })
        })
    };
    let at_delay = |theirs: &Tally| {
        json!({
            "delay_spans": theirs.delay() / mean.delay(),
            "pacehb": theirs.alarms(),
            "fixed": fixed(theirs.delay()).alarms(),
            "ours": ours_at(theirs.delay()),
        })
    };
    json!({
        "stream": stream.name,
        "arrivals": stream.arrivals.len(),
        "state_bytes": codec::encode(&learner).len(),
        "mean_span_seconds": mean.delay() / 1_000.0,
        "as_pacehb": at_delay(&pacehb),
        "twice": at_delay(&twice),
        "wanted": asked.iter().zip(&wanted).map(|(asked, tally)| json!({
            "one_in": asked.many(),
            "alarms": tally.alarms(),
            "delay_spans": tally.delay() / mean.delay(),
        })).collect::<Vec<_>>(),
    })
}

fn table(rows: &[Value]) {
    println!("False alarms in 10,000 arrivals, at the same delay (in mean spans).\n");
    println!(
        "{:<36} {:>5} {:>7} {:>7} {:>7}   {:>5} {:>7} {:>7} {:>7}   {:>6} {:>6}   {:>6} {:>6}",
        "stream",
        "delay",
        "PaceHB",
        "fixed",
        "ours",
        "delay",
        "PaceHB",
        "fixed",
        "ours",
        "1/100",
        "delay",
        "1/1000",
        "delay"
    );
    let number = |value: &Value| value.as_f64().map_or("-".to_owned(), |n| format!("{n:.1}"));
    let spans = |value: &Value| value.as_f64().map_or("-".to_owned(), |n| format!("{n:.2}"));
    for row in rows {
        let mut line = format!("{:<36}", row["stream"].as_str().unwrap_or_default());
        for round in ["as_pacehb", "twice"] {
            let round = &row[round];
            line.push_str(&format!(
                " {:>5} {:>7} {:>7} {:>7}  ",
                spans(&round["delay_spans"]),
                number(&round["pacehb"]),
                number(&round["fixed"]),
                number(&round["ours"]["alarms"])
            ));
        }
        for wanted in 0..2 {
            let wanted = &row["wanted"][wanted];
            line.push_str(&format!(
                " {:>6} {:>6}  ",
                number(&wanted["alarms"]),
                spans(&wanted["delay_spans"])
            ));
        }
        println!("{}", line.trim_end());
    }
}
