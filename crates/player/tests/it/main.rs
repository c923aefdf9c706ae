//! The player on simulated hosts: against the server across lossy links, and against servers that
//! misbehave.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod actions;
mod classroom;
mod continuity;
mod files;
mod http;
mod loss;
mod movie;
mod oddities;
mod packets;
mod pattern;
mod probes;
mod replay;
mod script;
mod scripted;
mod servers;
mod speed;
mod world;
