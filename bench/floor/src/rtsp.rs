//! The least of an RTSP 1.0 client that makes any server send: OPTIONS, DESCRIBE, SETUP, PLAY.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::Transport;
use crate::sys;

/// How a session is to be set up.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// `rtsp://HOST:PORT/PATH`
    pub(crate) url: String,
    pub(crate) transport: Transport,
    /// UDP: let the kernel hand over several datagrams as one.
    pub(crate) gro: bool,
    /// UDP: asked size of each media socket's receive buffer.
    pub(crate) receive_buffer_bytes: i32,
    /// The place of a movie to begin at, in seconds; without, no Range is sent.
    pub(crate) from_s: Option<f64>,
}

/// A session that plays.
pub(crate) struct Session {
    /// The control connection; over TCP it carries the media too.
    pub(crate) stream: TcpStream,
    /// UDP: each track's RTP socket, then its RTCP socket.
    pub(crate) sockets: Vec<UdpSocket>,
    /// What came after the reply to PLAY, interleaved media among it.
    pub(crate) left_over: Vec<u8>,
    url: String,
    id: String,
    sequence: u32,
}

impl Session {
    /// Connects and plays all tracks; blocks, 10 s at most for each reply.
    ///
    /// An error names the request that failed and the reply's status line.
    pub(crate) fn play(wish: &Wish) -> anyhow::Result<Session> {
        let stream = connect(&wish.url)?;
        let mut exchange = Exchange { stream, buffer: Vec::new(), sequence: 0 };
        exchange.request("OPTIONS", &wish.url, "")?;
        let described = exchange.request("DESCRIBE", &wish.url, "Accept: application/sdp\r\n")?;
        let base = described.header("Content-Base").unwrap_or(&wish.url).to_owned();
        let controls = controls(&described.body, &base);
        if controls.is_empty() {
            bail!("DESCRIBE {}: no track in the description", wish.url);
        }

        let mut id = String::new();
        let mut sockets = Vec::new();
        for (track, control) in controls.iter().enumerate() {
            let transport = match wish.transport {
                Transport::Tcp => {
                    let channel = 2 * track;
                    format!("RTP/AVP/TCP;unicast;interleaved={channel}-{}", channel + 1)
                }
                Transport::Udp => {
                    let (rtp, rtcp) = bind_pair(wish)?;
                    let port = rtp.local_addr()?.port();
                    sockets.extend([rtp, rtcp]);
                    format!("RTP/AVP;unicast;client_port={port}-{}", port + 1)
                }
            };
            let session = session_line(&id);
            let headers = format!("Transport: {transport}\r\n{session}");
            let reply = exchange.request("SETUP", control, &headers)?;
            let session = reply.header("Session").context("SETUP: the reply has no Session")?;
            session.split(';').next().unwrap_or(session).trim().clone_into(&mut id);
        }
        // Without a Range a shared medium goes on where it is.
        let range = wish.from_s.map(|from| format!("Range: npt={from:.3}-\r\n"));
        let headers = session_line(&id) + &range.unwrap_or_default();
        exchange.request("PLAY", &base, &headers)?;
        Ok(Session {
            left_over: exchange.buffer,
            stream: exchange.stream,
            sockets,
            url: base,
            id,
            sequence: exchange.sequence,
        })
    }

    /// Sends a request whose reply only keeps the session alive, and is not waited for.
    pub(crate) fn keep_alive(&mut self) -> std::io::Result<()> {
        self.send("GET_PARAMETER")
    }

    /// Ends the session without waiting for the reply.
    pub(crate) fn teardown(&mut self) -> std::io::Result<()> {
        self.send("TEARDOWN")
    }

    fn send(&mut self, method: &str) -> std::io::Result<()> {
        self.sequence += 1;
        let session = session_line(&self.id);
        let request = request(method, &self.url, self.sequence, &session);
        self.stream.write_all(request.as_bytes())
    }
}

/// A connection on which one request at a time is answered.
struct Exchange {
    stream: TcpStream,
    /// Received and not yet looked at.
    buffer: Vec<u8>,
    sequence: u32,
}

struct Reply {
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

impl Exchange {
    fn request(&mut self, method: &str, url: &str, headers: &str) -> anyhow::Result<Reply> {
        self.sequence += 1;
        let request = request(method, url, self.sequence, headers);
        self.stream.write_all(request.as_bytes()).with_context(|| format!("{method} {url}"))?;
        let (status, reply) = self.reply().with_context(|| format!("{method} {url}"))?;
        if status.split(' ').nth(1) != Some("200") {
            bail!("{method} {url}: expected 200, found {status:?}");
        }
        Ok(reply)
    }

    fn reply(&mut self) -> anyhow::Result<(String, Reply)> {
        self.skip_interleaved()?;
        let head_bytes = loop {
            let end = self.buffer.windows(4).position(|window| window == b"\r\n\r\n");
            if let Some(end) = end {
                break end + 4;
            }
            self.fill()?;
        };
        let head: Vec<u8> = self.buffer.drain(..head_bytes).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.lines();
        let status = lines.next().unwrap_or_default().to_owned();
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
            .collect();
        let mut reply = Reply { headers, body: String::new() };
        let body_bytes = reply.header("Content-Length").map_or(Ok(0), str::parse::<usize>)?;
        while self.buffer.len() < body_bytes {
            self.fill()?;
        }
        let body: Vec<u8> = self.buffer.drain(..body_bytes).collect();
        reply.body = String::from_utf8_lossy(&body).into_owned();
        Ok((status, reply))
    }

    /// Drops interleaved frames that stand before a reply (RFC 2326 section 10.12).
    fn skip_interleaved(&mut self) -> anyhow::Result<()> {
        loop {
            while self.buffer.len() < 4 {
                self.fill()?;
            }
            let &[b'$', _, high, low, ..] = self.buffer.as_slice() else {
                return Ok(());
            };
            let frame_bytes = 4 + usize::from(u16::from_be_bytes([high, low]));
            while self.buffer.len() < frame_bytes {
                self.fill()?;
            }
            self.buffer.drain(..frame_bytes);
        }
    }

    fn fill(&mut self) -> anyhow::Result<()> {
        if self.buffer.len() > REPLY_BYTES_MAX {
            bail!("a reply of more than {REPLY_BYTES_MAX} bytes");
        }
        let mut chunk = [0_u8; 4096];
        let bytes = self.stream.read(&mut chunk)?;
        if bytes == 0 {
            bail!("the server closed the connection");
        }
        self.buffer.extend_from_slice(chunk.get(..bytes).unwrap_or(&[]));
        Ok(())
    }
}

const REPLY_BYTES_MAX: usize = 1 << 20;
const REPLY_WAIT_MAX: Duration = Duration::from_secs(10);

fn connect(url: &str) -> anyhow::Result<TcpStream> {
    let rest = url.strip_prefix("rtsp://").with_context(|| format!("not an RTSP URL: {url}"))?;
    let host = rest.split('/').next().unwrap_or(rest);
    let mut addresses =
        host.to_socket_addrs().with_context(|| format!("{url}: expected HOST:PORT"))?;
    let address =
        addresses.find(SocketAddr::is_ipv4).with_context(|| format!("{url}: no IPv4 address"))?;
    let stream =
        TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(REPLY_WAIT_MAX))?;
    sys::pin_cubic(&stream).context("cannot pin CUBIC")?;
    Ok(stream)
}

/// An even port for RTP and the next one for RTCP (RFC 3550 section 11).
fn bind_pair(wish: &Wish) -> anyhow::Result<(UdpSocket, UdpSocket)> {
    for _ in 0..PORT_TRIES_MAX {
        let first = bind_media(0, wish)?;
        let port = first.local_addr()?.port();
        let pair = if port % 2 == 0 {
            port.checked_add(1).map(|next| (Ok(first), bind_media(next, wish)))
        } else {
            Some((bind_media(port - 1, wish), Ok(first)))
        };
        if let Some((Ok(rtp), Ok(rtcp))) = pair {
            return Ok((rtp, rtcp));
        }
    }
    bail!("no pair of free UDP ports in {PORT_TRIES_MAX} tries");
}

const PORT_TRIES_MAX: usize = 100;

/// A UDP socket for media on the loopback address, as a viewer would have it.
pub(crate) fn bind_media(port: u16, wish: &Wish) -> std::io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    sys::set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, wish.receive_buffer_bytes)?;
    if wish.gro {
        sys::set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1)?;
    }
    Ok(socket)
}

fn request(method: &str, url: &str, sequence: u32, headers: &str) -> String {
    format!(
        "{method} {url} RTSP/1.0\r\nCSeq: {sequence}\r\nUser-Agent: weir-bench\r\n{headers}\r\n"
    )
}

fn session_line(id: &str) -> String {
    if id.is_empty() {
        return String::new();
    }
    format!("Session: {id}\r\n")
}

/// The URL of each track (RFC 2326 section C.1.1): absolute, or below the base.
fn controls(description: &str, base: &str) -> Vec<String> {
    let tracks = description.split("\nm=").skip(1);
    tracks
        .filter_map(|track| track.lines().find_map(|line| line.strip_prefix("a=control:")))
        .map(|control| match control.trim() {
            control if control.starts_with("rtsp://") => control.to_owned(),
            control => format!("{}/{control}", base.trim_end_matches('/')),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn track_controls_are_absolute_or_below_the_base() {
        let description = "v=0\r\na=control:*\r\nm=video 0 RTP/AVP 96\r\na=control:stream=0\r\n\
                           m=audio 0 RTP/AVP 97\r\na=control:rtsp://h/x/2\r\n";
        let expected = ["rtsp://h/x/stream=0", "rtsp://h/x/2"];
        assert_eq!(controls(description, "rtsp://h/x/"), expected);
    }

    #[test]
    fn a_session_line_is_left_out_before_there_is_a_session() {
        assert_eq!(session_line(""), "");
        assert_eq!(session_line("12"), "Session: 12\r\n");
    }
}
