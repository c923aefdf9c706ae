use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rtsp::headers::Npt;

const CAMERA: &str = "v=0\r\n\
    o=- 1273580251173374 1273580251173374 IN IP4 axis-00408ca51334.local\r\n\
    s=Media Presentation\r\n\
    e=NONE\r\n\
    c=IN IP4 0.0.0.0\r\n\
    b=AS:50000\r\n\
    t=0 0\r\n\
    a=control:*\r\n\
    a=range:npt=0.000000-\r\n\
    m=video 0 RTP/AVP 96\r\n\
    b=AS:50000\r\n\
    a=framerate:30.0\r\n\
    a=transform:1,0,0;0,1,0;0,0,1\r\n\
    a=control:trackID=1\r\n\
    a=rtpmap:96 H264/90000\r\n\
    a=fmtp:96 packetization-mode=1; profile-level-id=420029; sprop-parameter-sets=Z0IAKeNQFAe2AtwEBAaQeJEV,aM48gA==\r\n\
    m=audio 0 RTP/AVP 0 97\r\n\
    a=rtpmap:97 mpeg4-generic/16000/1\r\n\
    a=fmtp:97 config=1408\r\n\
    a=control:trackID=2\r\n\
    a=recvonly\r\n";

fn offer() -> Offer {
    let track = |number: u8, kind: &str, rtpmap: &str, fmtp: Option<&str>| OfferedTrack {
        kind: kind.to_owned(),
        payload_type: 96 + number,
        rtpmap: format!("{} {rtpmap}", 96 + number),
        fmtp: fmtp.map(|fmtp| format!("{} {fmtp}", 96 + number)),
        control: format!("trackID={number}"),
        bandwidth_kbps: None,
    };
    Offer {
        origin: Origin { id: 7, version: 1, address: "192.0.2.1".parse().unwrap() },
        name: "movie".to_owned(),
        extent: Extent::Movie(Duration::from_millis(12_345)),
        tracks: vec![
            track(0, "video", "H264/90000", Some("packetization-mode=1")),
            track(1, "audio", "mpeg4-generic/48000/2", None),
        ],
    }
}

#[test]
fn a_cameras_description_is_read() {
    let description = SessionDescription::parse(CAMERA).unwrap();
    assert_eq!(description.name.as_deref(), Some("Media Presentation"));
    assert_eq!(description.control.as_deref(), Some("*"));
    assert_eq!(description.range, Some(Range::from(Duration::ZERO)));
    assert_eq!(description.bandwidth[0].value, 50_000);
    assert_eq!(description.skipped_lines, 0);
    let [video, audio] = description.media.as_slice() else { panic!("two tracks") };
    assert_eq!((video.kind.as_str(), video.port), ("video", 0));
    assert_eq!(video.protocol, "RTP/AVP");
    assert_eq!(video.control.as_deref(), Some("trackID=1"));
    assert_eq!(video.frame_rate, Some(30.0));
    assert_eq!(video.rtpmap(96).unwrap().encoding, "H264");
    let fmtp = video.fmtp(96).unwrap();
    let sets = "Z0IAKeNQFAe2AtwEBAaQeJEV,aM48gA==";
    assert_eq!(fmtp.get("Sprop-Parameter-Sets"), Some(sets));
    assert_eq!(fmtp.parameters[0].0, "packetization-mode");
    assert_eq!(video.attributes[0].0, "transform");
    assert_eq!(audio.payload_types, [0, 97]);
    assert_eq!(audio.rtpmap(97).unwrap().channels, Some(1));
    assert_eq!(audio.rtpmap(0), None);
    assert_eq!(audio.direction, Some(Direction::RecvOnly));
}

#[test]
fn line_ends_may_lack_cr_or_lf() {
    let expected = SessionDescription::parse(CAMERA).unwrap();
    for end in ["\n", "\r", "\r\n\r\n"] {
        let text = CAMERA.replace("\r\n", end);
        assert_eq!(SessionDescription::parse(&text), Ok(expected.clone()), "{end:?}");
    }
}

#[test]
fn what_cannot_be_read_is_passed_over_and_counted() {
    let text = "v=0\ngarbage\na=range:npt=x-\nb=AS\nm=video 0 RTP/AVP 96\na=rtpmap:96\n\
                a=rtpmap:x H264/90000\na=rtpmap:96 H264/0\na=fmtp:999 a=b\nz=0\n\
                m=audio none\na=control:lost\n";
    let description = SessionDescription::parse(text).unwrap();
    assert_eq!(description.skipped_lines, 9);
    assert_eq!(description.media.len(), 1);
    assert_eq!(description.media[0].control, None);
    assert_eq!(description.range, None);
}

#[test]
fn a_text_that_is_no_description_is_an_error() {
    assert_eq!(SessionDescription::parse(""), Err(Error::Version(String::new())));
    let page = SessionDescription::parse("<html>\n</html>");
    assert_eq!(page, Err(Error::Version("<html>".to_owned())));
    assert_eq!(SessionDescription::parse("v=0\r\ns=x\r\n"), Err(Error::NoMedia));
    let long = "v=0\r\n".repeat(TEXT_BYTES_MAX);
    assert!(matches!(SessionDescription::parse(&long), Err(Error::TooLong { .. })));
}

#[test]
fn counts_are_bounded() {
    let media = "m=video 0 RTP/AVP 96\r\n".repeat(MEDIA_MAX + 5);
    let attributes = "a=x:y\r\n".repeat(ENTRIES_MAX + 3);
    let text = format!("v=0\r\nm=audio 0 RTP/AVP 97\r\n{attributes}{media}");
    let description = SessionDescription::parse(&text).unwrap();
    assert_eq!(description.media.len(), MEDIA_MAX);
    assert_eq!(description.media[0].attributes.len(), ENTRIES_MAX);
    assert_eq!(description.skipped_lines, 6 + 3);
}

#[test]
fn a_movie_is_described_line_by_line() {
    let expected = "v=0\r\n\
        o=- 7 1 IN IP4 192.0.2.1\r\n\
        s=movie\r\n\
        c=IN IP4 0.0.0.0\r\n\
        t=0 0\r\n\
        a=control:*\r\n\
        a=range:npt=0.000-12.345\r\n\
        m=video 0 RTP/AVP 96\r\n\
        a=rtpmap:96 H264/90000\r\n\
        a=fmtp:96 packetization-mode=1\r\n\
        a=control:trackID=0\r\n\
        m=audio 0 RTP/AVP 97\r\n\
        a=rtpmap:97 mpeg4-generic/48000/2\r\n\
        a=control:trackID=1\r\n";
    assert_eq!(offer().encode(), expected);
}

#[test]
fn a_live_stream_has_only_now() {
    let live = Offer { extent: Extent::Live, ..offer() };
    assert!(live.encode().contains("\r\na=range:npt=now-\r\n"));
    let unknown = Offer { extent: Extent::Unknown, ..offer() };
    assert!(!unknown.encode().contains("range"));
}

#[test]
fn a_name_forges_no_line() {
    let offer = Offer { name: "a\r\nm=video 1 X 1".to_owned(), ..offer() };
    let description = SessionDescription::parse(&offer.encode()).unwrap();
    assert_eq!(description.media.len(), 2);
    assert_eq!(description.name.as_deref(), Some("a  m=video 1 X 1"));
}

proptest! {
    #[test]
    fn what_is_offered_is_read_back(millis in 0u64..1 << 40, name in "[a-z][a-z ]{0,20}[a-z]", kbps in any::<Option<u32>>()) {
        let mut offer = offer();
        offer.extent = Extent::Movie(Duration::from_millis(millis));
        offer.name = name.clone();
        offer.tracks[1].bandwidth_kbps = kbps;
        let description = SessionDescription::parse(&offer.encode()).unwrap();
        prop_assert_eq!(description.name, Some(name));
        prop_assert_eq!(description.skipped_lines, 0);
        let range = Range::Npt {
            start: Some(Npt::At(Duration::ZERO)),
            end: Some(Duration::from_millis(millis)),
        };
        prop_assert_eq!(description.range, Some(range));
        prop_assert_eq!(description.media[1].bandwidth.first().map(|b| b.value), kbps.map(u64::from));
        prop_assert_eq!(description.media[0].fmtp(96).unwrap().get("packetization-mode"), Some("1"));
    }

    #[test]
    fn nothing_makes_reading_panic(text in "(v=0\n)?(([a-z]=)?[ -~]{0,40}\r?\n){0,20}") {
        fuzz::fuzz_sdp(text.as_bytes());
    }
}
