//! What servers do wrong is said once, in words, and the play goes on.

use weir_dial::rtsp::Transport;
use weir_record::Level;
use weir_record::event::EndReason;

use crate::scripted::{Odd, PACKETS, Plan, serve};
use crate::world::{Pair, Played, settings};

fn play(plan: Plan, transport: Transport) -> Played {
    let pair = Pair::new(1, 0.0);
    serve(&pair.server, pair.address(), plan);
    let url = format!("rtsp://{}/sound", pair.address());
    pair.play(settings(&url, transport), Level::Second)
}

#[test]
fn a_server_that_does_nothing_wrong_gives_no_warning() {
    let played = play(Plan::default(), Transport::Tcp);
    assert_eq!(played.outcome.reason, EndReason::EndOfStream, "{:?}", played.outcome);
    assert_eq!(played.summary.warning_texts, Vec::new());
}

#[test]
fn what_a_server_does_wrong_is_said_once_and_the_stream_is_played() {
    for (odd, expected) in [
        (Odd::NoCseq, "DESCRIBE: a response has no CSeq"),
        (Odd::WrongCseq, "DESCRIBE: a response has the CSeq 0; its request had 1"),
        (Odd::NoSession, "PLAY: a response within the session has no header Session"),
        (Odd::OtherSession, "PLAY: a response within the session 1 names the session 2"),
        (Odd::ContentType, "DESCRIBE: the description comes as Content-Type \"text/plain\""),
        (Odd::ContentBaseHost, "Content-Base names the host 192.0.2.7; 10.0.0.1 was asked"),
        (Odd::ContentBaseSlash, "Content-Base rtsp://10.0.0.1:8554/sound2 has no slash at its end"),
        (Odd::NoControl, "the description gives track 0 no address (a=control)"),
        (Odd::NoRtpInfo, "the answer to PLAY has no RTP-Info"),
        (Odd::FirstSeq, "track 0: RTP-Info says that packet 7 is the first, and packet 0 came"),
        (Odd::FirstTime, "track 0: RTP-Info gives the start the RTP time 305419896"),
        (
            Odd::OtherSource,
            "track 0: its packets are of the source 00000077; SETUP announced 00001111",
        ),
        (
            Odd::OtherPayloadType,
            "track 0: packets of payload type 98 came; the description says 97",
        ),
        (Odd::Padding, "track 0: packets that are no RTP came: "),
        (Odd::TimesGoBack, "track 0: its RTP times go back, by 0.192 s"),
        (Odd::NoGoodBye, "the stream came to its end without a good-bye (RTCP BYE)"),
    ] {
        let played = play(Plan { odd: Some(odd), ..Plan::default() }, Transport::Tcp);
        assert_eq!(played.outcome.reason, EndReason::EndOfStream, "{odd:?}: {:?}", played.outcome);
        let texts = &played.summary.warning_texts;
        assert_eq!(texts.len(), 1, "{odd:?}: {texts:?}");
        assert!(texts[0].starts_with(expected), "{odd:?}: {texts:?}");
        assert_eq!(played.summary.warnings, 1, "{odd:?}");
        let frames = played.track(0).frames.unwrap();
        assert!(frames >= u64::from(PACKETS) - 1, "{odd:?}: {frames}");
    }
}

#[test]
fn a_transport_without_server_port_is_told() {
    let plan = Plan { odd: Some(Odd::NoServerPort), ..Plan::default() };
    let played = play(plan, Transport::Udp);
    let texts = &played.summary.warning_texts;
    assert!(texts[0].contains("the answer to SETUP names no server_port"), "{texts:?}");
}
