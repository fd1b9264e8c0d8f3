//! Operators' own tests of their documents: `[[test]]` tables, played by the very agents and the
//! very ledger in virtual time, without a mesh.
//!
//! All files that are named together are one set of documents, as `hearten apply` would make one
//! revision of them. [`stage`] makes a story of a test, [`history`] tells what became of it, and
//! [`judge`] holds that against what was expected.

mod history;
mod judge;
pub(crate) mod output;
mod stage;

use crate::world::World;
use history::History;
use protocol::document::{
    Document, DocumentKey,
    bundle::{BUNDLE_BYTES_MAX, Bundle, Source},
    test::{Test, reference::read_tests},
    validate::read_bundle,
};
use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    time::Duration,
};

/// How much virtual time goes by between two looks at the real clock.
const SLICE: Duration = Duration::from_secs(60);

/// The documents of all files and their tests.
#[derive(Debug)]
pub(crate) struct Suite {
    /// The files.
    pub(crate) sources: Vec<Source>,
    /// What they come to.
    pub(crate) documents: BTreeMap<DocumentKey, Document>,
    /// The tests, in the order of the files.
    pub(crate) tests: Vec<Test>,
}

/// What became of one test.
#[derive(Debug)]
pub(crate) struct Verdict<'s> {
    /// Which test.
    pub(crate) test: &'s Test,
    /// With which seed.
    pub(crate) seed: u64,
    /// How long it went on, in virtual time.
    pub(crate) lasted: Duration,
    /// What is otherwise than expected; nothing when the test holds.
    pub(crate) faults: Vec<Fault>,
    /// What happened.
    pub(crate) history: History,
}

impl Verdict<'_> {
    /// Whether everything is as expected.
    pub(crate) const fn holds(&self) -> bool {
        self.faults.is_empty()
    }
}

/// Something that is otherwise than expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The line of the test's file that expects it.
    pub(crate) line: usize,
    /// What was expected.
    pub(crate) expected: String,
    /// What was so instead.
    pub(crate) found: String,
}

impl Suite {
    /// Reads files, and of directories every `*.toml` in the order of their names.
    ///
    /// # Errors
    /// What is wrong with them, one problem a line.
    pub(crate) fn read(paths: &[PathBuf]) -> Result<Self, String> {
        let mut sources = Vec::new();
        let mut left = BUNDLE_BYTES_MAX;
        for path in paths {
            let files =
                if path.is_dir() { crate::cli::toml_files(path)? } else { vec![path.clone()] };
            for file in files {
                let text = read_text(&file, left)?;
                left = left.saturating_sub(text.len());
                sources.push(Source { file: file.display().to_string(), text });
            }
        }
        Self::of(sources)
    }

    /// Reads texts.
    ///
    /// # Errors
    /// What is wrong with them, one problem a line.
    pub(crate) fn of(sources: Vec<Source>) -> Result<Self, String> {
        let bundle = Bundle { mesh: [0; 32], revision: 1, sources };
        let documents = read_bundle(&bundle, &BTreeMap::new()).map_err(|e| e.to_string())?;
        let sources = bundle.sources;
        let tests = read_tests(&sources, &documents).map_err(|e| e.to_string())?;
        if tests.is_empty() {
            let files: Vec<&str> = sources.iter().map(|source| source.file.as_str()).collect();
            return Err(format!("{}: there is no [[test]] in it", files.join(", ")));
        }
        Ok(Self { sources, documents, tests })
    }

    /// Plays one test; `progress` hears now and then how far it is, and of how much.
    pub(crate) fn play<'s>(
        &'s self,
        test: &'s Test,
        seed: u64,
        mut progress: impl FnMut(Duration, Duration),
    ) -> Verdict<'s> {
        let lasts = stage::lasts(test, &self.documents);
        let story = stage::story(test, &self.sources, lasts);
        let mut world = World::new(&story, seed, false);
        let end = stage::WARM_UP + lasts;
        while world.time < end && world.violation.is_none() {
            world.run_until(end.min(world.time + SLICE));
            progress(world.time.saturating_sub(stage::WARM_UP), lasts);
        }
        let history = History::of(test, &world);
        let mut faults = judge::judge(test, &history);
        if let Some(broken) = &world.violation {
            faults.push(Fault {
                line: test.place.line,
                expected: format!("invariant \"{}\" holds; this is a bug", broken.invariant),
                found: broken.what.clone(),
            });
        }
        Verdict { test, seed, lasted: lasts, faults, history }
    }
}

fn read_text(path: &Path, left: usize) -> Result<String, String> {
    let refusal = |what: String| format!("{}: {what}", path.display());
    let limit = u64::try_from(left).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| refusal(error.to_string()))?;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| refusal(error.to_string()))?;
    if bytes.len() > left {
        let most = format!("with this file the documents exceed {BUNDLE_BYTES_MAX} bytes together");
        return Err(refusal(most));
    }
    String::from_utf8(bytes).map_err(|_not_text| refusal("it is not UTF-8 text".to_owned()))
}

#[cfg(test)]
mod tests;
