//! A client of HTTP/1.1: one request at a time on a connection that is kept.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use weir_net::{Host, TcpOptions, TcpStream, timeout};
use weir_proto::http::receive::{self, Event, Head, Reader};
use weir_proto::http::url::Url;
use weir_time::Instant;

/// Fetches resources.
pub struct Client {
    host: Host,
    agent: String,
    open: Option<Open>,
}

struct Open {
    stream: TcpStream,
    to: (String, u16),
    /// It has carried a request before: the server may have closed it since.
    is_used: bool,
}

/// Which part of a resource is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// The first byte.
    pub first: u64,
    /// The last byte; `None` for the end.
    pub last: Option<u64>,
}

/// An answer, whose content is still to come.
pub struct Answer<'a> {
    client: &'a mut Client,
    reader: Reader,
    /// What the server says.
    pub head: Head,
    /// Where it was found, after redirections.
    pub url: Url,
    /// When things happened.
    pub times: Times,
    is_over: bool,
}

/// When a request went the way it did.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// How long it took to connect; `None` on a connection that stood.
    pub connected_in: Option<Duration>,
    /// The server's address.
    pub peer: SocketAddr,
    /// When the request was sent.
    pub asked_at: Instant,
    /// When the head of the answer was there.
    pub answered_at: Instant,
}

/// Why a resource cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The name of the host is not known.
    #[error("cannot find the host {host}: {source}")]
    Resolve {
        /// The name.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// No connection.
    #[error("cannot connect to {peer}: {source}")]
    Connect {
        /// The address.
        peer: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The connection broke.
    #[error("{url}: the connection broke: {source}")]
    Broken {
        /// What was fetched.
        url: Url,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing came for too long.
    #[error("{url}: nothing came for {} s", SILENCE_MAX.as_secs())]
    Silent {
        /// What was fetched.
        url: Url,
    },
    /// The answer cannot be read.
    #[error("{url}: {source}")]
    Response {
        /// What was fetched.
        url: Url,
        /// What is wrong.
        source: receive::Error,
    },
    /// The server refuses.
    #[error("{url}: the server answers {status}{}", meaning(*status))]
    Status {
        /// What was fetched.
        url: Url,
        /// The status code.
        status: u16,
    },
    /// It is redirected to no place, or too often.
    #[error("{url}: {reason}")]
    Redirection {
        /// What was fetched.
        url: Url,
        /// What is wrong.
        reason: String,
    },
    /// It is larger than it may be.
    #[error("{url}: more than {bytes_max} bytes")]
    TooLarge {
        /// What was fetched.
        url: Url,
        /// The bound.
        bytes_max: usize,
    },
}

fn meaning(status: u16) -> &'static str {
    match status {
        401 => " (it wants a name and a password)",
        403 => " (not allowed)",
        404 => " (there is nothing of this name)",
        410 => " (it is gone)",
        416 => " (the range is outside)",
        503 => " (it is busy)",
        _ => "",
    }
}

impl Error {
    /// Whether asking once more may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Connect { .. } | Error::Broken { .. } | Error::Silent { .. } => true,
            Error::Response { source, .. } => matches!(source, receive::Error::CutOff { .. }),
            Error::Status { status, .. } => *status >= 500 || *status == 429,
            _ => false,
        }
    }
}

/// How long a connection may take.
const CONNECT_MAX: Duration = Duration::from_secs(10);
/// How long nothing may come.
const SILENCE_MAX: Duration = Duration::from_secs(10);
const REDIRECTIONS_MAX: usize = 5;
/// What one read takes at most.
const READ_BYTES: usize = 64 << 10;

impl Client {
    /// A client that calls itself `agent`.
    pub fn new(host: &Host, agent: impl Into<String>) -> Self {
        Client { host: host.clone(), agent: agent.into(), open: None }
    }

    /// Asks for a resource, or a part of it. Redirections are followed.
    ///
    /// # Errors
    /// When it cannot be had; answers other than 200 and 206 are errors.
    pub async fn get(&mut self, url: &Url, range: Option<Range>) -> Result<Answer<'_>, Error> {
        let mut url = url.clone();
        for _ in 0..=REDIRECTIONS_MAX {
            let (reader, head, times) = self.ask(&url, range).await?;
            match head.status {
                200 | 206 => {
                    return Ok(Answer { client: self, reader, head, url, times, is_over: false });
                }
                301 | 302 | 303 | 307 | 308 => {
                    // What stands behind the head is of no interest: the connection goes.
                    self.open = None;
                    let location = head.field("location");
                    let joined = location.map(|location| url.join(location));
                    url = match joined {
                        Some(Ok(next)) => next,
                        Some(Err(error)) => return Err(redirection(url, &error)),
                        None => return Err(redirection(url, &"a redirection to no place")),
                    };
                }
                status => {
                    self.open = None;
                    return Err(Error::Status { url, status });
                }
            }
        }
        Err(redirection(url, &"redirected too often"))
    }

    /// A whole resource of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// As [`Client::get`], and when it is larger.
    pub async fn fetch(
        &mut self,
        url: &Url,
        range: Option<Range>,
        bytes_max: usize,
    ) -> Result<(Bytes, Url, Times), Error> {
        let mut answer = self.get(url, range).await?;
        let mut content = BytesMut::new();
        while let Some(bytes) = answer.next().await? {
            if content.len() + bytes.len() > bytes_max {
                return Err(Error::TooLarge { url: answer.url.clone(), bytes_max });
            }
            content.extend_from_slice(&bytes);
        }
        Ok((content.freeze(), answer.url.clone(), answer.times))
    }

    async fn ask(
        &mut self,
        url: &Url,
        range: Option<Range>,
    ) -> Result<(Reader, Head, Times), Error> {
        loop {
            let (open, connected_in) = self.connection(url).await?;
            let (is_used, peer) = (open.is_used, open.stream.peer_address());
            let asked_at = self.host.now();
            let request = self.request(url, range);
            match self.exchange(url, &request).await {
                Ok((reader, head)) => {
                    let answered_at = self.host.now();
                    let times = Times { connected_in, peer, asked_at, answered_at };
                    return Ok((reader, head, times));
                }
                // The server had closed it: nobody's failure.
                Err(error) if is_used && error.is_passing() => self.open = None,
                Err(error) => {
                    self.open = None;
                    return Err(error);
                }
            }
        }
    }

    fn request(&self, url: &Url, range: Option<Range>) -> String {
        let range = range.map_or(String::new(), |range| {
            let last = range.last.map_or(String::new(), |last| last.to_string());
            format!("Range: bytes={}-{last}\r\n", range.first)
        });
        format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: */*\r\n{range}\r\n",
            url.target,
            url.authority(),
            self.agent
        )
    }

    async fn exchange(&mut self, url: &Url, request: &str) -> Result<(Reader, Head), Error> {
        let broken = |source| Error::Broken { url: url.clone(), source };
        let open = self.open.as_mut().expect("a connection was made just now");
        open.is_used = true;
        open.stream.write_all(request.as_bytes()).await.map_err(broken)?;
        let mut reader = Reader::new(false);
        loop {
            match reader.poll().map_err(|source| Error::Response { url: url.clone(), source })? {
                Some(Event::Head(head)) => return Ok((reader, head)),
                Some(_) => {}
                None => read(&self.host, &open.stream, &mut reader, url).await?,
            }
        }
    }

    async fn connection(&mut self, url: &Url) -> Result<(&mut Open, Option<Duration>), Error> {
        let to = (url.host.clone(), url.port);
        if self.open.as_ref().is_some_and(|open| open.to != to) {
            self.open = None;
        }
        let mut connected_in = None;
        if self.open.is_none() {
            let began = self.host.now();
            let stream = self.connect(url).await?;
            connected_in = Some(self.host.now().since(began));
            self.open = Some(Open { stream, to, is_used: false });
        }
        Ok((self.open.as_mut().expect("it was made where it was missing"), connected_in))
    }

    async fn connect(&self, url: &Url) -> Result<TcpStream, Error> {
        let addresses = self
            .host
            .resolve(&url.host)
            .await
            .map_err(|source| Error::Resolve { host: url.host.clone(), source })?;
        let mut failed = None;
        for ip in by_turns(addresses) {
            let peer = SocketAddr::new(ip, url.port);
            let options = TcpOptions { no_delay: true, ..TcpOptions::default() };
            let connecting = self.host.tcp_connect(peer, &options);
            match timeout(&self.host, CONNECT_MAX, connecting).await {
                Some(Ok(stream)) => return Ok(stream),
                Some(Err(source)) => failed = Some(Error::Connect { peer, source }),
                None => {
                    failed = Some(Error::Connect { peer, source: io::ErrorKind::TimedOut.into() });
                }
            }
        }
        Err(failed.unwrap_or_else(|| Error::Resolve {
            host: url.host.clone(),
            source: io::ErrorKind::NotFound.into(),
        }))
    }
}

/// IPv4 addresses behind one of IPv6 at most: a host that has one without a way there is common.
fn by_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (six, four): (Vec<_>, Vec<_>) = addresses.into_iter().partition(IpAddr::is_ipv6);
    let rest = six.iter().skip(1).copied();
    six.iter().take(1).copied().chain(four).chain(rest).collect()
}

fn redirection(url: Url, reason: &impl ToString) -> Error {
    Error::Redirection { url, reason: reason.to_string() }
}

/// Waits for more of an answer.
async fn read(
    host: &Host,
    stream: &TcpStream,
    reader: &mut Reader,
    url: &Url,
) -> Result<(), Error> {
    let room = reader.room();
    room.reserve(READ_BYTES);
    match timeout(host, SILENCE_MAX, stream.read(room)).await {
        Some(Ok(0)) => reader.closed(),
        Some(Ok(_)) => {}
        Some(Err(source)) => return Err(Error::Broken { url: url.clone(), source }),
        None => return Err(Error::Silent { url: url.clone() }),
    }
    Ok(())
}

impl Answer<'_> {
    /// The next bytes of the content; `None` at its end.
    ///
    /// # Errors
    /// When the connection breaks, or what comes cannot be read.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.is_over {
                return Ok(None);
            }
            let polled = self.reader.poll();
            match polled.map_err(|source| Error::Response { url: self.url.clone(), source })? {
                Some(Event::Content(bytes)) => return Ok(Some(bytes)),
                Some(Event::End { keeps_alive }) => {
                    self.is_over = true;
                    if !keeps_alive {
                        self.client.open = None;
                    }
                }
                Some(Event::Head(_)) => {}
                None => {
                    let Some(open) = &self.client.open else {
                        return Ok(None);
                    };
                    read(&self.client.host, &open.stream, &mut self.reader, &self.url).await?;
                }
            }
        }
    }
}

impl Drop for Answer<'_> {
    fn drop(&mut self) {
        // What is left of the content would come before the next answer.
        if !self.is_over {
            self.client.open = None;
        }
    }
}
