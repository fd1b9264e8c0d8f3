//! What is wrong with documents, where, and what to write instead.
//!
//! An operator who applies a folder wants to hear about everything at once, so problems are
//! gathered and not thrown at the first. They are bounded, because the text may be hostile: only
//! the first few are kept, the rest is counted.

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt};

/// As many problems are kept as fit a screen; the rest is counted.
pub const PROBLEMS_KEPT: usize = 20;

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// The key that it is about, when it is about one.
    pub key: Option<String>,
    /// What is wrong, and with which document.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that is wrong with documents: at least one problem, in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    kept: Vec<Problem>,
    more: usize,
}

impl Problems {
    /// The problems that were kept: the first [`PROBLEMS_KEPT`].
    pub fn list(&self) -> &[Problem] {
        &self.kept
    }

    /// How many more there were.
    pub const fn more(&self) -> usize {
        self.more
    }

    /// A single problem.
    pub(super) fn one(problem: Problem) -> Self {
        Self { kept: vec![problem], more: 0 }
    }

    /// All of these problems, if there are any.
    pub(super) fn of(found: Vec<Problem>) -> Option<Self> {
        let more = found.len().saturating_sub(PROBLEMS_KEPT);
        let kept: Vec<Problem> = found.into_iter().take(PROBLEMS_KEPT).collect();
        if kept.is_empty() { None } else { Some(Self { kept, more }) }
    }

    /// Adds the problems of a later file.
    pub(super) fn append(&mut self, later: Self) {
        self.kept.extend(later.kept);
        let over = self.kept.len().saturating_sub(PROBLEMS_KEPT);
        self.kept.truncate(PROBLEMS_KEPT);
        self.more = self.more.saturating_add(later.more).saturating_add(over);
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, problem) in self.kept.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        if self.more > 0 { write!(f, "\n… and {} more", self.more) } else { Ok(()) }
    }
}

impl std::error::Error for Problems {}

/// Problems of one text while it is walked, each at a byte of it.
///
/// The walk goes table by table and key by key; the report puts what it finds into the order of
/// the text.
#[derive(Debug, Default)]
pub(super) struct Report {
    kept: BTreeMap<(usize, usize), Finding>,
    found: usize,
}

#[derive(Debug)]
struct Finding {
    key: Option<String>,
    message: String,
    hint: Option<String>,
}

impl Report {
    /// Notes a problem at this byte of the text.
    pub(super) fn add(
        &mut self,
        offset: usize,
        key: Option<&str>,
        message: String,
        hint: Option<String>,
    ) {
        let finding = Finding { key: key.map(shown), message, hint };
        self.kept.insert((offset, self.found), finding);
        self.found = self.found.saturating_add(1);
        if self.kept.len() > PROBLEMS_KEPT {
            self.kept.pop_last();
        }
    }

    /// What was found, as places in the file; `None` when nothing was.
    pub(super) fn finish(self, file: &str, lines: &Lines) -> Option<Problems> {
        let more = self.found.saturating_sub(self.kept.len());
        let kept: Vec<Problem> = self
            .kept
            .into_iter()
            .map(|((offset, _), finding)| {
                let Finding { key, message, hint } = finding;
                let (line, column) = lines.place(offset);
                Problem { file: file.to_owned(), line, column, key, message, hint }
            })
            .collect();
        if kept.is_empty() { None } else { Some(Problems { kept, more }) }
    }
}

/// Where the lines of a text begin.
#[derive(Debug)]
pub(super) struct Lines {
    starts: Vec<usize>,
    /// The bytes that begin no character; without them a column would count bytes, and with a
    /// walk over the line instead, a hostile text of one line would cost the square of its length.
    continuations: Vec<usize>,
}

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let mut starts = vec![0];
        let mut continuations = Vec::new();
        for (offset, byte) in text.bytes().enumerate() {
            match byte {
                b'\n' => starts.push(offset + 1),
                0x80..=0xbf => continuations.push(offset),
                _ => {}
            }
        }
        Self { starts, continuations }
    }

    /// Line and column of a byte, both counted from 1.
    pub(super) fn place(&self, offset: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts[line - 1];
        let before = |limit: usize| self.continuations.partition_point(|byte| *byte < limit);
        let column = offset - start - (before(offset) - before(start)) + 1;
        (line, column)
    }
}

/// Text of an operator's as it can be shown in a message: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    const CHARACTERS: usize = 80;
    let mut short: String = text.chars().take(CHARACTERS).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    let quoted = format!("{short:?}");
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// [`shown`] in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// The known word that was probably meant, if one is near enough.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // The distance costs the product of the lengths, and no known word is longer than a name.
    let word: String = word.chars().take(80).flat_map(char::to_lowercase).collect();
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| {
            *distance <= (word.chars().count().max(candidate.len()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "cooldown"?`, if a known word is near enough.
pub(crate) fn did_you_mean<'a>(
    word: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(word, known).map(|known| format!("did you mean {known:?}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_count_lines_and_characters_from_one() {
        let text = "a\nbä c\n\nd";
        let lines = Lines::of(text);
        let place = |needle: &str| lines.place(text.find(needle).expect("it is there"));
        assert_eq!(place("a"), (1, 1));
        assert_eq!(place("b"), (2, 1));
        assert_eq!(place("c"), (2, 4), "ä is one character");
        assert_eq!(place("d"), (4, 1));
        assert_eq!(lines.place(text.len()), (4, 2), "the end of the text");
        assert_eq!(Lines::of("").place(0), (1, 1));
    }

    #[test]
    fn only_the_first_problems_of_the_text_are_kept_and_the_rest_is_counted() {
        let mut report = Report::default();
        for offset in (0..50).rev() {
            report.add(offset, None, format!("at {offset}"), None);
        }
        let problems = report.finish("f", &Lines::of(&"\n".repeat(50))).expect("problems");
        assert_eq!(problems.list().len(), PROBLEMS_KEPT);
        assert_eq!(problems.list()[0].to_string(), "f:1: at 0");
        assert_eq!(problems.more(), 30);
        assert!(problems.to_string().ends_with("f:20: at 19\n… and 30 more"));
        let mut both = problems.clone();
        both.append(problems);
        assert_eq!((both.list().len(), both.more()), (PROBLEMS_KEPT, 80));
    }

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["cooldown", "where", "on", "rung"];
        assert_eq!(nearest("cooldwn", known), Some("cooldown"));
        assert_eq!(nearest("Rungs", known), Some("rung"));
        assert_eq!(nearest("no", known), Some("on"));
        assert_eq!(nearest("interval", known), None);
        assert_eq!(nearest(&"x".repeat(1 << 20), known), None);
    }

    #[test]
    fn what_is_shown_is_short_and_cannot_move_the_cursor() {
        assert_eq!(shown("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(shown(&"ä".repeat(100)).chars().count(), 81);
    }
}
