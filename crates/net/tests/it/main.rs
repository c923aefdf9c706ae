//! Hosts in both worlds: the same scenarios on the system and in a simulation.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod worlds;

mod damage;
mod tcp;
mod time;
mod udp;
