//! The text of playlists. That they obey RFC 8216 in use is tested with the packaging.

use weir_media::MediaTime;
use weir_time::Utc;

use super::*;

fn millis(millis: i64) -> MediaTime {
    MediaTime::from_nanos(millis * 1_000_000)
}

fn segment(uri: &str, map_uri: &str, duration_ms: i64) -> Segment {
    Segment {
        uri: uri.to_owned(),
        map_uri: map_uri.to_owned(),
        duration: millis(duration_ms),
        discontinuity: false,
        program_date_time: None,
    }
}

#[test]
fn a_movie_has_all_its_segments_and_an_end() {
    let list = Media {
        kind: MediaKind::Vod,
        target_duration_s: None,
        media_sequence: 1,
        discontinuity_sequence: 0,
        independent_segments: true,
        segments: vec![segment("1.m4s", "init.mp4", 4_004), segment("2.m4s", "init.mp4", 4_499)],
        ended: true,
    };
    let expected = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n\
                    #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:1\n\
                    #EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-MAP:URI=\"init.mp4\"\n\
                    #EXTINF:4.004000000,\n1.m4s\n#EXTINF:4.499000000,\n2.m4s\n#EXT-X-ENDLIST\n";
    assert_eq!(list.write(), expected);
}

#[test]
fn a_live_playlist_has_numbers_dates_and_breaks() {
    let mut later = segment("9.m4s", "init-2.mp4", 2_000);
    later.discontinuity = true;
    later.program_date_time = Some(Utc::from_nanos(1_795_271_983_120_000_000));
    let list = Media {
        kind: MediaKind::Live,
        target_duration_s: Some(3),
        media_sequence: 8,
        discontinuity_sequence: 2,
        independent_segments: false,
        segments: vec![segment("8.m4s", "init.mp4", 1_960), later],
        ended: false,
    };
    let expected = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:3\n\
                    #EXT-X-MEDIA-SEQUENCE:8\n#EXT-X-DISCONTINUITY-SEQUENCE:2\n\
                    #EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:1.960000000,\n8.m4s\n\
                    #EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-2.mp4\"\n\
                    #EXT-X-PROGRAM-DATE-TIME:2026-11-21T14:39:43.120Z\n\
                    #EXTINF:2.000000000,\n9.m4s\n";
    assert_eq!(list.write(), expected);
}

#[test]
fn an_event_says_that_segments_are_only_added() {
    let list = Media {
        kind: MediaKind::Event,
        target_duration_s: Some(2),
        media_sequence: 0,
        discontinuity_sequence: 0,
        independent_segments: false,
        segments: Vec::new(),
        ended: false,
    };
    assert!(list.write().contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"));
}

#[test]
fn variants_name_their_sound_once() {
    let sound = Rendition {
        group: "sound".to_owned(),
        name: "Sound \"1\"".to_owned(),
        is_default: true,
        channels: Some(2),
        uri: "audio/index.m3u8".to_owned(),
    };
    let variant = Variant {
        uri: "video/index.m3u8".to_owned(),
        bandwidth_bps: 2_000,
        average_bandwidth_bps: Some(1_500),
        codecs: vec!["avc1.64001f".to_owned(), "mp4a.40.2".to_owned()],
        resolution: Some((1280, 720)),
        frame_rate: Some(30_000.0 / 1001.0),
        sound_group: Some("sound".to_owned()),
    };
    let list =
        Multivariant { independent_segments: true, sounds: vec![sound], variants: vec![variant] };
    let expected = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n\
                    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"sound\",NAME=\"Sound 1\",DEFAULT=YES,\
                    AUTOSELECT=YES,CHANNELS=\"2\",URI=\"audio/index.m3u8\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=2000,AVERAGE-BANDWIDTH=1500,\
                    CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970,\
                    AUDIO=\"sound\"\nvideo/index.m3u8\n";
    assert_eq!(list.write(), expected);
}

/// RFC 8216 section 4.1: runs of 0.5 to 1.5 times the target duration count.
#[test]
fn the_peak_is_that_of_the_most_expensive_run_that_is_long_enough() {
    let seconds = |s: i64, bytes: u64| (millis(s * 1_000), bytes);
    assert_eq!(peak_bit_rate(&[seconds(4, 500), seconds(4, 1_000), seconds(4, 500)], 4), 2_000);
    // A short last segment alone is not long enough: with the one before it, it is.
    assert_eq!(peak_bit_rate(&[seconds(4, 1_000), seconds(1, 2_000)], 4), 4_800);
    assert_eq!(peak_bit_rate(&[seconds(1, 1_000)], 4), 8_000);
    assert_eq!(peak_bit_rate(&[], 4), 0);
}

/// RFC 8216 section 4.3.3.1.
#[test]
fn durations_are_rounded_to_the_nearest_second() {
    assert_eq!([1_499, 1_500, 0].map(|ms| rounded_s(millis(ms))), [1, 2, 0]);
}
