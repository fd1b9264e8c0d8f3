//! Calendar events as systemd's `OnCalendar=` has them: `Mon..Fri *-*-1..7 18:00:00 Europe/Paris`.
//!
//! Read as systemd.time(7) says: days of the week, a date, a time, each of which may be left out,
//! and a time zone. A part is a number, a list, a range with `..`, repeated with `/`, or `*`. Days
//! behind a `~` are counted from the end of the month. Fractions of a second are not taken.

use jiff::{ToSpan, civil};
use std::{collections::BTreeSet, ops::RangeInclusive};

/// How many days are looked ahead: what does not come within them never comes.
const DAYS_AHEAD: u32 = 366 * 9;

/// The years that an event may name.
const YEARS: RangeInclusive<i16> = 1970..=2200;

/// The words that stand for an event.
const WORDS: [(&str, &str); 9] = [
    ("minutely", "*-*-* *:*:00"),
    ("hourly", "*-*-* *:00:00"),
    ("daily", "*-*-* 00:00:00"),
    ("weekly", "Mon *-*-* 00:00:00"),
    ("monthly", "*-*-01 00:00:00"),
    ("quarterly", "*-01,04,07,10-01 00:00:00"),
    ("semiannually", "*-01,07-01 00:00:00"),
    ("yearly", "*-01-01 00:00:00"),
    ("annually", "*-01-01 00:00:00"),
];

const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A calendar event that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{text}\" is no calendar event: {why}; write \"daily\", \"Mon..Fri 18:30\" or \"*-*-01 04:00:00\""
)]
pub struct CalendarError {
    text: String,
    why: String,
}

/// A calendar event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    weekdays: BTreeSet<i16>,
    years: BTreeSet<i16>,
    months: BTreeSet<i16>,
    days: Days,
    hours: BTreeSet<i16>,
    minutes: BTreeSet<i16>,
    seconds: BTreeSet<i16>,
}

/// Days of a month.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Days {
    /// Counted from its first.
    FromStart(BTreeSet<i16>),
    /// Counted from its last, which is 1.
    FromEnd(Vec<Piece>),
}

impl Days {
    fn has(&self, date: civil::Date) -> bool {
        let day = i16::from(date.day());
        match self {
            Self::FromStart(days) => days.contains(&day),
            Self::FromEnd(pieces) => {
                let count = i16::from(date.days_in_month());
                pieces.iter().any(|piece| piece.has_from_end(day, count))
            }
        }
    }
}

/// From one number on, to another one, each so many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    first: i16,
    /// Nothing where it goes on to the end.
    last: Option<i16>,
    step: i16,
}

impl Piece {
    fn numbers(self, end: i16) -> impl Iterator<Item = i16> {
        let step = usize::try_from(self.step).unwrap_or(1);
        (self.first..=self.last.unwrap_or(end)).step_by(step)
    }

    /// Whether this day is one of them in a month of so many: `~7/2` is its seventh last, the second
    /// one after that, and so on to its end; `~2..8/3` are its eighth, fifth and second last.
    const fn has_from_end(self, day: i16, count: i16) -> bool {
        let from_end = count + 1 - day;
        match self.last {
            Some(last) => {
                self.first <= from_end
                    && from_end <= last
                    && (from_end - self.first) % self.step == 0
            }
            None => from_end <= self.first && (self.first - from_end) % self.step == 0,
        }
    }
}

impl Calendar {
    /// Reads an event, and the time zone that it names.
    ///
    /// # Errors
    /// [`CalendarError`].
    pub fn parse(text: &str) -> Result<(Self, Option<String>), CalendarError> {
        let failed = |why: String| CalendarError { text: text.chars().take(80).collect(), why };
        let mut parts: Vec<&str> = text.split_whitespace().collect();
        let zone = parts.last().filter(|last| is_zone(last)).map(|last| (*last).to_owned());
        if zone.is_some() {
            parts.pop();
        }
        let joined;
        if let [word] = parts.as_slice() {
            let known = WORDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(word));
            joined = known.map_or(*word, |(_, event)| *event);
            parts = joined.split(' ').collect();
        }
        if parts.is_empty() {
            return Err(failed("nothing is said".to_owned()));
        }
        let (mut weekdays, mut date, mut time) = (None, None, None);
        for part in parts {
            // Days of the week, the date and the time stand in this order.
            let (place, later) = match part {
                _ if part.contains(':') => (&mut time, false),
                _ if part.contains(['-', '~']) => (&mut date, time.is_some()),
                _ => (&mut weekdays, date.is_some() || time.is_some()),
            };
            if later || place.replace(part).is_some() {
                return Err(failed(format!("\"{part}\" is one too many")));
            }
        }
        let weekdays = weekdays.map_or(Ok((0..7).collect()), read_weekdays).map_err(failed)?;
        let (years, months, days) = read_date(date.unwrap_or("*-*-*")).map_err(failed)?;
        let (hours, minutes, seconds) = read_time(time.unwrap_or("00:00:00")).map_err(failed)?;
        Ok((Self { weekdays, years, months, days, hours, minutes, seconds }, zone))
    }

    /// The first time after this one, by the clock on the wall.
    pub fn next_after(&self, wall: civil::DateTime) -> Option<civil::DateTime> {
        let mut date = wall.date();
        for number in 0..DAYS_AHEAD {
            if self.is_on(date) {
                let from = if number == 0 { Some(wall.time()) } else { None };
                if let Some(time) = self.time_after(from) {
                    return Some(date.to_datetime(time));
                }
            }
            date = date.checked_add(1.day()).ok()?;
        }
        None
    }

    fn is_on(&self, date: civil::Date) -> bool {
        let weekday = i16::from(date.weekday().to_monday_zero_offset());
        self.years.contains(&date.year())
            && self.months.contains(&i16::from(date.month()))
            && self.days.has(date)
            && self.weekdays.contains(&weekday)
    }

    /// The first time of a day, later than this one.
    fn time_after(&self, after: Option<civil::Time>) -> Option<civil::Time> {
        for hour in &self.hours {
            if after.is_some_and(|after| *hour < i16::from(after.hour())) {
                continue;
            }
            for minute in &self.minutes {
                for second in &self.seconds {
                    let number = |number: i16| i8::try_from(number).ok();
                    let time =
                        civil::Time::new(number(*hour)?, number(*minute)?, number(*second)?, 0);
                    let time = time.ok()?;
                    if after.is_none_or(|after| time > after) {
                        return Some(time);
                    }
                }
            }
        }
        None
    }
}

/// `UTC`, or a name with a slash or of letters that is neither a day nor a word for an event.
fn is_zone(text: &str) -> bool {
    let letters = text.chars().all(|c| c.is_ascii_alphabetic());
    let is_day = text.len() >= 3 && day(text).is_some();
    let is_word = WORDS.iter().any(|(word, _)| word.eq_ignore_ascii_case(text));
    let first = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    text == "UTC"
        || (first && text.contains('/'))
        || (letters && !is_day && !is_word && text.chars().all(|c| c.is_ascii_uppercase()))
}

/// A day of the week, by its name or three letters of it at least; Monday is 0.
fn day(text: &str) -> Option<i16> {
    let text = text.to_ascii_lowercase();
    let place = DAYS.iter().position(|day| text.len() >= 3 && day.starts_with(&text))?;
    i16::try_from(place).ok()
}

fn read_weekdays(text: &str) -> Result<BTreeSet<i16>, String> {
    let mut found = BTreeSet::new();
    for piece in text.trim_end_matches(',').split(',') {
        let (first, last) = piece.split_once("..").unwrap_or((piece, piece));
        let number =
            |text: &str| day(text).ok_or_else(|| format!("{text:?} is no day of the week"));
        let (first, last) = (number(first)?, number(last)?);
        if first <= last {
            found.extend(first..=last);
        } else {
            // Friday to Monday goes over the end of the week.
            found.extend(first..7);
            found.extend(0..=last);
        }
    }
    Ok(found)
}

type Three = (BTreeSet<i16>, BTreeSet<i16>, BTreeSet<i16>);

fn read_date(text: &str) -> Result<(BTreeSet<i16>, BTreeSet<i16>, Days), String> {
    let wrong = || format!("{text:?} is no date");
    let (before, day) = text.rsplit_once(['-', '~']).ok_or_else(wrong)?;
    let parts: Vec<&str> = before.split('-').collect();
    let (year, month) = match parts.as_slice() {
        [month] => ("*", *month),
        [year, month] => (*year, *month),
        _ => return Err(wrong()),
    };
    let (years, months) = (component(year, YEARS)?, component(month, 1..=12)?);
    let days = if text[before.len()..].starts_with('~') {
        Days::FromEnd(pieces(day, &(1..=31))?)
    } else {
        Days::FromStart(component(day, 1..=31)?)
    };
    Ok((years, months, days))
}

fn read_time(text: &str) -> Result<Three, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (hour, minute, second) = match parts.as_slice() {
        [hour, minute] => (*hour, *minute, "00"),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return Err(format!("{text:?} is no time")),
    };
    Ok((component(hour, 0..=23)?, component(minute, 0..=59)?, component(second, 0..=59)?))
}

fn component(text: &str, range: RangeInclusive<i16>) -> Result<BTreeSet<i16>, String> {
    let end = *range.end();
    Ok(pieces(text, &range)?.into_iter().flat_map(|piece| piece.numbers(end)).collect())
}

/// `*`, `7`, `1,5`, `1..5`, `*/15`, `0/15`, `8..18/2`.
fn pieces(text: &str, range: &RangeInclusive<i16>) -> Result<Vec<Piece>, String> {
    let pieces = text.split(',').map(|text| {
        let (of, step) = match text.split_once('/') {
            None => (text, None),
            Some((of, step)) => (of, Some(number(step, &(1..=*range.end()))?)),
        };
        let (first, last) = match (of, of.split_once("..")) {
            ("*", _) => (*range.start(), Some(*range.end())),
            (_, Some((first, last))) => (number(first, range)?, Some(number(last, range)?)),
            (of, None) if step.is_some() => (number(of, range)?, None),
            (of, None) => {
                let only = number(of, range)?;
                (only, Some(only))
            }
        };
        if last.is_some_and(|last| first > last) {
            return Err(format!("{text:?} ends before it begins"));
        }
        Ok(Piece { first, last, step: step.unwrap_or(1) })
    });
    pieces.collect()
}

fn number(text: &str, range: &RangeInclusive<i16>) -> Result<i16, String> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    let number = if digits { text.parse::<i16>().ok() } else { None };
    let number = number.filter(|number| range.contains(number));
    number.ok_or_else(|| format!("{text:?} is none of {} to {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(event: &str, wall: &str) -> String {
        let (calendar, _) = Calendar::parse(event).unwrap();
        let wall = wall.parse().unwrap();
        calendar.next_after(wall).map_or("never".to_owned(), |next| next.to_string())
    }

    #[test]
    fn events_come_when_systemd_says() {
        for (event, wall, due) in [
            ("minutely", "2026-01-01T00:00:00", "2026-01-01T00:01:00"),
            ("hourly", "2026-01-01T00:00:00", "2026-01-01T01:00:00"),
            ("daily", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
            ("weekly", "2026-01-01T00:00:00", "2026-01-05T00:00:00"),
            ("quarterly", "2026-01-01T00:00:00", "2026-04-01T00:00:00"),
            ("Mon..Fri 18:30", "2026-01-02T18:30:00", "2026-01-05T18:30:00"),
            ("Fri..Mon 12:00", "2026-01-05T12:00:00", "2026-01-09T12:00:00"),
            ("Sat,Sun", "2026-01-01T00:00:00", "2026-01-03T00:00:00"),
            ("*-*-1..7 04:00", "2026-01-08T00:00:00", "2026-02-01T04:00:00"),
            ("*:0/15", "2026-01-01T00:14:59", "2026-01-01T00:15:00"),
            ("8..18/5:00", "2026-01-01T09:00:00", "2026-01-01T13:00:00"),
            ("*:*:00/20", "2026-01-01T00:00:41", "2026-01-01T00:01:00"),
            ("02-29 01:00", "2026-01-01T00:00:00", "2028-02-29T01:00:00"),
            ("*-*~01", "2026-01-31T00:00:00", "2026-02-28T00:00:00"),
            ("*-02~03", "2026-01-01T00:00:00", "2026-02-26T00:00:00"),
            ("*-02~03", "2028-01-01T00:00:00", "2028-02-27T00:00:00"),
            ("Mon *-05~07/1", "2026-01-01T00:00:00", "2026-05-25T00:00:00"),
            ("*-*~1..3 04:00", "2026-04-28T04:00:00", "2026-04-29T04:00:00"),
            ("*-*~2..9/3", "2026-01-01T00:00:00", "2026-01-24T00:00:00"),
            ("*-*~2..9/3", "2026-01-27T00:00:00", "2026-01-30T00:00:00"),
            ("*-*~5/2", "2026-01-27T00:00:00", "2026-01-29T00:00:00"),
            ("2030-05-06", "2026-01-01T00:00:00", "2030-05-06T00:00:00"),
            ("2020-05-06", "2026-01-01T00:00:00", "never"),
        ] {
            assert_eq!(next(event, wall), due, "{event}");
        }
    }

    #[test]
    fn the_time_zone_is_the_last_word() {
        let zone = |event: &str| Calendar::parse(event).unwrap().1;
        assert_eq!(zone("daily"), None);
        assert_eq!(zone("Mon"), None);
        assert_eq!(zone("daily UTC").as_deref(), Some("UTC"));
        assert_eq!(zone("Mon 12:00 Europe/Paris").as_deref(), Some("Europe/Paris"));
        assert_eq!(zone("*-*-* 12:00 Europe/Paris").as_deref(), Some("Europe/Paris"));
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        for (event, said) in [
            ("", "nothing is said"),
            ("UTC", "nothing is said"),
            ("whenever", "no day of the week"),
            ("25:00", "\"25\" is none of 0 to 23"),
            ("12:60", "\"60\""),
            ("*-13-01", "\"13\""),
            ("*-*~32", "\"32\" is none of 1 to 31"),
            ("*~*-1", "\"*~*\""),
            ("*~*~1", "\"*~*\""),
            ("~1", "\"\" is none of 1 to 12"),
            ("5..2:00", "ends before it begins"),
            ("*:0/0", "\"0\" is none of 1 to 59"),
            ("12:00 13:00", "one too many"),
            ("12:00 Mon", "one too many"),
            ("1:2:3:4", "no time"),
            ("-1:00", "\"-1\""),
        ] {
            let error = Calendar::parse(event).unwrap_err().to_string();
            assert!(error.contains(said), "{event}: {error}");
        }
    }
}
