//! What a fence agent says of itself, without the noise around it.

/// How much of what an agent said is passed on, in lines.
const LINES_MAX: usize = 3;

/// The lines that say something, the last few of them: without what an interpreter says of the
/// program's text, and without the moment that a logger puts before each line.
pub(super) fn last_words(output: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut quoting = false;
    for line in output.lines() {
        // After a warning of Python's stands, indented, the line that it is about.
        if quoting && line.starts_with(' ') {
            continue;
        }
        quoting = line.contains("Warning: ");
        let line = without_moment(line.trim());
        let executing = line.starts_with("INFO: Executing:");
        let told = ["ERROR: ", "DEBUG: ", "WARNING: ", "INFO: "];
        let said = told.iter().find_map(|level| line.strip_prefix(level)).unwrap_or(line).trim();
        if !quoting && !executing && !said.is_empty() && !lines.iter().any(|known| known == said) {
            lines.push(said.to_owned());
        }
    }
    lines.split_off(lines.len().saturating_sub(LINES_MAX))
}

/// Whether this is what agents and their tools say when a name or a password is wrong.
pub(super) fn seems_login(line: &str) -> bool {
    let line = line.to_lowercase();
    [
        "password",
        "unauthorized",
        "not authorized",
        "authentication",
        "permission denied",
        "access denied",
        "login",
        "rakp",
        "hmac",
        "privilege",
        "unable to establish ipmi",
    ]
    .iter()
    .any(|word| line.contains(word))
}

/// `2026-11-21 09:50:55,848 ERROR: …` without its first two words.
fn without_moment(line: &str) -> &str {
    let is_moment = |word: &str| {
        word.len() >= 8
            && word.starts_with(|first: char| first.is_ascii_digit())
            && word.bytes().all(|byte| byte.is_ascii_digit() || b"-:,.".contains(&byte))
    };
    match line.splitn(3, ' ').collect::<Vec<_>>()[..] {
        [date, time, rest] if is_moment(date) && is_moment(time) => rest,
        _ => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_agents_words_those_are_kept_that_say_something() {
        let output = "/usr/sbin/fence_ipmilan:5: DeprecationWarning: 'pipes' is deprecated\n  \
            from pipes import quote\n\
            2026-11-21 09:50:55,947 INFO: Executing: /usr/bin/ipmitool -I lanplus -P [set]\n\n\
            2026-11-21 09:50:56,032 DEBUG: 1  Error: Unable to establish IPMI v2 / RMCP+ session\n\n\
            2026-11-21 09:50:56,032 ERROR: Failed: Unable to obtain correct plug status\n\n";
        let words = last_words(output);
        assert_eq!(
            words,
            [
                "1  Error: Unable to establish IPMI v2 / RMCP+ session",
                "Failed: Unable to obtain correct plug status"
            ]
        );
        assert!(seems_login(&words[0]) && !seems_login(&words[1]));
        assert_eq!(last_words("Status: ON\n"), ["Status: ON"]);
        assert_eq!(last_words("a\nb\nc\nd\nd\n"), ["b", "c", "d"]);
        assert!(last_words("\n \n").is_empty());
    }
}
