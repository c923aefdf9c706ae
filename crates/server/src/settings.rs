//! Settings of a server.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// What is asked of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The address to listen on; `::` for all of IPv4 and IPv6, or of IPv4 alone on a machine
    /// without IPv6.
    pub bind: IpAddr,
    /// The port for RTSP; 0 for any free one.
    pub rtsp_port: u16,
    /// The port for HTTP; 0 for any free one, `None` for no HTTP.
    pub http_port: Option<u16>,
    /// HTTP connections that may stand at a time; further ones get a 503.
    pub http_connections_max: u64,
    /// The port from which RTP leaves; RTCP has the next. 0 for any free pair.
    pub rtp_port: u16,
    /// Where viewers of a live stream begin.
    pub start: Start,
    /// How long an RTSP session lives without a sign of life.
    pub session_timeout: Duration,
    /// Congestion control of media connections, by its kernel name; `None` for the system's own.
    pub congestion: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            bind: IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            rtsp_port: 8554,
            http_port: Some(8080),
            http_connections_max: 20_000,
            rtp_port: 0,
            start: Start::default(),
            session_timeout: Duration::from_secs(60),
            congestion: None,
        }
    }
}

/// Where viewers of a live stream begin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At the newest key frame that is there: a picture at once, a little behind.
    #[default]
    Keyframe,
    /// At the next key frame that comes: a picture later, not behind.
    Live,
}
