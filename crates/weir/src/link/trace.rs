//! `weir link trace`.

use std::process::ExitCode;

/// The options of `weir link trace`.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: &Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
