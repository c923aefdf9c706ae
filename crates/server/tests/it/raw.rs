//! A client that says what it is told to, and shows what comes.

use std::net::SocketAddr;

use bytes::{Buf, Bytes, BytesMut};
use weir_net::{Host, TcpOptions, TcpStream};
use weir_proto::rtp::Packet;
use weir_time::Instant;

/// A control connection.
pub(crate) struct Raw {
    pub(crate) host: Host,
    stream: TcpStream,
    buffer: BytesMut,
    sequence: u32,
    pub(crate) session: String,
    pub(crate) packets: Vec<Arrival>,
    /// RTCP that came on channel 1, and how many RTP packets had come before it.
    pub(crate) reports: Vec<(Instant, usize, Bytes)>,
}

/// An RTP packet that came on channel 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) at: Instant,
    pub(crate) seq: u16,
    pub(crate) time: u32,
    pub(crate) marker: bool,
}

impl Raw {
    pub(crate) async fn connect(host: &Host, server: SocketAddr) -> Raw {
        let stream = host.tcp_connect(server, &TcpOptions::default()).await.unwrap();
        let (buffer, session) = (BytesMut::new(), String::new());
        let (packets, reports) = (Vec::new(), Vec::new());
        Raw { host: host.clone(), stream, buffer, sequence: 0, session, packets, reports }
    }

    /// Sends a request and gives the response's head; media that comes before it is kept.
    pub(crate) async fn ask(&mut self, method: &str, url: &str, fields: &str) -> String {
        self.sequence += 1;
        let session = match &*self.session {
            "" => String::new(),
            session => format!("Session: {session}\r\n"),
        };
        let sequence = self.sequence;
        let request =
            format!("{method} {url} RTSP/1.0\r\nCSeq: {sequence}\r\n{session}{fields}\r\n");
        self.stream.write_all(request.as_bytes()).await.unwrap();
        loop {
            if let Some(response) = self.next().await.expect("the server answers") {
                return response;
            }
        }
    }

    /// Sends RTCP on channel 1.
    pub(crate) async fn report(&mut self, packet: &[u8]) {
        let head = [b'$', 1, 0, u8::try_from(packet.len()).unwrap()];
        self.stream.write_all(&[&head[..], packet].concat()).await.unwrap();
    }

    /// Sets the only track up, interleaved, and plays.
    pub(crate) async fn play_live(&mut self, url: &str) {
        let track = format!("{url}/trackID=0");
        let set_up =
            self.ask("SETUP", &track, "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n").await;
        let session = set_up.lines().find_map(|line| line.strip_prefix("Session: ")).unwrap();
        self.session = session.split(';').next().unwrap().to_owned();
        let played = self.ask("PLAY", url, "Range: npt=now-\r\n").await;
        assert!(played.starts_with("RTSP/1.0 200"), "{played}");
    }

    /// Reads media until `until`.
    pub(crate) async fn watch(&mut self, until: Instant) {
        while self.host.now() < until {
            let host = self.host.clone();
            let left = until.since(host.now());
            match weir_net::timeout(&host, left, self.next()).await {
                None | Some(None) => return,
                Some(Some(_)) => {}
            }
        }
    }

    /// Takes the next message: a response's head, or an interleaved packet (none is given then).
    /// `None` if the connection is over.
    async fn next(&mut self) -> Option<Option<String>> {
        loop {
            if let Some(message) = self.take() {
                return Some(message);
            }
            if self.stream.read(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    fn take(&mut self) -> Option<Option<String>> {
        if self.buffer.first() == Some(&b'$') {
            let head = self.buffer.get(..4)?;
            let (channel, len) = (head[1], usize::from(u16::from_be_bytes([head[2], head[3]])));
            if self.buffer.len() < 4 + len {
                return None;
            }
            self.buffer.advance(4);
            let data = self.buffer.split_to(len).freeze();
            self.keep(channel, &data);
            return Some(None);
        }
        let end = self.buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
        let body = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let body: usize = body.map_or(0, |len| len.parse().unwrap());
        if self.buffer.len() < end + body {
            return None;
        }
        self.buffer.advance(end + body);
        Some(Some(head))
    }

    fn keep(&mut self, channel: u8, data: &Bytes) {
        if channel == 1 {
            self.reports.push((self.host.now(), self.packets.len(), data.clone()));
        }
        if channel != 0 {
            return;
        }
        let header = Packet::parse(data).unwrap().header;
        self.packets.push(Arrival {
            at: self.host.now(),
            seq: header.sequence.0,
            time: header.time.0,
            marker: header.marker,
        });
    }
}
