//! What is measured of a stream, without input or output.

mod ends;
#[cfg(test)]
mod tests;
mod track;
mod watch;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use weir_dial::rtsp::{Event, Happened, Lower, TrackDescription, TrackStart};
use weir_media::{Kind, MediaTime};
use weir_proto::rtcp::{self, Packet, ReportBlock};
use weir_proto::rtp::depack::AccessUnit;
use weir_record::event::{self, EndReason, MediaKind};
use weir_record::{Level, Sink};
use weir_time::Instant;

use track::Track;

/// Measures a stream: events in, records out.
///
/// Each event is given with the time at which it is handled; packets carry the time at which
/// they came. After each event, and when [`Measure::next_timeout`] has come, call
/// [`Measure::tick`]. [`Measure::finish`] writes the totals.
pub struct Measure {
    records: Sink,
    started: Option<Instant>,
    tracks: Vec<Track>,
    udp: bool,
    first_byte: bool,
    /// Whether whole frames are kept for [`Measure::poll_frame`].
    keeps_frames: bool,
    frames: VecDeque<Taken>,
    /// The timer `second`.
    second_at: Option<Instant>,
    second_from: Instant,
    /// When the server first began to play.
    begun: Option<Instant>,
    playing: Option<Span>,
    paused: bool,
    last_packet: Option<Instant>,
    unreadable: Unreadable,
}

/// The range that is played.
#[derive(Clone, Copy, Debug)]
struct Span {
    at: Instant,
    from: Option<MediaTime>,
    to: Option<MediaTime>,
}

/// What came and is neither RTP nor RTCP.
#[derive(Default)]
struct Unreadable {
    rtp: u64,
    rtcp: u64,
}

/// A frame that is whole, and its track.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The track.
    pub track: u8,
    /// The frame.
    pub unit: AccessUnit,
}

/// How far a stream is, for who watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Since the server began to play.
    pub played: Duration,
    /// The newest place of the movie that has come.
    pub position: Option<MediaTime>,
    /// Where the range ends.
    pub end: Option<MediaTime>,
    /// Complete pictures, or blocks of sound where there is no picture.
    pub frames: u64,
    /// Payload bytes of all tracks.
    pub bytes: u64,
    /// Packets lost between the first and the last, of all tracks.
    pub lost: u64,
    /// Packets expected, of all tracks.
    pub expected: u64,
    /// Jitter of the picture, or else of the first track.
    pub jitter_ns: Option<u64>,
}

/// Frames that wait for [`Measure::poll_frame`]; more are left out, and counted as dropped.
const FRAMES_MAX: usize = 4_096;
const SECOND: Duration = Duration::from_secs(1);

impl Measure {
    /// Measures into `records`. With `keeps_frames`, poll the frames after each event.
    pub fn new(records: Sink, keeps_frames: bool) -> Self {
        Measure {
            records,
            started: None,
            tracks: Vec::new(),
            udp: true,
            first_byte: false,
            keeps_frames,
            frames: VecDeque::new(),
            second_at: None,
            second_from: Instant::ZERO,
            begun: None,
            playing: None,
            paused: false,
            last_packet: None,
            unreadable: Unreadable::default(),
        }
    }

    /// Takes in what happened.
    pub fn handle(&mut self, now: Instant, happened: &Happened) {
        let at = happened.at;
        match &happened.event {
            Event::Described { tracks } => self.described(at, tracks),
            Event::Playing { lower, from, to, tracks } => {
                self.udp = *lower == Lower::Udp;
                self.playing(at, *from, *to, tracks);
            }
            Event::Paused { position } => self.paused(at, *position),
            Event::Rtp { track, data, ip_bytes } => self.rtp(now, at, *track, data, *ip_bytes),
            Event::Rtcp { track, data } => self.rtcp(at, *track, data),
            Event::FallingBack { why } => {
                (self.begun, self.playing) = (None, None);
                self.warn(at, &format!("{why}; going on over TCP"));
            }
            Event::Warning(text) => self.warn(at, text),
            Event::Failed(error) => {
                let text = error.to_string().into();
                self.records.emit(at, event::Failure { text });
            }
            other => self.connection(at, other),
        }
    }

    /// Notes that another place is asked for.
    pub fn seeking(&mut self, now: Instant, to: Duration) {
        self.records.emit(now, event::Seeking { to_ns: nanos(to) });
    }

    /// Gives up what was waited for in vain, and writes the seconds that are over.
    pub fn tick(&mut self, now: Instant) {
        for index in 0..self.tracks.len() {
            self.release(now, index);
            self.say_oddities(now, index);
        }
        if self.second_at.is_some_and(|at| at <= now) {
            self.write_second(now);
            let next = self.second_at.unwrap_or(now) + SECOND;
            self.second_at = Some(if next <= now { now + SECOND } else { next });
        }
    }

    /// When to tick although nothing happens.
    pub fn next_timeout(&self) -> Option<Instant> {
        let waiting = self.tracks.iter().filter_map(Track::next_timeout);
        waiting.chain(self.second_at).min()
    }

    /// The next frame that is whole, if frames are kept.
    pub fn poll_frame(&mut self) -> Option<Taken> {
        self.frames.pop_front()
    }

    /// The tracks that are measured.
    pub fn track_numbers(&self) -> impl Iterator<Item = u8> {
        self.tracks.iter().map(|track| track.number)
    }

    /// What a track's frames are coded in, once that is known.
    pub fn codec(&self, track: u8) -> Option<weir_media::Codec> {
        self.find(track)?.codec()
    }

    /// Ticks a second of a track's RTP clock.
    pub fn clock_rate_hz(&self, track: u8) -> Option<u32> {
        Some(self.find(track)?.clock_rate_hz)
    }

    /// When a frame of a track is shown, in the movie's own time: known once the server has said
    /// where the track starts.
    pub fn pts(&self, track: u8, rtp_ticks: i64) -> Option<MediaTime> {
        self.find(track)?.pts(rtp_ticks)
    }

    /// When a frame of a track was captured by its sender's clock, in nanoseconds since 1970: known
    /// once a sender report has come.
    pub fn sender_time(&self, track: u8, rtp_ticks: i64) -> Option<MediaTime> {
        self.find(track)?.sender_time(rtp_ticks)
    }

    /// The report block about a track, for a receiver report at `now`.
    pub fn report_block(&mut self, now: Instant, track: u8) -> Option<ReportBlock> {
        self.tracks.iter_mut().find(|other| other.number == track)?.report_block(now)
    }

    /// Whether every track has said good-bye.
    pub fn all_said_bye(&self) -> bool {
        !self.tracks.is_empty() && self.tracks.iter().all(|track| track.bye)
    }

    /// Whether any track has said good-bye.
    pub fn any_said_bye(&self) -> bool {
        self.tracks.iter().any(|track| track.bye)
    }

    /// When the range that is played now ends if it is played without a break.
    pub fn range_ends_at(&self) -> Option<Instant> {
        let span = self.playing?;
        Some(span.at + (span.to? - span.from?).to_duration())
    }

    /// The newest place of the movie that has come, where the server said so much.
    pub fn position(&self) -> Option<MediaTime> {
        self.tracks.iter().filter_map(Track::position).max()
    }

    /// Where the range that is played now ends.
    pub fn range_end(&self) -> Option<MediaTime> {
        self.playing?.to
    }

    /// When the last packet of media came, or the server last began to play after one.
    pub fn last_packet(&self) -> Option<Instant> {
        self.last_packet
    }

    /// How far the stream is.
    pub fn progress(&self, now: Instant) -> Progress {
        let main = self.tracks.iter().find(|track| track.kind == Kind::Video);
        let main = main.or(self.tracks.first());
        let counts = self.tracks.iter().map(|track| track.counts());
        let (lost, expected, bytes) = counts.fold((0, 0, 0), |(lost, expected, bytes), counts| {
            (lost + counts.lost, expected + counts.expected, bytes + counts.bytes)
        });
        Progress {
            played: self.begun.map_or(Duration::ZERO, |begun| now.since(begun)),
            position: self.position(),
            end: self.range_end(),
            frames: main.map_or(0, Track::frames),
            bytes,
            lost,
            expected,
            jitter_ns: main.and_then(Track::jitter_ns),
        }
    }

    /// Gives up what is waited for: nothing more comes. `is_cut` says that this side ended a
    /// stream that would have gone on: a frame in progress is then nobody's loss.
    pub fn flush(&mut self, now: Instant, is_cut: bool) {
        for index in 0..self.tracks.len() {
            if let Some(track) = self.tracks.get_mut(index) {
                track.flush(is_cut);
            }
            self.release(now, index);
            self.say_oddities(now, index);
        }
    }

    /// Writes the last second, the totals and the end; [`Measure::flush`] comes before.
    pub fn finish(&mut self, now: Instant, reason: EndReason, text: Option<&str>) {
        if self.second_at.take().is_some() {
            self.write_second(now);
        }
        for (what, count) in [
            ("datagrams that are no RTP", self.unreadable.rtp),
            ("datagrams that are no RTCP", self.unreadable.rtcp),
        ] {
            self.note_dropped(now, what, count);
        }
        for track in &mut self.tracks {
            for (what, count) in track.dropped() {
                let what = format!("track {}: {what}", track.number);
                if count > 0 {
                    self.records.emit(now, event::Dropped { what: what.into(), count });
                }
            }
            self.records.emit(now, track.total());
        }
        self.records.emit(now, event::Ended { reason, text: text.map(Into::into) });
    }

    /// Writes down what a queue dropped, if it dropped anything.
    pub fn note_dropped(&self, now: Instant, what: &str, count: u64) {
        if count > 0 {
            self.records.emit(now, event::Dropped { what: what.into(), count });
        }
    }

    /// Takes in what happened to the connection.
    fn connection(&mut self, at: Instant, event: &Event) {
        match event {
            Event::Connecting { url, lower } => {
                self.started.get_or_insert(at);
                let (url, transport) = (url.as_str().into(), lower.name().into());
                self.records.emit(at, event::Connecting { url, transport });
            }
            Event::Connected { peer } => {
                let (after_ns, peer) = (self.since_start(at), Some(peer.to_string().into()));
                self.records.emit(at, event::Connected { after_ns, peer });
            }
            Event::Response { method, status, round_trip } => {
                let response = event::Response {
                    method: method.as_str().into(),
                    status: *status,
                    round_trip_ns: nanos(*round_trip),
                };
                self.records.emit(at, response);
            }
            _ => {}
        }
    }

    fn warn(&self, at: Instant, text: &str) {
        self.records.emit(at, event::Warning { text: text.into() });
    }

    fn find(&self, number: u8) -> Option<&Track> {
        self.tracks.iter().find(|track| track.number == number)
    }

    fn since_start(&self, at: Instant) -> u64 {
        nanos(at.since(self.started.unwrap_or(at)))
    }

    fn described(&mut self, at: Instant, tracks: &[TrackDescription]) {
        self.tracks.clear();
        self.frames.clear();
        for track in tracks {
            let described = event::TrackDescribed {
                track: track.track,
                kind: match track.kind {
                    Kind::Video => MediaKind::Video,
                    Kind::Audio => MediaKind::Audio,
                },
                codec: track::codec_name(track).into(),
                clock_rate_hz: (track.clock_rate_hz > 0).then_some(track.clock_rate_hz),
            };
            self.records.emit(at, described);
        }
        self.tracks.extend(tracks.iter().filter_map(Track::new));
    }

    fn playing(
        &mut self,
        at: Instant,
        from: Option<Duration>,
        to: Option<Duration>,
        starts: &[TrackStart],
    ) {
        let set_up = |track: &Track| starts.iter().any(|start| start.track == track.number);
        self.tracks.retain(set_up);
        let udp = self.udp;
        let span = Span { at, from: from.map(MediaTime::from), to: to.map(MediaTime::from) };
        for start in starts {
            let found = self.tracks.iter_mut().find(|track| track.number == start.track);
            if let Some(track) = found {
                track.starts(udp, start, span.from);
            }
        }
        self.begun.get_or_insert(at);
        self.playing = Some(span);
        self.paused = false;
        self.last_packet = self.last_packet.map(|last| last.max(at));
        self.start_seconds(at);
        let tracks = starts.iter().map(|start| event::TrackStart {
            track: start.track,
            ssrc: start.ssrc,
            first_seq: start.first_seq,
            rtp_timestamp: start.rtp_timestamp,
        });
        let (from_ns, to_ns) = (from.map(nanos), to.map(nanos));
        self.records.emit(at, event::Playing { from_ns, to_ns, tracks: tracks.collect() });
    }

    fn paused(&mut self, at: Instant, position: Option<Duration>) {
        self.paused = true;
        self.tracks.iter_mut().for_each(Track::pause);
        self.records.emit(at, event::Paused { position_ns: position.map(nanos) });
    }

    /// Whether the stream stands still as was asked.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    fn rtp(&mut self, now: Instant, at: Instant, number: u8, data: &Bytes, ip_bytes: Option<u32>) {
        let Some(index) = self.tracks.iter().position(|track| track.number == number) else {
            return;
        };
        if !std::mem::replace(&mut self.first_byte, true) {
            let after_ns = self.since_start(at);
            self.records.emit(at, event::FirstByte { after_ns });
        }
        self.start_seconds(at);
        self.last_packet = self.last_packet.max(Some(at));
        let track = &mut self.tracks[index];
        match track.receive(now, at, data, ip_bytes) {
            Ok(Some(packet)) if self.records.wants(Level::Packet) => self.records.emit(at, packet),
            Ok(_) => {}
            Err(_) => self.unreadable.rtp += 1,
        }
        self.release(now, index);
        self.say_oddities(at, index);
    }

    fn rtcp(&mut self, at: Instant, number: u8, data: &Bytes) {
        let Ok(packets) = rtcp::decode(data) else {
            self.unreadable.rtcp += 1;
            return;
        };
        let Some(index) = self.tracks.iter().position(|track| track.number == number) else {
            return;
        };
        let track = &mut self.tracks[index];
        let says_bye = packets.iter().any(|packet| matches!(packet, Packet::Goodbye(_)));
        for packet in packets {
            match packet {
                Packet::SenderReport(report) => {
                    track.sender_report(at, &report, says_bye);
                    track.reported = Some((report.ntp.0, report.rtp_time.0));
                    let report = event::SenderReport {
                        track: number,
                        ssrc: report.ssrc.0,
                        ntp: report.ntp.0,
                        rtp_timestamp: report.rtp_time.0,
                        packet_count: report.packet_count,
                        octet_count: report.octet_count,
                    };
                    self.records.emit(at, report);
                }
                Packet::Goodbye(goodbye) => {
                    track.goodbye(&goodbye.sources);
                    let reason = goodbye.reason.map(Into::into);
                    for ssrc in goodbye.sources.iter().map(|source| source.0) {
                        let reason = reason.clone();
                        self.records.emit(at, event::Bye { track: number, ssrc, reason });
                    }
                }
                _ => {}
            }
        }
        self.say_oddities(at, index);
    }

    /// Writes down what the server was found to do wrong with a track.
    fn say_oddities(&mut self, at: Instant, index: usize) {
        let texts = self.tracks.get_mut(index).map(|track| track.watch.take_texts());
        for text in texts.into_iter().flatten() {
            self.warn(at, &text);
        }
    }

    /// Notes that a stream came to its end and no good-bye came. It may have been lost by UDP:
    /// that is said only where nothing else was.
    pub fn ended_without_bye(&mut self, now: Instant) {
        let lost = self.tracks.iter().any(|track| track.counts().lost > 0);
        let may_be_lost = self.udp && lost;
        if !self.any_said_bye() && !may_be_lost {
            self.warn(now, "the stream came to its end without a good-bye (RTCP BYE)");
        }
    }

    /// Takes out of a track what its turn has come.
    fn release(&mut self, now: Instant, index: usize) {
        let Some(track) = self.tracks.get_mut(index) else {
            return;
        };
        let started = self.started.unwrap_or(now);
        while let Some(unit) = track.release(now, started, &self.records) {
            if self.keeps_frames && self.frames.len() < FRAMES_MAX {
                self.frames.push_back(Taken { track: track.number, unit });
            } else if self.keeps_frames {
                track.frames_not_kept += 1;
            }
        }
    }

    fn start_seconds(&mut self, at: Instant) {
        if self.second_at.is_none() {
            self.second_from = at;
            self.second_at = Some(at + SECOND);
        }
    }

    fn write_second(&mut self, now: Instant) {
        let span_ns = nanos(now.since(self.second_from));
        self.second_from = now;
        for track in &mut self.tracks {
            self.records.emit(now, track.second(span_ns));
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
