//! The encoder: constrained baseline, single-threaded, no frame ever skipped.

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::encoder::{
    BitRate, Complexity, EncoderConfig, FrameRate, IntraFramePeriod, Profile, RateControlMode,
    SpsPpsStrategy, UsageType, VuiConfig,
};
use openh264::formats::YUVSource;
use weir_media::h264::{Config, NalType};
use weir_media::nal::{AccessUnit, AnnexB};
use weir_media::{Codec, Frame, KeyKind, Track, TrackId};

use super::NAME;
use crate::{Error, Picture, Stamp, VideoEncoder};

/// What is asked of the encoder.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// The place of its track in the stream.
    pub track: TrackId,
    /// Width in pixels: even, 16 to 3840.
    pub width: usize,
    /// Height in pixels: even, 16 to 2160.
    pub height: usize,
    /// Pictures a second, for the rate control alone: times come with the pictures.
    pub frame_rate: f32,
    /// Bits a second that it aims at. A picture may take more; none is left out.
    pub bitrate_bps: u32,
    /// Frames from one key frame to the next; 0 for key frames on demand alone.
    pub gop_frames: u32,
    /// Ticks a second of the track's clock.
    pub clock_rate_hz: u32,
}

impl Settings {
    /// Settings for pictures of this size and rate: the clock of RTP, a key frame every two
    /// seconds, and a tenth of a bit for each pixel, which is enough for the test pattern.
    pub fn new(width: usize, height: usize, frame_rate: f32) -> Self {
        let bits = (width * height) as f32 * frame_rate * 0.1;
        Settings {
            track: TrackId(0),
            width,
            height,
            frame_rate,
            bitrate_bps: (bits as u32).clamp(100_000, 20_000_000),
            gop_frames: (frame_rate * 2.0).round().max(1.0) as u32,
            clock_rate_hz: 90_000,
        }
    }
}

/// An encoder of H.264, constrained baseline profile: a frame for each picture, in order.
pub struct Encoder {
    encoder: openh264::encoder::Encoder,
    settings: Settings,
    config: Config,
    track: Track,
    since_key: u32,
    annex_b: Vec<u8>,
}

impl Encoder {
    /// An encoder with these settings.
    ///
    /// # Errors
    /// When the size is not supported.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let Settings { width, height, .. } = settings;
        let is_even = width.is_multiple_of(2) && height.is_multiple_of(2);
        let fits = |side, most| (SIDE_MIN..=most).contains(&side);
        if !is_even || !fits(width, WIDTH_MAX) || !fits(height, HEIGHT_MAX) {
            let reason = format!(
                "{width}x{height} pixels; both sides are even, the width {SIDE_MIN} to \
                 {WIDTH_MAX}, the height {SIDE_MIN} to {HEIGHT_MAX}"
            );
            return Err(Error::NotEncoded { codec: NAME, reason });
        }
        let config = EncoderConfig::new()
            .skip_frames(false)
            .bitrate(BitRate::from_bps(settings.bitrate_bps))
            .max_frame_rate(FrameRate::from_hz(settings.frame_rate))
            .rate_control_mode(RateControlMode::Bitrate)
            .usage_type(UsageType::CameraVideoRealTime)
            .profile(Profile::Baseline)
            .complexity(Complexity::Low)
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            .scene_change_detect(false)
            .adaptive_quantization(false)
            .background_detection(false)
            .intra_frame_period(IntraFramePeriod::from_num_frames(0))
            .num_threads(1)
            .vui(VuiConfig::bt601());
        let mut encoder =
            openh264::encoder::Encoder::with_api_config(OpenH264API::from_source(), config)
                .map_err(|error| Error::encode(NAME, error))?;
        be_silent(&mut encoder);
        let config = first_sets(&mut encoder, width, height)?;
        let track = Track {
            id: settings.track,
            codec: Codec::H264(config.clone()),
            clock_rate_hz: settings.clock_rate_hz,
        };
        let annex_b = Vec::new();
        // The first picture that is asked for is a key picture.
        let since_key = u32::MAX;
        Ok(Encoder { encoder, settings, config, track, since_key, annex_b })
    }
}

impl VideoEncoder for Encoder {
    fn track(&self) -> &Track {
        &self.track
    }

    fn encode(&mut self, picture: &Picture, stamp: &Stamp) -> Result<Frame, Error> {
        let Settings { width, height, gop_frames, .. } = self.settings;
        if (picture.width(), picture.height()) != (width, height) {
            let expected = format!("{width}x{height}, as the encoder was set up");
            let (width, height) = (picture.width(), picture.height());
            return Err(Error::Size { width, height, expected });
        }
        let gop_is_over = gop_frames > 0 && self.since_key >= gop_frames;
        if stamp.is_key || gop_is_over || self.since_key == u32::MAX {
            self.encoder.force_intra_frame();
        }
        self.annex_b.clear();
        let coded = self.encoder.encode(&Source(picture));
        coded.map_err(|error| Error::encode(NAME, error))?.write_vec(&mut self.annex_b);
        let nals = AnnexB::new(&self.annex_b);
        let unit = AccessUnit::from_nals(&self.config, nals);
        if unit.payload.is_empty() {
            return Err(Error::encode(NAME, "it made no bytes of a picture"));
        }
        self.since_key = match unit.key {
            KeyKind::Key => 1,
            _ => self.since_key.saturating_add(1).min(u32::MAX - 1),
        };
        Ok(Frame {
            track: self.settings.track,
            pts: stamp.pts,
            dts: Some(stamp.pts),
            duration: stamp.duration,
            key: unit.key,
            capture: stamp.capture,
            arrival: stamp.arrival,
            discontinuity: false,
            payload: unit.payload,
        })
    }
}

/// Turns off what openh264 writes to standard error: it would complain there that no frame is
/// skipped, for its wrapper turns it off only once the encoder is set up.
#[allow(unsafe_code, reason = "the wrapper has no other way to an option")]
fn be_silent(encoder: &mut openh264::encoder::Encoder) {
    let mut level: i32 = 0;
    // SAFETY: the encoder exists, and takes this option before it is set up; it reads a 32-bit
    // number there and keeps no pointer.
    unsafe {
        encoder.raw_api().set_option(TRACE_LEVEL, std::ptr::addr_of_mut!(level).cast());
    }
}

/// ENCODER_OPTION_TRACE_LEVEL of openh264's `codec_app_def.h`.
const TRACE_LEVEL: i32 = 25;

/// The parameter sets, which come with the first picture: a black one, which nobody sees.
fn first_sets(
    encoder: &mut openh264::encoder::Encoder,
    width: usize,
    height: usize,
) -> Result<Config, Error> {
    let coded = encoder.encode(&Source(&Picture::new(width, height)));
    let coded = coded.map_err(|error| Error::encode(NAME, error))?.to_vec();
    let sets = |kind| -> Vec<Bytes> {
        let nals = AnnexB::new(&coded).filter(|nal| NalType::of(nal) == kind);
        nals.map(Bytes::copy_from_slice).collect()
    };
    Ok(Config::from_parameter_sets(sets(NalType::SPS), sets(NalType::PPS))?)
}

/// A picture as the encoder takes it.
struct Source<'a>(&'a Picture);

impl YUVSource for Source<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.0.width(), self.0.height())
    }

    fn strides(&self) -> (usize, usize, usize) {
        let [luma, cb, cr] = self.0.planes();
        (luma.stride(), cb.stride(), cr.stride())
    }

    fn y(&self) -> &[u8] {
        self.0.planes()[0].samples()
    }

    fn u(&self) -> &[u8] {
        self.0.planes()[1].samples()
    }

    fn v(&self) -> &[u8] {
        self.0.planes()[2].samples()
    }
}

const SIDE_MIN: usize = 16;
const WIDTH_MAX: usize = 3_840;
const HEIGHT_MAX: usize = 2_160;
