//! FLV, transport streams and Motion JPEG made by ffmpeg, compared with what ffprobe says of them.

use std::sync::OnceLock;

use bytes::Bytes;
use weir_media::movie::{Format, Movie};
use weir_media::{
    Codec, Error, Frame, KeyKind, MediaTime, Track, TrackId, aac, flv, g711, h264, jpeg, mjpeg,
};
use weir_time::Instant;

use super::{copied, dir, ffmpeg, frames, open, probe_lines, samples};

/// A packet of ffprobe's: presentation, decoding, size, place, key.
type Packet = (i64, i64, u32, Option<u64>, bool);

/// The packets of each stream that has any.
pub(crate) fn packets(name: &str) -> Vec<Vec<Packet>> {
    let mut out: Vec<Vec<Packet>> = Vec::new();
    for line in probe_lines(dir().unwrap(), name, "stream_index,pts,dts,size,pos,flags") {
        let cells: Vec<_> = line.split(',').collect();
        let stream: usize = cells[0].parse().unwrap();
        out.resize(out.len().max(stream + 1), Vec::new());
        let number = |n: usize| cells[n].parse::<i64>().unwrap_or_else(|_| panic!("{line}"));
        let key = cells[5].starts_with('K');
        out[stream].push((number(1), number(2), number(3) as u32, cells[4].parse().ok(), key));
    }
    out.into_iter().filter(|packets| !packets.is_empty()).collect()
}

/// Holds that every sample has the times and the kind that ffprobe says, in ticks of `rate_hz`, from
/// the first that is shown or heard on.
fn compare_times(name: &str, movie: &Movie, rate_hz: u32) {
    let all = packets(name);
    assert_eq!(movie.tracks().len(), all.len(), "{name}");
    let origin = all.iter().flatten().map(|packet| packet.0).min().unwrap();
    for (track, packets) in movie.tracks().iter().zip(all) {
        let samples = samples(movie, track.id);
        assert_eq!(samples.len(), packets.len(), "{name}: packets of track {}", track.id.0);
        for (n, (sample, packet)) in samples.iter().zip(packets).enumerate() {
            let ticks = |time: MediaTime| time.to_ticks(rate_hz) + origin;
            let found = (ticks(sample.pts), ticks(sample.dts), sample.key == KeyKind::Key);
            assert_eq!(
                found,
                (packet.0, packet.1, packet.4),
                "{name}: track {} packet {n}",
                track.id.0
            );
        }
    }
}

/// The payloads of each track.
fn payloads(movie: &Movie, file: &[u8]) -> Vec<Vec<Bytes>> {
    let all = frames(movie, file);
    let of = |track: &Track| {
        let frames = all.iter().filter(|frame| frame.track == track.id);
        frames.map(|frame| frame.payload.clone()).collect()
    };
    movie.tracks().iter().map(of).collect()
}

/// A file of the same coded pictures and sound, and what they are by the MP4 reader.
fn remuxed(name: &str, after: &str) -> Option<(Vec<u8>, Vec<Vec<Bytes>>)> {
    let file = copied(name, "", after)?;
    let base = std::fs::read(dir()?.join("base.mp4")).unwrap();
    Some((file, payloads(&open(&base).unwrap(), &base)))
}

#[test]
fn flv_samples_are_where_and_when_ffprobe_says() {
    let Some((file, expected)) = remuxed("base.flv", "") else {
        return;
    };
    let movie = open(&file).unwrap();
    assert_eq!((movie.format(), movie.warnings()), (Format::Flv, &[][..]));
    compare_times("base.flv", &movie, 1000);
    for (track, packets) in movie.tracks().iter().zip(packets("base.flv")) {
        // The tag's head, and the codec's own.
        let head = if track.id.0 == 0 { 16 } else { 13 };
        for (sample, packet) in samples(&movie, track.id).iter().zip(packets) {
            assert_eq!((sample.bytes, sample.offset), (packet.2, packet.3.unwrap() + head));
        }
    }
    assert_eq!(payloads(&movie, &file), expected);
    assert_eq!(movie.gops(), 3);
    assert!((movie.duration().as_secs_f64() - 3.0).abs() < 0.1, "{:?}", movie.duration());
}

#[test]
fn g711_in_flv_is_read_with_its_own_rate() {
    for (codec, law) in [("pcm_alaw", g711::Law::A), ("pcm_mulaw", g711::Law::Mu)] {
        let name = format!("{codec}.flv");
        let Some(dir) = dir() else { return };
        ffmpeg(dir, &format!("-i base.mp4 -vn -c:a {codec} -ar 8000 -ac 1 {name}"));
        let movie = open(&std::fs::read(dir.join(&name)).unwrap()).unwrap();
        let config = g711::Config { law, sample_rate_hz: 8000, channels: 1 };
        assert_eq!(movie.tracks()[0].codec, Codec::G711(config));
        assert_eq!(movie.tracks()[0].clock_rate_hz, 8000);
        compare_times(&name, &movie, 1000);
        let bytes: u32 = samples(&movie, TrackId(0)).iter().map(|sample| sample.bytes).sum();
        assert!((movie.duration().as_secs_f64() - f64::from(bytes) / 8000.0).abs() < 0.01);
    }
}

/// The tags of an FLV file: kind, time with its two other fields, and data.
fn tags(file: &[u8]) -> Vec<(u8, [u8; 7], Vec<u8>)> {
    let (mut at, mut out) = (13, Vec::new());
    while at < file.len() {
        let bytes = u32::from_be_bytes([0, file[at + 1], file[at + 2], file[at + 3]]) as usize;
        let time = file[at + 4..at + 11].try_into().unwrap();
        out.push((file[at], time, file[at + 11..at + 11 + bytes].to_vec()));
        at += 15 + bytes;
    }
    out
}

#[test]
fn tags_of_enhanced_rtmp_read_as_the_older_ones() {
    let Some((file, expected)) = remuxed("enhanced.flv", "") else {
        return;
    };
    let mut enhanced = file[..13].to_vec();
    for (kind, time, data) in tags(&file) {
        let data = match kind {
            9 => {
                let shift = &data[2..5];
                let (packet, shift) = match (data[1], shift) {
                    (1, [0, 0, 0]) => (3, &[][..]),
                    (1, shift) => (1, shift),
                    (packet, _) => (packet, &[][..]),
                };
                [&[0x80 | data[0] & 0x70 | packet], &b"avc1"[..], shift, &data[5..]].concat()
            }
            8 => [&[0x90 | data[1]], &b"mp4a"[..], &data[2..]].concat(),
            _ => data,
        };
        enhanced.push(kind);
        enhanced.extend(&(data.len() as u32).to_be_bytes()[1..]);
        enhanced.extend(time);
        enhanced.extend(&data);
        enhanced.extend((data.len() as u32 + 11).to_be_bytes());
    }
    let (old, movie) = (open(&file).unwrap(), open(&enhanced).unwrap());
    assert_eq!(movie.warnings(), [""; 0]);
    assert_eq!(payloads(&movie, &enhanced), expected);
    assert_eq!(movie.tracks(), old.tracks());
    for track in movie.tracks() {
        let times = |movie: &Movie| {
            let all = samples(movie, track.id).into_iter();
            all.map(|sample| (sample.pts, sample.dts, sample.key)).collect::<Vec<_>>()
        };
        assert_eq!(times(&movie), times(&old));
    }
}

#[test]
fn a_configuration_that_changes_within_flv_ends_the_track_before_it() {
    let Some((file, _)) = remuxed("changes.flv", "") else {
        return;
    };
    // The same once more, as servers send it to those who join, changes nothing.
    let config = tags(&file).into_iter().find(|tag| tag.0 == 9).unwrap().2;
    let tag = |data: &[u8]| {
        let bytes = (data.len() as u32).to_be_bytes();
        let head = [&[9][..], &bytes[1..], &[0, 11, 0, 0, 0, 0, 0]].concat();
        [&head[..], data, &(data.len() as u32 + 11).to_be_bytes()].concat()
    };
    let again = [&file[..], &tag(&config), &file[13..]].concat();
    let twice = 2 * open(&file).unwrap().sample_count(TrackId(0));
    assert_eq!(open(&again).unwrap().sample_count(TrackId(0)), twice);
    let mut other = config;
    *other.last_mut().unwrap() ^= 1;
    let changed = [&file[..], &tag(&other), &file[13..]].concat();
    let movie = open(&changed).unwrap();
    assert_eq!(movie.sample_count(TrackId(0)), twice / 2);
    let expected = format!(
        "FLV tag at byte {}: its configuration changes, which is not followed; the picture ends \
         before it",
        file.len()
    );
    assert!(movie.warnings().contains(&expected), "{:?}", movie.warnings());
}

#[test]
fn codecs_of_flv_that_are_not_carried_are_passed_over_by_name() {
    let Some(dir) = dir() else { return };
    ffmpeg(dir, "-i base.mp4 -c:v copy -c:a libmp3lame -ar 44100 mp3.flv");
    let movie = open(&std::fs::read(dir.join("mp3.flv")).unwrap()).unwrap();
    assert_eq!(movie.tracks().len(), 1);
    let skipped: Vec<_> = movie.skipped().iter().map(ToString::to_string).collect();
    assert_eq!(skipped, ["sound, codec \"2\": MP3 is not supported: in FLV"]);
    ffmpeg(dir, "-i base.mp4 -an -c:v flv1 sorenson.flv");
    let message = open(&std::fs::read(dir.join("sorenson.flv")).unwrap()).unwrap_err().to_string();
    let expected = "no track that can be played: \
                    picture, codec \"2\": Sorenson H.263 is not supported: in FLV";
    assert_eq!(message, expected);
}

/// Files of packets of 188 and 192 bytes, one with times that wrap.
const STREAMS: [(&str, &str); 4] = [
    ("base.ts", ""),
    ("base.m2ts", "-f mpegts -mpegts_m2ts_mode 1"),
    ("wrap.ts", "-output_ts_offset 95442"),
    ("cbr.ts", "-muxrate 3M -pes_payload_size 0"),
];

#[test]
fn transport_stream_samples_are_where_and_when_ffprobe_says() {
    for (name, options) in STREAMS {
        let Some((file, expected)) = remuxed(name, options) else {
            return;
        };
        let movie = open(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((movie.format(), movie.warnings()), (Format::Ts, &[][..]), "{name}");
        compare_times(name, &movie, 90_000);
        for (track, packets) in movie.tracks().iter().zip(packets(name)) {
            let is_picture = matches!(track.codec, Codec::H264(_));
            let payloads = &payloads(&movie, &file)[usize::from(track.id.0)];
            for ((sample, packet), payload) in
                samples(&movie, track.id).iter().zip(packets).zip(payloads)
            {
                let lead = if name == "base.m2ts" { 4 } else { 0 };
                if let Some(place) = packet.3.filter(|_| is_picture) {
                    assert!([place, place - lead].contains(&sample.offset), "{name} {sample:?}");
                }
                let header = if is_picture { 0 } else { 7 };
                assert!(is_picture || payload.len() as u32 + header == packet.2, "{name}");
            }
            let bytes: usize = payloads.iter().map(Bytes::len).sum();
            let counted = movie.sample_bytes(track.id) as usize;
            assert!(counted >= bytes && counted < bytes + bytes / 20, "{name}: {counted} {bytes}");
        }
        assert_eq!(payloads(&movie, &file), expected, "{name}");
        assert_eq!(movie.gops(), 3, "{name}");
    }
}

#[test]
fn packets_with_parity_and_a_file_that_starts_within_a_packet_read_alike() {
    let Some((file, expected)) = remuxed("parity.ts", "") else {
        return;
    };
    let mut parity = vec![0x11; 100];
    for packet in file.chunks(188) {
        parity.extend(packet);
        parity.extend([0x22; 16]);
    }
    let movie = open(&parity).unwrap();
    assert_eq!(movie.warnings(), [""; 0]);
    assert_eq!(payloads(&movie, &parity), expected);
    let movie = open(&file[50..]).unwrap();
    assert_eq!(payloads(&movie, &file[50..]), expected);
}

#[test]
fn the_first_program_with_tracks_is_played() {
    let programs = "-map 0:v -map 0:a -map 0:v -map 0:a -program program_num=7:st=0:st=1 \
                    -program program_num=9:st=2:st=3";
    let Some((file, expected)) = remuxed("programs.ts", programs) else {
        return;
    };
    let movie = open(&file).unwrap();
    assert_eq!(payloads(&movie, &file), expected);
    let skipped: Vec<_> = movie.skipped().iter().map(ToString::to_string).collect();
    assert_eq!(
        skipped,
        [
            "PID 258: of program 9: the first alone is played",
            "PID 259: of program 9: the first alone is played",
        ]
    );
}

#[test]
fn streams_of_other_codecs_are_passed_over_by_name() {
    let Some(dir) = dir() else { return };
    ffmpeg(dir, "-i base.mp4 -c:v copy -c:a ac3 ac3.ts");
    let movie = open(&std::fs::read(dir.join("ac3.ts")).unwrap()).unwrap();
    assert_eq!(movie.tracks().len(), 1);
    let skipped: Vec<_> = movie.skipped().iter().map(ToString::to_string).collect();
    assert_eq!(skipped, ["PID 257, codec \"0x81\": AC-3 is not supported"]);
}

#[test]
fn transport_streams_strung_together_play_on_over_the_jump() {
    let Some((file, expected)) = remuxed("jump.ts", "") else {
        return;
    };
    let twice = [&file[..], &file].concat();
    let movie = open(&twice).unwrap();
    for track in 0..2 {
        let samples = samples(&movie, TrackId(track));
        assert_eq!(samples.len(), 2 * expected[usize::from(track)].len());
        let longest = samples.windows(2).map(|two| (two[1].dts - two[0].dts).as_nanos()).max();
        assert!(longest.unwrap() < 100_000_000, "{longest:?}");
    }
    assert!((movie.duration().as_secs_f64() - 6.0).abs() < 0.1, "{:?}", movie.duration());
    let said = movie.warnings().iter().filter(|text| text.contains("jump")).count();
    assert_eq!(said, 1, "{:?}", movie.warnings());
}

#[test]
fn frames_of_sound_that_lie_over_two_pes_packets_are_whole() {
    let Some((file, expected)) = remuxed("spread.ts", "") else {
        return;
    };
    // The same sound, in PES packets of 100 bytes that mind no frame.
    let movie = open(&file).unwrap();
    let Codec::Aac(config) = &movie.tracks()[1].codec else { panic!("sound comes second") };
    let stream: Vec<u8> = expected[1].iter().flat_map(|raw| adts(config, raw)).collect();
    let mut spread = file[..2 * 188 + 188].to_vec();
    let mut starts = Vec::new();
    expected[1].iter().fold(0, |at, raw| {
        starts.push(at);
        at + raw.len() + 7
    });
    for (n, part) in stream.chunks(100).enumerate() {
        let next = starts.iter().position(|&start| (n * 100..n * 100 + 100).contains(&start));
        spread.extend(pes_packet(257, n as u8, next.map(|next| next as u64 * 1920), part));
    }
    let movie = open(&spread).unwrap();
    assert_eq!(movie.warnings(), [""; 0]);
    let found = payloads(&movie, &spread);
    assert_eq!(found.last().unwrap(), &expected[1]);
    let samples = samples(&movie, TrackId(0));
    assert!(samples.windows(2).all(|two| (two[1].pts - two[0].pts).to_ticks(90_000) == 1920));
}

fn adts(config: &aac::Config, raw: &[u8]) -> Vec<u8> {
    let (object, rate) = (config.asc[0] >> 3, (config.asc[0] & 7) << 1 | config.asc[1] >> 7);
    let bytes = raw.len() + 7;
    let mut out = vec![0xff, 0xf1, (object - 1) << 6 | rate << 2 | config.channels >> 2];
    out.push((config.channels & 3) << 6 | (bytes >> 11) as u8);
    out.extend([(bytes >> 3) as u8, (bytes << 5) as u8 | 0x1f, 0xfc]);
    out.extend(raw);
    out
}

/// A transport packet with one short PES packet.
fn pes_packet(pid: u16, counter: u8, pts: Option<u64>, data: &[u8]) -> Vec<u8> {
    let mut pes = vec![0, 0, 1, 0xc0];
    let times: Vec<u8> = pts.map_or(Vec::new(), |pts| {
        vec![
            0x21 | (pts >> 29) as u8 & 0x0e,
            (pts >> 22) as u8,
            (pts >> 14) as u8 | 1,
            (pts >> 7) as u8,
            (pts << 1) as u8 | 1,
        ]
    });
    pes.extend(((3 + times.len() + data.len()) as u16).to_be_bytes());
    pes.extend([0x80, if pts.is_some() { 0x80 } else { 0 }, times.len() as u8]);
    pes.extend(times);
    pes.extend(data);
    let stuffing = 184 - pes.len();
    let mut out = vec![0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x30 | counter & 15];
    out.push(stuffing as u8 - 1);
    out.push(0);
    out.resize(4 + stuffing, 0xff);
    out.extend(pes);
    out
}

/// Bare images by ffmpeg; `None` where it is missing.
pub(crate) fn bare() -> Option<Vec<u8>> {
    static FILE: OnceLock<Option<Vec<u8>>> = OnceLock::new();
    let make = || {
        let dir = dir()?;
        ffmpeg(dir, "-i base.mp4 -an -c:v mjpeg -q:v 5 bare.mjpeg");
        Some(std::fs::read(dir.join("bare.mjpeg")).unwrap())
    };
    FILE.get_or_init(make).clone()
}

/// The same images as a classroom file.
pub(crate) fn classroom() -> Option<Vec<u8>> {
    let bare = bare()?;
    let movie = open(&bare).unwrap();
    let mut writer = mjpeg::Writer::new(&movie.tracks()[0]).unwrap();
    let frames = frames(&movie, &bare);
    Some(frames.iter().flat_map(|frame| writer.push(frame).unwrap()).collect())
}

#[test]
fn bare_images_are_where_and_as_long_as_ffprobe_says() {
    let Some(file) = bare() else { return };
    let movie = open(&file).unwrap();
    assert_eq!((movie.format(), movie.warnings()), (Format::Jpegs, &[][..]));
    let Codec::Jpeg(jpeg::Config { width, height, .. }) = movie.tracks()[0].codec else {
        panic!("they are images")
    };
    assert_eq!((width, height), (320, 180));
    let expected: Vec<_> = packets("bare.mjpeg").remove(0);
    let samples = samples(&movie, TrackId(0));
    assert_eq!(samples.len(), expected.len());
    for (sample, packet) in samples.iter().zip(&expected) {
        // ffprobe counts in pictures, 25 a second, and finds places in steps of its reads.
        let times = (sample.pts.to_ticks(25), sample.dts.to_ticks(25));
        assert_eq!((times, sample.bytes), ((packet.0, packet.1), packet.2));
    }
    let ends = samples.iter().map(|sample| sample.offset + u64::from(sample.bytes));
    assert!(ends.zip(&samples[1..]).all(|(end, next)| end == next.offset));
    assert_eq!(movie.gops(), (samples.len() as u32).div_ceil(25));
}

#[test]
fn classroom_files_read_as_they_were_written_at_20_images_a_second() {
    let (Some(bare), Some(file)) = (bare(), classroom()) else {
        return;
    };
    assert!(file[..5].iter().all(u8::is_ascii_digit) && file[5..7] == [0xff, 0xd8]);
    let (old, movie) = (open(&bare).unwrap(), open(&file).unwrap());
    assert_eq!((movie.format(), movie.warnings()), (Format::ClassroomMjpeg, &[][..]));
    assert_eq!(payloads(&movie, &file), payloads(&old, &bare));
    let samples = samples(&movie, TrackId(0));
    let time = |n: usize| MediaTime::from_nanos(n as i64 * 50_000_000);
    assert!(samples.iter().enumerate().all(|(n, sample)| sample.pts == time(n)));
    assert_eq!(movie.duration(), time(samples.len()));
    assert_eq!(movie.gops(), (samples.len() as u32).div_ceil(20));
}

#[test]
fn images_that_five_digits_do_not_count_are_refused() {
    let Some(bare) = bare() else { return };
    let movie = open(&bare).unwrap();
    let mut writer = mjpeg::Writer::new(&movie.tracks()[0]).unwrap();
    let frame = |bytes: usize| Frame {
        payload: Bytes::from(vec![0; bytes]),
        ..frames(&movie, &bare).remove(0)
    };
    assert_eq!(writer.push(&frame(99_999)).unwrap().len(), 100_004);
    let message = writer.push(&frame(100_000)).unwrap_err().to_string();
    let expected = "image in classroom MJPEG is not supported: 100000 bytes, five digits count to \
                    99999";
    assert_eq!(message, expected);
}

#[test]
fn flv_that_is_written_decodes_without_an_error_and_has_the_same_frames_and_times() {
    let Some(dir) = dir() else { return };
    let base = std::fs::read(dir.join("base.mp4")).unwrap();
    let movie = open(&base).unwrap();
    let mut writer = flv::Writer::new(movie.tracks()).unwrap();
    let mut out = writer.header().to_vec();
    for frame in frames(&movie, &base) {
        out.extend(writer.push(&frame).unwrap());
    }
    std::fs::write(dir.join("written.flv"), &out).unwrap();
    ffmpeg(dir, "-i written.flv -f null -");
    let again = open(&out).unwrap();
    assert_eq!(again.warnings(), [""; 0]);
    compare_times("written.flv", &again, 1000);
    assert_eq!(payloads(&again, &out), payloads(&movie, &base));
    let first = again.sample(TrackId(1), 0).unwrap().pts - again.sample(TrackId(0), 0).unwrap().pts;
    let was = movie.sample(TrackId(1), 0).unwrap().pts - movie.sample(TrackId(0), 0).unwrap().pts;
    // Sound that is heard before the first picture is decoded is written with it.
    assert!((first - was).as_nanos().abs() < 25_000_000, "{first:?} {was:?}");
}

#[test]
fn only_what_flv_carries_is_written() {
    let track = |id, codec| Track { id: TrackId(id), codec, clock_rate_hz: 90_000 };
    let jpeg = Codec::Jpeg(jpeg::Config { width: 16, height: 16, coding: None });
    let message = flv::Writer::new(&[track(0, jpeg)]).unwrap_err().to_string();
    assert_eq!(message, "JPEG is not supported: written into FLV");
    let sound = || Codec::Aac(aac::Config::lc(48_000, 2).unwrap());
    let message = flv::Writer::new(&[track(0, sound()), track(1, sound())]).unwrap_err();
    assert_eq!(message.to_string(), "FLV is not supported: one track of a kind expected, 2 came");
    assert!(matches!(flv::Writer::new(&[]), Err(Error::NoTrack { .. })));
}

#[test]
fn open_gops_and_gradual_refresh_keep_their_key_pictures_in_transport_streams() {
    let Some(dir) = dir() else { return };
    let video = "-c:v libx264 -preset ultrafast -x264-params";
    ffmpeg(
        dir,
        &format!("-i base.mp4 -an {video} open-gop=1:keyint=15:bframes=2 -bf 2 open_gop.ts"),
    );
    ffmpeg(dir, &format!("-i base.mp4 -an {video} intra-refresh=1:keyint=15 refresh.ts"));
    for name in ["open_gop.ts", "refresh.ts"] {
        let file = std::fs::read(dir.join(name)).unwrap();
        let movie = open(&file).unwrap();
        compare_times(name, &movie, 90_000);
        let frames = frames(&movie, &file);
        let keys: Vec<_> = frames.iter().filter(|frame| frame.key.starts()).collect();
        assert!(keys.len() > 3 && keys.len() == movie.gops() as usize, "{name}: {}", keys.len());
        assert!(keys[1..].iter().all(|frame| frame.key == KeyKind::Recovery), "{name}");
        let nals = weir_media::nal::LengthPrefixed::new(&frames[0].payload, 4);
        assert!(nals.flatten().all(|nal| h264::NalType::of(nal) != h264::NalType::AUD));
        assert_eq!(frames[0].arrival, Instant::from_nanos(7));
    }
}
