//! What clients in use say, each with a habit of its own, played to the machine.
//!
//! The files under `transcripts/` are made after what is known of these clients. Of their lines:
//!
//! | begins with | |
//! |---|---|
//! | `#` | a remark |
//! | `>` | a line of a request; `{session}` is the session's identifier, `{Session}` the whole value |
//! | `<` | what the next response has: a status, a field with a part of its value, `!` and a field that it has not, or `body` and a part of it |
//! | `?` | a part of the last question to the driver, as Rust writes it |
//! | `$` | a channel, and an interleaved packet in hexadecimal digits |
//! | `wait` | so many seconds pass |
//! | `lf` | lines end in LF alone from here on |
//!
//! A request is sent with its last line; requests that follow each other are sent at once.

use super::*;

macro_rules! transcripts {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                let file = concat!(stringify!($name), ".txt");
                replay(file, include_str!(concat!("transcripts/", stringify!($name), ".txt")));
            }
        )*

        #[test]
        fn every_transcript_is_played() {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/rtsp/server/tests/transcripts");
            let files = std::fs::read_dir(folder).unwrap().count();
            assert_eq!(files, [$(stringify!($name)),*].len());
        }
    };
}

transcripts! {
    camera_client_in_lower_case
    classic_example_of_rfc_2326
    ffmpeg_asks_for_multicast_then_udp
    ffmpeg_over_udp_seeks_and_keeps_alive
    gstreamer_over_tcp
    gstreamer_tries_rtsp_2_first
    live555_over_tcp_with_receiver_reports
    nvr_with_a_query_and_an_explicit_port
    obs_wants_to_publish
    old_line_ends_and_spaces_before_colons
    onvif_client_requires_what_is_not_there
    pipelining_client
    quicktime_with_its_own_fields
    real_pings_by_set_parameter
    single_track_client
    vlc_over_udp_pauses_and_seeks
    windows_media_player_lists_its_transports
}

struct Replay<'a> {
    place: String,
    server: Server,
    line_end: &'a str,
    request: String,
    responses: std::collections::VecDeque<Response>,
    response: Option<Response>,
    session: String,
}

fn replay(file: &str, text: &str) {
    let mut replay = Replay {
        place: String::new(),
        server: Server::new(),
        line_end: "\r\n",
        request: String::new(),
        responses: Default::default(),
        response: None,
        session: String::new(),
    };
    for (number, line) in text.lines().enumerate() {
        replay.place = format!("{file}:{}: {line}", number + 1);
        replay.take(line);
    }
    replay.send();
    assert!(replay.responses.is_empty(), "{file}: {:?}", replay.responses);
}

impl Replay<'_> {
    fn take(&mut self, line: &str) {
        if !line.starts_with('>') {
            self.send();
        }
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        match mark {
            "" | "#" => {}
            ">" => {
                let id = self.session.split(';').next().unwrap_or_default();
                let line = rest.replace("{session}", id).replace("{Session}", &self.session);
                self.request.push_str(&line);
                self.request.push_str(self.line_end);
            }
            "<" => self.expect(rest),
            "?" => {
                let question = format!("{:?}", self.server.questions.last());
                assert!(question.contains(rest), "{}: {question}", self.place);
            }
            "$" => self.push_frame(rest),
            "wait" => self.server.wait(seconds(rest.parse().unwrap())),
            "lf" => self.line_end = "\n",
            _ => panic!("{}: what is this?", self.place),
        }
    }

    fn send(&mut self) {
        if self.request.is_empty() {
            return;
        }
        let request = std::mem::take(&mut self.request);
        self.server.push(request.as_bytes());
        self.responses.extend(self.server.responses());
    }

    fn expect(&mut self, what: &str) {
        if what.len() == 3 && what.bytes().all(|byte| byte.is_ascii_digit()) {
            let response = self.responses.pop_front();
            let response = response.unwrap_or_else(|| panic!("{}: no response", self.place));
            assert_eq!(response.status.0.to_string(), what, "{}: {response:?}", self.place);
            if let Some(session) = response.fields.get("Session") {
                session.clone_into(&mut self.session);
            }
            self.response = Some(response);
            return;
        }
        let response = self.response.as_ref().unwrap();
        if let Some(name) = what.strip_prefix('!') {
            assert_eq!(response.fields.get(name), None, "{}", self.place);
            return;
        }
        let (name, part) = what.split_once(' ').unwrap();
        let body = String::from_utf8_lossy(&response.body);
        let value = match name {
            "body" => &*body,
            "reason" => &*response.reason,
            name => response.fields.get(name.trim_end_matches(':')).unwrap_or_default(),
        };
        assert!(value.contains(part), "{}: {response:?}", self.place);
    }

    fn push_frame(&mut self, text: &str) {
        let (channel, digits) = text.split_once(' ').unwrap();
        let digit = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
        let packet: Vec<u8> = (0..digits.len() / 2).map(|byte| digit(byte * 2)).collect();
        let channel: u8 = channel.parse().unwrap();
        let before = self.server.seen.len();
        let head = [b'$', channel, 0, packet.len() as u8];
        self.server.push(&[&head[..], &packet].concat());
        let seen = &self.server.seen[before..];
        let came = matches!(seen, [Output::Interleaved { channel: on, data, .. }] if *on == channel && data[..] == packet);
        assert!(came, "{}: {seen:?}", self.place);
    }
}
