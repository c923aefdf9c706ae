//! G.711 in QuickTime files, and in MP4 files as ffmpeg reads and writes it.

use bytes::{BufMut, BytesMut};

use super::boxes::BoxView;
use super::init::put_box;
use super::stsd::{Description, data_reference};
use crate::g711::{Config, Law};
use crate::movie::table::Sizes;
use crate::{Codec, Error};

/// Reads an `alaw` or `ulaw` entry (ISO/IEC 14496-12 section 12.2.3, QuickTime File Format,
/// sound sample descriptions).
pub(super) fn read(entry: &BoxView<'_>) -> Result<Description, Error> {
    let data_reference = data_reference(entry)?;
    let mut fields = entry.fields();
    fields.take(8)?;
    let version = fields.u16()?;
    fields.take(6)?;
    let channels = fields.u16()?;
    fields.take(6)?;
    let rate_hz = fields.u32()? >> 16;
    let fits = u8::try_from(channels).ok().filter(|&channels| channels > 0 && rate_hz > 0);
    let Some(channels) = fits.filter(|_| version < 2) else {
        let reason = format!(
            "{channels} channels at {rate_hz} Hz, in a description of version {version}, are not \
             supported"
        );
        return Ok(Description::Other(entry.kind, reason));
    };
    let law = if entry.kind.0 == *b"alaw" { Law::A } else { Law::Mu };
    let codec = Codec::G711(Config { law, sample_rate_hz: rate_hz, channels });
    Ok(Description::Carried { codec, length_bytes: 0, data_reference })
}

/// How many samples of a track make one frame: 1, but for G.711 of which the file has each sample
/// of each moment as one sample. Their size, which old files state as 1 whatever the channels,
/// becomes that of all channels.
pub(super) fn samples_in_a_run(codec: &Codec, sizes: &mut Sizes) -> u32 {
    let Codec::G711(config) = codec else {
        return 1;
    };
    let channels = u32::from(config.channels);
    if !(sizes.same_bytes == 1 || sizes.same_bytes == channels) {
        return 1;
    }
    sizes.same_bytes = channels;
    (config.sample_rate_hz / RUNS_A_SECOND).clamp(1, (RUN_BYTES_MAX / channels).max(1))
}

/// Writes an entry.
pub(super) fn put(out: &mut BytesMut, config: &Config) {
    let kind = match config.law {
        Law::A => b"alaw",
        Law::Mu => b"ulaw",
    };
    put_box(out, kind, |out| put_audio_fields(out, config.channels.into(), config.sample_rate_hz));
}

/// The fields of an AudioSampleEntry (ISO/IEC 14496-12 section 12.2.3).
pub(super) fn put_audio_fields(out: &mut BytesMut, channels: u16, rate_hz: u32) {
    out.put_slice(&[0; 6]);
    out.put_u16(1);
    out.put_slice(&[0; 8]);
    out.put_u16(channels);
    out.put_u16(16);
    out.put_u32(0);
    // 16 bits before the point.
    out.put_u32(if rate_hz < 1 << 16 { rate_hz << 16 } else { 0 });
}

/// 20 ms, as RFC 3551 section 4.2 has it by default.
const RUNS_A_SECOND: u32 = 50;
/// One packet carries a run.
const RUN_BYTES_MAX: u32 = 1_000;

#[cfg(test)]
mod tests {
    use super::super::FragmentWriter;
    use super::super::tests::{frame, open};
    use super::*;
    use crate::movie::Movie;
    use crate::movie::table::{Chunks, Numbers, SampleTable, TimeRun};
    use crate::{KeyKind, MediaTime, Track, TrackId, opus};
    use proptest::prelude::*;

    fn codec(channels: u8) -> Codec {
        Codec::G711(Config { law: Law::Mu, sample_rate_hz: 8_000, channels })
    }

    fn sizes(same_bytes: u32, same_count: u32) -> Sizes {
        Sizes { same_bytes, same_count, each: Numbers::default() }
    }

    #[test]
    fn samples_of_one_moment_each_make_runs_of_twenty_milliseconds() {
        let mut one = sizes(1, 10);
        assert_eq!(samples_in_a_run(&codec(2), &mut one), 160);
        // Old files state 1 whatever the channels.
        assert_eq!(one.same_bytes, 2);
        assert_eq!(samples_in_a_run(&codec(1), &mut sizes(160, 10)), 1);
        assert_eq!(samples_in_a_run(&codec(200), &mut sizes(1, 10)), 5);
        let opus = Codec::Opus(opus::Config::plain(1));
        assert_eq!(samples_in_a_run(&opus, &mut sizes(1, 10)), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn runs_hold_each_sample_once_wherever_they_begin(
            chunks in prop::collection::vec((1u32..500, 0u64..3), 1..20),
            run_max in 2u32..170,
            cut in 0u32..4_000,
        ) {
            let count = chunks.iter().map(|(samples, _)| samples).sum();
            let sizes = sizes(1, count);
            let mut places = Chunks::default();
            let (mut first, mut offset) = (0, 0);
            for (samples, gap) in chunks {
                offset = places.push(first, samples, offset + gap, &sizes);
                first += samples;
            }
            let mut table = SampleTable { run_max, ..SampleTable::of_sizes(sizes) };
            table.chunks = places;
            table.times = vec![TimeRun { dts: 0, first: 0, delta: 1 }];
            let cut = table.run_start(cut.min(count));
            let runs: Vec<_> =
                table.cursor(0, cut).chain(table.cursor(cut, u32::MAX)).collect();
            let whole: Vec<_> = table.cursor(0, u32::MAX).collect();
            prop_assert_eq!(&runs, &whole);
            let single = SampleTable { run_max: 1, ..table.clone() };
            let mut singles = single.cursor(0, u32::MAX);
            for run in &runs {
                prop_assert!(run.bytes <= run_max && run.delta == run.bytes);
                for step in 0..run.bytes {
                    let one = singles.next().unwrap();
                    prop_assert_eq!((one.index, one.offset), (run.index + step, run.offset + u64::from(step)));
                    prop_assert_eq!(one.dts, run.dts + i64::from(step));
                }
            }
            prop_assert!(singles.next().is_none());
        }
    }

    #[test]
    fn sound_that_was_written_reads_back_with_its_configuration_and_its_durations() {
        let opus = opus::Config { pre_skip: 312, ..opus::Config::plain(2) };
        let tracks = [(codec(1), 8_000), (Codec::Opus(opus), 48_000)];
        let tracks: Vec<_> = tracks
            .into_iter()
            .zip(0u8..)
            .map(|((codec, clock_rate_hz), id)| Track { id: TrackId(id), codec, clock_rate_hz })
            .collect();
        let mut writer = FragmentWriter::new(&tracks).unwrap();
        let mut file = writer.init_segment().to_vec();
        for n in 0..10 {
            for (track, bytes) in [(0, 160), (1, 1)] {
                let mut frame = frame(track, n * 20, n * 20, KeyKind::Key, bytes);
                if track == 1 {
                    // 20 ms.
                    frame.payload = bytes::Bytes::from_static(&[31 << 3]);
                }
                file.extend(writer.push(&frame).unwrap().unwrap_or_default());
            }
        }
        file.extend(writer.finish());
        let movie: Movie = open(&file).unwrap();
        assert_eq!(movie.tracks(), tracks);
        for track in [0, 1].map(TrackId) {
            assert_eq!(movie.sample_count(track), 10);
            let last = movie.sample(track, 9).unwrap();
            assert_eq!(last.duration, MediaTime::from_nanos(20_000_000));
        }
    }
}
