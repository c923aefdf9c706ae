//! Damaged movies without an index: what stands before the damage plays, and the place is named.

use weir_media::fuzz;
use weir_media::movie::Movie;
use weir_media::{Error, TrackId};

use super::containers::{bare, classroom};
use super::{copied, open, samples};

fn counts(movie: &Movie) -> Vec<u32> {
    movie.tracks().iter().map(|track| movie.sample_count(track.id)).collect()
}

fn only_warning(movie: &Movie) -> &str {
    let [warning] = movie.warnings() else { panic!("{:?}", movie.warnings()) };
    warning
}

#[test]
fn flv_that_is_cut_off_plays_up_to_there() {
    let Some(file) = copied("cut.flv", "", "") else {
        return;
    };
    let whole = open(&file).unwrap();
    let movie = open(&file[..file.len() / 2]).unwrap();
    let warning = only_warning(&movie);
    assert!(warning.starts_with("the file is cut off: the FLV tag at byte "), "{warning}");
    assert!(counts(&movie)[0] > 30 && counts(&movie)[0] < counts(&whole)[0]);
    for len in (0..file.len()).step_by(997).chain(0..1500) {
        match open(&file[..len]) {
            Ok(movie) => assert!(movie.warnings().len() <= 1, "{:?}", movie.warnings()),
            Err(Error::Truncated { .. } | Error::NoTrack { .. }) => {}
            Err(Error::Mp4 { path, .. }) if path == "file" => {}
            Err(Error::Container { part, .. }) if part == "file" || part == "FLV header" => {}
            Err(error) => panic!("{len}: {error}"),
        }
    }
}

#[test]
fn flv_with_a_broken_tag_plays_up_to_it() {
    let Some(mut file) = copied("broken.flv", "", "") else {
        return;
    };
    let place = samples(&open(&file).unwrap(), TrackId(0))[45].offset - 16;
    file[place as usize] = 0x77;
    let movie = open(&file).unwrap();
    let start = format!("byte {place}: no FLV tag starts with \"w");
    assert!(only_warning(&movie).starts_with(&start), "{:?}", movie.warnings());
    assert_eq!(counts(&movie)[0], 45);
}

#[test]
fn a_transport_stream_that_is_cut_off_plays_up_to_there() {
    let Some(file) = copied("cut.ts", "", "") else {
        return;
    };
    let movie = open(&file[..file.len() / 2]).unwrap();
    let warnings = movie.warnings();
    assert!(warnings.iter().all(|text| text.starts_with("the file is cut off: ")), "{warnings:?}");
    assert!(!warnings.is_empty() && counts(&movie)[0] > 30);
    for len in (0..file.len()).step_by(997).chain(0..1500) {
        if let Err(error) = open(&file[..len]) {
            assert!(len < 15_000, "{len}: {error}");
        }
    }
}

#[test]
fn a_transport_stream_with_a_hole_is_found_again_behind_it() {
    let Some(file) = copied("hole.ts", "", "") else {
        return;
    };
    let whole = counts(&open(&file).unwrap());
    // Packets are missing: the counters tell.
    let mut hole = file.clone();
    hole.drain(188 * 600..188 * 703);
    let movie = open(&hole).unwrap();
    let warnings = movie.warnings();
    assert!(warnings[0].starts_with("packets are missing in "), "{warnings:?}");
    assert!(counts(&movie)[0] + 12 > whole[0] && counts(&movie)[0] < whole[0]);
    // Bytes are missing: the packets stand elsewhere.
    let mut shifted = file;
    shifted.drain(188 * 600 + 50..188 * 600 + 77);
    let movie = open(&shifted).unwrap();
    let at = 188 * 601;
    let expected = format!("byte {at}: no packet starts here; it is gone on at the next");
    assert!(movie.warnings().contains(&expected), "{:?}", movie.warnings());
    assert!(counts(&movie)[0] + 3 > whole[0]);
}

#[test]
fn images_behind_lengths_that_lie_or_are_none_are_named_and_those_before_play() {
    let Some(file) = classroom() else { return };
    let whole = open(&file).unwrap();
    let tenth = samples(&whole, TrackId(0))[10];
    let place = tenth.offset as usize - 5;
    let with = |digits: &[u8]| {
        let mut file = file.clone();
        file[place..place + 5].copy_from_slice(digits);
        let movie = open(&file).unwrap();
        assert_eq!(counts(&movie), [10]);
        only_warning(&movie).to_owned()
    };
    let tail = "; what stands before it is used";
    let said = with(b"1x000");
    let expected = "a length of five decimal digits expected, \"1x000\" came";
    assert_eq!(said, format!("image 10 at byte {place}: {expected}{tail}"));
    let said = with(b"00100");
    let expected =
        format!("its length says 100 bytes, and no image ends there; it has {}", tenth.bytes);
    assert_eq!(said, format!("image 10 at byte {place}: {expected}{tail}"));
    let said = with(format!("{:05}", tenth.bytes + 1).as_bytes());
    assert!(said.contains("no image ends there"), "{said}");
    // The last image is cut short.
    let cut = &file[..file.len() - 100];
    let movie = open(cut).unwrap();
    assert_eq!(counts(&movie)[0] + 1, counts(&whole)[0]);
    let said = only_warning(&movie);
    let last = counts(&movie)[0];
    assert!(said.starts_with(&format!("the file is cut off: image {last} at byte ")), "{said}");
    // Nothing stands before the first.
    let message = open(&[b"abcde", &file[5..]].concat()).unwrap_err().to_string();
    let expected = "image 0 at byte 0: a length of five decimal digits expected, \"abcde\" came";
    assert_eq!(message, expected);
}

#[test]
fn bare_images_that_are_cut_off_or_parted_by_rubbish_are_named() {
    let Some(file) = bare() else { return };
    let whole = open(&file).unwrap();
    let tenth = samples(&whole, TrackId(0))[10];
    let movie = open(&file[..tenth.offset as usize + 500]).unwrap();
    assert_eq!(counts(&movie), [10]);
    let place = format!("image 10 at byte {}: it is cut off", tenth.offset);
    assert!(only_warning(&movie).starts_with(&place), "{:?}", movie.warnings());
    let (before, behind) = file.split_at(tenth.offset as usize);
    let movie = open(&[before, b"rubbish", behind].concat()).unwrap();
    assert_eq!(counts(&movie), counts(&whole));
    let expected =
        format!("image 10 at byte {}: 7 bytes that are no image, left out", tenth.offset);
    assert_eq!(only_warning(&movie), expected);
}

#[test]
fn no_damage_makes_a_reader_panic_and_every_error_names_a_place() {
    let mut random = 1u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) as usize
    };
    let clips = [
        copied("fuzz.flv", "", ""),
        copied("fuzz.ts", "", ""),
        copied("fuzz.m2ts", "", "-f mpegts -mpegts_m2ts_mode 1"),
        bare(),
        classroom(),
    ];
    for clip in clips.into_iter().flatten() {
        // Damage falls on the start, where the structure stands close.
        let clip = &clip[..clip.len().min(60_000)];
        for _ in 0..60 {
            let mut file = clip.to_vec();
            for _ in 0..1 + next() % 40 {
                let at = next() % file.len();
                match next() % 4 {
                    0 => drop(file.drain(at..(at + next() % 300).min(file.len()))),
                    1 => file.insert(at, next() as u8),
                    _ => file[at] = next() as u8,
                }
            }
            fuzz::fuzz_movie(&file);
            if let Err(error) = open(&file) {
                let message = error.to_string();
                let names_a_place = message.contains(" at byte ");
                assert!(names_a_place || matches!(error, Error::NoTrack { .. }), "{message}");
            }
        }
    }
}
