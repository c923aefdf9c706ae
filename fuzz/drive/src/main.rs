//! Drives the fuzz targets on a stable compiler.
//!
//! Each target first runs over its corpus (`fuzz/corpus/TARGET/`), then over seeded mutations of it
//! for an equal share of the time. There is no coverage feedback: cargo-fuzz beside it has that.
//! What aborts the process (a stack overflow, memory that runs out) is not caught.
#![forbid(unsafe_code)]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it runs for a given time, watches for loops, and prints"
)]

mod files;
mod mutate;
mod targets;
mod trial;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use mutate::Mutator;
use targets::{TARGETS, Target};
use trial::{Trial, replay_command};

const HELP: &str = "\
Drives the fuzz targets: the corpus first, then seeded mutations of it.

Usage: cargo run -p weir-fuzz -- [OPTIONS] [TARGET]...

Without TARGET every target runs, each for an equal share of the time.

Options:
  --seconds N    time for all targets together [default: 30]
  --seed N       seed of the mutations [default: 1]
  --replay FILE  run one input; its target is TARGET, or the one that the file's name or folder says
  --list         print the targets
  --help         print this

Exit code: 0 when nothing failed, 1 when a target failed, 2 when the call is wrong. A failing input
is kept under fuzz/crashes/.
";

fn main() -> ExitCode {
    let outcome = match Call::parse(std::env::args().skip(1)) {
        Ok(call) => call.carry_out(),
        Err(error) => {
            eprintln!("{error:#}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::from(2)
        }
    }
}

/// What was asked for.
#[derive(Debug, PartialEq)]
struct Call {
    action: Action,
    seconds: u64,
    seed: u64,
    targets: Vec<String>,
}

#[derive(Debug, PartialEq)]
enum Action {
    Fuzz,
    Replay(PathBuf),
    List,
    Help,
}

impl Call {
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Self> {
        let mut call = Call { action: Action::Fuzz, seconds: 30, seed: 1, targets: Vec::new() };
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("{word} wants a value"));
            match word.as_str() {
                "--seconds" => call.seconds = number(&value()?)?,
                "--seed" => call.seed = number(&value()?)?,
                "--replay" => call.action = Action::Replay(value()?.into()),
                "--list" => call.action = Action::List,
                "--help" | "-h" => call.action = Action::Help,
                option if option.starts_with('-') => bail!("unknown option {option}"),
                target => call.targets.push(find(target)?.name().to_owned()),
            }
        }
        Ok(call)
    }

    fn carry_out(self) -> Result<ExitCode> {
        match &self.action {
            Action::Help => print!("{HELP}"),
            Action::List => TARGETS.iter().for_each(|target| println!("{}", target.name())),
            Action::Replay(path) => return self.replay(path),
            Action::Fuzz => return self.fuzz(),
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Runs one input as it is, so that a panic shows itself, with its backtrace if asked for.
    fn replay(&self, path: &Path) -> Result<ExitCode> {
        let target = match self.targets.first() {
            Some(name) => find(name)?,
            None => target_of(path)?,
        };
        let input = files::read(path)?;
        println!("{}: {} bytes", target.name(), input.len());
        (target.run)(&input);
        println!("nothing failed");
        Ok(ExitCode::SUCCESS)
    }

    fn fuzz(&self) -> Result<ExitCode> {
        let wanted: Vec<&Target> = TARGETS
            .iter()
            .filter(|target| {
                self.targets.is_empty() || self.targets.iter().any(|n| n == target.name())
            })
            .collect();
        let trial = Trial::start();
        let start = Instant::now();
        let mut failed = false;
        for (index, target) in wanted.iter().enumerate() {
            // What one target leaves of its share goes to those behind it.
            let left = Duration::from_secs(self.seconds).saturating_sub(start.elapsed());
            let share = left / (wanted.len() - index) as u32;
            failed |= !fuzz_target(&trial, target, share, self.seed)?;
        }
        println!("seed {}", self.seed);
        Ok(ExitCode::from(u8::from(failed)))
    }
}

/// Fuzzes one target for `share`, and says whether it held.
fn fuzz_target(trial: &Trial, target: &Target, share: Duration, seed: u64) -> Result<bool> {
    let start = Instant::now();
    let mut runs = 0u64;
    let mut corpus = Vec::new();
    for (path, input) in files::corpus(target)? {
        runs += 1;
        if let Err(panic) = trial.run(target, &input) {
            println!("{}: fails on its corpus: {panic}", target.name());
            println!("  {}", replay_command(&path));
            return Ok(false);
        }
        corpus.push(input);
    }
    let seeds = corpus.len();
    let seed = seed ^ files::digest(target.name().as_bytes());
    let mut mutator = Mutator::new(seed, corpus, files::dictionary(target)?);
    while start.elapsed() < share {
        runs += 1;
        let input = mutator.next_input();
        if let Err(panic) = trial.run(target, &input) {
            let path = files::keep_crash(target, &trial.shrink(target, &input))?;
            println!("{}: fails in run {runs}: {panic}", target.name());
            println!("  {}", replay_command(&path));
            return Ok(false);
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:24} {runs:>9} runs in {seconds:4.1} s, {seeds} of them seeds", target.name());
    Ok(true)
}

fn find(name: &str) -> Result<&'static Target> {
    let found = TARGETS.iter().find(|target| target.name() == name);
    found.with_context(|| format!("there is no target {name}; --list prints them"))
}

/// The target that a file belongs to: a crash bears its name before a hyphen, a seed lies in its
/// folder.
fn target_of(path: &Path) -> Result<&'static Target> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let before_hyphen = name.split_once('-').map_or("", |(target, _)| target);
    find(before_hyphen)
        .or_else(|_| find(&folder.to_string_lossy()))
        .with_context(|| format!("{}: name the target behind it", path.display()))
}

fn number(text: &str) -> Result<u64> {
    text.parse().with_context(|| format!("{text:?} is not a whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Call> {
        Call::parse(words.iter().map(|&word| word.to_owned()))
    }

    #[test]
    fn a_call_names_time_seed_and_targets() {
        let call = parse(&["--seconds", "5", "fuzz_mp4", "--seed", "9"]).expect("it is right");
        assert_eq!((call.seconds, call.seed), (5, 9));
        assert_eq!(call.targets, ["fuzz_mp4"]);
    }

    #[test]
    fn wrong_calls_are_refused() {
        for wrong in [&["--seconds"][..], &["--seed", "x"], &["--fast"], &["fuzz_none"]] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_file_tells_its_target() {
        let name = |path: &str| target_of(Path::new(path)).map(Target::name).ok();
        assert_eq!(name("crashes/fuzz_mp4-0123"), Some("fuzz_mp4"));
        assert_eq!(name("corpus/fuzz_reader/plain.jsonl"), Some("fuzz_reader"));
        assert_eq!(name("elsewhere"), None);
    }
}
