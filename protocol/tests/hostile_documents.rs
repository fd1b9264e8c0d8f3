//! Texts that nobody would write: none makes reading panic, take long or answer differently twice.

use proptest::prelude::*;
use protocol::document::{
    bundle::{Bundle, Source},
    parse::parse,
    validate::read_bundle,
};
use std::collections::BTreeMap;

const EXAMPLE: &str = include_str!("fixtures/example.toml");

fn source(file: &str, text: &str) -> Source {
    Source { file: file.to_owned(), text: text.to_owned() }
}

fn bundle(text: &str) -> Bundle {
    Bundle { mesh: [0; 32], revision: 1, sources: vec![source("f.toml", text)] }
}

#[test]
fn hostile_texts_are_refused_in_time() {
    // Each of these would cost the square of its length if places or distances were looked up
    // carelessly.
    let pairs: String = (0..100_000).map(|number| format!("k{number}=ä, ")).collect();
    let labels: String = (0..100_000).map(|number| format!("k{number}=1,")).collect();
    for text in [
        "[".repeat(1 << 20),
        "{".repeat(1 << 20),
        format!("a = {}", "[".repeat(1 << 20)),
        "a.".repeat(1 << 20),
        pairs,
        format!("check = [{{ where = {{ {labels} }} }}]"),
        "x=1\n[x]\n".repeat(100_000),
        "[[runbook.rung]]\n".repeat(100_000),
    ] {
        assert!(parse(&source("f.toml", &text)).is_err(), "{}", &text[..20]);
    }
    assert!(parse(&source("f.toml", "name = \"\0\"")).is_err());
    let problems = parse(&source("a\u{1b}[2J", "x")).expect_err("no value");
    assert_eq!(problems.list()[0].file, "a\\u{1b}[2J");
}

/// Words and punctuation that documents are made of, in any order.
fn soup() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "[[check]]\n",
        "[check]\n",
        "[[runbook]]\n",
        "[[runbook.rung]]\n",
        "[runbook.rung]\n",
        "[[runbook.evidence]]\n",
        "[[notifier]]\n",
        "[limits]\n",
        "[[limits]]\n",
        "[mesh]\n",
        "[[remove]]\n",
        "name",
        "kind",
        "on",
        "where",
        "command",
        "run",
        "notify",
        "every",
        "url",
        "check",
        "peer",
        "by",
        "rung",
        "at_once",
        "voters_max",
        " = ",
        ".",
        ",",
        "\"a\"",
        "\"1s\"",
        "\"silent\"",
        "\"webhook\"",
        "'''",
        "\"\"\"",
        "[",
        "]",
        "{",
        "}",
        "\n",
        "\r\n",
        "#",
        "0",
        "-1",
        "1e9",
        "0x_",
        "nan",
        "true",
        "1979-05-27",
        "\\u0000",
        "ä",
        "\u{feff}",
        "\"check\"",
        "\"http://a/\"",
        "\"a:1\"",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

/// The example with a few of its characters replaced, so that most of it still parses.
fn damaged() -> impl Strategy<Value = String> {
    let damage = (0..EXAMPLE.len(), 0..6_usize, "[ -~\\nä]{0,4}");
    prop::collection::vec(damage, 1..4).prop_map(|all| {
        let mut text: Vec<char> = EXAMPLE.chars().collect();
        for (at, length, new) in all {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.splice(at..end, new.chars());
        }
        text.into_iter().collect()
    })
}

fn reading_is_total(text: &str) {
    let first = parse(&source("f.toml", text));
    assert_eq!(first, parse(&source("f.toml", text)), "the same text, the same answer");
    let lines = text.split('\n').count();
    if let Err(problems) = &first {
        assert!(!problems.list().is_empty());
        for problem in problems.list() {
            assert!((1..=lines).contains(&problem.line) && problem.column > 0, "{problem:?}");
            assert!(!problem.to_string().contains(char::is_control), "{problem:?}");
        }
    }
    let current = read_bundle(&bundle(EXAMPLE), &BTreeMap::new()).expect("it is valid");
    let after = read_bundle(&bundle(text), &current);
    assert_eq!(after, read_bundle(&bundle(text), &current));
    match (first, after) {
        (Err(first), after) => assert_eq!(after, Err(first)),
        (Ok(parsed), Ok(after)) => assert!(after.len() <= current.len() + parsed.len()),
        (Ok(_), Err(problems)) => assert!(!problems.list().is_empty()),
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text: String) {
        reading_is_total(&text);
    }

    #[test]
    fn any_mixture_of_words_is_read_or_refused(text in soup()) {
        reading_is_total(&text);
    }

    #[test]
    fn a_damaged_document_is_read_or_refused(text in damaged()) {
        reading_is_total(&text);
    }
}
