//! weir: stream video, shape the network, measure what the viewer saw.
//!
//! One file a command; what they do is in the crates below.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "standard output is where a program's results go")]

mod config;
mod demo;
mod link;
mod log;
mod pattern;
mod play;
mod probe;
mod records;
mod report;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Stream video, shape the network, measure what the viewer saw.
#[derive(Parser)]
#[command(version, long_version = VERSION, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Show what this does, in your browser.
    Demo(demo::Args),
    /// Serve movies and live streams to any RTSP player.
    Serve(serve::Args),
    /// Play a stream without showing it, and measure what came.
    Play(play::Args),
    /// Emulate a network link, and prove what it did.
    Link(Box<link::Args>),
    /// Say what a movie or a stream is made of.
    Probe(probe::Args),
    /// Say what a file of records says.
    Report(report::Args),
    /// Make a movie of the test pattern, with its time in each picture.
    Pattern(pattern::Args),
}

/// What `--version` says; `-V` says the number alone.
const VERSION: &str = match weir_codec::ASSEMBLY.as_bytes() {
    b"nasm" => concat!(env!("CARGO_PKG_VERSION"), " (openh264 with nasm)"),
    b"neon" => concat!(env!("CARGO_PKG_VERSION"), " (openh264 with NEON)"),
    _ => concat!(env!("CARGO_PKG_VERSION"), " (openh264 without nasm: encodes at half the speed)"),
};

const EXAMPLES: &str = "\
Examples:
  weir demo                          a live picture with its age on it, in your browser
  weir serve movie.mp4               serve one movie; the addresses to paste are printed
  weir serve --live movie.mp4        the same movie as a live stream that never ends
  weir play rtsp://localhost:8554/movie --seconds 10
  weir pattern -o test.mp4           a movie of the test pattern, without any camera
  weir serve --pattern               the test pattern live, with its time in each picture
  weir probe movie.mp4               tracks, codecs, frame rate, GOPs, B-frames";

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Play(args) => play::run(args),
        Command::Link(args) => link::run(args),
        Command::Probe(args) => probe::run(args),
        Command::Report(args) => report::run(args),
        Command::Pattern(args) => pattern::run(args),
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            log::fail(&error);
            ExitCode::FAILURE
        }
    }
}
