//! Reads playlists as RFC 8216 has them, and says where they break it. Sections are its own.

use std::collections::BTreeMap;

use weir_media::movie::{self, Opener, Step};

/// A media playlist that was found right.
#[derive(Debug, Default)]
pub(super) struct Media {
    pub(super) target_s: u64,
    pub(super) sequence: u64,
    pub(super) discontinuity_sequence: u64,
    pub(super) independent: bool,
    pub(super) ended: bool,
    pub(super) segments: Vec<Segment>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Segment {
    pub(super) uri: String,
    pub(super) map: String,
    pub(super) duration_s: f64,
    pub(super) discontinuity: bool,
    pub(super) date: Option<String>,
}

/// Checks a media playlist.
pub(super) fn media(text: &str) -> Media {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("#EXTM3U"), "section 4.3.1.1");
    let mut out = Media::default();
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut next = Segment::default();
    let (mut has_duration, mut version, mut kind) = (false, 0, "");
    for line in lines {
        assert!(!out.ended, "section 4.3.3.4: we write nothing behind the end: {line}");
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        if !line.starts_with('#') {
            assert!(has_duration, "section 4.3.2.1: EXTINF is required for {line}");
            assert!(!next.map.is_empty(), "section 3.3: fragmented MP4 needs EXT-X-MAP");
            next.uri = line.to_owned();
            let map = next.map.clone();
            out.segments.push(std::mem::replace(&mut next, Segment { map, ..Segment::default() }));
            has_duration = false;
            continue;
        }
        *seen.entry(tag).or_default() += 1;
        let before_segments = out.segments.is_empty();
        match tag {
            "#EXT-X-VERSION" => version = value.parse().unwrap(),
            "#EXT-X-TARGETDURATION" => out.target_s = value.parse().expect("section 4.3.3.1"),
            "#EXT-X-MEDIA-SEQUENCE" => {
                assert!(before_segments, "section 4.3.3.2");
                out.sequence = value.parse().unwrap();
            }
            "#EXT-X-DISCONTINUITY-SEQUENCE" => {
                let first = before_segments && !next.discontinuity;
                assert!(first, "section 4.3.3.3: it stands before all segments and breaks");
                out.discontinuity_sequence = value.parse().unwrap();
            }
            "#EXT-X-PLAYLIST-TYPE" => kind = value,
            "#EXT-X-INDEPENDENT-SEGMENTS" => out.independent = true,
            "#EXT-X-DISCONTINUITY" => next.discontinuity = true,
            "#EXT-X-MAP" => next.map = attributes(value)["URI"].clone(),
            "#EXT-X-PROGRAM-DATE-TIME" => next.date = Some(value.to_owned()),
            "#EXTINF" => {
                let (seconds, _title) = value.split_once(',').expect("section 4.3.2.1");
                next.duration_s = seconds.parse().unwrap();
                has_duration = true;
            }
            "#EXT-X-ENDLIST" => out.ended = true,
            other => panic!("a tag that we do not write: {other}"),
        }
    }
    for once in ["#EXT-X-VERSION", "#EXT-X-TARGETDURATION"] {
        assert_eq!(seen.get(once), Some(&1), "sections 4.3.1.2 and 4.3.3.1: {once}");
    }
    assert!(version >= 6, "section 7: EXT-X-MAP needs version 6");
    assert!(kind != "VOD" || out.ended, "section 6.2.1: what never changes has its end");
    for segment in &out.segments {
        let rounded = segment.duration_s.round() as u64;
        assert!(rounded <= out.target_s, "section 4.3.3.1: {segment:?} in {text}");
        assert!(segment.duration_s > 0.0, "{segment:?}");
    }
    out
}

/// Checks a multivariant playlist; gives the attributes of its variants, with their addresses
/// under `URI`, and of its renditions.
pub(super) fn multivariant(text: &str) -> [Vec<BTreeMap<String, String>>; 2] {
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("#EXTM3U"), "section 4.3.1.1");
    let (mut variants, mut renditions) = (Vec::new(), Vec::<BTreeMap<String, String>>::new());
    while let Some(line) = lines.next() {
        let (tag, value) = line.split_once(':').unwrap_or((line, ""));
        match tag {
            "#EXT-X-VERSION" | "#EXT-X-INDEPENDENT-SEGMENTS" => {}
            "#EXT-X-MEDIA" => {
                let found = attributes(value);
                for key in ["TYPE", "GROUP-ID", "NAME"] {
                    assert!(found.contains_key(key), "section 4.3.4.1: {key} in {line}");
                }
                let same = |other: &BTreeMap<String, String>| {
                    other["GROUP-ID"] == found["GROUP-ID"] && other["NAME"] == found["NAME"]
                };
                assert!(!renditions.iter().any(same), "section 4.3.4.1.1: {line}");
                renditions.push(found);
            }
            "#EXT-X-STREAM-INF" => {
                let mut found = attributes(value);
                let rate = |key: &str| found.get(key).map(|rate| rate.parse::<u64>().unwrap());
                let peak = rate("BANDWIDTH").expect("section 4.3.4.2");
                assert!(rate("AVERAGE-BANDWIDTH").is_none_or(|average| average <= peak));
                if let Some(group) = found.get("AUDIO") {
                    let has = renditions.iter().any(|each| each["GROUP-ID"] == *group);
                    assert!(has, "section 4.3.4.2: no group {group}");
                }
                let uri = lines.next().filter(|uri| !uri.starts_with('#'));
                found.insert("URI".to_owned(), uri.expect("section 4.3.4.2").to_owned());
                variants.push(found);
            }
            other => panic!("a tag that we do not write: {other}"),
        }
    }
    assert!(!variants.is_empty());
    [variants, renditions]
}

/// What may change between two loads of a live playlist (section 6.2.1).
pub(super) fn follows(before: &Media, after: &Media) {
    assert_eq!(before.target_s, after.target_s, "the target duration stays");
    assert!(after.sequence >= before.sequence, "section 6.2.2: numbers do not go back");
    assert!(!before.ended || after.ended);
    let gone = (after.sequence - before.sequence) as usize;
    let kept = before.segments.get(gone..).unwrap_or(&[]);
    assert!(after.segments.len() >= kept.len());
    for (number, (old, new)) in kept.iter().zip(&after.segments).enumerate() {
        // The break before the first one is counted and no tag any more.
        let old = Segment { discontinuity: old.discontinuity && number > 0, ..old.clone() };
        assert_eq!(old, *new, "section 6.2.1: a segment stays as it is");
    }
    let breaks = |list: &Media| {
        let tags = list.segments.iter().filter(|segment| segment.discontinuity).count();
        list.discontinuity_sequence + tags as u64
    };
    assert!(breaks(after) >= breaks(before), "section 6.2.2");
}

/// An attribute list (section 4.2).
fn attributes(text: &str) -> BTreeMap<String, String> {
    let mut out = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (name, behind) = rest.split_once('=').expect("section 4.2");
        let (value, behind) = match behind.strip_prefix('"') {
            Some(quoted) => {
                let (value, behind) = quoted.split_once('"').expect("section 4.2");
                (value, behind.strip_prefix(',').unwrap_or(behind))
            }
            None => behind.split_once(',').unwrap_or((behind, "")),
        };
        let twice = out.insert(name.to_owned(), value.to_owned());
        assert_eq!(twice, None, "section 4.2: {name} twice");
        rest = behind;
    }
    out
}

/// The movie that an initialization segment and media segments make.
pub(super) fn movie(init: &[u8], segments: &[&[u8]]) -> movie::Movie {
    let file = [&[init], segments].concat().concat();
    let mut opener = Opener::new(file.len() as u64);
    loop {
        match opener.poll().unwrap() {
            Step::Need { offset, bytes } => {
                opener.feed(offset, file[offset as usize..][..bytes as usize].to_vec()).unwrap();
            }
            Step::Done(movie) => return *movie,
        }
    }
}
