//! The text of descriptions (ISO/IEC 23009-1).

use weir_media::MediaTime;
use weir_time::Utc;

use super::*;

fn seconds(seconds: i64) -> MediaTime {
    MediaTime::from_nanos(seconds * 1_000_000_000)
}

fn representation(runs: Vec<Run>) -> Representation {
    Representation {
        id: "video".to_owned(),
        codecs: "avc1.64001f".to_owned(),
        bandwidth_bps: 1_000,
        content: Content::Picture(Picture {
            width: 1280,
            height: 720,
            frame_rate: Some((30_000, 1001)),
        }),
        starts_with_sap: Some(1),
        init_uri: "video/init.mp4".to_owned(),
        media_uri: "video/$Number$.m4s?a=1&b=\"<2>\"".to_owned(),
        timeline: Timeline { rate_hz: 90_000, offset_ticks: 0, first_number: 1, runs },
    }
}

fn movie(runs: Vec<Run>) -> Mpd {
    let representations = vec![representation(runs)];
    Mpd {
        duration: Some(MediaTime::from_nanos(20_021_333_333)),
        live: None,
        segment_max: seconds(4),
        buffer_min: seconds(2),
        periods: vec![Period { id: 0, start: MediaTime::ZERO, representations }],
    }
}

fn run(start_ticks: u64, ticks: u64) -> Run {
    Run { start_ticks, ticks }
}

#[test]
fn a_movie_is_static_and_its_attributes_are_escaped() {
    let text = movie(vec![run(0, 360_000)]).write();
    for part in [
        "type=\"static\" mediaPresentationDuration=\"PT20.021333333S\"",
        "maxSegmentDuration=\"PT4S\" minBufferTime=\"PT2S\"",
        "mimeType=\"video/mp4\" codecs=\"avc1.64001f\" bandwidth=\"1000\"",
        "width=\"1280\" height=\"720\" frameRate=\"30000/1001\"",
        "timescale=\"90000\" startNumber=\"1\"",
        "media=\"video/$Number$.m4s?a=1&amp;b=&quot;&lt;2&gt;&quot;\"",
        "startWithSAP=\"1\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("UTCTiming") && !text.contains("presentationTimeOffset"));
}

/// Section 5.3.9.6.
#[test]
fn equal_segments_without_a_gap_are_one_element() {
    let lines = |runs| {
        let text = movie(runs).write();
        text.lines().filter(|line| line.starts_with("<S ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(
        lines(vec![run(0, 10), run(10, 10), run(20, 10)]),
        ["<S t=\"0\" d=\"10\" r=\"2\"/>"]
    );
    let expected = ["<S t=\"5\" d=\"10\"/>", "<S d=\"9\"/>", "<S t=\"30\" d=\"9\"/>"];
    assert_eq!(lines(vec![run(5, 10), run(15, 9), run(30, 9)]), expected);
    assert!(lines(Vec::new()).is_empty());
}

#[test]
fn a_live_stream_is_dynamic_and_tells_the_time() {
    let now = Utc::from_nanos(1_795_271_983_120_000_000);
    let live = Live {
        availability_start: Utc::from_nanos(1_795_271_900_000_000_000),
        window: seconds(12),
        update_period: Some(seconds(2)),
        now,
    };
    let text = Mpd { live: Some(live), duration: None, ..movie(vec![run(0, 9)]) }.write();
    for part in [
        "type=\"dynamic\" availabilityStartTime=\"2026-11-21T14:38:20.000Z\"",
        "publishTime=\"2026-11-21T14:39:43.120Z\" timeShiftBufferDepth=\"PT12S\"",
        "minimumUpdatePeriod=\"PT2S\"",
        "<UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"2026-11-21T14:39:43.120Z\"/>",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn sound_says_its_rate_and_channels() {
    let sound = Content::Sound(Sound { sample_rate_hz: 48_000, channels: 2 });
    let mut mpd = movie(vec![run(0, 9)]);
    mpd.periods[0].representations[0].content = sound;
    let text = mpd.write();
    for part in [
        "contentType=\"audio\"",
        "mimeType=\"audio/mp4\"",
        "audioSamplingRate=\"48000\"",
        "audio_channel_configuration:2011\" value=\"2\"",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
}
