//! `weir link set`, `weir link show` and `weir link capture`.

use std::process::ExitCode;

/// The options of `weir link set`.
#[derive(clap::Args)]
pub(crate) struct SetArgs {}

/// The options of `weir link show`.
#[derive(clap::Args)]
pub(crate) struct ShowArgs {}

/// The options of `weir link capture`.
#[derive(clap::Args)]
pub(crate) struct CaptureArgs {}

pub(crate) fn set(_: &SetArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}

pub(crate) fn show(_: &ShowArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}

pub(crate) fn capture(_: &CaptureArgs) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not built yet")
}
