//! `weir link`: emulated links on real packets.

mod capture;
mod control;
mod flags;
mod relay;
mod run;
mod trace;
mod view;

use std::process::ExitCode;

use clap::Subcommand;

/// Emulate a network link, and prove what it did.
#[derive(clap::Args)]
#[group(id = "link")]
#[command(
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = EXAMPLES
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Relay UDP over an emulated link: no privileges needed.
    Udp(relay::UdpArgs),
    /// Relay TCP over an emulated link: no privileges needed.
    Tcp(relay::TcpArgs),
    /// Relay RTSP and its media over an emulated link: no privileges needed.
    Rtsp(relay::RtspArgs),
    /// Run several relays that a file describes.
    Relay(relay::RelayArgs),
    /// Run a command on a host of a running topology.
    Exec(run::ExecArgs),
    /// Change a link while it runs.
    Set(control::SetArgs),
    /// Show the links that run.
    Show(control::ShowArgs),
    /// Record the packets of a running link, or say what a capture says.
    Capture(capture::CaptureArgs),
    /// Show running links in the terminal, with keys to change them.
    View(view::ViewArgs),
    /// Convert, plot and describe traces of rates.
    Trace(trace::Args),
}

const EXAMPLES: &str = "\
Examples:
  weir link udp 5004 127.0.0.1:5005 --rate 3mbit --delay 40ms --loss 1%
  weir link tcp 8081 127.0.0.1:8080 --rate 10mbit --delay 20ms
  weir link rtsp 8555 127.0.0.1:8554 --rate 3mbit --loss 1%
  weir link --rate 5mbit --delay 20ms -- curl http://example.com/
  weir link set rate=2mbit delay=50ms
  weir link show";

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Some(Command::Udp(args)) => relay::udp(args),
        Some(Command::Tcp(args)) => relay::tcp(args),
        Some(Command::Rtsp(args)) => relay::rtsp(args),
        Some(Command::Relay(args)) => relay::relay(args),
        Some(Command::Exec(args)) => run::exec(args),
        Some(Command::Set(args)) => control::set(args),
        Some(Command::Show(args)) => control::show(args),
        Some(Command::Capture(args)) => capture::run(args),
        Some(Command::View(args)) => view::view(args),
        Some(Command::Trace(args)) => trace::run(args),
        None => run::run(&args.run),
    }
}
