//! Tests of the tree and of the program as a whole.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "tests run programs and open sockets of their own, and may panic"
)]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod bad_peers;
mod behind;
mod classroom;
mod codecs_more;
mod codecs_video;
mod files;
mod foreign;
mod http;
mod keys;
mod libraries;
mod link_control;
mod movies;
mod namespace;
mod pattern;
mod players;
mod plays;
mod plays_http;
mod probe;
mod program;
mod relay;
mod rtsp;
mod rtsp_addresses;
mod rtsp_control;
mod serves;
mod tidy;
