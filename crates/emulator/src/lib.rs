//! Drivers of emulated links on real packets.
//!
//! The model of a link is [`weir_link`]; here real packets are taken through it. [`Links`] holds the
//! links of one run and knows no socket: packets are offered to it and polled from it. A driver is a
//! thread of its own with a [`Clock`] and a [`Waiter`]; it reads packets somewhere, offers them, and
//! sends on what comes out, at the time at which it comes out. While it runs it takes [`Command`]s
//! from its [`Inbox`], and tells a [`Tap`] what becomes of each packet.
//!
//! Around every driver stands a [`Session`]: it watches, writes records and captures, opens the
//! control socket, and in the end gives the [`Certificate`] of what was achieved.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "drivers live in real time alone: this crate owns their sockets, clock and threads"
)]

mod asked;
pub mod capture;
pub mod certificate;
mod clock;
pub mod control;
#[doc(hidden)]
pub mod fuzz;
mod inbox;
mod links;
pub mod namespace;
mod observer;
pub mod relay;
pub mod session;
pub mod statistics;
mod tap;
pub mod text;
mod wait;
#[cfg(test)]
mod world;

pub use certificate::Certificate;
pub use clock::Clock;
pub use inbox::{Command, Inbox, Remote, Reply};
pub use links::{DirectionStatus, Exit, LinkIndex, LinkStatus, Links, Plan, Wire};
pub use observer::Recent;
pub use session::{Session, SessionSettings};
pub use tap::Tap;
pub use wait::{Interest, Ready, Waiter};
