//! RTMP (Adobe's Real Time Messaging Protocol, specification 1.0) and Enhanced RTMP: a machine for
//! each end of a connection, and frames into messages and back.
//!
//! [`handshake`], [`chunk`] and [`message`] are the layers from below; [`server::Connection`] and
//! [`client::Connection`] hold the rules of commands. [`pack::Packer`] makes of a frame the bytes
//! that every viewer is sent; [`receive::Receiver`] makes frames of the messages of a publisher,
//! or of a server. None of them owns a socket or a clock.
//!
//! What is not here: encryption by RTMPE, tunnels over HTTP (RTMPT), shared objects, and the
//! tracks beside the first that Enhanced RTMP allows, which are passed over.

pub mod chunk;
pub mod client;
pub mod command;
#[doc(hidden)]
pub mod fuzz;
pub mod handshake;
mod link;
pub mod message;
pub mod metadata;
pub mod pack;
pub mod receive;
pub mod server;
pub mod url;
