//! Virtual time runs far ahead of real time. How far is a matter of the machine too, so `bench/speed`
//! runs these, not every `cargo test`.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::print_stderr,
    reason = "it compares virtual time with the system's, and says how they compare"
)]

use std::time::{Duration, Instant};

use weir_dial::rtsp::Transport;
use weir_link::Loss;
use weir_record::Level;
use weir_record::event::EndReason;

use crate::movie::{MovieFile, Shape, movie_of};
use crate::world::{Pair, settings};

const SECONDS: u32 = 120;
/// Virtual time against real time, at least.
const FACTOR_MIN: f64 = 1_000.0;
/// The machine may be busy with something else.
const RUNS_MAX: u32 = 20;

#[test]
#[ignore = "a bench: bench/speed runs it"]
fn by_udp_a_simulation_is_a_thousand_times_faster_than_real_time() {
    is_fast_enough("fast_udp", Transport::Udp);
}

#[test]
#[ignore = "a bench: bench/speed runs it"]
fn by_tcp_a_simulation_is_a_thousand_times_faster_than_real_time() {
    is_fast_enough("fast_tcp", Transport::Tcp);
}

fn is_fast_enough(test: &str, transport: Transport) {
    let movie = movie_of(test, Shape::typical(SECONDS));
    let mut best: f64 = 0.0;
    for _ in 0..RUNS_MAX {
        best = best.max(factor(&movie, transport));
        if best >= FACTOR_MIN {
            break;
        }
    }
    eprintln!("{transport:?}: {best:.0} virtual seconds a second");
    assert!(best >= FACTOR_MIN, "{best:.0}");
}

/// Plays the whole movie; gives the virtual seconds that passed in a second.
fn factor(movie: &MovieFile, transport: Transport) -> f64 {
    let (begun, waited_before) = (Instant::now(), waited());
    let pair = Pair::rough(1, Loss::Independent(0.02));
    pair.serve(vec![movie.path.clone()]);
    let settings = settings(&pair.url(&movie.path), transport);
    let played = pair.play(settings, Level::Second);
    let took = begun.elapsed().saturating_sub(waited() - waited_before);
    assert_eq!(played.outcome.reason, EndReason::EndOfStream);
    assert!(played.track(0).bytes > Some(35_000_000));
    pair.world.now().as_secs_f64() / took.as_secs_f64()
}

/// How long this thread has waited for a processor so far, because others used all of them: that
/// says nothing of the simulation. Zero where the kernel does not tell.
fn waited() -> Duration {
    let times = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos = times.split_whitespace().nth(1);
    Duration::from_nanos(nanos.and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}
