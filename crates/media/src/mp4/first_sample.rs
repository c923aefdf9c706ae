//! Configurations that stand in the first sample rather than in the sample description.

use bytes::Bytes;

use crate::nal::LengthPrefixed;
use crate::{Codec, Error, av1, h264, h265, jpeg, vp9};

/// Whether the sample description has said all that a decoder needs. If not, the configuration is
/// without parameter sets, without record, or of no bit depth, until [`complete`] has been called.
pub(super) fn is_complete(codec: &Codec) -> bool {
    match codec {
        Codec::H264(config) => !config.sps.is_empty() && !config.pps.is_empty(),
        Codec::H265(config) => {
            !config.vps.is_empty() && !config.sps.is_empty() && !config.pps.is_empty()
        }
        Codec::Vp9(config) => config.bit_depth != 0,
        Codec::Av1(config) => !config.record.is_empty(),
        Codec::Jpeg(config) => config.coding.is_some(),
        _ => true,
    }
}

/// Completes a configuration by a track's first sample, whose NAL unit lengths have
/// `length_bytes`.
pub(super) fn complete(codec: &mut Codec, sample: &[u8], length_bytes: u8) -> Result<(), Error> {
    let sets = |is_kind: fn(&[u8]) -> bool| {
        let nals = LengthPrefixed::new(sample, length_bytes).flatten();
        let sets = nals.filter(|nal| is_kind(nal)).take(SETS_MAX).map(Bytes::copy_from_slice);
        sets.collect::<Vec<_>>()
    };
    match codec {
        Codec::H264(config) => {
            use h264::NalType;
            *config = h264::Config::from_parameter_sets(
                sets(|nal| NalType::of(nal) == NalType::SPS),
                sets(|nal| NalType::of(nal) == NalType::PPS),
            )?;
        }
        Codec::H265(config) => {
            use h265::NalType;
            *config = h265::Config::from_parameter_sets(
                sets(|nal| NalType::of(nal) == NalType::VPS),
                sets(|nal| NalType::of(nal) == NalType::SPS),
                sets(|nal| NalType::of(nal) == NalType::PPS),
            )?;
        }
        Codec::Vp9(config) => *config = vp9::Config::from_key_frame(sample)?,
        Codec::Av1(config) => {
            let unit = av1::TemporalUnit::from_obus(&Bytes::copy_from_slice(sample))?;
            let sequence = unit.sequence_header.unwrap_or_default();
            *config = av1::Config::from_sequence_header(&sequence)?;
        }
        Codec::Jpeg(config) => *config = jpeg::Config::from_image(sample)?,
        _ => {}
    }
    Ok(())
}

/// As many sets of a kind as the smallest of the records holds.
const SETS_MAX: usize = 16;
