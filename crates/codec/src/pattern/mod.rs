//! The test pattern: a moving scene with its time in it, and a beep with each flash
//! (`docs/timecode.md`).

mod font;
mod rate;
mod scene;

use weir_media::MediaTime;
use weir_time::Utc;

use crate::timecode::{self, TimeCode};
use crate::{Error, Picture, beep, flash};

pub use rate::{FrameRate, ParseFrameRateError};
use scene::Scene;

/// What the pattern shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// A name to be shown: capital and small letters look the same.
    pub name: String,
    /// Width in pixels, even: 160 to 3840.
    pub width: usize,
    /// Height in pixels, even: 90 to 2160.
    pub height: usize,
    /// Pictures a second.
    pub frame_rate: FrameRate,
}

/// Draws the pattern's pictures. What is drawn follows from the moment alone.
#[derive(Debug)]
pub struct Pattern {
    scene: Scene,
    picture: Picture,
}

/// The moment that a picture shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The picture's number, from 0.
    pub frame: u32,
    /// When it is shown, on the pattern's time line: flashes and beeps begin at its whole seconds.
    pub pts: MediaTime,
    /// The time of day at which it is drawn; `None` for a picture that is recorded, which shows
    /// the media time.
    pub now: Option<Utc>,
}

impl Pattern {
    /// Prepares all that does not move.
    ///
    /// # Errors
    /// When the size is none that the pattern is made for.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let Settings { width, height, .. } = *settings;
        let is_even = width.is_multiple_of(2) && height.is_multiple_of(2);
        if !is_even || !WIDTHS.contains(&width) || !HEIGHTS.contains(&height) {
            let (w, h) = (WIDTHS, HEIGHTS);
            let expected = format!(
                "even sides, the width {} to {}, the height {} to {}",
                w.start(),
                w.end(),
                h.start(),
                h.end()
            );
            return Err(Error::Size { width, height, expected });
        }
        let scene = Scene::new(settings);
        let picture = scene.background().clone();
        Ok(Pattern { scene, picture })
    }

    /// Draws the picture of a moment.
    pub fn draw(&mut self, moment: &Moment) -> &Picture {
        self.scene.draw(&mut self.picture, moment);
        timecode::write(&mut self.picture, &code_of(moment));
        &self.picture
    }
}

/// What the strip says of a moment.
fn code_of(moment: &Moment) -> TimeCode {
    let Moment { frame, pts, now } = *moment;
    match now {
        Some(now) => TimeCode { is_live: true, frame, time_ms: now.as_millis() },
        None => {
            let time_ms = pts.to_duration().as_millis() as u64;
            TimeCode { is_live: false, frame, time_ms }
        }
    }
}

/// Whether the box is lit at a time.
fn is_lit(pts: MediaTime) -> bool {
    pts.as_nanos().rem_euclid(SECOND_NANOS) < flash::LENGTH_MS as i64 * 1_000_000
}

/// The pattern's sound, one channel: `count` samples from the `from`th on its time line.
pub fn sound(rate_hz: u32, from: i64, count: usize) -> Vec<f32> {
    let rate = i64::from(rate_hz.max(1));
    let lasts = rate * flash::LENGTH_MS as i64 / 1_000;
    let sample = |at: i64| {
        let within = at.rem_euclid(rate);
        if within >= lasts {
            return 0.0;
        }
        let turns = within as f64 * f64::from(beep::TONE_HZ) / rate as f64;
        beep::AMPLITUDE * (turns.fract() * std::f64::consts::TAU).sin() as f32
    };
    (from..).take(count).map(sample).collect()
}

const SECOND_NANOS: i64 = 1_000_000_000;
const WIDTHS: std::ops::RangeInclusive<usize> = 160..=3_840;
const HEIGHTS: std::ops::RangeInclusive<usize> = 90..=2_160;
