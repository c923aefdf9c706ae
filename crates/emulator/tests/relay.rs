//! Relays between real sockets on the loopback device.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests open sockets of their own, and may panic"
)]

#[path = "relay/harness.rs"]
mod harness;
#[path = "relay/tcp.rs"]
mod tcp;
#[path = "relay/udp.rs"]
mod udp;
