//! Hiding secrets in what a command printed.
//!
//! A program may print a secret as it is, in one of the forms in which it hands it on (base64 of an
//! HTTP header, a part of an address, the inside of a JSON string), or broken over lines. Each
//! form is looked for, line ends within it passed over, and replaced.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};
use zeroize::Zeroizing;

/// What stands in the place of a secret.
const HIDDEN: &[u8] = b"***";

/// From how many bytes on its other forms are looked for as well: of a shorter one they are
/// nothing but a few letters, which stand everywhere.
const FORMS_FROM_BYTES: usize = 4;

/// How much of a secret beside a place where output was left out gives it away.
const PIECE_BYTES: usize = 4;

/// What [`crate::exec::output`] puts where output was left out, at its beginning and its end.
const SEAM: (&str, &str) = ("\n[… ", " bytes left out …]\n");

/// The secrets of a host, in all their forms; the longest first.
#[derive(Debug, Clone, Default)]
pub struct Mask {
    forms: Vec<Zeroizing<Vec<u8>>>,
}

impl Mask {
    /// Hides these values.
    pub fn of<'a>(values: impl Iterator<Item = &'a str>) -> Self {
        let mut forms: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for value in values.filter(|value| !value.is_empty()) {
            forms.push(without_line_ends(value.as_bytes()).into());
            if value.len() >= FORMS_FROM_BYTES {
                forms.extend(encoded(value).into_iter().map(Zeroizing::new));
            }
        }
        forms.retain(|form| !form.is_empty());
        forms.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.as_slice().cmp(b)));
        forms.dedup();
        Self { forms }
    }

    /// The text with `***` for each secret.
    pub fn apply(&self, text: String) -> String {
        if self.forms.is_empty() {
            return text;
        }
        let hidden = self.hidden(text.as_bytes());
        if hidden.iter().all(|hidden| !hidden) {
            return text;
        }
        let mut kept = Vec::with_capacity(text.len());
        for (at, byte) in text.bytes().enumerate() {
            let hides = |at: usize| hidden.get(at).copied().unwrap_or(false);
            if !hides(at) {
                kept.push(byte);
            } else if at == 0 || !hides(at - 1) {
                kept.extend_from_slice(HIDDEN);
            }
        }
        // Secrets are text, and so is what remains between them; a piece at a seam may cut a
        // character.
        String::from_utf8(kept)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Which bytes are of a secret.
    fn hidden(&self, text: &[u8]) -> Vec<bool> {
        // Where each byte that is no line end stands in the text.
        let places: Vec<usize> =
            (0..text.len()).filter(|at| !matches!(text[*at], b'\n' | b'\r')).collect();
        let flat: Vec<u8> = places.iter().map(|at| text[*at]).collect();
        let mut hidden = vec![false; text.len()];
        let mut hide = |from: usize, to: usize| {
            if let (Some(first), Some(last)) = (places.get(from), places.get(to.saturating_sub(1)))
            {
                hidden[*first..=*last].fill(true);
            }
        };
        for form in &self.forms {
            for at in found(&flat, form) {
                hide(at, at + form.len());
            }
        }
        for (before, after) in seams(&flat) {
            for form in &self.forms {
                let longest = form.len().saturating_sub(1);
                let begins = (PIECE_BYTES..=longest)
                    .rev()
                    .find(|length| flat[..before].ends_with(&form[..*length]));
                if let Some(length) = begins {
                    hide(before - length, before);
                }
                let ends = (PIECE_BYTES..=longest)
                    .rev()
                    .find(|length| flat[after..].starts_with(&form[form.len() - length..]));
                if let Some(length) = ends {
                    hide(after, after + length);
                }
            }
        }
        hidden
    }
}

/// Every place where `wanted` begins.
fn found<'a>(text: &'a [u8], wanted: &'a [u8]) -> impl Iterator<Item = usize> + 'a {
    text.windows(wanted.len())
        .enumerate()
        .filter(move |(_, part)| *part == wanted)
        .map(|(at, _)| at)
}

/// Where something was left out: where what came before ends, and what came after begins.
fn seams(flat: &[u8]) -> Vec<(usize, usize)> {
    let (begin, end) = (SEAM.0.trim().as_bytes(), SEAM.1.trim().as_bytes());
    found(flat, begin)
        .filter_map(|before| {
            let rest = flat.get(before..)?;
            let ends = found(rest, end).next()?;
            Some((before, before + ends + end.len()))
        })
        .collect()
}

fn without_line_ends(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect()
}

/// The forms in which programs hand a text on.
fn encoded(value: &str) -> Vec<Vec<u8>> {
    let bytes = value.as_bytes();
    let mut forms = vec![HEXLOWER.encode(bytes).into_bytes(), HEXUPPER.encode(bytes).into_bytes()];
    // Within a longer text, such as `user:password`, base64 has three alignments. What depends on
    // the neighbours, at both ends, is left off.
    for before in 0..3_usize {
        let shifted = [&vec![0; before][..], bytes].concat();
        let first = (before * 8).div_ceil(6);
        let whole = shifted.len() * 8 / 6;
        for text in [BASE64.encode(&shifted), BASE64URL_NOPAD.encode(&shifted)] {
            forms.push(text.as_bytes()[first.min(whole)..whole].to_vec());
        }
    }
    for upper in [true, false] {
        for all in [true, false] {
            forms.push(percent(bytes, upper, all));
        }
    }
    let quoted = serde_json::Value::from(value).to_string();
    forms.push(quoted.as_bytes()[1..quoted.len() - 1].to_vec());
    // As a shell's word: ' becomes '\''.
    forms.push(value.replace('\'', "'\\''").into_bytes());
    forms.retain(|form| form.len() >= FORMS_FROM_BYTES);
    forms
}

/// As a part of an address: with a blank as `%20`, or, in a form's body, as `+`.
fn percent(bytes: &[u8], upper: bool, blanks: bool) -> Vec<u8> {
    let mut text = String::new();
    for byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(byte) {
            text.push(char::from(*byte));
        } else if *byte == b' ' && !blanks {
            text.push('+');
        } else if upper {
            text.push_str(&format!("%{byte:02X}"));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::output::Output;

    const SECRET: &str = "s3cr&t \"/päss'word";

    fn hidden(text: &str) -> String {
        Mask::of([SECRET, "ab", ""].into_iter()).apply(text.to_owned())
    }

    #[test]
    fn every_form_of_a_secret_is_hidden() {
        assert_eq!(
            hidden(&format!("password={SECRET}, again {SECRET}")),
            "password=***, again ***"
        );
        assert_eq!(
            hidden("ab, and what is short in capitals is not: AB"),
            "***, and what is short in capitals is not: AB"
        );
        for before in ["", "u", "us", "user:"] {
            let text = BASE64.encode(format!("{before}{SECRET}").as_bytes());
            let left = hidden(&format!("Authorization: Basic {text}"));
            assert!(left.contains("***"), "{before}: {left}");
            // At the most the characters that it shares with its neighbours are left.
            let rest = left.split_once("***").unwrap().1;
            assert!(rest.len() <= 4, "{before}: {left}");
        }
        for form in [
            "http://x/s3cr%26t%20%22%2Fp%C3%A4ss%27word/",
            "http://x/?p=s3cr%26t+%22%2fp%c3%a4ss%27word&",
            "{\"p\":\"s3cr&t \\\"/päss'word\"}",
            "fence -p 's3cr&t \"/päss'\\''word'",
        ] {
            let left = hidden(form);
            assert!(left.contains("***") && !left.contains("s3cr"), "{form}: {left}");
        }
        let hex = HEXLOWER.encode(SECRET.as_bytes());
        assert_eq!(hidden(&hex), "***");
    }

    #[test]
    fn a_secret_that_is_broken_over_lines_is_hidden() {
        let broken = format!("{}\n{}\r\n{}", &SECRET[..3], &SECRET[3..9], &SECRET[9..]);
        assert_eq!(hidden(&format!("a\n{broken}\nb")), "a\n***\nb");
        let wrapped: Vec<String> = BASE64
            .encode(SECRET.as_bytes())
            .as_bytes()
            .chunks(8)
            .map(|line| String::from_utf8(line.to_vec()).unwrap())
            .collect();
        let left = hidden(&wrapped.join("\n"));
        assert!(left.starts_with("***") && left.len() <= 3 + 4, "{left}");
    }

    #[test]
    fn half_a_secret_beside_a_cut_is_hidden() {
        for shift in 0..SECRET.len() {
            let mut output = Output::new(256);
            let head = "x".repeat(96 - SECRET.len() + shift);
            output.push(format!("{head}{SECRET}{}{SECRET}", "y".repeat(900)).as_bytes());
            output.push("z".repeat(96 - shift).as_bytes());
            let text = output.into_text();
            assert!(text.contains("left out"), "{text}");
            let left = hidden(&text);
            for piece in ["s3cr", "word", "päss"] {
                assert!(!left.contains(piece), "{shift}: {left}");
            }
        }
    }

    #[test]
    fn what_is_no_secret_stays_as_it_is() {
        let text = "häll😀\n\r\n".repeat(50);
        assert_eq!(hidden(&text), text);
        assert_eq!(Mask::default().apply(text.clone()), text);
    }
}
