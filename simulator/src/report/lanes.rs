//! The drawing of one run.

use super::escape;
use crate::{
    run::Run,
    scenario::Scenario,
    world::tale::{Mark, Told},
};
use std::{fmt::Write as _, time::Duration};

/// Where the lanes begin, how wide they are, and how high one is.
const LEFT: f64 = 64.0;
const WIDTH: f64 = 1_120.0;
const LANE: f64 = 24.0;

/// Where the first lane is; above it are the network and the people.
const TOP: f64 = 46.0;

/// The most peers that are drawn; of more, those to which something happens.
const LANES_MAX: usize = 60;

/// How long the stretches between two numbers of the axis may be, in seconds.
const TICKS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0, 3_600.0];

/// What a peer does, from when until when.
struct Span {
    class: &'static str,
    from: Duration,
    until: Duration,
    what: String,
}

struct Scale {
    end: f64,
}

impl Scale {
    fn x(&self, at: Duration) -> f64 {
        LEFT + at.as_secs_f64().min(self.end) / self.end * WIDTH
    }

    fn width(&self, from: Duration, until: Duration) -> f64 {
        (self.x(until) - self.x(from)).max(1.0)
    }
}

/// Draws a run.
pub(super) fn draw(page: &mut String, story: &Scenario, run: &Run) {
    let shown = shown(story, run);
    let scale = Scale { end: run.virtual_time.as_secs_f64().max(0.001) };
    let height = TOP + LANE * row(shown.len()) + 22.0;
    let _never = writeln!(
        page,
        "<svg width=\"{:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{}\">",
        LEFT + WIDTH + 20.0,
        escape(&story.name)
    );
    axis(page, &scale, height);
    label(page, "network", 12.0, false);
    label(page, "people", 32.0, false);
    for (lane, place) in shown.iter().enumerate() {
        let y = TOP + LANE * row(lane);
        label(page, story.peers[*place].name.as_str(), y + 13.0, true);
        for span in spans(run, *place) {
            let (y, height) = within_the_lane(span.class, y);
            bar(page, &scale, &span, y, height);
        }
        let of_lane = run.tale.iter().filter(|told| told.peer == Some(*place));
        of_lane.for_each(|told| mark(page, &scale, told, y + 9.0));
    }
    above(page, &scale, run);
    line(page, scale.x(story.lasts), height, "healed", "every fault is healed");
    if let Some(failure) = &run.failure {
        line(page, scale.x(run.virtual_time), height, "broke", &failure.what);
    }
    page.push_str("</svg>\n");
}

/// Lanes are few; an index is exact as a number with a point.
fn row(lane: usize) -> f64 {
    f64::from(u16::try_from(lane).unwrap_or(u16::MAX))
}

/// The places of the peers that have lanes.
fn shown(story: &Scenario, run: &Run) -> Vec<usize> {
    let all = 0..story.peers.len();
    if story.peers.len() <= LANES_MAX {
        return all.collect();
    }
    let happens = |place: &usize| {
        run.tale.iter().any(|told| told.peer == Some(*place) && told.mark != Mark::Up)
    };
    all.filter(happens).take(LANES_MAX).collect()
}

fn within_the_lane(class: &str, y: f64) -> (f64, f64) {
    match class {
        "leads" => (y + 16.0, 3.0),
        "wrong" => (y + 20.0, 2.0),
        "acts" => (y + 4.0, 10.0),
        _ => (y + 3.0, 12.0),
    }
}

fn label(page: &mut String, text: &str, y: f64, is_name: bool) {
    let class = if is_name { " class=\"name\"" } else { "" };
    let _never = writeln!(
        page,
        "<text x=\"{:.0}\" y=\"{y:.0}\" text-anchor=\"end\"{class}>{}</text>",
        LEFT - 8.0,
        escape(text)
    );
}

fn axis(page: &mut String, scale: &Scale, height: f64) {
    let step = TICKS.into_iter().find(|step| scale.end / step <= 16.0).unwrap_or(scale.end);
    let mut at = 0.0;
    while at <= scale.end {
        let x = LEFT + at / scale.end * WIDTH;
        let _never = writeln!(
            page,
            "<line class=\"axis\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"4\" y2=\"{:.0}\"/>\
             <text x=\"{x:.1}\" y=\"{:.0}\" text-anchor=\"middle\">{at:.0} s</text>",
            height - 18.0,
            height - 4.0
        );
        at += step;
    }
}

fn line(page: &mut String, x: f64, height: f64, class: &str, what: &str) {
    let _never = writeln!(
        page,
        "<line class=\"{class}\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"4\" y2=\"{:.0}\"><title>{}</title></line>",
        height - 18.0,
        escape(what)
    );
}

fn bar(page: &mut String, scale: &Scale, span: &Span, y: f64, height: f64) {
    let _never = writeln!(
        page,
        "<rect class=\"{}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.0}\" rx=\"2\">\
         <title>{}</title></rect>",
        span.class,
        scale.x(span.from),
        scale.width(span.from, span.until),
        escape(&span.what)
    );
}

/// What lasts on a peer: that it runs, is gone, stands still, leads, is broken, executes.
fn spans(run: &Run, place: usize) -> Vec<Span> {
    let end = run.virtual_time;
    let mut open: Vec<Span> = Vec::new();
    let mut spans: Vec<Span> = Vec::new();
    let mut close = |open: &mut Vec<Span>, classes: &[&str], at: Duration| {
        let (over, on): (Vec<Span>, Vec<Span>) =
            open.drain(..).partition(|span| classes.contains(&span.class));
        *open = on;
        spans.extend(over.into_iter().map(|span| Span { until: at, ..span }));
    };
    for told in &run.tale {
        let at = told.at;
        let begin = |open: &mut Vec<Span>, class| {
            open.push(Span { class, from: at, until: end, what: told.what.clone() });
        };
        // Who is elected ends the time of whoever led before.
        if told.mark == Mark::Elected {
            close(&mut open, &["leads"], at);
        }
        if told.peer != Some(place) {
            continue;
        }
        match told.mark {
            Mark::Elected => begin(&mut open, "leads"),
            Mark::Up => {
                close(&mut open, &["down"], at);
                begin(&mut open, "up");
            }
            Mark::Down => {
                close(&mut open, &["up", "down", "halted", "leads"], at);
                begin(&mut open, "down");
            }
            Mark::Halted => begin(&mut open, "halted"),
            Mark::Resumed => close(&mut open, &["halted"], at),
            Mark::Broken => begin(&mut open, "wrong"),
            Mark::Mended => close(&mut open, &["wrong"], at),
            Mark::Acts => begin(&mut open, "acts"),
            Mark::Acted => close(&mut open, &["acts"], at),
            Mark::Network
            | Mark::Whole
            | Mark::Opened
            | Mark::Resolved
            | Mark::Decided
            | Mark::Person
            | Mark::Other => {}
        }
    }
    spans.extend(open);
    spans
}

/// What happens at one moment.
fn mark(page: &mut String, scale: &Scale, told: &Told, y: f64) {
    let class = match told.mark {
        Mark::Opened => "opened",
        Mark::Resolved => "resolved",
        Mark::Decided => "decided",
        Mark::Other | Mark::Network | Mark::Whole => "other",
        Mark::Up
        | Mark::Down
        | Mark::Halted
        | Mark::Resumed
        | Mark::Elected
        | Mark::Broken
        | Mark::Mended
        | Mark::Acts
        | Mark::Acted
        | Mark::Person => return,
    };
    let radius = if class == "decided" { 2.0 } else { 4.0 };
    let _never = writeln!(
        page,
        "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{y:.1}\" r=\"{radius:.0}\"><title>{:.3} s: {}</title></circle>",
        scale.x(told.at),
        told.at.as_secs_f64(),
        escape(&told.what)
    );
}

/// What concerns everybody: the network and the people.
fn above(page: &mut String, scale: &Scale, run: &Run) {
    let mut divided: Option<(Duration, &str)> = None;
    let of_all = run.tale.iter().filter(|told| told.peer.is_none());
    for told in of_all {
        if matches!(told.mark, Mark::Network | Mark::Whole)
            && let Some((from, what)) = divided.take()
        {
            stretch(page, scale, from, told.at, what);
        }
        if told.mark == Mark::Network {
            divided = Some((told.at, &told.what));
        }
        if told.mark == Mark::Person {
            person(page, scale, told);
        }
    }
    if let Some((from, what)) = divided {
        stretch(page, scale, from, run.virtual_time, what);
    }
}

fn person(page: &mut String, scale: &Scale, told: &Told) {
    let x = scale.x(told.at);
    let _never = writeln!(
        page,
        "<rect class=\"person\" x=\"{:.1}\" y=\"24\" width=\"8\" height=\"8\" \
         transform=\"rotate(45 {x:.1} 28)\"><title>{:.3} s: {}</title></rect>",
        x - 4.0,
        told.at.as_secs_f64(),
        escape(&told.what)
    );
}

fn stretch(page: &mut String, scale: &Scale, from: Duration, until: Duration, what: &str) {
    bar(page, scale, &Span { class: "net", from, until, what: what.to_owned() }, 4.0, 10.0);
}
