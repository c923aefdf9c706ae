//! Hosts: a clock, tasks, sockets, files and batched sends, on the system or simulated.
//!
//! Everything above this crate is written against [`Host`] and runs in two worlds. In [`os`] a
//! host is a thread of this machine with real sockets and real time; [`os::run`] starts one for
//! each delivery shard. In [`sim`] hosts stand in one [`sim::World`], joined by emulated links
//! (`weir-link`) under a virtual clock, with a UDP and a TCP of their own; a run depends on its
//! seed alone and goes as fast as the processor can.
//!
//! ```
//! use std::time::Duration;
//! use weir_net::sim::World;
//!
//! let world = World::new(7);
//! let host = world.host("alone");
//! let clock = host.clone();
//! let waited = world.run(async move {
//!     clock.sleep(Duration::from_secs(3600)).await;
//!     clock.now().as_secs_f64()
//! });
//! assert_eq!(waited, Some(3600.0));
//! ```
#![cfg_attr(not(test), warn(clippy::unwrap_used))]
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "this crate is where clocks, randomness, sockets and threads are made"
)]

mod batch;
mod bell;
mod exec;
mod file;
mod host;
pub mod os;
mod select;
pub mod sim;
mod stdin;
mod tcp;
mod udp;

pub use batch::{Batch, BatchStorage, SLICES_MAX, Sent};
pub use bell::Doorbell;
pub use file::{File, open_regular};
pub use host::{Host, ShardHandle, Sleep};
pub use select::{Either, select, timeout};
pub use stdin::{StandardInput, terminal_columns};
pub use tcp::{DetachedTcp, Scratch, TcpListener, TcpOptions, TcpStream};
pub use udp::{Datagram, DatagramBuffer, SharedUdp, UdpOptions, UdpSocket};
