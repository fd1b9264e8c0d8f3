//! What a plugin says: lines of JSON, each one object.

use super::Fault;
use protocol::document::Verdict;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The words that a line may be about.
const WORDS: [&str; 4] = ["finding", "evidence", "wants_heal", "action"];

/// What a phase said.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What was collected.
    pub evidence: Vec<Evidence>,
    /// Whether healing would help, as it thinks; the last word counts.
    pub wants_heal: Option<bool>,
    /// What it did.
    pub actions: Vec<String>,
    /// The lines as they are, for the phases that follow.
    pub lines: Vec<Value>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What, in a few words.
    #[serde(rename = "finding")]
    pub text: String,
    /// `warn`, or `fail` unless said.
    pub severity: Severity,
    /// Whatever else the line says.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Not well, not broken.
    Warn,
    /// Broken.
    #[default]
    Fail,
}

/// One thing that was collected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is.
    #[serde(rename = "evidence")]
    pub name: String,
    /// What was found.
    pub text: String,
}

impl Answer {
    /// Reads what a plugin printed. Empty lines mean nothing.
    ///
    /// # Errors
    /// The first line that is not what was agreed on, by name.
    pub fn parse(output: &str) -> Result<Self, Fault> {
        let mut answer = Self::default();
        let whole = output.ends_with('\n');
        let count = output.lines().count();
        for (number, line) in (1_usize..).zip(output.lines()) {
            if line.trim().is_empty() {
                continue;
            }
            match serde_json::from_str(line) {
                Ok(Value::Object(object)) => answer.take(number, object)?,
                Ok(_) => return Err(Fault::NoObject { line: number, text: shown(line) }),
                Err(error) if error.is_eof() && number == count && !whole => {
                    return Err(Fault::HalfLine { line: number });
                }
                Err(error) => {
                    let (text, error) = (shown(line), error.to_string());
                    return Err(Fault::NotJson { line: number, text, error });
                }
            }
        }
        Ok(answer)
    }

    fn take(&mut self, line: usize, mut object: Map<String, Value>) -> Result<(), Fault> {
        self.lines.push(Value::Object(object.clone()));
        let wrong = |key: &str, wanted: &str| Fault::WrongType {
            line,
            key: key.to_owned(),
            wanted: wanted.to_owned(),
        };
        let word = WORDS.into_iter().find(|word| object.contains_key(*word));
        let Some(word) = word else { return Err(Fault::NothingKnown { line }) };
        let value = object.remove(word).unwrap_or_default();
        match (word, value) {
            ("wants_heal", Value::Bool(wants)) => self.wants_heal = Some(wants),
            ("wants_heal", _) => return Err(wrong(word, "true or false")),
            ("action", Value::String(done)) => self.actions.push(done),
            ("evidence", Value::String(name)) => {
                let Some(Value::String(text)) = object.remove("text") else {
                    return Err(wrong("text", "a string"));
                };
                self.evidence.push(Evidence { name, text });
            }
            ("finding", Value::String(text)) => {
                let severity = match object.remove("severity") {
                    None => Severity::default(),
                    Some(value) => serde_json::from_value(value)
                        .map_err(|_other| wrong("severity", "\"warn\" or \"fail\""))?,
                };
                self.findings.push(Finding { text, severity, details: object });
            }
            (_, _) => return Err(wrong(word, "a string")),
        }
        Ok(())
    }

    /// The worst of what was found; nothing found is a pass.
    pub fn verdict(&self) -> Verdict {
        let verdicts = self.findings.iter().map(|finding| match finding.severity {
            Severity::Warn => Verdict::Warn,
            Severity::Fail => Verdict::Fail,
        });
        verdicts.fold(Verdict::Pass, Verdict::worse)
    }

    /// The worst finding in one line.
    pub fn summary(&self) -> String {
        let worst = self.findings.iter().find(|finding| finding.severity == Severity::Fail);
        match (worst.or(self.findings.first()), self.findings.len()) {
            (None, _) => "no findings".to_owned(),
            (Some(finding), 1) => finding.text.clone(),
            (Some(finding), count) => format!("{} (and {} more)", finding.text, count - 1),
        }
    }
}

fn shown(line: &str) -> String {
    line.chars().take(60).collect()
}
