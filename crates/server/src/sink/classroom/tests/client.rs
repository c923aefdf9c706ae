//! A client that writes what it is told to, and shows what comes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use weir_net::{DatagramBuffer, Host, TcpOptions, TcpStream, UdpOptions, UdpSocket, timeout};
use weir_proto::rtp::Packet;
use weir_time::Instant;

/// A client of the dialect.
pub(super) struct Client {
    pub(super) host: Host,
    pub(super) udp: UdpSocket,
    tcp: TcpStream,
    buffer: DatagramBuffer,
}

/// A datagram that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) at: Instant,
    pub(super) header: [u8; 12],
    pub(super) data: Bytes,
}

impl Image {
    pub(super) fn number(&self) -> u16 {
        u16::from_be_bytes([self.header[2], self.header[3]])
    }

    pub(super) fn unix_s(&self) -> u32 {
        let [_, _, _, _, time @ .., _, _, _, _] = self.header;
        u32::from_be_bytes(time)
    }
}

impl Client {
    pub(super) async fn connect(host: &Host, server: SocketAddr) -> Client {
        let tcp = host.tcp_connect(server, &TcpOptions::default()).await.unwrap();
        let local = SocketAddr::new(tcp.local_address().ip(), 0);
        let options = UdpOptions { receive_buffer_bytes: Some(1 << 20), ..Default::default() };
        let udp = host.udp_bind(local, &options).unwrap();
        Client { host: host.clone(), udp, tcp, buffer: DatagramBuffer::new() }
    }

    /// Closes the connection without a word.
    pub(super) fn hang_up(self) -> UdpSocket {
        let Client { udp, tcp, .. } = self;
        drop(tcp);
        udp
    }

    pub(super) fn port(&self) -> u16 {
        self.udp.local_address().port()
    }

    /// One write.
    pub(super) async fn write(&self, text: &str) {
        self.tcp.write_all(text.as_bytes()).await.unwrap();
    }

    /// What the server says within so long; empty if it says nothing, or has closed.
    pub(super) async fn read(&self, limit: Duration) -> String {
        let mut bytes = BytesMut::new();
        let _ = timeout(&self.host, limit, self.tcp.read(&mut bytes)).await;
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    /// Whether the server closes within so long.
    pub(super) async fn sees_close(&self, limit: Duration) -> bool {
        let mut bytes = BytesMut::new();
        matches!(timeout(&self.host, limit, self.tcp.read(&mut bytes)).await, Some(Ok(0)))
    }

    /// Writes a request and reads the reply as the assignments do: lines at LF, words at single
    /// spaces, status and session as integers.
    pub(super) async fn ask(&self, request: &str) -> (u32, u32, u32) {
        self.write(request).await;
        let reply = self.read(Duration::from_secs(2)).await;
        let lines: Vec<&str> = reply.split('\n').collect();
        let number = |line: usize| lines[line].split(' ').nth(1).unwrap().parse().unwrap();
        (number(0), number(1), number(2))
    }

    pub(super) fn setup(&self, movie: &str) -> String {
        let port = self.port();
        format!("SETUP {movie} RTSP/1.0\nCSeq: 1\nTransport: RTP/UDP; client_port= {port}")
    }

    /// Sets `movie.Mjpeg` up and plays it, in the handout's spelling; gives the session.
    pub(super) async fn play(&self) -> u32 {
        let (status, cseq, session) = self.ask(&self.setup("movie.Mjpeg")).await;
        assert_eq!((status, cseq), (200, 1));
        let play = handout("PLAY", 2, session);
        assert_eq!(self.ask(&play).await, (200, 2, session));
        session
    }

    /// The datagrams that come until `until`.
    pub(super) async fn watch(&mut self, until: Instant) -> Vec<Image> {
        let mut images = Vec::new();
        while self.host.now() < until {
            let left = until.since(self.host.now());
            let received = timeout(&self.host, left, self.udp.receive(&mut self.buffer)).await;
            if !matches!(received, Some(Ok(()))) {
                break;
            }
            for datagram in self.buffer.datagrams() {
                Packet::parse(datagram.data).unwrap();
                let (header, data) = datagram.data.split_first_chunk().unwrap();
                let data = Bytes::copy_from_slice(data);
                images.push(Image { at: datagram.at, header: *header, data });
            }
        }
        images
    }

    pub(super) async fn watch_for(&mut self, ms: u64) -> Vec<Image> {
        let until = self.host.now() + Duration::from_millis(ms);
        self.watch(until).await
    }
}

pub(super) fn handout(method: &str, cseq: u32, session: u32) -> String {
    format!("{method} movie.Mjpeg RTSP/1.0\nCSeq: {cseq}\nSession: {session}")
}
