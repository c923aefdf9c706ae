//! Protocol machines and packers without input or output.
//!
//! Each machine takes time and input (`handle(now, input)`) and is then polled until it says
//! when it wants to be called next. Packers are pure functions from frames to wire pieces.
#![forbid(unsafe_code)]

pub mod amf;
pub mod classroom;
pub mod dash;
pub mod hls;
pub mod http;
pub mod rtcp;
pub mod rtmp;
pub mod rtp;
pub mod rtsp;
pub mod sdp;
pub mod tcp;
