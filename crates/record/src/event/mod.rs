//! The vocabulary: what server, link and player can write down.
//!
//! Each event is a struct of its own; [`Event`] is any of them. A `None` is absent from the
//! line: what was not measured is never a zero. Lengths of time are whole nanoseconds.

mod any;
mod link;
mod player;
mod playout;
mod server;

use serde::{Deserialize, Serialize};
use weir_time::Instant;

use crate::fields::fields;

pub use any::{
    Dropped, EndReason, Ended, Failure, MediaKind, RecordsDropped, TrackInfo, TrackStart, Warning,
};
pub use link::{
    CaptureEnded, CaptureStarted, Certificate, Direction, Fate, LinkCertificate, LinkCounts,
    LinkGauge, LinkSecond, LinkSettings, LinkTotal, Passage,
};
pub use player::{
    Bye, Connected, Connecting, DiscardReason, FirstByte, FirstDecodableFrame, FrameDiscarded, Gap,
    Paused, Playing, Response, RtpPacket, Seeking, SenderReport, TrackDescribed, TrackSecond,
    TrackTotal,
};
pub use playout::{
    LatencyBasis, LatencySecond, LatencyTotal, MediaSecond, MediaTotal, PlayoutStarted, Resumed,
    SegmentFetched, Stalled,
};
pub use server::{
    Listening, PageReport, ReceiverReport, Refused, SessionBegan, SessionEnded, StreamAdded,
    StreamRemoved, StreamSecond, ViewerJoined, ViewerLeft, ViewerPaused, ViewerPlaying,
    ViewerSkipped,
};

/// How much is written down: each level includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// What happens seldom, and totals at the end: always written.
    Event,
    /// Summaries of one second: written by default.
    Second,
    /// One record a packet: written on request.
    Packet,
}

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    /// When, on the clock that the header names. Records of one file are nearly in order:
    /// threads may overtake each other.
    #[serde(rename = "t_ns")]
    pub at: Instant,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

impl Record {
    /// Appends the record's line, with its line feed, to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, self).expect("keys are texts and a Vec takes all bytes");
        out.push(b'\n');
    }
}

/// The table of all events: from it come the enum, the names, the levels and the decoder.
macro_rules! events {
    ($($(#[$doc:meta])* $level:ident $name:literal $Variant:ident($Held:ty),)*) => {
        /// Anything that is written down. `docs/records.md` describes each event and field.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        #[serde(tag = "event")]
        #[non_exhaustive]
        pub enum Event {
            $($(#[$doc])* #[serde(rename = $name)] $Variant($Held),)*
        }

        impl Event {
            /// Name and level of every event.
            pub const ALL: &[(&str, Level)] = &[$(($name, Level::$level),)*];

            /// The event's name, as in the file.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Event::$Variant(_) => $name,)*
                }
            }

            /// The level from which on the event is written.
            pub fn level(&self) -> Level {
                match self {
                    $(Event::$Variant(_) => Level::$level,)*
                }
            }

            /// The event `name` with the fields that `fields` holds (others are skipped), or
            /// `None` if there is no such event.
            pub(crate) fn decode<'de, D: serde::Deserializer<'de>>(
                name: &str,
                fields: D,
            ) -> Option<Result<Event, D::Error>> {
                match name {
                    $($name => Some(<$Held>::deserialize(fields).map(Event::$Variant)),)*
                    _ => None,
                }
            }

            /// The fields that event `name` can have.
            pub(crate) fn fields(name: &str) -> Option<&'static [&'static str]> {
                match name {
                    $($name => Some(fields::<$Held>()),)*
                    _ => None,
                }
            }
        }

        $(impl From<$Variant> for Event {
            fn from(event: $Variant) -> Event {
                Event::$Variant(event.into())
            }
        })*
    };
}

events! {
    // Any role.
    /// Something is not as it should be, and the run goes on.
    Event "warning" Warning(Warning),
    /// Something failed.
    Event "error" Failure(Failure),
    /// The run ended.
    Event "ended" Ended(Ended),
    /// A bounded queue dropped something.
    Event "dropped" Dropped(Dropped),
    /// Records are missing here.
    Event "records_dropped" RecordsDropped(RecordsDropped),

    // Player.
    /// The player starts to connect.
    Event "connecting" Connecting(Connecting),
    /// The connection stands.
    Event "connected" Connected(Connected),
    /// The server answered a request.
    Event "response" Response(Response),
    /// The server described a track.
    Event "track_described" TrackDescribed(TrackDescribed),
    /// The server began to play.
    Event "playing" Playing(Playing),
    /// The server paused.
    Event "paused" Paused(Paused),
    /// The player asks for another place.
    Event "seeking" Seeking(Seeking),
    /// The first byte of media came.
    Event "first_byte" FirstByte(FirstByte),
    /// The first frame with which decoding can start is complete.
    Event "first_decodable_frame" FirstDecodableFrame(FirstDecodableFrame),
    /// An RTCP sender report came.
    Event "sender_report" SenderReport(SenderReport),
    /// An RTCP BYE came.
    Event "bye" Bye(Bye),
    /// A run of packets is missing.
    Event "gap" Gap(Gap),
    /// A frame was thrown away.
    Event "frame_discarded" FrameDiscarded(FrameDiscarded),
    /// One second of a track.
    Second "track_second" TrackSecond(Box<TrackSecond>),
    /// A whole track, at the end.
    Event "track_total" TrackTotal(Box<TrackTotal>),
    /// One RTP packet came.
    Packet "rtp_packet" RtpPacket(RtpPacket),
    /// A segment was fetched.
    Second "segment_fetched" SegmentFetched(SegmentFetched),
    /// The first frame is shown.
    Event "playout_started" PlayoutStarted(PlayoutStarted),
    /// What is to be shown now has not come.
    Event "stalled" Stalled(Stalled),
    /// It goes on.
    Event "resumed" Resumed(Resumed),
    /// One second of a track that is fetched.
    Second "media_second" MediaSecond(MediaSecond),
    /// A whole track that was fetched, at the end.
    Event "media_total" MediaTotal(Box<MediaTotal>),
    /// One second of true latency.
    Second "latency_second" LatencySecond(Box<LatencySecond>),
    /// The true latency of a run, at its end.
    Event "latency_total" LatencyTotal(Box<LatencyTotal>),

    // Server.
    /// The server takes connections or packets at an address.
    Event "listening" Listening(Listening),
    /// A stream can be asked for from now on.
    Event "stream_added" StreamAdded(StreamAdded),
    /// A stream is gone.
    Event "stream_removed" StreamRemoved(StreamRemoved),
    /// Somebody's request was refused.
    Event "refused" Refused(Refused),
    /// A viewer was accepted.
    Event "viewer_joined" ViewerJoined(ViewerJoined),
    /// A viewer is served from now on.
    Event "viewer_playing" ViewerPlaying(ViewerPlaying),
    /// A viewer paused.
    Event "viewer_paused" ViewerPaused(ViewerPaused),
    /// A slow viewer was moved on to the newest key frame.
    Event "viewer_skipped" ViewerSkipped(ViewerSkipped),
    /// A viewer's RTCP receiver report came.
    Event "receiver_report" ReceiverReport(ReceiverReport),
    /// A viewer is gone.
    Event "viewer_left" ViewerLeft(ViewerLeft),
    /// Somebody watches by HTTP.
    Event "session_began" SessionBegan(SessionBegan),
    /// A page says what it has measured.
    Event "page_report" PageReport(Box<PageReport>),
    /// Somebody who watched by HTTP is gone.
    Event "session_ended" SessionEnded(SessionEnded),
    /// One second of a stream.
    Second "stream_second" StreamSecond(Box<StreamSecond>),

    // Link.
    /// A link's settings, at the start and at each change.
    Event "link_settings" LinkSettings(LinkSettings),
    /// One second of one direction of a link.
    Second "link_second" LinkSecond(Box<LinkSecond>),
    /// A figure of a link that its driver alone knows.
    Second "link_gauge" LinkGauge(LinkGauge),
    /// One direction of a link, at the end.
    Event "link_total" LinkTotal(Box<LinkTotal>),
    /// Asked against achieved, for one direction of a link.
    Event "link_certificate" LinkCertificate(Box<LinkCertificate>),
    /// What the run proves, at its end.
    Event "certificate" Certificate(Certificate),
    /// Packets are written to a capture file.
    Event "capture_started" CaptureStarted(CaptureStarted),
    /// A capture is over.
    Event "capture_ended" CaptureEnded(CaptureEnded),
    /// One packet's way through a link.
    Packet "passage" Passage(Passage),
}
