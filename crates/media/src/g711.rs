//! G.711: logarithmic sound of eight bits a sample.

use crate::MediaTime;

/// The configuration of a G.711 stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// How a sample is coded.
    pub law: Law,
    /// Samples a second; 8,000 nearly always.
    pub sample_rate_hz: u32,
    /// Channels; 1 nearly always.
    pub channels: u8,
}

/// How a sample is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// A-law (PCMA), Europe and most of the world.
    A,
    /// Mu-law (PCMU), North America and Japan.
    Mu,
}

impl Config {
    /// How many samples of each channel a run of so many bytes holds.
    pub fn samples(&self, bytes: usize) -> usize {
        bytes / usize::from(self.channels.max(1))
    }

    /// How long a frame of so many bytes lasts.
    pub fn frame_duration(&self, bytes: usize) -> MediaTime {
        let samples = i64::try_from(self.samples(bytes)).unwrap_or(i64::MAX);
        MediaTime::from_ticks(samples, self.sample_rate_hz.max(1))
    }

    /// The codec's name in a `codecs` parameter (RFC 6381): that of its MP4 sample entry.
    pub fn codec_string(&self) -> &'static str {
        match self.law {
            Law::A => "alaw",
            Law::Mu => "ulaw",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_lasts_as_long_as_its_samples_of_one_channel() {
        let config = Config { law: Law::A, sample_rate_hz: 8_000, channels: 2 };
        assert_eq!(config.frame_duration(320), MediaTime::from_nanos(20_000_000));
        assert_eq!(config.codec_string(), "alaw");
    }
}
