//! A viewer: a cursor, header states, a way out. No media of its own.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use weir_media::MediaTime;
use weir_proto::rtp::pack::{Packed, Piece};
use weir_proto::rtp::{Header, RtpTime, SequenceNumber, Ssrc};
use weir_time::Instant;

use super::feed::Feed;
use super::slab::Slab;
use crate::hub::TRACKS_MAX;
use crate::movie::{Chunk, Movie};
use crate::packing::Packing;
use crate::ring::{Slot, StreamClock};

/// Where a viewer is in its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The frame's number.
    pub(crate) slot: u64,
    /// The next packet of the frame.
    pub(crate) piece: usize,
}

/// One viewer.
pub(crate) struct Viewer {
    /// Its number in the records.
    pub(crate) number: u64,
    pub(crate) stream: Arc<str>,
    pub(crate) peer: SocketAddr,
    /// What it says it is.
    pub(crate) agent: Option<Arc<str>>,
    pub(crate) source: Source,
    pub(crate) way: Way,
    pub(crate) tracks: Tracks,
    pub(crate) phase: Phase,
    pub(crate) cursor: Cursor,
    /// Frames are sent when they are due; absent: as soon as they are there.
    pub(crate) pace: Option<Pace>,
    /// When a sender report maps which time of day to which place; set at each PLAY.
    pub(crate) clock: Option<StreamClock>,
    /// What its RTP time is ahead of the stream's own time line since the last PLAY.
    pub(crate) shift: MediaTime,
    /// The furthest end of any frame sent, `shift` included.
    pub(crate) reached: Option<MediaTime>,
    pub(crate) report_due: Option<Instant>,
    /// The earliest time of the next burst (UDP).
    pub(crate) burst_due: Option<Instant>,
    /// When it is told that it has got everything.
    pub(crate) goodbye_due: Option<Instant>,
    /// The time under which it stands in the shard's timers.
    pub(crate) due: Option<Instant>,
    /// It stands in the shard's list of those to be visited.
    pub(crate) queued: bool,
    pub(crate) joined: Instant,
    pub(crate) sent: Sent,
    /// Where its rate is measured from: the last time that it began or was moved on.
    pub(crate) rate_mark: (Instant, u64),
    /// The last sign of life by RTCP.
    pub(crate) alive: Option<Instant>,
    pub(crate) tally: usize,
}

/// Totals of one viewer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    pub(crate) packets: u64,
    pub(crate) octets: u64,
    pub(crate) wire_bytes: u64,
    /// In the classroom dialect: images that many clients cannot take whole.
    pub(crate) oversize: u64,
    /// In the classroom dialect: images that no datagram holds, which were not sent.
    pub(crate) images_dropped: u64,
}

/// What a viewer is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Set up or paused.
    Paused,
    /// Waits for a frame, with at least this number, that it can be started at.
    Starting {
        from: u64,
    },
    Playing,
    /// It has got everything.
    Finished,
}

/// Where a viewer's frames come from.
pub(crate) enum Source {
    /// A ring that all viewers share; the shard's number for it.
    Live { feed: usize },
    /// A place of its own in a movie.
    Movie(Box<MovieSource>),
}

/// A place in a movie.
pub(crate) struct MovieSource {
    pub(crate) movie: Arc<Movie>,
    /// Packed chunks around the cursor, in order.
    pub(crate) chunks: VecDeque<Arc<Chunk>>,
    /// The number of the next chunk to fetch.
    pub(crate) next_chunk: usize,
    /// Which fetch is under way; an answer to another one comes too late.
    pub(crate) fetch: Option<u64>,
    /// Where the range ends: the first frame that is not sent.
    pub(crate) end: u64,
    /// The place of that end, if it is not the movie's own.
    pub(crate) to: Option<MediaTime>,
    /// Where it is to pause: the first frame that is not sent then, and its place.
    pub(crate) pause: Option<(u64, MediaTime)>,
    /// Where it was last sent to.
    pub(crate) begun_at: MediaTime,
}

/// The way to a viewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Interleaved on the control connection: the outlet's number.
    Tcp { outlet: usize },
    /// From the shared port pair to the viewer's own.
    Udp,
    /// From the shared port for RTP to the viewer's only one, in the classroom dialect.
    Classroom,
}

impl Way {
    /// How packets that go this way are packed.
    pub(crate) fn packing(self) -> Packing {
        match self {
            Way::Tcp { .. } => Packing::Interleaved,
            Way::Udp => Packing::Datagrams,
            Way::Classroom => Packing::Classroom,
        }
    }
}

/// Frames are due as their decoding times follow each other, `speed` times as fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) at: Instant,
    pub(crate) dts: MediaTime,
    pub(crate) speed: u32,
}

impl Pace {
    pub(crate) fn due(&self, dts: MediaTime) -> Instant {
        self.at + (dts - self.dts).to_duration() / self.speed
    }
}

/// The tracks of a stream, those that are set up filled in.
pub(crate) type Tracks = Box<[Option<TrackOut>]>;

/// What differs between viewers in the packets of one track.
#[derive(Clone, Debug)]
pub(crate) struct TrackOut {
    pub(crate) ssrc: Ssrc,
    pub(crate) payload_type: u8,
    pub(crate) clock_rate_hz: u32,
    /// The next packet's number.
    pub(crate) seq: SequenceNumber,
    /// The RTP time of the place zero of the first PLAY.
    pub(crate) first_offset: RtpTime,
    /// The RTP time of the place zero now.
    pub(crate) offset: RtpTime,
    pub(crate) packets: u32,
    pub(crate) octets: u32,
    /// Where RTP goes: channel or address.
    pub(crate) rtp: Target,
    pub(crate) rtcp: Target,
}

/// Where packets of a track go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Channel(u8),
    Address(SocketAddr),
}

impl Target {
    pub(crate) fn channel(self) -> u8 {
        match self {
            Target::Channel(channel) => channel,
            Target::Address(_) => 0,
        }
    }
}

impl TrackOut {
    /// The RTP time of a place on the stream's time line.
    pub(crate) fn time_at(&self, place: MediaTime) -> RtpTime {
        RtpTime::from_ticks(place.to_ticks(self.clock_rate_hz), self.offset)
    }
}

/// One packet of a viewer.
pub(crate) struct Message<'a> {
    pub(crate) channel: u8,
    pub(crate) header: Header,
    pub(crate) slot: &'a Slot<Packed>,
    pub(crate) piece: Piece,
}

impl<'a> Message<'a> {
    /// The shared bytes.
    pub(crate) fn payload(&self) -> &'a [u8] {
        self.slot.wire.payload(self.piece)
    }

    /// Its own bytes on an interleaved connection.
    pub(crate) fn interleaved_header(&self) -> [u8; Header::INTERLEAVED_BYTES] {
        let mut out = [0; Header::INTERLEAVED_BYTES];
        self.header.write_interleaved(self.channel, self.piece.len, &mut out);
        out
    }

    /// Its length on an interleaved connection.
    pub(crate) fn interleaved_len(&self) -> usize {
        Header::INTERLEAVED_BYTES + usize::from(self.piece.len)
    }

    /// What is left of it on an interleaved connection once `sent` bytes are gone: a few bytes
    /// of its own, and shared ones, which stay alive with it.
    pub(crate) fn rest(&self, sent: usize) -> [Bytes; 2] {
        let header = self.interleaved_header();
        let own = Bytes::copy_from_slice(header.get(sent..).unwrap_or(&[]));
        let start = self.piece.start as usize;
        let skip = sent.saturating_sub(header.len()).min(usize::from(self.piece.len));
        [own, self.slot.wire.bytes.slice(start + skip..start + usize::from(self.piece.len))]
    }
}

/// Goes over a viewer's packets from its cursor on, without moving the viewer.
pub(crate) struct Walk<'a> {
    viewer: &'a Viewer,
    feeds: &'a Slab<Feed>,
    until: u64,
    /// The frame under the cursor, once it was looked for.
    found: Option<(&'a Slot<Packed>, &'a TrackOut)>,
    reached: Reached,
}

/// Where a walk has come to, and what it has passed since [`Walk::take_reached`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    pub(crate) cursor: Cursor,
    /// Each track's next number.
    pub(crate) seqs: [SequenceNumber; TRACKS_MAX],
    pub(crate) packets: [u32; TRACKS_MAX],
    pub(crate) octets: [u32; TRACKS_MAX],
    /// The furthest end of any frame.
    pub(crate) end: Option<MediaTime>,
}

impl<'a> Walk<'a> {
    /// A walk from the viewer's cursor to frame `until`, which is left out.
    pub(crate) fn new(viewer: &'a Viewer, feeds: &'a Slab<Feed>, until: u64) -> Self {
        let mut seqs = [SequenceNumber(0); TRACKS_MAX];
        for (seq, track) in seqs.iter_mut().zip(&viewer.tracks) {
            *seq = track.as_ref().map_or(*seq, |track| track.seq);
        }
        let reached = Reached {
            cursor: viewer.cursor,
            seqs,
            packets: [0; TRACKS_MAX],
            octets: [0; TRACKS_MAX],
            end: None,
        };
        Walk { viewer, feeds, until, found: None, reached }
    }

    /// The packets of the frame under the cursor that are still to be sent, and where they go;
    /// frames of tracks that are not set up are passed over.
    pub(crate) fn rest_of_frame(&mut self) -> Option<(&'a [Piece], Target)> {
        let (slot, track) = self.frame()?;
        Some((slot.wire.pieces.get(self.reached.cursor.piece..)?, track.rtp))
    }

    /// Whether there is another packet.
    pub(crate) fn has_more(&mut self) -> bool {
        self.frame().is_some()
    }

    fn frame(&mut self) -> Option<(&'a Slot<Packed>, &'a TrackOut)> {
        loop {
            let cursor = &mut self.reached.cursor;
            if let Some((slot, track)) = self.found {
                if cursor.piece < slot.wire.pieces.len() {
                    return Some((slot, track));
                }
                *cursor = Cursor { slot: cursor.slot + 1, piece: 0 };
                self.found = None;
            }
            if cursor.slot >= self.until {
                return None;
            }
            let slot = self.viewer.slot(self.feeds, cursor.slot)?;
            let track = self.viewer.tracks.get(usize::from(slot.track.0)).and_then(Option::as_ref);
            match track {
                Some(track) if cursor.piece < slot.wire.pieces.len() => {
                    self.found = Some((slot, track));
                }
                _ => *cursor = Cursor { slot: cursor.slot + 1, piece: 0 },
            }
        }
    }

    /// The next packet.
    #[inline]
    pub(crate) fn step(&mut self) -> Option<Message<'a>> {
        let (slot, track) = self.frame()?;
        let reached = &mut self.reached;
        let piece = slot.wire.pieces[reached.cursor.piece];
        let index = usize::from(slot.track.0);
        let header = Header {
            marker: piece.marker,
            payload_type: track.payload_type,
            sequence: reached.seqs[index],
            time: RtpTime::from_ticks(slot.wire.rtp_ticks, track.offset),
            ssrc: track.ssrc,
        };
        reached.cursor.piece += 1;
        reached.seqs[index] = reached.seqs[index].plus(1);
        reached.packets[index] += 1;
        reached.octets[index] += u32::from(piece.len);
        reached.end = Some(reached.end.map_or(slot.end, |end| end.max(slot.end)));
        Some(Message { channel: track.rtp.channel(), header, slot, piece })
    }

    /// Where it has come to; counts begin anew.
    pub(crate) fn take_reached(&mut self) -> Reached {
        let reached = self.reached;
        self.reached.packets = [0; TRACKS_MAX];
        self.reached.octets = [0; TRACKS_MAX];
        self.reached.end = None;
        reached
    }
}

impl Viewer {
    /// The frame with this number, if it is in reach.
    pub(crate) fn slot<'a>(
        &'a self,
        feeds: &'a Slab<Feed>,
        number: u64,
    ) -> Option<&'a Slot<Packed>> {
        match &self.source {
            Source::Live { feed } => feeds.get(*feed)?.window.get(number).map(|slot| &**slot),
            Source::Movie(source) => source.get(number),
        }
    }

    /// Whether a frame is one that it is sent.
    pub(crate) fn gets(&self, slot: &Slot<Packed>) -> bool {
        let track = self.tracks.get(usize::from(slot.track.0));
        track.is_some_and(Option::is_some) && !slot.wire.pieces.is_empty()
    }

    /// Moves its cursor on over chunks of its movie that have no frame to send.
    pub(crate) fn pass_over_gap(&mut self) {
        let Source::Movie(source) = &self.source else {
            return;
        };
        let slot = source.next_from(self.cursor.slot);
        if slot > self.cursor.slot {
            self.cursor = Cursor { slot, piece: 0 };
        }
    }

    /// How its packets are packed.
    pub(crate) fn packing(&self) -> Packing {
        self.way.packing()
    }

    /// How its media travels.
    pub(crate) fn transport(&self) -> &'static str {
        match self.way {
            Way::Tcp { .. } => "rtsp/tcp",
            Way::Udp => "rtsp/udp",
            Way::Classroom => "classroom/udp",
        }
    }

    /// The synchronisation source of a track.
    pub(crate) fn ssrc(&self, track: u8) -> Option<Ssrc> {
        self.tracks.get(usize::from(track))?.as_ref().map(|track| track.ssrc)
    }

    /// Bits a second that it took since it began or was last moved on.
    pub(crate) fn bit_rate(&self, now: Instant) -> Option<f64> {
        let (since, bytes) = self.rate_mark;
        let span = now.since(since);
        let taken = (self.sent.wire_bytes - bytes) as f64;
        (span >= Duration::from_millis(500)).then(|| taken * 8.0 / span.as_secs_f64())
    }
}

impl MovieSource {
    pub(crate) fn get(&self, number: u64) -> Option<&Slot<Packed>> {
        self.chunks.iter().find_map(|chunk| chunk.get(number))
    }

    /// The first frame from `number` on that is in reach, or will be.
    fn next_from(&self, number: u64) -> u64 {
        let ahead = self.chunks.iter().find(|chunk| chunk.end() > number);
        let first = ahead.map_or(self.movie.first_of(self.next_chunk), |chunk| chunk.first());
        number.max(first)
    }

    /// Whether another chunk is needed: the one under the cursor, and the one behind it.
    pub(crate) fn wants_more(&self) -> bool {
        let reached_end = self.movie.first_of(self.next_chunk) >= self.end;
        self.fetch.is_none()
            && self.chunks.len() < CHUNKS_HELD_MAX
            && self.next_chunk < self.movie.chunks()
            && !reached_end
    }
}

/// Chunks that a viewer holds: the one that it is in, and the next.
const CHUNKS_HELD_MAX: usize = 2;
