//! Running a target on one input, and telling what happened.

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::files;
use crate::targets::Target;

/// How long a target may take over one input before it counts as looping for ever.
const INPUT_TIME_MAX: Duration = Duration::from_secs(10);
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Runs targets, catches their panics, and ends the program when one does not come back.
pub(crate) struct Trial {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    running: Option<Running>,
    /// What the last panic said.
    panic: String,
}

struct Running {
    target: Target,
    input: Vec<u8>,
    since: Instant,
}

impl Trial {
    /// Takes over what panics print, and starts the watch.
    pub(crate) fn start() -> Self {
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let heard = Arc::clone(&shared);
        panic::set_hook(Box::new(move |info| lock(&heard).panic = info.to_string()));
        let watched = Arc::clone(&shared);
        thread::spawn(move || {
            loop {
                thread::sleep(WATCH_INTERVAL);
                watch(&watched);
            }
        });
        Trial { shared }
    }

    /// Runs `target` on `input`.
    ///
    /// # Errors
    /// What the panic said.
    pub(crate) fn run(&self, target: &Target, input: &[u8]) -> Result<(), String> {
        lock(&self.shared).running =
            Some(Running { target: *target, input: input.to_vec(), since: Instant::now() });
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
        let mut shared = lock(&self.shared);
        shared.running = None;
        outcome.map_err(|_| std::mem::take(&mut shared.panic))
    }

    /// A shorter input on which `target` still panics: takes stretches away as long as that
    /// helps, within a bounded number of runs.
    pub(crate) fn shrink(&self, target: &Target, input: &[u8]) -> Vec<u8> {
        let mut input = input.to_vec();
        let mut runs_left = SHRINK_RUNS_MAX;
        let mut stretch = input.len().next_power_of_two();
        while stretch > 0 {
            let mut at = 0;
            while at < input.len() && runs_left > 0 {
                let mut shorter = input.clone();
                shorter.drain(at..(at + stretch).min(input.len()));
                runs_left -= 1;
                if self.run(target, &shorter).is_err() {
                    input = shorter;
                } else {
                    at += stretch;
                }
            }
            stretch /= 2;
        }
        input
    }
}

/// Runs that shrinking one input may take.
const SHRINK_RUNS_MAX: u32 = 4_000;

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the program if the input that is running has taken too long.
fn watch(shared: &Mutex<Shared>) {
    let shared = lock(shared);
    let Some(running) = &shared.running else {
        return;
    };
    if running.since.elapsed() < INPUT_TIME_MAX {
        return;
    }
    let name = running.target.name();
    println!("{name}: an input takes longer than {INPUT_TIME_MAX:?}");
    match files::keep_crash(&running.target, &running.input) {
        Ok(path) => println!("  {}", replay_command(&path)),
        Err(error) => println!("  it could not be kept: {error:#}"),
    }
    process::exit(1);
}

/// How to run `path` again.
pub(crate) fn replay_command(path: &Path) -> String {
    format!("replay: cargo run -p weir-fuzz -- --replay {}", path.display())
}
