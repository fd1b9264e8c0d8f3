//! The file of tokens: who may send something, and whose jobs he makes and sees.

use crate::intake::namespace::Namespace;
use protocol::name::Name;
use sha2::{Digest, Sha256};
use std::path::Path;

/// The longest token.
const TOKEN_BYTES_MAX: usize = 1_024;

/// A line of the file: a sender's name, its token, and `namespace=NAME` where it makes and sees only
/// such jobs. What begins with `#` is a comment.
pub(super) struct Line<'a> {
    number: usize,
    name: &'a str,
    token: &'a str,
    more: Vec<&'a str>,
}

/// Its lines.
pub(super) fn lines(known: &str) -> impl Iterator<Item = Line<'_>> {
    known.lines().enumerate().filter_map(|(before, line)| {
        let mut words = line.split_whitespace().take_while(|word| !word.starts_with('#'));
        let (name, token) = (words.next()?, words.next()?);
        Some(Line { number: before + 1, name, token, more: words.collect() })
    })
}

impl Line<'_> {
    /// Whose jobs its sender makes and sees; or what is wrong, after the line's number. The words
    /// themselves are not told: one may be a token.
    pub(super) fn jobs(&self) -> Result<Namespace, String> {
        const KEY: &str = "namespace=";
        let wrong = |why: &str| Err(format!("{}: {why}", self.number));
        match self.more.as_slice() {
            [] => Ok(Namespace::ALL),
            [one] => match one.strip_prefix(KEY).map(Name::parse) {
                Some(Ok(name)) => Ok(Namespace::of(name)),
                Some(Err(_)) => {
                    wrong("the namespace is no name: use letters, digits, \"-\", \"_\" and \".\"")
                }
                None => wrong(
                    "what follows the token is not understood: write namespace=NAME, or \"#\" before a comment",
                ),
            },
            [_, ..] => wrong("a token has one namespace, and nothing but a comment after it"),
        }
    }
}

/// Who bears a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bearer {
    /// The name on the token's first line.
    pub(super) name: String,
    /// Whose jobs he makes and sees.
    pub(super) jobs: Namespace,
}

/// Who bears this token, or what is wrong with its line; nothing where there is no such token.
pub(super) fn bearer(token: &str, known: &str) -> Option<Result<Bearer, String>> {
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX {
        return None;
    }
    // Hashes are compared, so that how long it takes says nothing about the tokens.
    let hash = Sha256::digest(token);
    let mut found: Option<(Line<'_>, Result<Namespace, String>)> = None;
    for line in lines(known).filter(|line| Sha256::digest(line.token) == hash) {
        let jobs = line.jobs();
        match &found {
            Some((first, earlier)) if *earlier != jobs => {
                let (number, first) = (line.number, first.number);
                let why = format!("{number}: line {first} says another thing of this token");
                return Some(Err(why));
            }
            Some(_) => {}
            None => found = Some((line, jobs)),
        }
    }
    found.map(|(line, jobs)| jobs.map(|jobs| Bearer { name: line.name.to_owned(), jobs }))
}

/// `FILE:LINE: …`.
pub(super) fn at(file: &Path, why: &str) -> String {
    format!("{}:{why}", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_be_for_a_namespace_and_a_line_that_says_something_else_is_for_nothing() {
        let team = |name: &str| Namespace::of(Name::parse(name).unwrap());
        let by = |name: &str, jobs: Namespace| Bearer { name: name.to_owned(), jobs };
        let known = "ops one\nshop two namespace=shop # theirs\n\n# three four\n\
             typo five namspace=shop\nnone six namespace=\nslash seven namespace=a/b\n\
             many eight namespace=a namespace=b\ntwice nine\ntwice nine namespace=a\nlone\n";
        assert_eq!(bearer("one", known), Some(Ok(by("ops", Namespace::ALL))));
        assert_eq!(bearer("two", known), Some(Ok(by("shop", team("shop")))));
        for unknown in ["three", "four", "shop", "namespace=shop", "lone", ""] {
            assert_eq!(bearer(unknown, known), None, "{unknown}");
        }
        for (token, said) in [
            ("five", "5: what follows the token is not understood: write namespace=NAME"),
            ("six", "6: the namespace is no name"),
            ("seven", "7: the namespace is no name"),
            ("eight", "8: a token has one namespace"),
            ("nine", "10: line 9 says another thing of this token"),
        ] {
            let why = bearer(token, known).unwrap().unwrap_err();
            assert!(why.starts_with(said), "{token}: {why}");
        }
    }
}
