//! What a monitoring plugin prints: a summary, long output, and numbers.
//!
//! The form is that of the Monitoring Plugins guidelines: `TEXT | DATA` on the first line, long
//! output on the next ones, and after another `|` more data to the end. Data are
//! `'label'=value[unit];[warn];[crit];[min];[max]`, and warn and crit are ranges.
//!
//! See <https://www.monitoring-plugins.org/doc/guidelines.html>, sections 2.6 and 2.7.

use serde::{Deserialize, Serialize};
use std::fmt;

/// As many numbers are taken from one output; what follows is left out.
pub const DATA_MAX: usize = 256;

/// What a monitoring plugin printed, taken apart.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PluginOutput {
    /// The first line that is not empty, without its numbers.
    pub summary: String,
    /// The lines after the first, without numbers.
    pub long: String,
    /// The numbers.
    pub data: Vec<Datum>,
}

/// One number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Datum {
    /// What it is of.
    pub label: String,
    /// The number; nothing when the plugin could not find it out (`U`).
    pub value: Option<f64>,
    /// Its unit: `s`, `ms`, `%`, `B`, `KB`, `c` and the like; empty for a plain number.
    pub unit: String,
    /// Where it is worth a warning.
    pub warn: Option<Range>,
    /// Where it is a failure.
    pub crit: Option<Range>,
    /// The least that it can be.
    pub min: Option<f64>,
    /// The most that it can be.
    pub max: Option<f64>,
}

/// A range: `10` is 0 to 10, `10:` is 10 and more, `~:5` is up to 5, `10:20` is between, and
/// `@10:20` alerts inside instead of outside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Its lower end, which belongs to it; nothing when it has none.
    pub from: Option<f64>,
    /// Its upper end, which belongs to it; nothing when it has none.
    pub to: Option<f64>,
    /// Whether being inside is what alerts.
    pub inside: bool,
}

impl Range {
    /// Reads a range.
    pub fn parse(text: &str) -> Option<Self> {
        let (inside, text) = text.strip_prefix('@').map_or((false, text), |rest| (true, rest));
        let (from, to) = match text.split_once(':') {
            None => (Some(0.0), Some(number(text)?)),
            Some((from, to)) => {
                let from = match from {
                    "~" => None,
                    "" => Some(0.0),
                    from => Some(number(from)?),
                };
                (from, if to.is_empty() { None } else { Some(number(to)?) })
            }
        };
        let ordered = from.zip(to).is_none_or(|(from, to)| from <= to);
        ordered.then_some(Self { from, to, inside })
    }

    /// Whether this value is one to alert about.
    pub fn alerts(&self, value: f64) -> bool {
        let within =
            self.from.is_none_or(|from| value >= from) && self.to.is_none_or(|to| value <= to);
        within == self.inside
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.inside {
            f.write_str("@")?;
        }
        match self.from {
            None => f.write_str("~:")?,
            Some(0.0) if self.to.is_some() => {}
            Some(from) => write!(f, "{from}:")?,
        }
        self.to.map_or(Ok(()), |to| write!(f, "{to}"))
    }
}

impl PluginOutput {
    /// Takes an output apart. Total: what is no data stays text, and data that nobody can read are
    /// left out.
    pub fn parse(output: &str) -> Self {
        let mut lines = output.lines().map(str::trim_end).skip_while(|line| line.is_empty());
        let mut parsed = Self::default();
        let Some(first) = lines.next() else { return parsed };
        let (text, data) = split(first);
        parsed.summary = text.trim().to_owned();
        parsed.read_data(data);
        let mut long: Vec<&str> = Vec::new();
        let mut in_data = false;
        for line in lines {
            if in_data {
                parsed.read_data(line);
                continue;
            }
            let (text, data) = split(line);
            if !data.is_empty() {
                in_data = true;
                parsed.read_data(data);
            }
            if !in_data || !text.trim().is_empty() {
                long.push(text.trim_end());
            }
        }
        parsed.long = long.join("\n").trim_end().to_owned();
        parsed
    }

    fn read_data(&mut self, text: &str) {
        let mut rest = text.trim();
        while !rest.is_empty() && self.data.len() < DATA_MAX {
            let (one, after) = next_datum(rest);
            self.data.extend(Datum::parse(one));
            rest = after.trim_start();
        }
    }
}

impl Datum {
    /// Reads one number.
    pub fn parse(text: &str) -> Option<Self> {
        let (label, rest) = label(text)?;
        let mut fields = rest.split(';');
        let (value, unit) = value(fields.next()?)?;
        let mut field = || fields.next().filter(|field| !field.is_empty());
        let (warn, crit) = (field().map(Range::parse), field().map(Range::parse));
        let (min, max) = (field().map(number), field().map(number));
        Some(Self {
            label,
            value,
            unit,
            warn: warn.flatten(),
            crit: crit.flatten(),
            min: min.flatten(),
            max: max.flatten(),
        })
    }
}

/// What stands before the first `|` and what stands behind it; when nothing behind it is a number
/// the `|` is part of the text.
fn split(line: &str) -> (&str, &str) {
    let Some((text, data)) = line.split_once('|') else { return (line, "") };
    let (first, _) = next_datum(data.trim_start());
    if Datum::parse(first).is_some() || data.trim().is_empty() { (text, data) } else { (line, "") }
}

/// The text up to the next blank outside of quotes, and what follows.
fn next_datum(text: &str) -> (&str, &str) {
    let mut quoted = false;
    for (place, c) in text.char_indices() {
        match c {
            '\'' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => return text.split_at(place),
            _ => {}
        }
    }
    (text, "")
}

/// The label and what stands behind its `=`. In quotes `''` is a quote.
fn label(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let (label, rest) = text.split_once('=')?;
        let plain = !label.is_empty() && !label.contains('\'');
        return plain.then(|| (label.to_owned(), rest));
    };
    let mut from = 0;
    loop {
        let end = from + quoted.get(from..)?.find('\'')?;
        let after = quoted.get(end + 1..)?;
        if !after.starts_with('\'') {
            let label = quoted.get(..end)?.replace("''", "'");
            let rest = after.strip_prefix('=')?;
            return (!label.is_empty()).then_some((label, rest));
        }
        from = end + 2;
    }
}

/// A number and its unit, or `U` for one that is not known.
fn value(text: &str) -> Option<(Option<f64>, String)> {
    if text == "U" {
        return Some((None, String::new()));
    }
    let end = text
        .char_indices()
        .find(|(_, c)| !c.is_ascii_digit() && !"+-.,".contains(*c))
        .map_or(text.len(), |(place, _)| place);
    // `1e5B`: an exponent is one only when digits follow it.
    let end = match text.get(end..) {
        Some(rest) if rest.starts_with(['e', 'E']) => {
            let digits = rest[1..].trim_start_matches(['+', '-']);
            let count = digits.bytes().take_while(u8::is_ascii_digit).count();
            if count > 0 { end + (rest.len() - digits.len()) + count } else { end }
        }
        Some(_) | None => end,
    };
    let (digits, unit) = text.split_at(end);
    let value = number(digits)?;
    let plain = unit.chars().all(|c| c.is_alphabetic() || "%/°²³_".contains(c));
    plain.then(|| (Some(value), unit.to_owned()))
}

/// A finite number; some plugins print a decimal comma.
fn number(text: &str) -> Option<f64> {
    let text = text.trim().replace(',', ".");
    let begins =
        text.trim_start_matches(['+', '-']).starts_with(|c: char| c.is_ascii_digit() || c == '.');
    text.parse().ok().filter(|value: &f64| begins && value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(text: &str) -> Range {
        Range::parse(text).unwrap_or_else(|| panic!("{text} is a range"))
    }

    #[test]
    fn the_ranges_of_the_guidelines_alert_as_they_say() {
        for (text, quiet, alarming) in [
            ("10", vec![0.0, 5.0, 10.0], vec![-0.1, 10.1]),
            ("10:", vec![10.0, 1e9], vec![9.9, -5.0]),
            ("~:10", vec![-1e9, 10.0], vec![10.1]),
            ("10:20", vec![10.0, 20.0], vec![9.9, 20.1]),
            ("@10:20", vec![9.9, 20.1], vec![10.0, 15.0, 20.0]),
            ("~:5", vec![5.0, -3.0], vec![5.5]),
            (":7", vec![0.0, 7.0], vec![-1.0, 8.0]),
            ("-5:-1", vec![-3.0], vec![0.0]),
        ] {
            let range = range(text);
            for value in quiet {
                assert!(!range.alerts(value), "{text} {value}");
            }
            for value in alarming {
                assert!(range.alerts(value), "{text} {value}");
            }
        }
        for text in ["", "20:10", "a", "1:b", "@", "~", "inf", "1:nan"] {
            assert_eq!(Range::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_range_reads_as_it_is_written() {
        for text in ["10", "10:", "~:10", "10:20", "@10:20", "~:", "-5:-1"] {
            assert_eq!(range(text).to_string(), text);
        }
    }

    #[test]
    fn the_example_of_the_guidelines_is_taken_apart() {
        let output = PluginOutput::parse(
            "DISK OK - free space: / 3326 MB (56%); | /=2643MB;5948;5958;0;5968\n\
             / 15272 MB (77%);\n\
             /boot 68 MB (69%);\n\
             /home 69357 MB (27%); | /boot=68MB;88;93;0;98\n\
             /home=69357MB;253404;253409;0;253414\n\
             '/var/log me'=818MB;970;975;0;980\n",
        );
        assert_eq!(output.summary, "DISK OK - free space: / 3326 MB (56%);");
        assert_eq!(output.long, "/ 15272 MB (77%);\n/boot 68 MB (69%);\n/home 69357 MB (27%);");
        let labels: Vec<&str> = output.data.iter().map(|datum| datum.label.as_str()).collect();
        assert_eq!(labels, ["/", "/boot", "/home", "/var/log me"]);
        let root = &output.data[0];
        assert_eq!((root.value, root.unit.as_str()), (Some(2643.0), "MB"));
        assert_eq!((root.warn, root.crit), (Some(range("5948")), Some(range("5958"))));
        assert_eq!((root.min, root.max), (Some(0.0), Some(5968.0)));
    }

    #[test]
    fn odd_data_are_read_as_far_as_they_can_be() {
        let one = |text: &str| Datum::parse(text);
        assert_eq!(
            one("time=0.02s;;;0.0").map(|d| (d.value, d.min)),
            Some((Some(0.02), Some(0.0)))
        );
        assert_eq!(one("x=U").map(|d| d.value), Some(None));
        assert_eq!(one("x=1,5ms").map(|d| d.value), Some(Some(1.5)));
        assert_eq!(one("x=1e3B").map(|d| (d.value, d.unit)), Some((Some(1000.0), "B".to_owned())));
        assert_eq!(one("'it''s'=1").map(|d| d.label), Some("it's".to_owned()));
        assert_eq!(
            one("x=1;broken;~:5").map(|d| (d.warn, d.crit)),
            Some((None, Some(range("~:5"))))
        );
        for text in ["", "=1", "x", "x=", "'x=1", "x=a", "x=1$", "''=1", "x=inf"] {
            assert_eq!(one(text), None, "{text}");
        }
    }

    #[test]
    fn a_bar_in_plain_text_stays_there() {
        let output = PluginOutput::parse("a | b is not data\nsecond | third\n");
        assert_eq!(output.summary, "a | b is not data");
        assert_eq!((output.long.as_str(), output.data.len()), ("second | third", 0));
        let output = PluginOutput::parse("\n\nOK |\n");
        assert_eq!((output.summary.as_str(), output.data.len()), ("OK", 0));
        assert_eq!(PluginOutput::parse("\n\n"), PluginOutput::default());
    }

    #[test]
    fn numbers_are_bounded_in_count() {
        let many = "x=1 ".repeat(10_000);
        assert_eq!(PluginOutput::parse(&format!("OK | {many}")).data.len(), DATA_MAX);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[ -~äÄ\n'|;=:@~,]{0,80}") {
            let output = PluginOutput::parse(&text);
            prop_assert!(output.data.len() <= DATA_MAX);
        }
    }
}
