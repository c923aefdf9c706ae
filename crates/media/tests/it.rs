//! Movies made by ffmpeg, read and written, and compared with what ffprobe says of them.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

#[path = "it/containers.rs"]
mod containers;
#[path = "it/damage.rs"]
mod damage;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bytes::Bytes;
use mp4_atom::ReadFrom as _;
use weir_media::movie::{Movie, Opener, Sample, Step};
use weir_media::mp4::FragmentWriter;
use weir_media::{Codec, Error, Frame, KeyKind, Kind, MediaTime, Track, TrackId, fuzz, h264, nal};
use weir_time::Instant;

/// A directory with `base.mp4`: 3 s of High profile pictures with two B-frames in a row, a key
/// picture each second, and AAC. `None` where ffmpeg is missing.
fn dir() -> Option<&'static Path> {
    static DIR: OnceLock<Option<PathBuf>> = OnceLock::new();
    let make = || {
        let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("movies");
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        if Command::new("ffmpeg").arg("-version").output().is_err() {
            eprintln!("SKIPPED: ffmpeg is missing, no movie was read");
            return None;
        }
        let sources = "-f lavfi -i testsrc2=size=320x180:rate=30 -f lavfi -i sine=r=48000 -t 3";
        let video =
            "-c:v libx264 -preset ultrafast -x264-params 8x8dct=1 -bf 2 -pix_fmt yuv420p -g 30";
        ffmpeg(&dir, &format!("{sources} {video} -c:a aac -b:a 64k base.mp4"));
        Some(dir)
    };
    DIR.get_or_init(make).as_deref()
}

fn ffmpeg(dir: &Path, args: &str) -> String {
    run(Command::new("ffmpeg").current_dir(dir).args(["-v", "error", "-y"]).args(words(args)))
}

fn run(command: &mut Command) -> String {
    let out = command.output().unwrap();
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && errors.is_empty(), "{command:?}: {errors}");
    String::from_utf8(out.stdout).unwrap()
}

fn words(args: &str) -> impl Iterator<Item = &str> {
    args.split_whitespace()
}

/// Makes a file of `base.mp4` without coding anew.
fn copied(name: &str, before: &str, after: &str) -> Option<Vec<u8>> {
    let dir = dir()?;
    ffmpeg(dir, &format!("{before} -i base.mp4 -c copy {after} {name}"));
    Some(std::fs::read(dir.join(name)).unwrap())
}

fn open(file: &[u8]) -> Result<Movie, Error> {
    let mut opener = Opener::new(file.len() as u64);
    loop {
        match opener.poll()? {
            Step::Need { offset, bytes } => {
                opener.feed(offset, file[offset as usize..][..bytes as usize].to_vec())?;
            }
            Step::Done(movie) => return Ok(*movie),
        }
    }
}

/// What ffprobe says of a packet: presentation, decoding, duration, size, place, key.
type Packet = (i64, i64, Option<i64>, u32, u64, bool);

/// A line for each packet of a file, with these cells.
fn probe_lines(dir: &Path, name: &str, cells: &str) -> Vec<String> {
    let args = format!("-v error -show_entries packet={cells} -of csv=p=0 {name}");
    let text = run(Command::new("ffprobe").current_dir(dir).args(words(&args)));
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn probe(dir: &Path, name: &str) -> BTreeMap<usize, Vec<Packet>> {
    let mut out = BTreeMap::<usize, Vec<Packet>>::new();
    for line in probe_lines(dir, name, "stream_index,pts,dts,duration,size,pos,flags") {
        let cells: Vec<_> = line.split(',').collect();
        let number =
            |n: usize| cells[n].parse::<i64>().unwrap_or_else(|_| panic!("{name}: {line}"));
        out.entry(number(0) as usize).or_default().push((
            number(1),
            number(2),
            cells[3].parse().ok(),
            number(4) as u32,
            number(5) as u64,
            cells[6].starts_with('K'),
        ));
    }
    out
}

fn samples(movie: &Movie, track: TrackId) -> Vec<Sample> {
    (0..movie.sample_count(track)).map(|n| movie.sample(track, n).unwrap()).collect()
}

fn compare(name: &str, movie: &Movie, packets: &BTreeMap<usize, Vec<Packet>>) {
    assert_eq!(movie.tracks().len(), packets.len(), "{name}");
    for (track, packets) in movie.tracks().iter().zip(packets.values()) {
        let ticks = |time: MediaTime| time.to_ticks(track.clock_rate_hz);
        let samples = samples(movie, track.id);
        assert_eq!(samples.len(), packets.len(), "{name}: packets of track {}", track.id.0);
        for (n, (s, packet)) in samples.iter().zip(packets).enumerate() {
            let key = s.key == KeyKind::Key;
            let found =
                (ticks(s.pts), ticks(s.dts), Some(ticks(s.duration)), s.bytes, s.offset, key);
            // ffprobe does not know, or guesses, how long some last and first packets last.
            let mut packet = *packet;
            if name == "cmaf.mp4" && track.codec.kind() == Kind::Video {
                // Of a fragmented file with negative composition offsets ffprobe makes all
                // pictures later by the lowest offset, against the sound and the specification.
                packet.0 -= 512;
                packet.1 -= 512;
            }
            if n + 1 == packets.len() || packet.2.is_none() {
                packet.2 = found.2;
            }
            assert_eq!(found, packet, "{name}: track {} packet {n}", track.id.0);
        }
    }
}

fn frames(movie: &Movie, file: &[u8]) -> Vec<Frame> {
    let all = (0..movie.gops()).flat_map(|gop| movie.gop_samples(gop));
    let file = Bytes::copy_from_slice(file);
    all.map(|sample| {
        let range = sample.offset as usize..sample.offset as usize + sample.bytes as usize;
        movie.frame(&sample, file.slice(range), Instant::from_nanos(7)).unwrap()
    })
    .collect()
}

/// Files of the same coded pictures and sound, by name: options before and after the input.
const VARIANTS: [(&str, &str, &str); 12] = [
    ("last.mp4", "", ""),
    ("first.mp4", "", "-movflags +faststart"),
    ("quicktime.mov", "", ""),
    ("negative.mp4", "", "-movflags +negative_cts_offsets"),
    ("moof.mp4", "", "-movflags +frag_keyframe+empty_moov"),
    ("offsets.mp4", "", "-movflags +frag_keyframe+empty_moov+omit_tfhd_offset"),
    ("cmaf.mp4", "", "-movflags +cmaf+delay_moov -frag_duration 300000"),
    ("mixed.mp4", "", "-movflags +frag_keyframe"),
    ("late_sound.mp4", "-i base.mp4 -itsoffset 0.5", "-map 0:v -map 1:a"),
    ("late_picture.mov", "-i base.mp4 -itsoffset 0.5", "-map 1:v -map 0:a"),
    ("two_sounds.mp4", "", "-map 0:v -map 0:a -map 0:a"),
    ("no_edits.mp4", "", "-use_editlist 0"),
];

/// The files of [`VARIANTS`], by name; none where ffmpeg is missing.
fn variants() -> &'static [(&'static str, Vec<u8>)] {
    static FILES: OnceLock<Vec<(&str, Vec<u8>)>> = OnceLock::new();
    let make = |(name, before, after)| Some((name, copied(name, before, after)?));
    FILES.get_or_init(|| VARIANTS.into_iter().filter_map(make).collect())
}

#[test]
fn every_sample_is_where_and_when_ffprobe_says() {
    for (name, file) in variants() {
        let movie = open(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(movie.warnings(), [""; 0], "{name}");
        compare(name, &movie, &probe(dir().unwrap(), name));
    }
}

#[test]
fn edit_lists_place_the_presentation() {
    let Some(file) = copied("plain.mp4", "", "") else {
        return;
    };
    let movie = open(&file).unwrap();
    let [picture, sound] = [0, 1].map(|n| movie.sample(TrackId(n), 0).unwrap());
    assert_eq!(picture.pts, MediaTime::ZERO);
    assert!(picture.dts < MediaTime::ZERO);
    // 1024 samples of the encoder's delay come before the start.
    assert_eq!(sound.pts.to_ticks(48_000), -1024);
    assert!((movie.duration().as_secs_f64() - 3.0).abs() < 0.03, "{:?}", movie.duration());
    let late = copied("late.mp4", "-i base.mp4 -itsoffset 0.5", "-map 0:v -map 1:a").unwrap();
    let sound = open(&late).unwrap().sample(TrackId(1), 0).unwrap();
    assert!((sound.pts.as_secs_f64() - 0.5 + 1024.0 / 48_000.0).abs() < 0.001, "{sound:?}");
}

#[test]
fn edits_that_are_not_followed_are_warned_of() {
    let Some(mut file) = copied("edits.mp4", "", "") else {
        return;
    };
    let elst = file.windows(4).position(|four| four == b"elst").unwrap();
    assert_eq!(file[elst + 20..elst + 24], [0, 1, 0, 0]);
    file[elst + 20..elst + 24].copy_from_slice(&[0, 2, 0, 0]);
    let movie = open(&file).unwrap();
    let expected = "moov/trak[0]/edts/elst: plays at 2 times the rate, 1 is used";
    assert_eq!(movie.warnings(), [expected]);
    // The edit ends after a second.
    file[elst + 8..elst + 16].copy_from_slice(&[0, 0, 0, 1, 0, 0, 3, 232]);
    file[elst + 20..elst + 24].copy_from_slice(&[0, 1, 0, 0]);
    let movie = open(&file).unwrap();
    let expected =
        "trak[0]: the edit list ends it 2.000 s before its last sample; that is played too";
    assert_eq!(movie.warnings(), [expected]);
}

#[test]
fn every_sample_belongs_to_one_gop_and_lies_in_its_extents() {
    for (name, file) in variants() {
        let movie = open(file).unwrap();
        let mut next = vec![0; movie.tracks().len()];
        assert_eq!(movie.gops(), 3, "{name}");
        let totals = (0..3).map(|gop| {
            let samples = movie.gop_samples(gop);
            samples
                .fold((0, 0), |(count, bytes), sample| (count + 1, bytes + u64::from(sample.bytes)))
        });
        assert!(movie.gop_totals().eq(totals), "{name}");
        for gop in 0..movie.gops() {
            let all: Vec<_> = movie.gop_samples(gop).collect();
            assert!(all.is_sorted_by_key(|sample| sample.dts), "{name}");
            let picture = all.iter().find(|sample| sample.track == TrackId(0)).unwrap();
            assert_eq!(picture.key, KeyKind::Key, "{name}");
            assert!(gop == 0 || all[0] == *picture, "{name}");
            assert_eq!(movie.gop_start(gop), picture.pts, "{name}");
            assert_eq!(movie.gop_at(picture.pts), gop, "{name}");
            let extents = movie.gop_extents(gop);
            assert!(extents.len() <= 12, "{name}: {extents:?}");
            for sample in all {
                let end = sample.offset + u64::from(sample.bytes);
                let holds =
                    |part: &std::ops::Range<u64>| part.start <= sample.offset && end <= part.end;
                assert_eq!(extents.iter().filter(|part| holds(part)).count(), 1, "{name}");
                assert_eq!(sample.index, next[usize::from(sample.track.0)], "{name}");
                next[usize::from(sample.track.0)] += 1;
            }
        }
        let counts = movie.tracks().iter().map(|track| movie.sample_count(track.id));
        assert!(counts.eq(next), "{name}");
        assert_eq!(movie.gop_at(MediaTime::from_nanos(i64::MIN)), 0);
        assert_eq!(movie.gop_at(movie.duration()), 2);
        assert_eq!(movie.gop_samples(3).count(), 0);
    }
}

#[test]
fn frames_are_the_bytes_of_the_file_in_the_form_of_their_codec() {
    let Some(file) = copied("frames.mp4", "", "") else {
        return;
    };
    let movie = open(&file).unwrap();
    let Codec::H264(config) = &movie.tracks()[0].codec else { panic!("pictures come first") };
    let picture = config.picture().unwrap();
    assert_eq!((picture.width, picture.height, picture.profile_idc), (320, 180, 100));
    assert_eq!(picture.frame_rate, Some(30.0));
    let sample = movie.sample(TrackId(0), 0).unwrap();
    let range = sample.offset as usize..sample.offset as usize + sample.bytes as usize;
    let bytes = Bytes::from(file).slice(range);
    let frame = movie.frame(&sample, bytes.clone(), Instant::from_nanos(7)).unwrap();
    assert_eq!(frame.payload.as_ptr(), bytes.as_ptr());
    assert_eq!((frame.key, frame.arrival.as_nanos()), (KeyKind::Key, 7));
    let nals = nal::LengthPrefixed::new(&frame.payload, 4).map(Result::unwrap);
    assert!(nals.map(h264::NalType::of).any(|kind| kind == h264::NalType::IDR));
    let message = movie.frame(&sample, bytes.slice(1..), Instant::from_nanos(7)).unwrap_err();
    assert!(matches!(message, Error::Feed { .. }), "{message}");
    let mut broken = bytes.to_vec();
    broken[0] = 0xff;
    let message = movie.frame(&sample, broken.into(), Instant::from_nanos(7)).unwrap_err();
    let place = format!("mdat (track 0, sample 0) at byte {}: ", sample.offset);
    assert!(message.to_string().starts_with(&place), "{message}");
}

#[test]
fn key_pictures_of_open_gops_are_recovery_points() {
    let Some(dir) = dir() else { return };
    let video = "-c:v libx264 -preset ultrafast -bf 2 -x264-params open-gop=1:keyint=15:bframes=2";
    ffmpeg(dir, &format!("-i base.mp4 -an {video} open_gop.mp4"));
    let file = std::fs::read(dir.join("open_gop.mp4")).unwrap();
    let movie = open(&file).unwrap();
    compare("open_gop.mp4", &movie, &probe(dir, "open_gop.mp4"));
    let frames = frames(&movie, &file);
    let keys = frames.iter().map(|frame| frame.key);
    let keys: Vec<_> = keys.filter(|key| key.starts()).collect();
    assert_eq!(keys[0], KeyKind::Key);
    assert!(keys.len() > 3 && keys[1..].iter().all(|&key| key == KeyKind::Recovery), "{keys:?}");
    assert_eq!(keys.len(), movie.gops() as usize);
}

/// Encoders of other codecs, with what the files must say.
const CODECS: [(&str, &str, &str); 4] = [
    (
        "h265.mp4",
        "libx265 -preset ultrafast -tag:v hvc1 -x265-params log-level=error:keyint=30:bframes=4",
        "hvc1.1.6.L60.90",
    ),
    (
        "hev1.mp4",
        "libx265 -preset ultrafast -tag:v hev1 -pix_fmt yuv420p10 -x265-params log-level=error:keyint=30",
        "hvc1.2.4.L60.90",
    ),
    ("vp9.mp4", "libvpx-vp9 -deadline good -cpu-used 5 -g 30", "vp09.00.11.08"),
    ("av1.mp4", "libaom-av1 -cpu-used 8 -usage realtime -g 30", "av01.0.00M.08"),
];

#[test]
fn pictures_of_other_codecs_read_and_are_written_whole() {
    let Some(dir) = dir() else { return };
    let encoders = run(Command::new("ffmpeg").args(["-v", "error", "-encoders"]));
    for (name, encoder, codec_string) in CODECS {
        let library = words(encoder).next().unwrap();
        if !encoders.contains(library) {
            eprintln!("SKIPPED: ffmpeg here has no encoder {library}");
            continue;
        }
        ffmpeg(dir, &format!("-i base.mp4 -t 2 -an -c:v {encoder} {name}"));
        let file = std::fs::read(dir.join(name)).unwrap();
        let movie = open(&file).unwrap();
        assert_eq!(movie.warnings(), [""; 0], "{name}");
        compare(name, &movie, &probe(dir, name));
        let said = match &movie.tracks()[0].codec {
            Codec::H265(config) => config.codec_string().unwrap(),
            Codec::Vp9(config) => config.codec_string(),
            Codec::Av1(config) => config.codec_string().unwrap(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(said, codec_string, "{name}");
        let frames = frames(&movie, &file);
        let keys = frames.iter().filter(|frame| frame.key.starts()).count();
        assert_eq!((frames.len(), keys), (60, movie.gops() as usize), "{name}");
        assert_eq!(frames[0].key, KeyKind::Key, "{name}");
        let out = written(movie.tracks(), &frames);
        let name = format!("written_{name}");
        std::fs::write(dir.join(&name), &out).unwrap();
        ffmpeg(dir, &format!("-i {name} -f null -"));
        let again = open(&out).unwrap();
        assert_eq!(again.warnings(), [""; 0], "{name}");
        compare(&name, &again, &probe(dir, &name));
        assert_eq!(again.tracks()[0].codec, movie.tracks()[0].codec, "{name}");
    }
}

#[test]
fn configurations_that_stand_in_the_first_sample_are_found_there() {
    let Some(dir) = dir() else { return };
    let encoders = run(Command::new("ffmpeg").args(["-v", "error", "-encoders"]));
    let codecs = [
        ("libx264", "-x264-params repeat-headers=1", "avcC", 5, 0xe0),
        ("libx265", "-x265-params log-level=error:repeat-headers=1 -tag:v hvc1", "hvcC", 22, 0),
        ("libvpx-vp9", "-deadline realtime -cpu-used 8", "vpcC", 0, 0),
        ("libaom-av1", "-cpu-used 8 -usage realtime", "av1C", 0, 0),
    ];
    for (encoder, options, name, place, byte) in codecs {
        if !encoders.contains(encoder) {
            eprintln!("SKIPPED: ffmpeg here has no encoder {encoder}");
            continue;
        }
        ffmpeg(dir, &format!("-i base.mp4 -t 0.5 -an -c:v {encoder} {options} in_first.mp4"));
        let mut file = std::fs::read(dir.join("in_first.mp4")).unwrap();
        let expected = open(&file).unwrap().tracks()[0].codec.clone();
        let at = file.windows(4).position(|four| four == name.as_bytes()).unwrap();
        match name {
            "vpcC" => file[at..at + 4].copy_from_slice(b"free"),
            "av1C" => {
                // What stands behind its four bytes becomes a box of its own.
                let bytes = u32::from_be_bytes(file[at - 4..at].try_into().unwrap());
                file[at - 4..at].copy_from_slice(&12u32.to_be_bytes());
                file[at + 8..at + 12].copy_from_slice(&(bytes - 12).to_be_bytes());
                file[at + 12..at + 16].copy_from_slice(b"free");
            }
            _ => file[at + 4 + place] = byte,
        }
        let movie = open(&file).unwrap();
        match (&movie.tracks()[0].codec, &expected) {
            (Codec::Vp9(found), Codec::Vp9(said)) => {
                assert_eq!(found.codec_string(), said.codec_string());
            }
            (found, said) => assert_eq!(found, said),
        }
        assert_eq!(frames(&movie, &file).len(), 15, "{encoder}");
        // And where the first sample has none, the track is passed over.
        if encoder == "libx265" {
            let first = movie.sample(TrackId(0), 0).unwrap();
            let range = first.offset as usize..(first.offset + u64::from(first.bytes)) as usize;
            file[range].fill(0);
            let message = open(&file).unwrap_err().to_string();
            assert!(message.contains("nor in its first sample"), "{message}");
        }
    }
}

#[test]
fn decoding_times_of_h265_are_derived_from_its_reorder_depth() {
    let Some(dir) = dir() else { return };
    let encoder = "libx265 -preset ultrafast -x265-params log-level=error:keyint=30:bframes=4";
    ffmpeg(dir, &format!("-i base.mp4 -t 2 -an -c:v {encoder} reordered.mp4"));
    let file = std::fs::read(dir.join("reordered.mp4")).unwrap();
    let movie = open(&file).unwrap();
    let mut all = frames(&movie, &file);
    let shifts = |frames: &[Frame]| {
        let (first, all) = (frames[0].pts, frames.iter());
        all.map(|frame| frame.pts - first).collect::<Vec<_>>()
    };
    let expected = shifts(&all);
    all.iter_mut().for_each(|frame| (frame.dts, frame.duration) = (None, None));
    let out = written(movie.tracks(), &all);
    let again = frames(&open(&out).unwrap(), &out);
    assert!(again.iter().all(|frame| frame.dts.is_some_and(|dts| dts <= frame.pts)));
    let near = |(a, b): (&MediaTime, &MediaTime)| (*a - *b).as_nanos().abs() < 100_000;
    assert!(shifts(&again).iter().zip(&expected).all(near));
    std::fs::write(dir.join("written_reordered.mp4"), &out).unwrap();
    ffmpeg(dir, "-i written_reordered.mp4 -f null -");
}

#[test]
fn a_movie_of_sound_alone_is_cut_about_every_second() {
    let Some(file) = copied("sound.m4a", "", "-vn") else {
        return;
    };
    let movie = open(&file).unwrap();
    assert_eq!(movie.tracks()[0].clock_rate_hz, 48_000);
    assert_eq!(movie.gops(), movie.sample_count(TrackId(0)).div_ceil(46));
    assert_eq!(movie.gop_samples(1).count(), 46);
    compare("sound.m4a", &movie, &probe(dir().unwrap(), "sound.m4a"));
}

#[test]
fn tracks_of_other_codecs_are_passed_over_by_name() {
    let Some(dir) = dir() else { return };
    let codecs =
        "-map 0:v -map 0:v -map 0:a -map 0:a -c:v:0 mpeg4 -c:v:1 copy -c:a:0 ac3 -c:a:1 mp3";
    ffmpeg(dir, &format!("-i base.mp4 {codecs} other.mp4"));
    let movie = open(&std::fs::read(dir.join("other.mp4")).unwrap()).unwrap();
    assert_eq!(movie.tracks().len(), 1);
    let skipped: Vec<_> = movie.skipped().iter().map(ToString::to_string).collect();
    assert_eq!(
        skipped,
        [
            "trak[0], codec \"mp4v\": MPEG-4 part 2 is not supported",
            "trak[2], codec \"ac-3\": AC-3 is not supported",
            "trak[3], codec \"mp4a\": object type 0x6b: MP3 is not supported",
        ]
    );
    ffmpeg(dir, "-i base.mp4 -an -c:v mpeg4 none.mp4");
    let message = open(&std::fs::read(dir.join("none.mp4")).unwrap()).unwrap_err().to_string();
    let expected = "no track that can be played: \
                    trak[0], codec \"mp4v\": MPEG-4 part 2 is not supported";
    assert_eq!(message, expected);
}

#[test]
fn a_file_that_is_cut_off_is_an_error_that_names_the_place() {
    let (Some(first), Some(last)) =
        (copied("cut_first.mp4", "", "-movflags +faststart"), copied("cut_last.mp4", "", ""))
    else {
        return;
    };
    let check = |file: &[u8], len: usize, cut: &str| {
        let error = open(&file[..len]).unwrap_err();
        let names = |path: &str| cut.is_empty() || path.starts_with(cut);
        match &error {
            Error::Truncated { path, file_bytes, needed_bytes, .. } => {
                assert!(names(path), "{len}: {error}");
                assert_eq!(*file_bytes, len as u64);
                assert!(needed_bytes > file_bytes, "{len}: {error}");
            }
            Error::Mp4 { path, .. } => assert_eq!(path, "file", "{len}: {error}"),
            Error::Container { part, .. } => assert_eq!(part, "file", "{len}: {error}"),
            _ => panic!("{len}: {error}"),
        }
    };
    for file in [&first, &last] {
        (0..file.len()).step_by(997).chain(0..200).for_each(|len| check(file, len, ""));
    }
    check(&first, first.len() - 1, "mdat");
    check(&first, 2000, "moov");
    check(&last, 2000, "mdat");
    check(&last, last.len() - 1, "moov");
}

#[test]
fn a_fragmented_file_that_is_cut_off_plays_up_to_there() {
    let flags = "-movflags +frag_keyframe+empty_moov+default_base_moof";
    let Some(file) = copied("cut_moof.mp4", "", flags) else {
        return;
    };
    let whole = open(&file).unwrap();
    let movie = open(&file[..file.len() / 2]).unwrap();
    assert_eq!(movie.warnings().len(), 1);
    let warning = &movie.warnings()[0];
    assert!(warning.starts_with("the file is cut off: m"), "{warning}");
    let (some, all) = (movie.sample_count(TrackId(0)), whole.sample_count(TrackId(0)));
    assert!((30..all).contains(&some), "{some} of {all}");
    for len in (0..file.len()).step_by(997).chain(0..1500) {
        match open(&file[..len]) {
            Ok(movie) => assert!(movie.warnings().len() <= 1),
            Err(Error::Truncated { .. } | Error::NoTrack { .. }) => {}
            Err(Error::Mp4 { path, .. }) if path == "file" => {}
            Err(Error::Container { part, .. }) if part == "file" => {}
            Err(error) => panic!("{len}: {error}"),
        }
    }
}

#[test]
fn damaged_files_are_errors_that_name_the_place_or_play() {
    let (mut errors, mut random) = (0, 1u64);
    for (_, file) in variants() {
        // The samples themselves are of no interest: damage falls on the structure.
        let moov = file.windows(4).position(|four| four == b"moov").unwrap();
        for _ in 0..150 {
            let mut file = file.clone();
            for _ in 0..1 + random % 3 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = moov + (random >> 33) as usize % 2500.min(file.len() - moov);
                file[at] = (random >> 20) as u8;
            }
            fuzz::fuzz_mp4(&file);
            if let Err(error) = open(&file) {
                errors += 1;
                let message = error.to_string();
                let names_a_place = message.contains(" at byte ");
                assert!(names_a_place || matches!(error, Error::NoTrack { .. }), "{message}");
            }
        }
    }
    assert!(errors > 100, "{errors}");
}

/// Writes frames as a fragmented file.
fn written(tracks: &[Track], frames: &[Frame]) -> Vec<u8> {
    let mut writer = FragmentWriter::new(tracks).unwrap();
    let mut out = writer.init_segment().to_vec();
    for frame in frames {
        out.extend(writer.push(frame).unwrap().unwrap_or_default());
    }
    out.extend(writer.finish());
    assert_eq!(writer.finish(), Bytes::new());
    out
}

#[test]
fn what_is_written_decodes_without_an_error_and_has_the_same_frames_and_times() {
    for (name, file) in variants() {
        let dir = dir().unwrap();
        let movie = open(file).unwrap();
        let frames = frames(&movie, file);
        let out = written(movie.tracks(), &frames);
        let name = format!("written_{name}");
        std::fs::write(dir.join(&name), &out).unwrap();
        ffmpeg(dir, &format!("-i {name} -f null -"));
        let again = open(&out).unwrap();
        assert_eq!(again.warnings(), [""; 0], "{name}");
        compare(&name, &again, &probe(dir, &name));
        let start = frames.iter().filter_map(|frame| frame.dts).min().unwrap();
        for track in movie.tracks() {
            let (old, new) = (samples(&movie, track.id), samples(&again, track.id));
            assert_eq!(old.len(), new.len(), "{name}");
            for (old, new) in old.iter().zip(&new) {
                let near = |a: MediaTime, b: MediaTime| (a - b).as_nanos().abs() < 50_000;
                assert!(near(old.pts - start, new.pts), "{name}: {old:?} {new:?}");
                assert!(near(old.dts - start, new.dts), "{name}: {old:?} {new:?}");
                assert!(near(old.duration, new.duration), "{name}: {old:?} {new:?}");
                assert_eq!((old.key, old.bytes), (new.key, new.bytes), "{name}");
            }
        }
    }
}

#[test]
fn frames_without_decoding_times_are_written_with_times_that_rise() {
    let Some(file) = copied("no_dts.mp4", "", "") else {
        return;
    };
    let movie = open(&file).unwrap();
    let mut all = frames(&movie, &file);
    for frame in &mut all {
        (frame.dts, frame.duration) = (None, None);
    }
    let out = written(movie.tracks(), &all);
    let dir = dir().unwrap();
    std::fs::write(dir.join("written_no_dts.mp4"), &out).unwrap();
    ffmpeg(dir, "-i written_no_dts.mp4 -f null -");
    let again = open(&out).unwrap();
    compare("written_no_dts.mp4", &again, &probe(dir, "written_no_dts.mp4"));
    for track in movie.tracks() {
        let (old, new) = (samples(&movie, track.id), samples(&again, track.id));
        assert_eq!(old.len(), new.len());
        assert!(new.iter().all(|sample| sample.dts <= sample.pts));
        assert!(new.is_sorted_by(|a, b| a.dts < b.dts));
        let shift = new[0].pts - old[0].pts;
        let moved = old.iter().zip(&new).map(|(old, new)| (new.pts - old.pts - shift).as_nanos());
        assert!(moved.map(i64::abs).all(|nanos| nanos < 50_000));
    }
}

#[test]
fn another_reader_agrees_with_the_init_segment() {
    let Some(file) = copied("init.mp4", "", "") else {
        return;
    };
    let movie = open(&file).unwrap();
    let init = FragmentWriter::new(movie.tracks()).unwrap().init_segment();
    let mut rest = std::io::Cursor::new(&init[..]);
    mp4_atom::Ftyp::read_from(&mut rest).unwrap();
    let moov = mp4_atom::Moov::read_from(&mut rest).unwrap();
    assert_eq!(rest.position(), init.len() as u64);
    let scales: Vec<_> = moov.trak.iter().map(|trak| trak.mdia.mdhd.timescale).collect();
    assert_eq!(scales, [15_360, 48_000]);
    assert_eq!(moov.mvex.unwrap().trex.len(), 2);
}

#[test]
fn boxes_of_64_bit_sizes_and_up_to_the_end_read_alike() {
    let Some(file) = copied("sizes.mp4", "", "") else {
        return;
    };
    let expected = samples(&open(&file).unwrap(), TrackId(1));
    // ffmpeg leaves an empty box before mdat for this.
    let free = file.windows(4).position(|four| four == b"free").unwrap() - 4;
    let bytes = u32::from_be_bytes(file[free + 8..free + 12].try_into().unwrap());
    let mut long = file.clone();
    long[free..free + 8].copy_from_slice(b"\0\0\0\x01mdat");
    long[free + 8..free + 16].copy_from_slice(&(u64::from(bytes) + 8).to_be_bytes());
    assert_eq!(samples(&open(&long).unwrap(), TrackId(1)), expected);
    let mut first = copied("sizes_first.mp4", "", "-movflags +faststart").unwrap();
    let expected = samples(&open(&first).unwrap(), TrackId(1));
    let mdat = first.windows(4).position(|four| four == b"mdat").unwrap() - 4;
    first[mdat..mdat + 4].copy_from_slice(&[0; 4]);
    assert_eq!(samples(&open(&first).unwrap(), TrackId(1)), expected);
    let message = open(&first[..first.len() - 1]).unwrap_err().to_string();
    assert!(message.contains("moov/trak["), "{message}");
}
