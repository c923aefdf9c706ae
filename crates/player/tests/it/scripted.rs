//! An RTSP server that follows a plan, right or wrong.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use weir_net::{Host, TcpStream};
use weir_proto::rtcp::{self, Goodbye, NtpTime, Packet, SenderReport, SourceDescription};
use weir_proto::rtp::{Header, RtpTime, SequenceNumber, Ssrc};

/// What the server does.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plan {
    /// It answers SETUP by UDP with 461.
    pub(crate) refuses_udp: bool,
    /// It closes the connection after so many packets, without a good-bye.
    pub(crate) closes_after: Option<u16>,
    /// It sends nothing at all after PLAY.
    pub(crate) is_silent: bool,
    /// It answers DESCRIBE with the address of itself.
    pub(crate) redirects: bool,
    /// It answers PLAY with this line in place of 200.
    pub(crate) play_status: Option<&'static str>,
    /// The one thing that it does wrong and a player can live with.
    pub(crate) odd: Option<Odd>,
}

/// What a server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Odd {
    NoCseq,
    WrongCseq,
    NoSession,
    OtherSession,
    ContentType,
    ContentBaseHost,
    ContentBaseSlash,
    NoControl,
    NoServerPort,
    NoRtpInfo,
    FirstSeq,
    FirstTime,
    OtherSource,
    OtherPayloadType,
    Padding,
    TimesGoBack,
    NoGoodBye,
}

pub(crate) const PACKETS: u16 = 20;
const SSRC: Ssrc = Ssrc(0x77);

/// Serves one stream of sound at `address`; media by UDP is promised and never sent.
pub(crate) fn serve(host: &Host, address: SocketAddr, plan: Plan) {
    let listener = host.tcp_listen(address).unwrap();
    let host = host.clone();
    host.clone().spawn(async move {
        loop {
            let (detached, _) = listener.accept().await.unwrap();
            let stream = host.attach_tcp(detached).unwrap();
            host.spawn(converse(host.clone(), stream, plan));
        }
    });
}

async fn converse(host: Host, stream: TcpStream, plan: Plan) {
    let mut buffer = BytesMut::new();
    let mut is_tcp = false;
    while let Some(request) = next_request(&stream, &mut buffer).await {
        let method = request.split(' ').next().unwrap().to_owned();
        let line = |name: &str| {
            let found = request.lines().find_map(|line| line.strip_prefix(name));
            found.unwrap_or_default().trim().to_owned()
        };
        let transport = line("Transport:");
        let (status, fields, body) = match method.as_str() {
            "DESCRIBE" if plan.redirects => {
                let url = request.split(' ').nth(1).unwrap();
                ("302 Moved Temporarily", format!("Location: {url}/on\r\n"), "")
            }
            "DESCRIBE" => ("200 OK", description_fields(plan), description(plan)),
            "SETUP" if transport.contains("TCP") => {
                is_tcp = true;
                let ssrc = if plan.odd == Some(Odd::OtherSource) { 0x1111 } else { SSRC.0 };
                let transport = format!("{transport};ssrc={ssrc:08x}");
                ("200 OK", format!("Session: 1\r\nTransport: {transport}\r\n"), "")
            }
            "SETUP" if plan.odd == Some(Odd::NoServerPort) => {
                ("200 OK", format!("Session: 1\r\nTransport: {transport}\r\n"), "")
            }
            "SETUP" if plan.refuses_udp => ("461 Unsupported Transport", String::new(), ""),
            "SETUP" => {
                let transport = format!("{transport};server_port=6000-6001");
                ("200 OK", format!("Session: 1\r\nTransport: {transport}\r\n"), "")
            }
            "PLAY" => (plan.play_status.unwrap_or("200 OK"), play_fields(plan), ""),
            _ => ("200 OK", session(plan).to_owned(), ""),
        };
        let cseq = match plan.odd {
            Some(Odd::NoCseq) => String::new(),
            Some(Odd::WrongCseq) => "CSeq: 0\r\n".to_owned(),
            _ => format!("CSeq: {}\r\n", line("CSeq:")),
        };
        let head = format!("RTSP/1.0 {status}\r\n{cseq}{fields}");
        let response = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        if stream.write_all(response.as_bytes()).await.is_err() {
            return;
        }
        if method == "PLAY" && is_tcp && !plan.is_silent && !send_media(&host, &stream, plan).await
        {
            return;
        }
    }
}

const SDP: &str = "v=0\r\ns=-\r\nm=audio 0 RTP/AVP 97\r\n\
    a=rtpmap:97 mpeg4-generic/48000/2\r\n\
    a=fmtp:97 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1190\r\n\
    a=control:trackID=0\r\n";

fn session(plan: Plan) -> &'static str {
    match plan.odd {
        Some(Odd::NoSession) => "",
        Some(Odd::OtherSession) => "Session: 2\r\n",
        _ => "Session: 1\r\n",
    }
}

fn description_fields(plan: Plan) -> String {
    let kind = if plan.odd == Some(Odd::ContentType) { "text/plain" } else { "application/sdp" };
    let base = match plan.odd {
        Some(Odd::ContentBaseHost) => "Content-Base: rtsp://192.0.2.7:8554/sound/\r\n",
        Some(Odd::ContentBaseSlash) => "Content-Base: rtsp://10.0.0.1:8554/sound2\r\n",
        _ => "",
    };
    format!("Content-Type: {kind}\r\n{base}")
}

fn description(plan: Plan) -> &'static str {
    match plan.odd {
        Some(Odd::NoControl) => SDP.strip_suffix("a=control:trackID=0\r\n").unwrap(),
        _ => SDP,
    }
}

fn play_fields(plan: Plan) -> String {
    let session = session(plan);
    let (seq, time) = match plan.odd {
        Some(Odd::NoRtpInfo) => return session.to_owned(),
        Some(Odd::FirstSeq) => (7, 0),
        Some(Odd::FirstTime) => (0, 0x1234_5678),
        _ => (0, 0),
    };
    let range = match plan.odd {
        // The last of twenty packets ends there.
        Some(Odd::NoGoodBye) => "Range: npt=0.000-0.427\r\n",
        _ => "",
    };
    format!("{session}{range}RTP-Info: url=trackID=0;seq={seq};rtptime={time}\r\n")
}

/// Sends sound every 20 ms; whether the connection goes on.
async fn send_media(host: &Host, stream: &TcpStream, plan: Plan) -> bool {
    for number in 0..PACKETS {
        // In the middle, and once.
        let is_odd = |odd: Odd| number == PACKETS / 2 && plan.odd == Some(odd);
        if plan.closes_after == Some(number) {
            return false;
        }
        // Interleaved on channel 0: an AU header of one access unit of 4 bytes.
        let header = Header {
            marker: true,
            payload_type: if is_odd(Odd::OtherPayloadType) { 98 } else { 97 },
            sequence: SequenceNumber(number),
            time: RtpTime(u32::from(if is_odd(Odd::TimesGoBack) { 0 } else { number }) * 1_024),
            ssrc: SSRC,
        };
        let mut head = [0; Header::INTERLEAVED_BYTES];
        header.write_interleaved(0, 8, &mut head);
        let mut packet = [&head[..], &[0, 16, 0, 4 << 3, 1, 2, 3, 4]].concat();
        if is_odd(Odd::Padding) {
            // More padding than there is payload.
            packet[4] |= 0x20;
            packet[19 + 4] = 200;
        }
        if stream.write_all(&packet).await.is_err() {
            return false;
        }
        host.sleep(Duration::from_millis(20)).await;
    }
    if plan.odd == Some(Odd::NoGoodBye) {
        return true;
    }
    let packets = [
        Packet::SenderReport(SenderReport {
            ssrc: SSRC,
            ntp: NtpTime::from(host.utc()),
            rtp_time: RtpTime(0),
            packet_count: PACKETS.into(),
            octet_count: 0,
            reports: Vec::new(),
        }),
        Packet::SourceDescription(SourceDescription::cname(SSRC, "scripted")),
        Packet::Goodbye(Goodbye { sources: vec![SSRC], reason: Some("over".to_owned()) }),
    ];
    let mut report = BytesMut::new();
    rtcp::compound(&packets, &mut report).unwrap();
    let head = [b'$', 1, 0, report.len() as u8];
    stream.write_all(&[&head[..], &report].concat()).await.is_ok()
}

/// The next request's head; interleaved reports are passed over.
async fn next_request(stream: &TcpStream, buffer: &mut BytesMut) -> Option<String> {
    loop {
        if buffer.first() == Some(&b'$') && buffer.len() >= 4 {
            let frame = 4 + usize::from(u16::from_be_bytes([buffer[2], buffer[3]]));
            if buffer.len() >= frame {
                buffer.advance(frame);
                continue;
            }
        } else if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = buffer.split_to(end + 4);
            return Some(String::from_utf8(head.to_vec()).unwrap());
        }
        if stream.read(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
