//! In steady state a packet costs no allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use weir_link::{Direction, LinkId, Pipe, Rate, Settings, Trace};
use weir_time::Instant;

/// Counts what is allocated.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is handed on as it came to the system's allocator, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, so from the system's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as in `dealloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One test alone: the counter is the whole program's.
#[test]
fn in_steady_state_packets_allocate_nothing() {
    let plain = "rate=100mbit queue=200p delay=5ms";
    let rough = "jitter=1ms normal reorder=1% by 3ms loss=1% burst 3 duplicate=1% corrupt=1%";
    let mahimahi: String = (1..=1000).map(|milli| format!("{milli}\n").repeat(8)).collect();
    for text in [
        plain.to_owned(),
        format!("{plain} {rough} policer=110mbit burst 100kb blackout=1ms every 100ms"),
        format!("{plain} {rough} discipline=codel"),
        format!("{plain} {rough} discipline=pie"),
        format!("rate=100mbit queue=20ms discipline=drop-head delay=5ms {rough}"),
    ] {
        let settings: Settings = text.parse().expect("it is well formed");
        let traced = Trace::read("t", &mahimahi).expect("it is a trace");
        let traced = Settings { rate: Rate::Trace(traced.into()), ..settings.clone() };
        for settings in [settings, traced] {
            assert_eq!(allocations(settings), 0, "{text}");
        }
    }
}

/// What is allocated while packets pass, after a time in which the queues have grown.
fn allocations(settings: Settings) -> u64 {
    let mut pipe = Pipe::new(1, LinkId(0), Direction::Up, settings).expect("possible");
    pipe.observe(4096);
    // Rates between are walked through by a schedule.
    let walk = "walk rate 50mbit..200mbit every 7ms by 50% from 0s to 1s";
    if matches!(pipe.settings().rate, Rate::Constant { .. }) {
        pipe.follow(Instant::ZERO, &walk.parse().expect("it is well formed"));
    }
    let mut now = Instant::ZERO;
    let mut pass = |packets: u64| {
        for number in 0..packets {
            now += Duration::from_nanos(115_000);
            let _ = pipe.offer(now, 1500, number);
            while pipe.poll(now).is_some() {}
            while pipe.take_passage().is_some() {}
            while pipe.take_change().is_some() {}
        }
    };
    pass(100_000);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    pass(100_000);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}
