//! Completions and manual pages, made from the commands themselves.

use super::{arguments::Cli, output};
use crate::control::{Exit, Failure};
use clap::CommandFactory;
use std::path::Path;

/// `hearten completions`
pub(super) fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hearten", &mut script);
    output::data(&String::from_utf8_lossy(&script))
}

/// `hearten man`
pub(super) fn pages(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| Failure::new(Exit::Failed, format!("{}: {error}", folder.display())))?;
    output::message(&format!("the manual pages are in {}", folder.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_its_page() {
        let folder = tempfile::tempdir().unwrap();
        pages(folder.path()).unwrap();
        for page in ["hearten.1", "hearten-apply.1", "hearten-incident-explain.1"] {
            assert!(folder.path().join(page).exists(), "{page}");
        }
    }
}
