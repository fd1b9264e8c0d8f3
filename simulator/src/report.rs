//! A page that draws runs as lanes: peers down, time across. One file without scripts or anything
//! from elsewhere; every mark says what it is when it is pointed at, and the sentences stand below.

mod lanes;

use crate::{run::Run, scenario::Scenario};
use protocol::time::format_span;
use std::fmt::Write as _;

const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1d2430; --dim: #5d6878; --paper: #fbfaf7; --line: #d9d6cd;
  --up: #b9d8c2; --down: #d9574a; --halted: #e0a83c; --leads: #24508f; --acts: #3b7dd8;
  --bad: #b3261e; --good: #2e7d4f; --net: #8a63b8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e3da; --dim: #9aa3b2; --paper: #14171c;
  --line: #333a45; --up: #2f5a41; --leads: #7fb0f5; --acts: #4d8fe8; --bad: #ff8a7d;
  --good: #6fce98; --net: #b497de; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 2.5rem 0 .2rem; }
p { margin: .3rem 0; max-width: 60rem; } .dim { color: var(--dim); }
.held { color: var(--good); } .failed { color: var(--bad); font-weight: 600; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { text-align: left; padding: .15rem 1rem .15rem 0; }
.lanes { overflow-x: auto; } svg { display: block; margin: .6rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: var(--dim); } svg .name { fill: var(--ink); }
.up { fill: var(--up); } .down { fill: var(--down); opacity: .35; } .halted { fill: var(--halted); opacity: .7; }
.leads { fill: var(--leads); } .acts { fill: var(--acts); } .net { fill: var(--net); opacity: .6; }
.wrong { fill: var(--bad); } .opened { fill: var(--bad); } .resolved { fill: var(--good); }
.decided { fill: var(--dim); } .person { fill: var(--halted); stroke: var(--ink); stroke-width: .6; }
.other { fill: none; stroke: var(--dim); } .axis { stroke: var(--line); } .healed { stroke: var(--good); stroke-dasharray: 4 3; }
.broke { stroke: var(--bad); stroke-width: 2; }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; font-size: .85rem; color: var(--dim); }
.key i { display: inline-block; width: 1.1em; height: .8em; margin-right: .4em; border-radius: 2px; }
details { margin: .3rem 0 1rem; } summary { cursor: pointer; color: var(--dim); }
pre { font: 12.5px/1.45 ui-monospace, monospace; overflow-x: auto; }
";

const KEY: &str = r#"<p class="key"><span><i style="background:var(--up)"></i>daemon runs</span>
<span><i style="background:var(--down);opacity:.35"></i>gone</span>
<span><i style="background:var(--halted)"></i>stands still</span>
<span><i style="background:var(--leads);height:.3em"></i>leads</span>
<span><i style="background:var(--bad);height:.2em"></i>a service is broken</span>
<span><i style="background:var(--acts)"></i>executes a rung</span>
<span><i style="background:var(--bad);border-radius:50%;width:.8em"></i>incident opened</span>
<span><i style="background:var(--good);border-radius:50%;width:.8em"></i>resolved</span>
<span><i style="background:var(--halted);transform:rotate(45deg);width:.7em;height:.7em"></i>a person is told</span>
<span><i style="background:var(--net);opacity:.6"></i>network divided or bad</span></p>"#;

/// The page about these runs.
pub(crate) fn page(runs: &[(&Scenario, &Run)]) -> String {
    let mut page = String::new();
    let failed = runs.iter().filter(|(_, run)| run.failure.is_some()).count();
    let title = match failed {
        0 => format!("{} stories held", runs.len()),
        _ => format!("{failed} of {} stories failed", runs.len()),
    };
    // Writing to a string cannot fail.
    let _never = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>hearten-sim: {title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n{KEY}\n"
    );
    if runs.len() > 1 {
        contents(&mut page, runs);
    }
    for (story, run) in runs {
        section(&mut page, story, run);
    }
    page.push_str("</body></html>\n");
    page
}

fn verdict(run: &Run) -> &'static str {
    if run.failure.is_some() {
        "<span class=\"failed\">failed</span>"
    } else {
        "<span class=\"held\">held</span>"
    }
}

fn contents(page: &mut String, runs: &[(&Scenario, &Run)]) {
    page.push_str(
        "<table><tr><th>story</th><th></th><th>peers</th><th>seed</th><th>steps</th></tr>\n",
    );
    for (story, run) in runs {
        let _never = writeln!(
            page,
            "<tr><td><a href=\"#{0}\">{0}</a></td><td>{1}</td><td>{2}</td><td>{3}</td><td>{4}</td></tr>",
            escape(&story.name),
            verdict(run),
            story.peers.len(),
            run.seed,
            run.steps
        );
    }
    page.push_str("</table>\n");
}

fn section(page: &mut String, story: &Scenario, run: &Run) {
    let name = escape(&story.name);
    let _never = write!(
        page,
        "<h2 id=\"{name}\">{name} · {}</h2>\n<p>{}</p>\n<p class=\"dim\">{} peers, seed {}, {} of \
         virtual time, {} steps</p>\n",
        verdict(run),
        escape(&story.prose),
        story.peers.len(),
        run.seed,
        format_span(run.virtual_time),
        run.steps
    );
    if let Some(failure) = &run.failure {
        let (rule, what) = (escape(&failure.rule), escape(&failure.what));
        let _never = writeln!(page, "<p class=\"failed\">{rule} does not hold: {what}</p>");
    }
    page.push_str("<div class=\"lanes\">");
    lanes::draw(page, story, run);
    page.push_str("</div>\n<details><summary>the tale, sentence by sentence</summary><pre>");
    for told in &run.tale {
        let who = told.peer.and_then(|place| story.peers.get(place));
        let who = who.map_or("", |peer| peer.name.as_str());
        let what = escape(&told.what);
        let _never = writeln!(page, "{:>9.3} s  {who:<5} {what}", told.at.as_secs_f64());
    }
    page.push_str("</pre></details>\n");
}

/// Text as it may stand in a page, within quotes too.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{run::run, scenario::read::parse};

    #[test]
    fn a_page_has_a_lane_for_each_peer_and_says_what_is_drawn() {
        let text = "# Once <upon> a time\n# there was a peer.\nlasts = \"20s\"\nsettle = \"20s\"\n\
                    documents = '''\n'''\npeers = { count = 3 }\n\
                    event = [{ at = \"5s\", do = \"kill\", peer = \"p2\" }]\n";
        let story = parse("tale".into(), "tale.toml".into(), text).unwrap();
        let run = run(&story, 1, false);
        let page = page(&[(&story, &run)]);
        assert!(page.contains("Once &lt;upon&gt; a time there was a peer."), "{page}");
        for peer in ["p1", "p2", "p3"] {
            assert!(page.contains(&format!(">{peer}</text>")), "{peer}");
        }
        assert!(page.contains("its daemon is gone") && page.contains("class=\"down\""));
        assert!(page.contains("is elected in term") && page.contains("class=\"leads\""));
        let (opened, closed) = (page.matches("<svg").count(), page.matches("</svg>").count());
        assert_eq!((opened, closed), (1, 1));
    }
}
