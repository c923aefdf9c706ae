//! RTSP 1.0 (RFC 2326): messages, headers, and a machine for each end of a control connection.
//!
//! [`message`] cuts a byte stream into requests, responses and interleaved frames; [`headers`]
//! gives the header values their types; [`url`] reads addresses; [`relay::Relay`] changes the
//! ports in a connection that is carried elsewhere; [`server::Connection`] and
//! [`client::Connection`] hold the protocol's rules. None of them owns a socket or a clock.
//!
//! What is not here: RTSP 2.0, RTSP over HTTP, multicast, recording, Digest credentials. The
//! client knows Basic ones; the server hands Authorization on raw.
//!
//! # Other dialects on the same port
//! A dialect that resembles RTSP is told apart before this machine acts:
//! [`server::Connection::undecoded`] shows the bytes that no complete message has used, so
//! whoever drives the connection can recognise a form that has no blank line at its end and
//! take the bytes over.

pub mod client;
#[doc(hidden)]
pub mod fuzz;
pub mod headers;
pub mod message;
pub mod relay;
pub mod server;
pub mod status;
pub mod url;

pub use status::Status;
