//! Tests of the tree and of the program as a whole.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests run programs and open sockets of their own, and may panic"
)]

mod tidy;
