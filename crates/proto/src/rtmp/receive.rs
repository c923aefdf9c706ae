//! Messages into frames: what a publisher or a server sends, with its tracks.

use core::time::Duration;
use std::collections::VecDeque;

use weir_media::flv::{Read, TrackReader};
use weir_media::{Codec, Error, Frame, KeyKind, Kind as MediaKind, MediaTime, Track, TrackId};
use weir_time::Instant;

use super::message::{Kind, Message};
use super::metadata;
use crate::amf::amf0::Value;

/// How long tracks are waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// As the stream's own time counts.
    pub probe_span: Duration,
    /// Timer `probe`: as the host's time counts, from the first message on.
    pub probe_wait: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { probe_span: Duration::from_secs(1), probe_wait: Duration::from_secs(2) }
    }
}

/// What comes of messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Received {
    /// All tracks of the stream: at first before any frame, again whenever one is added or is
    /// coded in something else from now on. Tracks keep their numbers.
    Tracks(Vec<Track>),
    /// A frame of one of these tracks.
    Frame(Frame),
    /// Something that is not carried or cannot be read, the first time that it comes in a track.
    Refused {
        /// The track's kind.
        kind: MediaKind,
        /// What about it.
        error: Error,
    },
}

/// What was left out so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames before the configuration of their track.
    pub early: u64,
    /// Messages that are not carried or cannot be read.
    pub refused: u64,
    /// Messages of tracks beside the first.
    pub beside: u64,
    /// Frames that came while tracks were waited for, beyond what is kept.
    pub overflowed: u64,
}

/// Makes frames of the messages of one stream, in their order.
///
/// The tracks are told once all that the metadata announces are known; without such metadata once
/// there are picture and sound, or the time for it is over ([`Settings`]). Frames until then are
/// kept, up to a bound.
///
/// A frame's decoding time is its message's time stamp on a time line without wraps, counted from
/// the stream's first message as that says it. Times of sound come in whole milliseconds; they are
/// made exact where frames follow each other without a gap.
#[derive(Debug)]
pub struct Receiver {
    settings: Settings,
    picture: Lane,
    sound: Lane,
    announced: Option<(bool, bool)>,
    last_ms: Option<i64>,
    state: State,
    out: VecDeque<Received>,
    counts: Counts,
}

#[derive(Debug)]
enum State {
    /// Tracks are waited for.
    Probing { since: Option<(Instant, i64)>, kept: VecDeque<(MediaKind, Frame)>, bytes: usize },
    /// They were told.
    Running,
}

/// One track, as far as it is known.
#[derive(Debug)]
struct Lane {
    reader: TrackReader,
    /// The revision of the reader's codec that was told.
    told: u32,
    id: Option<TrackId>,
    refused: bool,
    last_ms: Option<i64>,
    /// When the next frame of sound is due.
    due: Option<MediaTime>,
}

impl Receiver {
    /// A receiver before the first message.
    pub fn new(settings: Settings) -> Self {
        Receiver {
            settings,
            picture: Lane::new(MediaKind::Video),
            sound: Lane::new(MediaKind::Audio),
            announced: None,
            last_ms: None,
            state: State::Probing { since: None, kept: VecDeque::new(), bytes: 0 },
            out: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// Takes what the sender says of its stream.
    pub fn metadata(&mut self, metadata: &Value) {
        self.announced = metadata::announced(metadata).or(self.announced);
        self.settle(None);
    }

    /// Takes a message of sound or picture; others are passed over. Poll afterwards, until there
    /// is nothing.
    pub fn push(&mut self, now: Instant, message: &Message) {
        let kind = match message.kind {
            Kind::Video => MediaKind::Video,
            Kind::Audio => MediaKind::Audio,
            _ => return,
        };
        let time_ms = unwrapped(self.last_ms, message.time_ms);
        if let State::Probing { since: since @ None, .. } = &mut self.state {
            *since = Some((now, time_ms));
        }
        let read = self.lane(kind).reader.read(&message.body);
        match read {
            Ok(Read::Frame { .. }) => {
                self.last_ms = Some(time_ms);
                self.changed();
            }
            // Servers send configurations again with the time 0.
            Ok(Read::Config) => self.changed(),
            _ => {}
        }
        match read {
            Ok(Read::Frame { payload, key, shift_ms }) => {
                let frame = self.lane(kind).frame(now, time_ms, shift_ms, key, payload);
                self.give(kind, frame);
            }
            Ok(Read::Config | Read::Nothing) => {}
            Ok(Read::Early) => self.counts.early += 1,
            Ok(Read::Beside) => self.counts.beside += 1,
            Err(error) => {
                self.counts.refused += 1;
                if !core::mem::replace(&mut self.lane(kind).refused, true) {
                    self.out.push_back(Received::Refused { kind, error });
                }
            }
        }
        self.settle(Some((now, time_ms)));
    }

    /// What came of the messages, in order.
    pub fn poll(&mut self) -> Option<Received> {
        self.out.pop_front()
    }

    /// When to call [`Receiver::expire`].
    pub fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Probing { since: Some((at, _)), .. } => Some(*at + self.settings.probe_wait),
            _ => None,
        }
    }

    /// Waits no longer for tracks, if it is time. Poll afterwards.
    pub fn expire(&mut self, now: Instant) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.run();
        }
    }

    /// What was left out so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn lane(&mut self, kind: MediaKind) -> &mut Lane {
        match kind {
            MediaKind::Video => &mut self.picture,
            MediaKind::Audio => &mut self.sound,
        }
    }

    /// Hands a frame on, or keeps it.
    fn give(&mut self, kind: MediaKind, frame: Frame) {
        match &mut self.state {
            State::Probing { kept, bytes, .. } => {
                if kept.len() >= KEPT_FRAMES_MAX || *bytes > KEPT_BYTES_MAX {
                    self.counts.overflowed += 1;
                    return;
                }
                *bytes += frame.payload.len();
                kept.push_back((kind, frame));
            }
            State::Running => self.out.push_back(Received::Frame(frame)),
        }
    }

    /// Tells the tracks again, if one is new or has changed.
    fn changed(&mut self) {
        let is_new = [&self.picture, &self.sound].iter().any(|lane| lane.is_new());
        if is_new && matches!(self.state, State::Running) {
            self.tell();
        }
    }

    fn tell(&mut self) {
        let mut next = [&self.picture, &self.sound].iter().filter(|lane| lane.id.is_some()).count();
        for lane in [&mut self.picture, &mut self.sound] {
            lane.told = lane.reader.revision();
            if lane.id.is_none() && lane.reader.codec().is_some() {
                lane.id = Some(TrackId(next as u8));
                next += 1;
            }
        }
        let mut tracks: Vec<Track> =
            [&self.picture, &self.sound].iter().filter_map(|lane| lane.track()).collect();
        tracks.sort_by_key(|track| track.id);
        self.out.push_back(Received::Tracks(tracks));
    }

    /// Ends the wait for tracks, if nothing more is to come.
    fn settle(&mut self, at: Option<(Instant, i64)>) {
        let State::Probing { since, .. } = &self.state else {
            return;
        };
        let has = |lane: &Lane| lane.reader.codec().is_some() || lane.refused;
        let (picture, sound) = (has(&self.picture), has(&self.sound));
        let has_all = match self.announced {
            Some((wants_picture, wants_sound)) => {
                (picture || !wants_picture) && (sound || !wants_sound) && (picture || sound)
            }
            None => picture && sound,
        };
        let is_over = match (since, at) {
            (Some((since, first_ms)), Some((now, time_ms))) => {
                let span_ms = self.settings.probe_span.as_millis() as i64;
                now.since(*since) >= self.settings.probe_wait
                    || time_ms.saturating_sub(*first_ms) >= span_ms
            }
            _ => false,
        };
        if has_all || (is_over && (picture || sound)) {
            self.run();
        }
    }

    fn run(&mut self) {
        let has_track = [&self.picture, &self.sound].iter().any(|l| l.reader.codec().is_some());
        if !has_track {
            return;
        }
        let State::Probing { kept, .. } = core::mem::replace(&mut self.state, State::Running)
        else {
            return;
        };
        self.tell();
        for (kind, mut frame) in kept {
            let lane = match kind {
                MediaKind::Video => &self.picture,
                MediaKind::Audio => &self.sound,
            };
            if let Some(id) = lane.id {
                frame.track = id;
                self.out.push_back(Received::Frame(frame));
            }
        }
    }
}

impl Lane {
    fn new(kind: MediaKind) -> Self {
        Lane {
            reader: TrackReader::new(kind),
            told: 0,
            id: None,
            refused: false,
            last_ms: None,
            due: None,
        }
    }

    fn is_new(&self) -> bool {
        self.reader.revision() != self.told
    }

    fn track(&self) -> Option<Track> {
        let codec = self.reader.codec()?.clone();
        let clock_rate_hz = match &codec {
            Codec::Aac(config) => config.sample_rate_hz.max(1),
            Codec::Opus(_) => weir_media::opus::CLOCK_RATE_HZ,
            Codec::G711(config) => config.sample_rate_hz.max(1),
            _ => TIME_RATE_HZ,
        };
        Some(Track { id: self.id?, codec, clock_rate_hz })
    }

    fn frame(
        &mut self,
        now: Instant,
        time_ms: i64,
        shift_ms: i32,
        key: KeyKind,
        payload: bytes::Bytes,
    ) -> Frame {
        let step_ms = self.last_ms.map_or(0, |last| time_ms.saturating_sub(last));
        self.last_ms = Some(time_ms);
        let discontinuity = !(-STEP_BACK_MS..=STEP_MS_MAX).contains(&step_ms);
        let mut dts = MediaTime::from_ticks(time_ms, TIME_RATE_HZ);
        let duration = self.reader.codec().and_then(|codec| sound_duration(codec, &payload));
        if let Some(duration) = duration {
            let is_near =
                |due: &MediaTime| (dts - *due).as_nanos().saturating_abs() <= ROUNDING.as_nanos();
            dts = self.due.filter(is_near).unwrap_or(dts);
            self.due = Some(dts + duration);
        }
        Frame {
            // Frames that are kept until the tracks are known get theirs then.
            track: self.id.unwrap_or(TrackId(0)),
            pts: dts + MediaTime::from_ticks(shift_ms.into(), TIME_RATE_HZ),
            dts: Some(dts),
            duration,
            key,
            capture: None,
            arrival: now,
            discontinuity,
            payload,
        }
    }
}

/// How long a frame of sound lasts, from its configuration or its own bytes.
fn sound_duration(codec: &Codec, payload: &[u8]) -> Option<MediaTime> {
    match codec {
        Codec::Aac(config) => Some(config.frame_duration()),
        Codec::Opus(_) => {
            let samples = weir_media::opus::packet_samples(payload)?;
            Some(MediaTime::from_ticks(samples.into(), weir_media::opus::CLOCK_RATE_HZ))
        }
        Codec::G711(config) => {
            let samples = payload.len() / usize::from(config.channels.max(1));
            Some(MediaTime::from_ticks(samples as i64, config.sample_rate_hz.max(1)))
        }
        _ => None,
    }
}

/// A time stamp of 32 bits as the one nearest to the last.
fn unwrapped(last_ms: Option<i64>, time_ms: u32) -> i64 {
    match last_ms {
        None => time_ms.into(),
        Some(last) => last.saturating_add(time_ms.wrapping_sub(last as u32).cast_signed().into()),
    }
}

const TIME_RATE_HZ: u32 = 1000;
/// Times of sound are rounded to milliseconds, by some encoders twice.
const ROUNDING: MediaTime = MediaTime::from_nanos(2_500_000);
/// Steps between frames of a track beyond which they do not follow from each other.
const STEP_BACK_MS: i64 = 1000;
const STEP_MS_MAX: i64 = 10_000;
/// What is kept until the tracks are known.
const KEPT_FRAMES_MAX: usize = 1024;
const KEPT_BYTES_MAX: usize = 16 << 20;

#[cfg(test)]
mod tests;
