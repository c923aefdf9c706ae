//! Multivariant playlists, which RFC 8216 calls master playlists (section 4.3.4).

use std::fmt::Write as _;

use weir_media::MediaTime;

use super::{VERSION, quoted};

/// A multivariant playlist.
#[derive(Clone, Debug)]
pub struct Multivariant {
    /// Every segment of every rendition can be decoded without those before it (section 4.3.5.1).
    pub independent_segments: bool,
    /// Sound that goes with the pictures of variants (EXT-X-MEDIA).
    pub sounds: Vec<Rendition>,
    /// What the client chooses from, best first.
    pub variants: Vec<Variant>,
}

/// A rendition of sound (section 4.3.4.1).
#[derive(Clone, Debug)]
pub struct Rendition {
    /// The group that variants name.
    pub group: String,
    /// What a person reads; no two of a group have the same.
    pub name: String,
    /// Whether it is played when nobody chooses; one of a group.
    pub is_default: bool,
    /// How many channels it has, if that is known.
    pub channels: Option<u8>,
    /// Its media playlist.
    pub uri: String,
}

/// A variant stream (section 4.3.4.2).
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its media playlist.
    pub uri: String,
    /// The greatest bit rate of its segments, in bits a second, with that of its most expensive
    /// sound.
    pub bandwidth_bps: u64,
    /// Its bit rate over all segments, with that of its sound.
    pub average_bandwidth_bps: Option<u64>,
    /// The codecs of all its renditions by their RFC 6381 names, each once.
    pub codecs: Vec<String>,
    /// Width and height, if it has pictures.
    pub resolution: Option<(u32, u32)>,
    /// The greatest frame rate of its pictures.
    pub frame_rate: Option<f64>,
    /// The group of its sound, if that stands apart.
    pub sound_group: Option<String>,
}

impl Multivariant {
    /// The playlist's text.
    pub fn write(&self) -> String {
        let mut out = format!("#EXTM3U\n#EXT-X-VERSION:{VERSION}\n");
        if self.independent_segments {
            out.push_str("#EXT-X-INDEPENDENT-SEGMENTS\n");
        }
        self.sounds.iter().for_each(|sound| sound.write(&mut out));
        self.variants.iter().for_each(|variant| variant.write(&mut out));
        out
    }
}

impl Rendition {
    fn write(&self, out: &mut String) {
        let default = if self.is_default { "YES" } else { "NO" };
        let _ = write!(
            out,
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID={},NAME={},DEFAULT={default},AUTOSELECT=YES",
            quoted(&self.group),
            quoted(&self.name),
        );
        if let Some(channels) = self.channels {
            let _ = write!(out, ",CHANNELS=\"{channels}\"");
        }
        let _ = writeln!(out, ",URI={}", quoted(&self.uri));
    }
}

impl Variant {
    fn write(&self, out: &mut String) {
        let _ = write!(out, "#EXT-X-STREAM-INF:BANDWIDTH={}", self.bandwidth_bps);
        if let Some(average) = self.average_bandwidth_bps {
            let _ = write!(out, ",AVERAGE-BANDWIDTH={average}");
        }
        let _ = write!(out, ",CODECS={}", quoted(&self.codecs.join(",")));
        if let Some((width, height)) = self.resolution {
            let _ = write!(out, ",RESOLUTION={width}x{height}");
        }
        if let Some(rate) = self.frame_rate {
            let _ = write!(out, ",FRAME-RATE={rate:.3}");
        }
        if let Some(group) = &self.sound_group {
            let _ = write!(out, ",AUDIO={}", quoted(group));
        }
        let _ = writeln!(out, "\n{}", self.uri);
    }
}

/// The peak segment bit rate of a media playlist in bits a second: the largest of any run of
/// segments that lasts between 0.5 and 1.5 times the target duration (section 4.1). Each segment
/// is given with its bytes. Where no run is that long, the rate over all of them.
pub fn peak_bit_rate(segments: &[(MediaTime, u64)], target_duration_s: u64) -> u64 {
    let half_nanos = i128::from(target_duration_s) * 500_000_000;
    let allowed = half_nanos..=3 * half_nanos;
    let mut peak = 0;
    for first in 0..segments.len() {
        let (mut nanos, mut bytes) = (0i128, 0u64);
        for (duration, segment_bytes) in segments.get(first..).unwrap_or(&[]) {
            nanos += i128::from(duration.as_nanos().max(0));
            bytes = bytes.saturating_add(*segment_bytes);
            if nanos > *allowed.end() {
                break;
            }
            if allowed.contains(&nanos) {
                peak = peak.max(bit_rate(bytes, nanos));
            }
        }
    }
    if peak > 0 {
        return peak;
    }
    let nanos = segments.iter().map(|(duration, _)| i128::from(duration.as_nanos().max(0))).sum();
    bit_rate(segments.iter().map(|(_, bytes)| bytes).sum(), nanos)
}

fn bit_rate(bytes: u64, nanos: i128) -> u64 {
    let bits = i128::from(bytes) * 8_000_000_000;
    // Rounded up: less than a rate is never the most that is needed.
    u64::try_from((bits + nanos.max(1) - 1) / nanos.max(1)).unwrap_or(u64::MAX)
}
