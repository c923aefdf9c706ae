//! A user-space TCP without input or output: for simulated hosts, and for a relay that carries
//! a connection across an emulated link.
//!
//! A [`Connection`] is one end of one connection. It follows the rules of TCP (RFC 9293) as Linux
//! plays them: an initial window of ten segments, CUBIC (RFC 9438) with HyStart++ (RFC 9406) or
//! NewReno, selective acknowledgements with loss detection by time (RACK-TLP, RFC 8985),
//! proportional rate reduction (RFC 6937), retransmission time-outs (RFC 6298) whose spurious ones
//! are undone (RFC 3522), delayed acknowledgements, a receive window that grows with what the
//! application reads, zero-window probes.
//!
//! Segments are structs and never bytes of a wire: sequence numbers are 64 bits wide and do not
//! wrap, windows are counted in bytes without a scale, time stamps in microseconds. What a link
//! must count is [`Segment::ip_bytes`], which is what the same segment takes on a real one.
//!
//! The run loop: hand each segment that arrives to [`Connection::handle`] and call
//! [`Connection::timer`] when its time has come; after either, and after every call of the
//! application's side, [`Connection::poll`] until it says [`Output::Timeout`].
//!
//! ```
//! use weir_proto::tcp::{Connection, Event, Output, Settings};
//! use weir_time::Instant;
//!
//! let now = Instant::ZERO;
//! let mut client = Connection::connect(now, 1, Settings::default());
//! let Output::Send(syn) = client.poll(now) else { panic!("it opens with a SYN") };
//! let mut server = Connection::accept(now, 2, Settings::default(), &syn);
//! let Output::Send(syn_ack) = server.poll(now) else { panic!("it answers") };
//! client.handle(now, syn_ack);
//! assert!(matches!(client.poll(now), Output::Event(Event::Connected)));
//! ```
//!
//! Not here: congestion notification (ECN), pacing, keep-alive probes, urgent data, Nagle's
//! algorithm (always off), tuning of the send buffer.

mod congestion;
mod connection;
#[doc(hidden)]
pub mod fuzz;
mod queue;
mod ranges;
mod receive;
mod recovery;
mod round_trip;
mod scoreboard;
mod segment;
mod send;
mod space;
mod timers;

#[cfg(test)]
mod tests;

use core::time::Duration;

pub use connection::Connection;
pub use segment::{Flags, SACK_BLOCKS_MAX, SackBlocks, Segment, Timestamps};

use weir_time::Instant;

/// The name of this model, for records: it changes when the behaviour does.
pub const MODEL: &str = "tcp/1 (cubic or reno, hystart++, sack, rack-tlp, prr, iw10)";

/// How one end of a connection behaves. Values out of range are brought into it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The largest payload of a segment, options other than time stamps included.
    pub mss_bytes: u32,
    /// How much of what was accepted from the application may be unacknowledged or not sent.
    pub send_buffer_bytes: usize,
    /// How much may wait for the application to read it, once the window has grown.
    pub receive_buffer_bytes: usize,
    /// The first window. It grows with what the application reads, up to the receive buffer.
    pub receive_window_initial_bytes: usize,
    /// How the congestion window grows and shrinks.
    pub congestion_control: CongestionControl,
    /// The first congestion window (RFC 6928).
    pub initial_window_segments: u32,
    /// The least that a retransmission time-out allows for variation of the round trip: it is
    /// added to the smoothed round trip, as Linux does.
    pub rto_min: Duration,
    /// How long an acknowledgement may wait for a second segment.
    pub delayed_ack: Duration,
    /// Bytes of the IP header: 20 for IPv4, 40 for IPv6.
    pub ip_header_bytes: u32,
    /// How much not yet sent makes the connection stop being writable (`TCP_NOTSENT_LOWAT`).
    pub not_sent_low_water_bytes: usize,
    /// How often the opening segment is sent before [`Event::TimedOut`].
    pub syn_tries_max: u32,
    /// How often a segment or a probe is sent again without an answer before
    /// [`Event::TimedOut`].
    pub retransmissions_max: u32,
    /// How long the side that closed first still answers the other's retransmissions.
    pub time_wait: Duration,
    /// How long the peer may take to finish after [`Connection::close`].
    pub close_wait_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            mss_bytes: 1448,
            send_buffer_bytes: 4 << 20,
            receive_buffer_bytes: 6 << 20,
            receive_window_initial_bytes: 65_535,
            congestion_control: CongestionControl::Cubic,
            initial_window_segments: 10,
            rto_min: Duration::from_millis(200),
            delayed_ack: Duration::from_millis(40),
            ip_header_bytes: 20,
            not_sent_low_water_bytes: usize::MAX,
            syn_tries_max: 6,
            retransmissions_max: 15,
            time_wait: Duration::from_secs(1),
            close_wait_max: Duration::from_secs(60),
        }
    }
}

impl Settings {
    /// The same, each value in the range in which the model works.
    pub(crate) fn in_range(mut self) -> Self {
        self.mss_bytes = self.mss_bytes.clamp(64, 65_000);
        let buffer = (self.mss_bytes as usize * 2)..=(1 << 30);
        self.send_buffer_bytes = self.send_buffer_bytes.clamp(1, *buffer.end());
        self.receive_buffer_bytes = self.receive_buffer_bytes.clamp(*buffer.start(), *buffer.end());
        self.receive_window_initial_bytes =
            self.receive_window_initial_bytes.clamp(*buffer.start(), *buffer.end());
        self.initial_window_segments = self.initial_window_segments.clamp(1, 1000);
        self.rto_min = self.rto_min.clamp(Duration::from_millis(1), Duration::from_secs(60));
        self.delayed_ack = self.delayed_ack.min(Duration::from_millis(500));
        self.ip_header_bytes = self.ip_header_bytes.min(1000);
        self.not_sent_low_water_bytes = self.not_sent_low_water_bytes.max(1);
        self.syn_tries_max = self.syn_tries_max.clamp(1, 30);
        self.retransmissions_max = self.retransmissions_max.clamp(1, 30);
        self
    }
}

/// How the congestion window grows and shrinks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CongestionControl {
    /// CUBIC (RFC 9438), the default of Linux.
    #[default]
    Cubic,
    /// Reno: one segment a round trip, half after a loss (RFC 5681).
    Reno,
}

/// What [`Connection::poll`] asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this segment to the peer.
    Send(Segment),
    /// Tell the application.
    Event(Event),
    /// Nothing more until a segment arrives, the application acts, or this time comes: then call
    /// [`Connection::timer`].
    Timeout(Option<Instant>),
}

/// What the application may want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The handshake is complete.
    Connected,
    /// There is more to receive than at the last such event.
    Readable,
    /// There is room to send again, after [`Connection::send`] took less than it was given or
    /// left the connection not writable.
    Writable,
    /// The peer sends no more: after what is ready to receive comes the end.
    PeerFinished,
    /// Both directions have ended, and all that was sent has been acknowledged.
    Closed,
    /// The peer has reset the connection, or refused it if it was not connected.
    Reset,
    /// The peer did not answer.
    TimedOut,
}

/// Totals since the connection was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Segments sent, of every kind.
    pub segments_sent: u64,
    /// Segments that arrived, of every kind.
    pub segments_received: u64,
    /// Payload bytes sent, retransmissions included.
    pub bytes_sent: u64,
    /// Bytes of payload that the peer acknowledged.
    pub bytes_acknowledged: u64,
    /// Bytes of payload that arrived in order, each counted once.
    pub bytes_received: u64,
    /// Segments sent again, for whatever reason.
    pub retransmitted: u64,
    /// Expiries of the retransmission time-out.
    pub timeouts: u64,
    /// Probes for a loss at the tail (RFC 8985 section 7).
    pub tail_loss_probes: u64,
    /// Times that the congestion window was reduced for a loss.
    pub recoveries: u64,
    /// Reductions that were undone because nothing had been lost.
    pub undone: u64,
    /// Probes of a closed window.
    pub window_probes: u64,
    /// Segments that brought nothing new.
    pub duplicates_received: u64,
    /// Segments dropped because too many pieces waited out of order.
    pub out_of_order_dropped: u64,
    /// Segments that do not belong to the connection.
    pub unacceptable: u64,
}
