//! `weir link -- COMMAND` and `weir link exec`.

use std::process::ExitCode;

use super::flags::Flags;

/// The options of `weir link -- COMMAND`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: Flags,
    /// What to run behind the link.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The options of `weir link exec`.
#[derive(clap::Args)]
pub(crate) struct ExecArgs {
    /// The host.
    host: String,
    /// What to run there.
    #[arg(last = true, value_name = "COMMAND", required = true)]
    command: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let _ = (args.flags.settings()?, &args.command);
    anyhow::bail!("not built yet")
}

pub(crate) fn exec(args: &ExecArgs) -> anyhow::Result<ExitCode> {
    let _ = (&args.host, &args.command);
    anyhow::bail!("not built yet")
}
