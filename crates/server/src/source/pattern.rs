//! The test pattern as a live stream: drawn and encoded once, on its own time line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use weir_codec::pattern::{self, FrameRate, Moment, Pattern};
use weir_codec::{SoundEncoder, Stamp, VideoEncoder, h264, opus};
use weir_media::{Capture, CaptureSource, Frame, MediaTime, TrackId};
use weir_net::Host;
use weir_record::{Sink, event};
use weir_time::{Instant, Utc};

use crate::hub::Hub;
use crate::live::Publisher;
use crate::{Error, Live};

/// What the live pattern shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PatternSettings {
    /// Width in pixels, even: 160 to 3840.
    pub width: usize,
    /// Height in pixels, even: 90 to 2160.
    pub height: usize,
    /// Pictures a second; with a whole number, flashes and beeps begin together.
    pub frame_rate: FrameRate,
    /// Bits a second of the picture; `None` for a rate that goes with the size.
    pub bitrate_bps: Option<u32>,
}

impl Default for PatternSettings {
    fn default() -> Self {
        let frame_rate = FrameRate::new(30, 1).expect("30 is a frame rate");
        PatternSettings { width: 1_280, height: 720, frame_rate, bitrate_bps: None }
    }
}

/// The test pattern, live.
///
/// Its time line has zero at a whole second of UTC, and its pictures stand where they stand in
/// each second, so that flashes and beeps begin with the seconds of everybody's clock. A picture
/// that cannot be encoded before the next is due is left out and counted: the clock never slows.
pub struct LivePattern {
    publisher: Publisher,
    studio: Box<Studio>,
    clock: Clock,
    records: Sink,
    left_out: LeftOut,
    /// When somebody was last given a key frame.
    key_given_at: Option<Instant>,
}

impl LivePattern {
    /// Begins the stream `name`; [`LivePattern::run`] brings its frames. What is left out is
    /// told in `records`.
    ///
    /// # Errors
    /// When the size is none that can be encoded, or the name is taken.
    pub fn open(
        host: &Host,
        hub: &Arc<Hub>,
        name: &str,
        settings: &PatternSettings,
        records: Sink,
    ) -> Result<Self, Error> {
        let clock = Clock::new(host, settings.frame_rate);
        let studio = Box::new(Studio::new(name, settings, clock.started)?);
        let publisher = hub.publish(name, studio.tracks())?;
        publisher.live().say_pattern();
        let left_out = LeftOut::default();
        Ok(LivePattern { publisher, studio, clock, records, left_out, key_given_at: None })
    }

    /// The stream.
    pub fn live(&self) -> &Arc<Live> {
        self.publisher.live()
    }

    /// Brings picture after picture, each with the sound that goes with it, for ever, or until
    /// the encoder fails.
    ///
    /// # Errors
    /// Those of the encoder.
    pub async fn run(mut self, host: &Host) -> Result<Infallible, Error> {
        let first = self.clock.rate.frame_at(self.clock.started);
        let mut frame = first;
        loop {
            host.sleep_until(self.clock.due(frame)).await;
            let now = host.now();
            let newest = self.clock.frame_at(now);
            if newest > frame {
                let name = self.publisher.live().name();
                self.left_out.add(newest - frame, now, name, &self.records);
                frame = newest;
            }
            let order = Order {
                number: (frame - first) as u32,
                pts: self.clock.rate.time_of(frame),
                duration: self.clock.rate.time_of(frame + 1) - self.clock.rate.time_of(frame),
                now,
                utc: host.utc(),
                is_key: self.gives_key(now),
            };
            let mut studio = self.studio;
            let (studio, made) = host
                .blocking(move || {
                    let made = studio.make(&order);
                    (studio, made)
                })
                .await;
            self.studio = studio;
            if let Err(error) = self.publisher.push_all(&made?, host.now()) {
                tracing::warn!("{}: a frame was left out: {error}", self.live().name());
            }
            frame += 1;
        }
    }
}

impl LivePattern {
    /// Whether somebody who asked for a key frame gets it now: many who ask share few.
    fn gives_key(&mut self, now: Instant) -> bool {
        let is_early = self.key_given_at.is_some_and(|at| now.since(at) < KEY_EVERY);
        let gives = !is_early && self.live().take_key_wanted();
        if gives {
            self.key_given_at = Some(now);
        }
        gives
    }
}

/// Where the pattern's time line lies on the host's clock.
struct Clock {
    rate: FrameRate,
    /// A moment, and where it stands on the time line: less than a second from its start.
    at: Instant,
    started: MediaTime,
}

impl Clock {
    fn new(host: &Host, rate: FrameRate) -> Self {
        let within = host.utc().as_nanos() % SECOND_NANOS;
        Clock { rate, at: host.now(), started: MediaTime::from_nanos(within as i64) }
    }

    /// When a picture is to be drawn.
    fn due(&self, frame: u64) -> Instant {
        self.at + (self.rate.time_of(frame) - self.started).to_duration()
    }

    /// The newest picture that is due.
    fn frame_at(&self, now: Instant) -> u64 {
        let time = self.started + MediaTime::from(now.since(self.at));
        self.rate.frame_at(time + MediaTime::from_nanos(1)).saturating_sub(1)
    }
}

/// What is to be drawn and encoded.
struct Order {
    number: u32,
    pts: MediaTime,
    duration: MediaTime,
    now: Instant,
    utc: Utc,
    is_key: bool,
}

/// Draws, sounds and encodes, away from the loop of the host.
struct Studio {
    pattern: Pattern,
    video: h264::Encoder,
    sound: opus::Encoder,
    /// The first sample on the time line that was not encoded.
    next_sample: i64,
}

impl Studio {
    fn new(name: &str, settings: &PatternSettings, start: MediaTime) -> Result<Self, Error> {
        let PatternSettings { width, height, frame_rate, bitrate_bps } = *settings;
        let shown = pattern::Settings { name: name.to_owned(), width, height, frame_rate };
        let usual = h264::Settings::new(width, height, frame_rate.as_f64() as f32);
        let bitrate_bps = bitrate_bps.unwrap_or(usual.bitrate_bps);
        let (next_sample, sound) = sound_from(start)?;
        Ok(Studio {
            pattern: Pattern::new(&shown)?,
            video: h264::Encoder::new(h264::Settings { bitrate_bps, ..usual })?,
            sound,
            next_sample,
        })
    }

    fn tracks(&self) -> Vec<weir_media::Track> {
        vec![self.video.track().clone(), self.sound.track().clone()]
    }

    /// A picture and the packets of sound that are decoded up to it, in order of decoding.
    fn make(&mut self, order: &Order) -> Result<Vec<Frame>, Error> {
        let Order { number, pts, duration, now, utc, is_key } = *order;
        let capture = Some(Capture { at: utc, source: CaptureSource::TimeCode });
        let mut frames = self.make_sound(pts, now)?;
        frames.iter_mut().for_each(|frame| frame.capture = capture);
        let moment = Moment { frame: number, pts, now: Some(utc) };
        let picture = self.pattern.draw(&moment);
        let stamp = Stamp { pts, duration: Some(duration), capture, arrival: now, is_key };
        frames.push(self.video.encode(picture, &stamp)?);
        Ok(frames)
    }

    fn make_sound(&mut self, until: MediaTime, now: Instant) -> Result<Vec<Frame>, Error> {
        let mut frames = Vec::new();
        let is_far_behind = until - sample_time(self.next_sample) > SOUND_BEHIND_MAX;
        if is_far_behind {
            // The host stood still: what it would have sounded is of no use to anybody.
            (self.next_sample, self.sound) = sound_from(until)?;
        }
        while sample_time(self.next_sample) - self.sound.delay() <= until {
            let samples = pattern::sound(opus::RATE_HZ, self.next_sample, opus::PACKET_SAMPLES);
            self.sound.encode(&samples, now, &mut frames)?;
            self.next_sample += opus::PACKET_SAMPLES as i64;
        }
        if let Some(first) = frames.first_mut() {
            first.discontinuity = is_far_behind;
        }
        Ok(frames)
    }
}

/// An encoder of sound from a time on, or a little later: packets begin with whole packets of
/// the time line, and none before its start.
fn sound_from(start: MediaTime) -> Result<(i64, opus::Encoder), Error> {
    let packet = opus::PACKET_SAMPLES as i64;
    let first = (start.to_ticks(opus::RATE_HZ) / packet + 1) * packet;
    let encoder = opus::Encoder::new(SOUND, 1, SOUND_BITRATE_BPS, sample_time(first))?;
    Ok((first, encoder))
}

fn sample_time(sample: i64) -> MediaTime {
    MediaTime::from_ticks(sample, opus::RATE_HZ)
}

/// Pictures that were left out, told now and then.
#[derive(Default)]
struct LeftOut {
    all: u64,
    untold: u64,
    told_at: Option<Instant>,
}

impl LeftOut {
    fn add(&mut self, count: u64, now: Instant, name: &str, records: &Sink) {
        self.all += count;
        self.untold += count;
        records.emit(now, event::Dropped { what: "pattern pictures".into(), count });
        if self.told_at.is_none_or(|at| now.since(at) >= TOLD_EVERY) {
            let Self { all, untold, .. } = *self;
            tracing::warn!(
                "{name}: drawing and encoding do not keep up: of its pictures {untold} were left \
                 out since this was last said, {all} in all; a smaller size or a lower rate helps"
            );
            self.told_at = Some(now);
            self.untold = 0;
        }
    }
}

const SOUND: TrackId = TrackId(1);
const SOUND_BITRATE_BPS: u32 = 48_000;
const SECOND_NANOS: u64 = 1_000_000_000;
const SOUND_BEHIND_MAX: MediaTime = MediaTime::from_nanos(1_000_000_000);
const KEY_EVERY: Duration = Duration::from_millis(500);
const TOLD_EVERY: Duration = Duration::from_secs(10);
