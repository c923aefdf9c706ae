//! The network link model: rate, queue, delay, jitter, loss, and what else befalls packets.
//!
//! A [`Pipe`] is one direction of one link. A packet is offered, waits in a bounded queue, is
//! sent at the rate, may be lost, crosses the delay with its jitter, and comes out:
//!
//! ```text
//! offer -> policer -> queue -> rate -> loss, blackout -> delay, jitter, reordering
//!       -> corruption, duplication -> poll
//! ```
//!
//! Rates and queues count IP bytes: the caller passes the size of the whole IP packet. What
//! chance does to a packet (loss, jitter, reordering, corruption, duplication) depends on (seed,
//! link, direction, packet index) alone, never on time or on the order of calls; only the policer,
//! a full or managed queue and a blackout drop by time.
//!
//! What is asked can be changed at any moment: by [`Pipe::set`], or by a [`Schedule`] that the pipe
//! follows by itself. Settings are read and written as people write them ([`text`]); rates can come
//! from a [`Trace`], and [`preset`]s are links by name. docs/link.md is the reference.
//!
//! No socket, clock or thread is in here. The run loop of a driver: offer what arrives, poll until
//! `None`, sleep until [`Pipe::next_timeout`]. Events between two calls are worked out later at
//! their exact times, so a late driver changes nothing but its own lateness.
//!
//! ```
//! use std::time::Duration;
//! use weir_link::{Direction, LinkId, Pipe, Settings};
//! use weir_time::Instant;
//!
//! let settings: Settings = "rate=8mbit delay=40ms".parse()?;
//! let mut pipe = Pipe::new(1, LinkId(0), Direction::Up, settings)?;
//! pipe.offer(Instant::ZERO, 1000, "hello").expect("the queue is empty");
//! // 1000 bytes take 1 ms at 8 Mbit/s.
//! assert_eq!(pipe.poll(Instant::from_millis(40)), None);
//! let out = pipe.poll(Instant::from_millis(41)).expect("it is there");
//! assert_eq!((out.at, out.payload), (Instant::from_millis(41), "hello"));
//! # Ok::<(), weir_link::Error>(())
//! ```
#![forbid(unsafe_code)]

mod change;
mod codel;
#[cfg(test)]
mod docs_tests;
mod error;
mod flight;
#[doc(hidden)]
pub mod fuzz;
mod jitter;
mod loss;
mod pace;
mod passage;
mod pie;
mod pipe;
mod policer;
pub mod preset;
mod queue;
mod schedule;
mod settings;
mod table;
pub mod text;
pub mod trace;

pub use change::{Change, Load, SETTINGS, Setting};
pub use error::Error;
pub use passage::{Counters, Dropped, Fate, Passage};
pub use pipe::{Delivery, PACKETS_INSIDE_MAX, Pipe};
pub use preset::Preset;
pub use schedule::Schedule;
pub use settings::{
    Blackout, Direction, Discipline, GilbertElliott, Jitter, LinkId, Loss, Numbers, Policer, Queue,
    Rate, Reorder, Settings,
};
pub use table::Table;
pub use trace::Trace;
