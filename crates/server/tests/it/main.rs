//! The server on simulated hosts: what viewers get, whatever the others do.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

mod damage;
mod raw;
mod reports;
mod slow;
mod stream;
mod times;
