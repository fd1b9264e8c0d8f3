//! `hearten-sim`: runs stories through the model ring.

use clap::Parser;
use simulator::cli::{Arguments, execute};
use std::process::ExitCode;

fn main() -> ExitCode {
    execute(Arguments::parse())
}
