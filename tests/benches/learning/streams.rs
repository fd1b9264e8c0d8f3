//! The streams that are played: made by a fixed seed, or recorded.

use anyhow::{Context, Result};

/// A stream of arrivals.
pub(crate) struct Stream {
    pub(crate) name: &'static str,
    /// When each arrived, in milliseconds.
    pub(crate) arrivals: Vec<u64>,
    /// Spans of at least so many milliseconds were outages: an alarm in them was right.
    pub(crate) outage: u64,
}

const MINUTE: f64 = 60_000.0;
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
/// Where the made ones begin: Monday 2026-06-01 at midnight.
const BEGIN: u64 = 1_780_272_000_000;

/// All of them. Those that are made have a minute between two arrivals on average, unless their
/// name says otherwise: `PaceHB` learns nothing of more than 400 s.
pub(crate) fn all() -> Result<Vec<Stream>> {
    let mut dice = Dice(42);
    let mut streams = vec![
        made("steady, 2 % jitter", 10_000, |_, _| MINUTE * (1.0 + 0.02 * dice.normal())),
        made("steady, 20 % jitter", 10_000, |_, _| MINUTE * (1.0 + 0.2 * dice.normal())),
        made("heavy tail (log-normal, sigma 0.8)", 10_000, |_, _| {
            MINUTE * 0.726 * (0.8 * dice.normal()).exp()
        }),
        made("at random (Poisson)", 10_000, |_, _| MINUTE * dice.exponential()),
        made("bursts of 10, 20 s, then 7 min", 10_000, |n, _| {
            let mean = if n % 10 == 9 { 7.0 * MINUTE } else { MINUTE / 3.0 };
            mean * (1.0 + 0.1 * dice.normal())
        }),
        made("3 % of the beats are lost", 10_000, |_, _| {
            let mut span = MINUTE * (1.0 + 0.05 * dice.normal());
            while dice.uniform() < 0.03 {
                span += MINUTE;
            }
            span
        }),
    ];
    streams.push(made("by day 1 min, by night 5 min", 20_000, |_, now| {
        let night = !(7..22).contains(&(now / HOUR % 24));
        MINUTE * if night { 5.0 } else { 1.0 } * (1.0 + 0.2 * dice.normal())
    }));
    streams.push(made("in office hours only, 5 weeks", 15_000, |_, now| {
        let span = MINUTE * (1.0 + 0.2 * dice.normal());
        let mut at = now + whole(span);
        while !is_office(at) {
            at += HOUR - at % HOUR;
        }
        float(at - now)
    }));
    streams.push(made("pace changes: 1, 3, 0.5 min", 9_000, |n, _| {
        [1.0, 3.0, 0.5][n / 1_000 % 3] * MINUTE * (1.0 + 0.1 * dice.normal())
    }));
    streams.push(made("drifts from 30 s to 3 min", 10_000, |n, _| {
        let drift = 6.0_f64.powf(float(u64::try_from(n).unwrap_or(0)) / 10_000.0);
        MINUTE / 2.0 * drift * (1.0 + 0.1 * dice.normal())
    }));
    let mut outages = made("ten outages of 3 h", 10_000, |n, _| {
        if n % 1_000 == 999 { 180.0 * MINUTE } else { MINUTE * (1.0 + 0.1 * dice.normal()) }
    });
    outages.outage = 2 * HOUR;
    streams.push(outages);
    streams.push(made("hourly, 2 % jitter", 2_000, |_, _| {
        60.0 * MINUTE * (1.0 + 0.02 * dice.normal())
    }));
    streams.push(made("daily, 10 min jitter, 2 years", 730, |n, now| {
        let due = BEGIN + (u64::try_from(n).unwrap_or(0) + 1) * DAY;
        float(due) + MINUTE * 10.0 * dice.normal() - float(now)
    }));
    for (name, text) in [
        ("recorded: a loop of 2 s", include_str!("loop-2s.txt")),
        ("recorded: a loop of 10 s", include_str!("loop-10s.txt")),
    ] {
        streams.push(recorded(name, text)?);
    }
    Ok(streams)
}

/// Makes a stream: the next span by how many there were and what time it is.
fn made(name: &'static str, count: usize, mut span: impl FnMut(usize, u64) -> f64) -> Stream {
    let mut now = BEGIN;
    let mut arrivals = vec![now];
    for n in 0..count {
        now += whole(span(n, now)).max(100);
        arrivals.push(now);
    }
    Stream { name, arrivals, outage: u64::MAX }
}

/// A recorded stream: a moment on each line, in milliseconds.
fn recorded(name: &'static str, text: &str) -> Result<Stream> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let arrivals: Result<Vec<u64>, _> = lines.map(str::parse).collect();
    Ok(Stream { name, arrivals: arrivals.with_context(|| name.to_owned())?, outage: u64::MAX })
}

fn is_office(at: u64) -> bool {
    let day = at.saturating_sub(BEGIN) / DAY % 7;
    day < 5 && (8..18).contains(&(at / HOUR % 24))
}

#[expect(
    clippy::as_conversions,
    reason = "spans of a benchmark are far from the ends of both types"
)]
fn whole(span: f64) -> u64 {
    span.max(0.0).round() as u64
}

#[expect(clippy::as_conversions, reason = "milliseconds fit into 52 bits for 140,000 years")]
pub(crate) fn float(span: u64) -> f64 {
    span as f64
}

/// Chance from a seed: splitmix64.
struct Dice(u64);

impl Dice {
    /// From 0 to 1, without 0.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut hash = self.0;
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        float(((hash ^ (hash >> 31)) >> 12) + 1) / float((1 << 52) + 1)
    }

    fn exponential(&mut self) -> f64 {
        -self.uniform().ln()
    }

    /// By Box and Muller; below minus four there is nothing, so that no span is negative.
    fn normal(&mut self) -> f64 {
        let (one, other) = (self.uniform(), self.uniform());
        ((-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * other).cos()).max(-4.0)
    }
}
