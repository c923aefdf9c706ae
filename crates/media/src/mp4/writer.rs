//! Writes fragmented MP4 (ISO/IEC 14496-12 section 8.8).

use bytes::{BufMut, Bytes, BytesMut};

use super::edit;
use super::init::{DELTA_FLAGS, KEY_FLAGS, init_segment, put_box, put_full_box};
use super::moof::{
    BASE_IS_MOOF, DATA_OFFSET, SAMPLE_DURATION, SAMPLE_FLAGS, SAMPLE_SHIFT, SAMPLE_SIZE,
};
use crate::h264::DtsClock;
use crate::{Codec, Error, Frame, Kind, MediaTime, Track, TrackId, g711, opus};

/// Makes a fragmented MP4 file of frames: the init segment, then fragments one after another.
///
/// A fragment ends where a key picture of the first video track starts, or after a second if
/// there is no picture or every one is a key picture (JPEG); and in any case at 10 s, 32 MB or 8192 frames. The last frame of each
/// track waits for the next one, which says how long it lasts.
///
/// The file's time line starts with the earliest decoding time of the first fragment, for a file
/// has no negative ones: with B-frames the first picture is shown some frames later. (Negative
/// composition offsets would do without that, but ffmpeg then shows pictures late against the
/// sound.) Decoding times that do not rise are moved up to one tick after the one before.
#[derive(Debug)]
pub struct FragmentWriter {
    tracks: Vec<TrackWriter>,
    init: Bytes,
    main: usize,
    /// The decoding time that the file's time line starts with.
    origin: Option<MediaTime>,
    sequence: u32,
    held_bytes: usize,
    held_frames: usize,
}

#[derive(Debug)]
struct TrackWriter {
    id: TrackId,
    kind: Kind,
    /// Sound, or pictures that need no others.
    all_keys: bool,
    rate_hz: u32,
    sound: Sound,
    /// Nominal duration, where the codec says so.
    frame_duration: Option<MediaTime>,
    clock: DtsClock,
    held: Vec<Held>,
    /// The first tick that is free.
    next_tick: i64,
    last_duration: u32,
}

/// Sound whose frames say how long they last.
#[derive(Debug)]
enum Sound {
    Opus,
    G711(g711::Config),
    Other,
}

#[derive(Debug)]
struct Held {
    pts: MediaTime,
    dts: MediaTime,
    duration: Option<MediaTime>,
    is_key: bool,
    payload: Bytes,
}

/// One row of a `trun` box.
pub(super) struct Row {
    pub(super) duration: u32,
    pub(super) bytes: u32,
    pub(super) flags: u32,
    pub(super) shift: i32,
}

impl FragmentWriter {
    /// A writer of a file with these tracks. An error if there are none or more than 64, if a
    /// clock rate is 0, or
    /// if a sequence parameter set cannot be read, for the file states the size of the picture.
    pub fn new(tracks: &[Track]) -> Result<Self, Error> {
        if tracks.is_empty() {
            return Err(Error::NoTrack { skipped: Vec::new() });
        }
        if let Some(track) = tracks.iter().find(|track| track.clock_rate_hz == 0) {
            return Err(Error::unsupported("track", format!("clock rate 0 ({})", track.id.0)));
        }
        if tracks.len() > TRACKS_MAX {
            let reason = format!("{} tracks, at most {TRACKS_MAX}", tracks.len());
            return Err(Error::unsupported("fragmented MP4", reason));
        }
        let main = tracks.iter().position(|track| track.codec.kind() == Kind::Video);
        Ok(FragmentWriter {
            init: init_segment(tracks)?,
            tracks: tracks.iter().map(TrackWriter::new).collect(),
            main: main.unwrap_or(0),
            origin: None,
            sequence: 0,
            held_bytes: 0,
            held_frames: 0,
        })
    }

    /// The head of the file: `ftyp` and `moov`.
    pub fn init_segment(&self) -> Bytes {
        self.init.clone()
    }

    /// The head of a file whose presentation starts at `start`, a time like those of the frames:
    /// what comes before is decoded and not shown. Known once the first fragment is complete;
    /// until then it is the head without that.
    pub fn init_segment_from(&self, start: MediaTime) -> Bytes {
        let Some(origin) = self.origin else {
            return self.init_segment();
        };
        let ticks = |track: &TrackWriter| (start - origin).to_ticks(track.rate_hz).max(0);
        edit::with_starts(&self.init, self.tracks.iter().map(ticks))
    }

    /// Takes the next frame of a track in decoding order, the tracks about in step; gives back a fragment (`moof` and
    /// `mdat`) once one is complete. An error if the file has no such track, or if the frame has
    /// more than 32 MB; the writer can go on after it.
    pub fn push(&mut self, frame: &Frame) -> Result<Option<Bytes>, Error> {
        let Some(number) = self.tracks.iter().position(|track| track.id == frame.track) else {
            return Err(Error::UnknownTrack(frame.track));
        };
        if frame.payload.len() > FRAME_BYTES_MAX {
            let reason = format!("{} bytes, at most {FRAME_BYTES_MAX}", frame.payload.len());
            return Err(Error::unsupported("frame", reason));
        }
        let track = &mut self.tracks[number];
        let is_key = frame.key.starts();
        let dts = match frame.dts {
            Some(dts) => dts,
            None if track.kind == Kind::Video => track.clock.push(frame.pts),
            None => frame.pts,
        };
        track.held.push(Held {
            pts: frame.pts,
            dts,
            duration: frame.duration.or_else(|| track.duration_of(&frame.payload)),
            is_key,
            payload: frame.payload.clone(),
        });
        self.held_bytes += frame.payload.len();
        self.held_frames += 1;
        let span = track.held.first().map_or(MediaTime::ZERO, |first| dts - first.dts);
        let is_main = number == self.main;
        let span_max = if is_main && track.all_keys { SPAN_MAX_ALL_KEYS } else { SPAN_MAX };
        let starts_gop = is_main && !track.all_keys && is_key && track.held.len() > 1;
        let full = self.held_bytes >= BYTES_MAX || self.held_frames >= FRAMES_MAX;
        if starts_gop || full || span >= span_max {
            return Ok(self.flush(1));
        }
        Ok(None)
    }

    /// The last fragment; empty if nothing is left. The writer can go on afterwards.
    pub fn finish(&mut self) -> Bytes {
        self.flush(0).unwrap_or_default()
    }

    /// A fragment of all frames but the last `kept` of each track.
    fn flush(&mut self, kept: usize) -> Option<Bytes> {
        let first = self.tracks.iter().flat_map(|track| &track.held).map(|held| held.dts).min();
        let origin = *self.origin.get_or_insert(first?);
        let mut parts = Vec::new();
        for (number, track) in self.tracks.iter_mut().enumerate() {
            let frames = track.take(kept);
            if !frames.is_empty() {
                let (start, rows) = track.rows(origin, &frames);
                parts.push((number, track.kind, start, rows, frames));
            }
        }
        let all = parts.iter().flat_map(|(.., frames)| frames);
        let data_bytes: usize = all.clone().map(|frame| frame.held.payload.len()).sum();
        let frame_count = all.count();
        if frame_count == 0 {
            return None;
        }
        self.held_bytes -= data_bytes;
        self.held_frames -= frame_count;
        self.sequence = self.sequence.wrapping_add(1);
        let rows: Vec<_> = parts
            .iter()
            .map(|(number, kind, start, rows, _)| (*number, *kind, *start, &rows[..]))
            .collect();
        let mut out = BytesMut::with_capacity(data_bytes + 200 + 16 * frame_count);
        put_moof(&mut out, self.sequence, &rows);
        out.put_u32(data_bytes as u32 + 8);
        out.put_slice(b"mdat");
        for frame in parts.iter().flat_map(|(.., frames)| frames) {
            out.put_slice(&frame.held.payload);
        }
        Some(out.freeze())
    }
}

impl TrackWriter {
    fn new(track: &Track) -> Self {
        let (depth, frame_duration) = match &track.codec {
            Codec::H264(config) => pace(
                config.picture().ok().map(|picture| (picture.reorder_depth, picture.frame_rate)),
            ),
            Codec::H265(config) => pace(
                config.picture().ok().map(|picture| (picture.reorder_depth, picture.frame_rate)),
            ),
            Codec::Aac(config) => (0, Some(config.frame_duration())),
            _ => (0, None),
        };
        TrackWriter {
            id: track.id,
            kind: track.codec.kind(),
            all_keys: matches!(track.codec, Codec::Jpeg(_)) || track.codec.kind() == Kind::Audio,
            rate_hz: track.clock_rate_hz,
            sound: match &track.codec {
                Codec::Opus(_) => Sound::Opus,
                Codec::G711(config) => Sound::G711(*config),
                _ => Sound::Other,
            },
            frame_duration,
            clock: DtsClock::new(depth, frame_duration),
            held: Vec::new(),
            next_tick: 0,
            last_duration: 0,
        }
    }

    /// How long a frame of sound lasts, where its bytes say it.
    fn duration_of(&self, payload: &[u8]) -> Option<MediaTime> {
        match self.sound {
            Sound::Opus => {
                let samples = opus::packet_samples(payload)?;
                Some(MediaTime::from_ticks(samples.into(), opus::CLOCK_RATE_HZ))
            }
            Sound::G711(config) => Some(config.frame_duration(payload.len())),
            Sound::Other => None,
        }
    }

    /// The held frames but the last `kept`, with the decoding time of the one after each.
    fn take(&mut self, kept: usize) -> Vec<Done> {
        let count = self.held.len().saturating_sub(kept);
        let next: Vec<_> = self.held.iter().skip(1).map(|held| held.dts).collect();
        let frames = self.held.drain(..count).enumerate();
        frames.map(|(n, held)| Done { held, next_dts: next.get(n).copied() }).collect()
    }

    /// The rows of a fragment with these frames, and the tick that it starts with.
    fn rows(&mut self, origin: MediaTime, frames: &[Done]) -> (u64, Vec<Row>) {
        let rate_hz = self.rate_hz;
        let first_dts = frames.first().map_or(origin, |frame| frame.held.dts);
        let ticks = |dts: MediaTime| (dts - origin).to_ticks(rate_hz);
        let start = ticks(first_dts).max(self.next_tick);
        let mut tick = start;
        let mut rows = Vec::with_capacity(frames.len());
        for Done { held, next_dts } in frames {
            let duration = match *next_dts {
                Some(next) => ticks(next).saturating_sub(tick).clamp(1, TICKS_MAX) as u32,
                None => self.last_duration(held),
            };
            self.last_duration = duration;
            let shift = (held.pts - origin).to_ticks(rate_hz).saturating_sub(tick);
            rows.push(Row {
                duration,
                bytes: held.payload.len() as u32,
                flags: if held.is_key { KEY_FLAGS } else { DELTA_FLAGS },
                shift: shift.clamp(-TICKS_MAX, TICKS_MAX) as i32,
            });
            tick = tick.saturating_add(duration.into());
        }
        self.next_tick = tick;
        (start as u64, rows)
    }

    /// How long the last frame of the file lasts: as it says, or as long as the one before.
    fn last_duration(&self, frame: &Held) -> u32 {
        let said = frame.duration.map(|span| span.to_ticks(self.rate_hz));
        let nominal = self.frame_duration.map(|span| span.to_ticks(self.rate_hz));
        let before = Some(i64::from(self.last_duration)).filter(|&ticks| ticks > 0);
        said.or(before).or(nominal).unwrap_or(1).clamp(1, TICKS_MAX) as u32
    }
}

/// The reorder depth and how long a picture lasts, of what parameter sets say of both.
fn pace(picture: Option<(u8, Option<f64>)>) -> (u8, Option<MediaTime>) {
    let (reorder_depth, frame_rate) = picture.unwrap_or((0, None));
    (reorder_depth, frame_rate.map(|rate| MediaTime::from_nanos((1e9 / rate) as i64)))
}

/// A held frame that goes into a fragment, with the decoding time of the one after it.
struct Done {
    held: Held,
    next_dts: Option<MediaTime>,
}

/// The tracks by their number in the file, each with its first tick and its rows.
pub(super) fn put_moof(out: &mut BytesMut, sequence: u32, tracks: &[(usize, Kind, u64, &[Row])]) {
    let start = out.len();
    let mut offset_places = Vec::with_capacity(tracks.len());
    put_box(out, b"moof", |out| {
        put_full_box(out, b"mfhd", 0, 0, |out| out.put_u32(sequence));
        for (number, kind, first_tick, rows) in tracks {
            put_box(out, b"traf", |out| {
                put_full_box(out, b"tfhd", 0, BASE_IS_MOOF, |out| out.put_u32(*number as u32 + 1));
                put_full_box(out, b"tfdt", 1, 0, |out| out.put_u64(*first_tick));
                let shifted = rows.iter().any(|row| row.shift != 0);
                let mut flags = DATA_OFFSET | SAMPLE_DURATION | SAMPLE_SIZE;
                flags |= if *kind == Kind::Video { SAMPLE_FLAGS } else { 0 };
                flags |= if shifted { SAMPLE_SHIFT } else { 0 };
                put_full_box(out, b"trun", 1, flags, |out| {
                    out.put_u32(rows.len() as u32);
                    offset_places.push(out.len());
                    out.put_u32(0);
                    for row in *rows {
                        out.put_u32(row.duration);
                        out.put_u32(row.bytes);
                        if flags & SAMPLE_FLAGS != 0 {
                            out.put_u32(row.flags);
                        }
                        if shifted {
                            out.put_i32(row.shift);
                        }
                    }
                });
            });
        }
    });
    let mut offset = (out.len() - start) as u32 + 8;
    for (place, (.., rows)) in offset_places.into_iter().zip(tracks) {
        out[place..place + 4].copy_from_slice(&offset.to_be_bytes());
        offset += rows.iter().map(|row| row.bytes).sum::<u32>();
    }
}

const SPAN_MAX: MediaTime = MediaTime::from_nanos(10_000_000_000);
const SPAN_MAX_ALL_KEYS: MediaTime = MediaTime::from_nanos(1_000_000_000);
const BYTES_MAX: usize = 32 << 20;
const FRAMES_MAX: usize = 8192;
const FRAME_BYTES_MAX: usize = 32 << 20;
/// With these and the bounds above, a fragment's bytes are counted by 32 bits.
const TRACKS_MAX: usize = 64;
const TICKS_MAX: i64 = i32::MAX as i64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyKind;
    use crate::mp4::tests::{frame, open, tracks};
    use proptest::prelude::*;

    #[test]
    fn a_fragment_comes_with_each_key_picture() {
        let mut writer = FragmentWriter::new(&tracks()).unwrap();
        let mut places = Vec::new();
        for n in 0..90 {
            let key = if n % 30 == 0 { KeyKind::Key } else { KeyKind::Delta };
            if writer.push(&frame(0, n * 33, n * 33, key, 100)).unwrap().is_some() {
                places.push(n);
            }
        }
        assert_eq!(places, [30, 60]);
        assert!(!writer.finish().is_empty());
        assert!(writer.finish().is_empty());
    }

    #[test]
    fn a_file_may_start_behind_its_first_frame() {
        let mut writer = FragmentWriter::new(&tracks()).unwrap();
        let mut fragments = Vec::new();
        for n in 0..60 {
            let key = if n % 30 == 0 { KeyKind::Key } else { KeyKind::Delta };
            for track in [0, 1] {
                let at = n * 100 - 1_500;
                fragments.extend(writer.push(&frame(track, at, at, key, 100)).unwrap());
            }
        }
        fragments.push(writer.finish());
        let head = writer.init_segment_from(MediaTime::ZERO);
        let file = [&head[..], &fragments.concat()].concat();
        let movie = open(&file).unwrap();
        for track in [0, 1] {
            let first = movie.sample(TrackId(track), 0).unwrap();
            assert_eq!(first.pts, MediaTime::from_ticks(-1_500, 1_000));
        }
        assert_eq!(movie.duration(), MediaTime::from_ticks(4_500, 1_000));
    }

    #[test]
    fn a_fragment_of_sound_alone_comes_each_second() {
        let mut writer = FragmentWriter::new(&tracks()[1..]).unwrap();
        let fragments = (0..300)
            .filter_map(|n| writer.push(&frame(1, n * 20, n * 20, KeyKind::Key, 9)).unwrap());
        assert_eq!(fragments.count(), 5);
    }

    #[test]
    fn without_key_pictures_memory_is_bounded() {
        let mut writer = FragmentWriter::new(&tracks()).unwrap();
        let mut fragments = 0;
        for n in 0..2000 {
            let delta = frame(0, n * 33, n * 33, KeyKind::Delta, 100);
            fragments += usize::from(writer.push(&delta).unwrap().is_some());
            assert!(writer.held_frames <= 310);
        }
        assert_eq!(fragments, 6);
    }

    #[test]
    fn frames_of_other_tracks_and_too_large_ones_are_refused() {
        let mut writer = FragmentWriter::new(&tracks()).unwrap();
        let other = frame(2, 0, 0, KeyKind::Key, 1);
        assert_eq!(writer.push(&other), Err(Error::UnknownTrack(TrackId(2))));
        let large = frame(0, 0, 0, KeyKind::Key, FRAME_BYTES_MAX + 1);
        assert!(matches!(writer.push(&large), Err(Error::Unsupported { .. })));
        assert!(FragmentWriter::new(&[]).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn what_was_written_reads_back(
            start_ms in -5_000i64..5_000,
            rows in prop::collection::vec((0u8..2, 1i64..80, 0i64..200, 0u8..12, 1usize..300), 1..200),
        ) {
            let mut writer = FragmentWriter::new(&tracks()).unwrap();
            let mut file = writer.init_segment().to_vec();
            let mut dts_ms = [start_ms; 2];
            let mut all = Vec::new();
            for (track, step_ms, shift_ms, key, bytes) in rows {
                let dts = &mut dts_ms[usize::from(track)];
                *dts += step_ms;
                let shift_ms = if track == 0 { shift_ms } else { 0 };
                let key = if track == 1 || key == 0 { KeyKind::Key } else { KeyKind::Delta };
                let frame = frame(track, *dts + shift_ms, *dts, key, bytes);
                all.push(frame);
            }
            all.sort_by_key(|frame| frame.dts);
            for frame in &all {
                file.extend(writer.push(frame).unwrap().unwrap_or_default());
            }
            file.extend(writer.finish());
            let movie = open(&file).unwrap();
            let odd = |warning: &&String| !warning.ends_with("has no key picture");
            prop_assert_eq!(movie.warnings().iter().find(odd), None);
            let mut present: Vec<_> = all.iter().map(|frame| frame.track).collect();
            present.sort();
            present.dedup();
            for (number, &track) in present.iter().enumerate() {
                let written: Vec<_> = all.iter().filter(|frame| frame.track == track).collect();
                let id = TrackId(number as u8);
                prop_assert_eq!(movie.sample_count(id) as usize, written.len());
                let first = movie.sample(id, 0).unwrap();
                for (index, frame) in written.iter().enumerate() {
                    let sample = movie.sample(id, index as u32).unwrap();
                    let key = if sample.key.starts() { KeyKind::Key } else { KeyKind::Delta };
                    prop_assert_eq!(key, frame.key);
                    prop_assert_eq!(sample.bytes as usize, frame.payload.len());
                    let shift = (sample.pts - sample.dts) - (frame.pts - frame.dts.unwrap());
                    prop_assert!(shift.as_nanos().abs() < 50_000);
                    let since = sample.dts - first.dts;
                    let expected = frame.dts.unwrap() - written[0].dts.unwrap();
                    prop_assert!((since - expected).as_nanos().abs() < 50_000);
                }
            }
        }
    }
}
