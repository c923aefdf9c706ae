//! Entries for fuzzing: none may panic, whatever the bytes are.

use core::time::Duration;

use weir_time::Instant;

use super::client::{self, TransportRequest};
use super::headers::{ChannelPair, PortPair, Range, RtpInfo, Session, Transport};
use super::message::{Decoder, Item, Tolerance};
use super::relay::{Ends, Media, MediaId, Opened, Relay};
use super::server::{self, Chosen, Description, Event, Paused, Playing, TrackInfo};
use super::url::{ControlPath, Url, encode_path, resolve};

/// Decodes a stream under both tolerances, and encodes what came.
pub fn fuzz_message(data: &[u8]) {
    for tolerance in [Tolerance::Strict, Tolerance::Wide] {
        let mut decoder = Decoder::new(tolerance);
        for piece in pieces(data) {
            decoder.push(piece);
            while let Some(Ok(item)) = decoder.next() {
                let _ = match item {
                    Item::Request(request) => request.encode(),
                    Item::Response(response) => response.encode(),
                    Item::Interleaved { data, .. } => data,
                };
            }
        }
        assert!(decoder.offset() <= data.len() as u64);
    }
}

/// Relays a stream as both directions, with ports to be had and without: then nothing changes.
pub fn fuzz_rtsp_relay(data: &[u8]) {
    struct Ports(bool);
    impl Media for Ports {
        fn open(&mut self, client: PortPair) -> Option<Opened> {
            self.0.then(|| Opened {
                media: MediaId(u64::from(client.rtp)),
                to_server: u16::MAX,
                to_client: 6970,
            })
        }
        fn answered(&mut self, _: MediaId, _: Option<PortPair>, _: Option<core::net::IpAddr>) {}
        fn close(&mut self, _: MediaId) {}
    }
    let ends = Ends { client: [192, 0, 2, 1].into(), relay: [192, 0, 2, 9].into() };
    for has_ports in [false, true] {
        let (mut now, mut media) = (Instant::ZERO, Ports(has_ports));
        let mut relay = Relay::new(now, ends);
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for piece in pieces(data) {
            now += Duration::from_millis(piece.len() as u64 % 64);
            up.extend_from_slice(&relay.timer(now, &mut media));
            up.extend_from_slice(&relay.from_client(now, piece, &mut media));
            down.extend_from_slice(&relay.from_server(piece, &mut media));
        }
        up.extend_from_slice(&relay.finish_client());
        down.extend_from_slice(&relay.finish_server());
        if !has_ports {
            assert!(up == data && down == data, "bytes are changed or lost");
        }
    }
}

/// Plays a stream to a server whose driver consents to everything. Sessions have the seed 0.
pub fn fuzz_server_connection(data: &[u8]) {
    let config = server::Config {
        single_track_control: data.first().is_some_and(|byte| byte % 2 == 0),
        ..server::Config::default()
    };
    let peer = core::net::IpAddr::from([192, 0, 2, 1]);
    let mut now = Instant::ZERO;
    let mut connection = server::Connection::new(config, peer, 0, now);
    for piece in pieces(data) {
        now += Duration::from_secs(piece.len() as u64 % 32);
        connection.handle(now, server::Input::Bytes(piece));
        drain_server(&mut connection);
        connection.handle(now, server::Input::Timer);
        drain_server(&mut connection);
    }
    connection.handle(now, server::Input::Closed);
    drain_server(&mut connection);
}

/// Plays a stream to a client that asks for everything.
pub fn fuzz_client_connection(data: &[u8]) {
    let Ok(url) = Url::parse("rtsp://192.0.2.1/movie") else {
        return;
    };
    let config = client::Config {
        credentials: Some(client::Credentials {
            user: "user".to_owned(),
            password: "password".to_owned(),
        }),
        ..client::Config::default()
    };
    let mut now = Instant::ZERO;
    let mut connection = client::Connection::new(&url, config, now);
    for piece in pieces(data) {
        let _ = command_client(&mut connection, now, piece.len());
        now += Duration::from_secs(piece.len() as u64 % 16);
        connection.handle(now, client::Input::Bytes(piece));
        while !matches!(connection.poll(), client::Output::Timeout(_)) {}
        connection.handle(now, client::Input::Timer);
        while !matches!(connection.poll(), client::Output::Timeout(_)) {}
    }
    connection.handle(now, client::Input::Closed);
    while !matches!(connection.poll(), client::Output::Timeout(_)) {}
}

/// Reads a Transport header; what is written of it must be read as the same.
pub fn fuzz_transport_header(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let _ = Session::parse(&text);
    let _ = RtpInfo::format_list(&RtpInfo::parse_list(&text));
    if let Ok(list) = Transport::parse_list(&text) {
        let _ = Transport::parse_list(&Transport::format_list(&list));
    }
}

/// Reads a Range header; what is written of it must be read as the same.
pub fn fuzz_range(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(range @ Range::Npt { .. }) = Range::parse(&text) {
        assert_eq!(Range::parse(&range.to_string()), Ok(range));
    }
}

/// Reads addresses; what is written of them must be read as the same.
pub fn fuzz_url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(url) = Url::parse(&text) {
        assert_eq!(Url::parse(&url.to_string()), Ok(url));
    }
    if let Ok(control) = ControlPath::parse(&text) {
        let again = ControlPath::parse(&format!("rtsp://h/{}", encode_path(&control.stream)));
        assert!(again.is_ok(), "{control:?}");
    }
    let _ = resolve(&text, "trackID=1");
    let _ = resolve("rtsp://h/a", &text);
}

/// The pieces of a stream: each is as long as its first byte says.
fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = data;
    core::iter::from_fn(move || {
        let length = usize::from(*rest.first()?) + 1;
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        Some(piece)
    })
}

fn drain_server(connection: &mut server::Connection) {
    loop {
        match connection.poll() {
            server::Output::Timeout(_) => return,
            server::Output::Event(event) => consent(connection, event),
            _ => {}
        }
    }
}

fn consent(connection: &mut server::Connection, event: Event) {
    let answered = match event {
        Event::Describe { token, control, .. } => {
            let sdp = format!("v=0\r\ns={}\r\n", control.stream);
            let content_base = None;
            connection.describe(token, Ok(Description { sdp, content_base }))
        }
        Event::Setup { token, control, offered, .. } => match offered.into_iter().next_back() {
            Some(transport) => {
                let track = control.track.unwrap_or(0);
                connection.setup(token, Ok(Chosen { track, transport }))
            }
            None => unreachable!("no event without an offer"),
        },
        Event::Play { token, tracks, range, scale, speed, .. } => {
            let rtp_info = tracks.iter().map(|&track| TrackInfo { track, seq: 0, rtptime: 0 });
            let rtp_info = rtp_info.collect();
            connection.play(token, Ok(Playing { range, scale, speed, rtp_info }))
        }
        Event::Pause { token, at, .. } => {
            let paused = Paused { range: at.map(Range::from), later: at.is_some() };
            connection.pause(token, Ok(paused))
        }
        Event::Teardown { token, .. } => connection.teardown(token),
        _ => Ok(()),
    };
    answered.expect("a question that was just asked is pending");
}

fn command_client(
    connection: &mut client::Connection,
    now: Instant,
    choice: usize,
) -> Result<(), client::Error> {
    let client_port = PortPair { rtp: 5000, rtcp: Some(5001) };
    let channels = ChannelPair { rtp: 0, rtcp: Some(1) };
    match choice % 8 {
        0 => connection.options(now),
        1 => connection.describe(now),
        2 => connection.setup(now, "trackID=0", TransportRequest::Udp { client_port }),
        3 => connection.setup(now, "trackID=1", TransportRequest::Tcp { channels }),
        4 => connection.play(now, Some(Range::NOW)),
        5 => connection.pause(now),
        6 => connection.get_parameter(now),
        _ => connection.teardown(now),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Fragments of the protocol in any order reach further than bytes do.
    fn stream() -> impl Strategy<Value = Vec<u8>> {
        let first_session = weir_time::hash([0, 0]);
        let named = format!("Session: {}\r\n", server::SessionId(first_session));
        let words = [
            "OPTIONS ",
            "SETUP ",
            "PLAY ",
            "PAUSE ",
            "TEARDOWN ",
            "DESCRIBE ",
            "rtsp://h/movie",
            "/trackID=0",
            " RTSP/1.0\r\n",
            "CSeq: 1\r\n",
            "CSeq: 2\r\n",
            "\r\n",
            "\n",
            "Session: ",
            "Session: 1;timeout=1\r\n",
            "Transport: RTP/AVP/TCP;interleaved=0-1\r\n",
            "Transport: RTP/AVP;unicast;client_port=4-5\r\n",
            "RTSP/1.0 200 OK\r\n",
            "RTSP/1.0 401 No\r\n",
            "WWW-Authenticate: Basic\r\n",
            "Content-Length: 3\r\n",
            "v=0",
            "RTSP/1.0 302 Go\r\nLocation: ",
            "Range: npt=0-\r\n",
            "Speed: 2\r\n",
            "SET_PARAMETER ",
            "RTP-Info: url=",
            ",",
            ";",
            "$",
            "\0",
            "\u{1}",
            "Public: OPTIONS\r\n",
            "Content-Base: ",
        ];
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).chain([named]).collect();
        let word = proptest::sample::select(words);
        let words = proptest::collection::vec(word, 0..60);
        let noise = proptest::collection::vec(any::<u8>(), 0..60);
        prop_oneof![words.prop_map(|words| words.concat().into_bytes()), noise]
    }

    proptest! {
        #[test]
        fn nothing_that_a_peer_sends_makes_it_panic(data in stream()) {
            fuzz_message(&data);
            fuzz_server_connection(&data);
            fuzz_client_connection(&data);
            fuzz_transport_header(&data);
            fuzz_range(&data);
            fuzz_url(&data);
        }

        #[test]
        fn header_values_and_addresses_are_read_or_refused(
            range in "(npt=|npt:|clock=|smpte-25=)?[0-9now:.-]{0,30}",
            url in "(rtsps?://)?[a-z@:\\[\\]%?/.0-9]{0,40}",
            transport in "(RTP/AVP(/TCP)?;?)?[a-z=_,;0-9\"-]{0,60}",
        ) {
            fuzz_range(range.as_bytes());
            fuzz_url(url.as_bytes());
            fuzz_transport_header(transport.as_bytes());
        }
    }
}
