//! `hearten`: the daemon and its commands in one binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    node::cli::main_with(
        |_data_dir| anyhow::bail!("this build has no daemon"),
        |_options| anyhow::bail!("this build has no daemon to show"),
    )
}
