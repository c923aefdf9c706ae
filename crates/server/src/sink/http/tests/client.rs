//! A client that writes what it is told to, and shows what comes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::BytesMut;
use serde_json::Value;
use weir_net::{Host, TcpOptions, TcpStream, timeout};

pub(super) struct Client {
    pub(super) host: Host,
    pub(super) address: SocketAddr,
    tcp: TcpStream,
    buffer: BytesMut,
}

/// An answer as it came.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start: String = String::from_utf8_lossy(&self.body).chars().take(300).collect();
        write!(f, "{}{start:?}, {} bytes", self.head, self.body.len())
    }
}

impl Answer {
    /// The value of a field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Client {
    pub(super) async fn connect(host: &Host, address: SocketAddr) -> Client {
        let tcp = host.tcp_connect(address, &TcpOptions::default()).await.unwrap();
        Client { host: host.clone(), address, tcp, buffer: BytesMut::new() }
    }

    /// Another connection to the same server.
    pub(super) async fn again(&self) -> Client {
        Client::connect(&self.host, self.address).await
    }

    pub(super) async fn send(&self, data: impl AsRef<[u8]>) {
        // The server may have closed already.
        let _ = self.tcp.write_all(data.as_ref()).await;
    }

    /// A request without a body, and its answer.
    pub(super) async fn ask(&mut self, method: &str, path: &str, fields: &str) -> Answer {
        self.send(format!("{method} {path} HTTP/1.1\r\nHost: server\r\n{fields}\r\n")).await;
        self.answer(method != "HEAD").await.expect("the server answers")
    }

    pub(super) async fn get(&mut self, path: &str, fields: &str) -> Answer {
        self.ask("GET", path, fields).await
    }

    pub(super) async fn post(&mut self, path: &str, body: &str) -> Answer {
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nHost: server\r\nContent-Length: {length}");
        self.send(format!("{head}\r\n\r\n{body}")).await;
        self.answer(true).await.expect("the server answers")
    }

    /// The next answer, with a body of the length that it says; `None` if the server closes.
    pub(super) async fn answer(&mut self, has_body: bool) -> Option<Answer> {
        let head = loop {
            if let Some(at) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break self.buffer.split_to(at + 4);
            }
            self.more().await?;
        };
        let head = String::from_utf8(head.to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.field("content-length").map_or(0, |length| length.parse().unwrap());
        if has_body {
            while self.buffer.len() < length {
                self.more().await?;
            }
            answer.body = self.buffer.split_to(length).to_vec();
        }
        Some(answer)
    }

    /// Reads what there is; `None` at the end, or when nothing comes for minutes.
    pub(super) async fn more(&mut self) -> Option<usize> {
        let limit = Duration::from_secs(300);
        let read = timeout(&self.host, limit, self.tcp.read(&mut self.buffer)).await;
        read?.ok().filter(|bytes| *bytes > 0)
    }

    /// What has come and was not taken.
    pub(super) fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// How long it takes the server to close, if nothing more comes.
    pub(super) async fn close(&mut self) -> Duration {
        let start = self.host.now();
        assert_eq!(self.more().await, None, "{:?}", self.buffer);
        self.host.now().since(start)
    }
}
