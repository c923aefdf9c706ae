//! Client drivers: they take a sans-IO client machine of `weir-proto` to a server over a
//! [`weir_net::Host`], real or simulated, and give what comes as a sequence of events.
//!
//! [`rtsp::Client`] is the one for RTSP 1.0, with media over UDP or interleaved;
//! [`classroom::Client`] the one for the dialect of course assignments, [`http::Client`] the one for
//! HTTP/1.1.
#![forbid(unsafe_code)]

pub mod classroom;
pub mod http;
pub mod rtsp;
