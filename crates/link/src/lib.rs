//! The network link model: rate, queue, delay, jitter, loss.
//!
//! A [`Pipe`] is one direction of one link. A packet is offered, waits in a bounded queue, is
//! sent at the rate, may be lost, crosses the delay with its jitter, and comes out:
//!
//! ```text
//! offer -> queue -> rate -> loss -> delay and jitter -> poll
//! ```
//!
//! Rates and queues count IP bytes: the caller passes the size of the whole IP packet. What
//! chance does to a packet (loss, jitter) depends on (seed, link, direction, packet index) alone,
//! never on time or on the order of calls; only a full queue drops by time.
//!
//! No socket, clock or thread is in here. The run loop of a driver: offer what arrives, poll until
//! `None`, sleep until [`Pipe::next_timeout`]. Events between two calls are worked out later at
//! their exact times, so a late driver changes nothing but its own lateness.
//!
//! ```
//! use std::time::Duration;
//! use weir_link::{Direction, LinkId, Pipe, Rate, Settings};
//! use weir_time::Instant;
//!
//! let settings = Settings {
//!     rate: "8mbit".parse()?,
//!     delay: Duration::from_millis(40),
//!     ..Settings::default()
//! };
//! let mut pipe = Pipe::new(1, LinkId(0), Direction::Up, settings)?;
//! pipe.offer(Instant::ZERO, 1000, "hello").expect("the queue is empty");
//! // 1000 bytes take 1 ms at 8 Mbit/s.
//! assert_eq!(pipe.poll(Instant::from_millis(40)), None);
//! let out = pipe.poll(Instant::from_millis(41)).expect("it is there");
//! assert_eq!((out.at, out.payload), (Instant::from_millis(41), "hello"));
//! # Ok::<(), weir_link::Error>(())
//! ```
//!
//! Not here yet: rates from traces, active queue management, duplication, reordering, corruption.
#![forbid(unsafe_code)]

mod change;
mod jitter;
mod loss;
mod passage;
mod pipe;
mod settings;
pub mod text;

pub use change::Change;
pub use passage::{Counters, Dropped, Fate, Passage};
pub use pipe::{Delivery, PACKETS_INSIDE_MAX, Pipe};
pub use settings::{Direction, Error, GilbertElliott, Jitter, LinkId, Loss, Queue, Rate, Settings};
