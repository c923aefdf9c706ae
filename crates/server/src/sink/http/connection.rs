//! One connection: requests one after another, each answered before the next is read.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderName};
use http::{Method, StatusCode, Version};
use weir_net::{Either, TcpStream, select, timeout};
use weir_proto::http::{
    ChunkedReader, Framing, HttpDate, Refusal, RequestHead, RequestReader, ResponseHead,
    expects_continue, http_date, is_persistent,
};
use weir_time::Instant;

use super::answer::{Answer, Body};
use super::send::Sender;
use super::sessions::SessionId;
use super::{Active, Open, names};
use crate::report;
use crate::shard::Shard;

/// How long a connection may stand without a request.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
/// How long the head of a request may take from its first byte on, and then its body.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
const BODY_LIMIT: Duration = Duration::from_secs(10);
/// What a request's body may have.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// How long a client is listened to behind the last answer: with unread bytes the system would
/// reset the connection, and the reset may overtake the answer.
const LINGER_LIMIT: Duration = Duration::from_secs(1);
/// How long a connection beyond the bound may take its refusal.
const REFUSE_LIMIT: Duration = Duration::from_secs(1);

/// A request, whole.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) head: RequestHead,
    pub(super) body: Bytes,
    pub(super) peer: SocketAddr,
    /// The address of this side.
    pub(super) local: SocketAddr,
}

/// Serves a connection until either side has had enough.
pub(super) async fn serve(open: Open, stream: TcpStream, peer: SocketAddr) {
    let shard = Rc::clone(&open.0);
    let mut connection = Connection { shard, stream, peer, reader: RequestReader::default() };
    loop {
        let next = connection.next().await;
        // Apart, so that an idle connection does not hold the room for it.
        if !Box::pin(connection.serve(next)).await {
            return;
        }
    }
}

/// Tells a client that there are too many.
pub(super) async fn refuse(open: Open, stream: TcpStream, peer: SocketAddr) {
    let shard = Rc::clone(&open.0);
    tracing::warn!("{peer}: refused: there are too many HTTP connections (http.connections_max)");
    let connection = Connection { shard, stream, peer, reader: RequestReader::default() };
    let limit = REFUSE_LIMIT;
    let status = StatusCode::SERVICE_UNAVAILABLE;
    let hint = "Try again a little later";
    let answer = Answer::json_error(status, "there are too many connections", hint).and_close();
    let host = connection.shard.host.clone();
    let _ = timeout(&host, limit, connection.answer(None, answer, false)).await;
    let _ = timeout(&host, limit, connection.close()).await;
}

struct Connection {
    shard: Rc<Shard>,
    stream: TcpStream,
    peer: SocketAddr,
    reader: RequestReader,
}

/// What came of waiting for a request.
enum Next {
    Head(Box<RequestHead>),
    Refused(Refusal),
    Over,
}

impl Connection {
    async fn next(&mut self) -> Next {
        let host = self.shard.host.clone();
        let mut until = host.now() + IDLE_LIMIT;
        let mut has_begun = false;
        loop {
            match self.reader.poll() {
                Ok(Some(head)) => return Next::Head(Box::new(head)),
                Ok(None) => {}
                Err(refusal) => return Next::Refused(refusal),
            }
            if !has_begun && !self.reader.is_empty() {
                has_begun = true;
                until = host.now() + HEAD_LIMIT;
            }
            match self.read(until).await {
                Read::Some => {}
                Read::Late if has_begun => {
                    self.shard.context.http.counters.heads_late.fetch_add(1, Ordering::Relaxed);
                    let status = StatusCode::REQUEST_TIMEOUT;
                    return Next::Refused(Refusal { status, why: "the request took too long" });
                }
                Read::Late | Read::Over => return Next::Over,
            }
        }
    }

    /// Waits for bytes, which the reader then has.
    async fn read(&mut self, until: Instant) -> Read {
        let reader = &mut self.reader;
        let read = self.stream.read_with(&self.shard.scratch, |data| {
            reader.push(data);
            data.len()
        });
        match select(read, self.shard.host.sleep_until(until)).await {
            Either::First(Ok(0) | Err(_)) => Read::Over,
            Either::First(Ok(_)) => Read::Some,
            Either::Second(()) => Read::Late,
        }
    }

    /// Answers what came; whether the connection goes on.
    async fn serve(&mut self, next: Next) -> bool {
        let shard = Rc::clone(&self.shard);
        let _active = Active::new(&shard.http);
        let goes_on = match next {
            Next::Head(head) => self.answer_to(*head).await,
            Next::Refused(refusal) => {
                self.refused(None, refusal).await;
                false
            }
            Next::Over => return false,
        };
        if !goes_on {
            let _ = timeout(&shard.host, LINGER_LIMIT, self.close()).await;
        }
        goes_on
    }

    async fn answer_to(&mut self, head: RequestHead) -> bool {
        let body = match self.body(&head).await {
            Ok(Some(body)) => body,
            Ok(None) => return false,
            Err(refusal) => {
                self.refused(Some(&head), refusal).await;
                return false;
            }
        };
        let keep = is_persistent(&head) && !self.shard.http.draining.get();
        let local = self.stream.local_address();
        let request = Request { head, body, peer: self.peer, local };
        let answer = names::answer(&self.shard, &request).await;
        self.answer(Some(&request.head), answer, keep).await
    }

    /// The body of a request; `None` if the peer is gone.
    async fn body(&mut self, head: &RequestHead) -> Result<Option<Bytes>, Refusal> {
        let framing = Framing::of(head)?;
        let too_large = Refusal {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            why: "the body of a request may have 64 KB",
        };
        match framing {
            Framing::Length(0) => return Ok(Some(Bytes::new())),
            Framing::Length(bytes) if bytes > BODY_BYTES_MAX as u64 => return Err(too_large),
            _ => {}
        }
        if expects_continue(head)? && self.reader.is_empty() {
            let go_on = b"HTTP/1.1 100 Continue\r\n\r\n";
            let until = self.stream.write_all(go_on);
            if !matches!(timeout(&self.shard.host, BODY_LIMIT, until).await, Some(Ok(()))) {
                return Ok(None);
            }
        }
        let until = self.shard.host.now() + BODY_LIMIT;
        let mut chunks = ChunkedReader::default();
        let mut body = Vec::new();
        loop {
            match framing {
                Framing::Length(bytes) => {
                    let left = usize::try_from(bytes).unwrap_or(usize::MAX) - body.len();
                    body.extend_from_slice(&self.reader.take(left));
                    if body.len() as u64 == bytes {
                        return Ok(Some(body.into()));
                    }
                }
                Framing::Chunked => {
                    let taken = chunks.read(self.reader.waiting(), &mut body)?;
                    self.reader.take(taken);
                    if body.len() > BODY_BYTES_MAX {
                        return Err(too_large);
                    }
                    if chunks.is_done() {
                        return Ok(Some(body.into()));
                    }
                }
            }
            match self.read(until).await {
                Read::Some => {}
                Read::Over => return Ok(None),
                Read::Late => {
                    let status = StatusCode::REQUEST_TIMEOUT;
                    return Err(Refusal { status, why: "the request's body took too long" });
                }
            }
        }
    }

    async fn refused(&self, head: Option<&RequestHead>, refusal: Refusal) {
        tracing::debug!("{}: refused: {refusal}", self.peer);
        let hint = "The connection is closed";
        let answer = Answer::json_error(refusal.status, refusal.why, hint).and_close();
        self.answer(head, answer, false).await;
    }

    /// Sends an answer; whether the connection goes on. Without a request it ends.
    async fn answer(&self, asked: Option<&RequestHead>, answer: Answer, keep: bool) -> bool {
        let keep = keep && !answer.last;
        let Answer { mut head, body, session, .. } = answer;
        if !head.is_without_body() {
            head.set(CONTENT_LENGTH, &body.bytes().to_string());
        }
        let status = head.status;
        let version = asked.map_or(Version::HTTP_11, |asked| asked.version);
        let wire = self.encode(head, version, keep);
        let is_without = asked.is_some_and(|asked| asked.method == Method::HEAD);
        let body = if is_without { Body::Pieces(Default::default()) } else { body };
        let sender = Sender { shard: &self.shard, stream: &self.stream, session };
        let watching = session.map(|session| Watching::new(&self.shard, session));
        let sent = sender.send(wire, body).await;
        drop(watching);
        let responses = &self.shard.context.http.counters.responses;
        let class = usize::from(status.as_u16() / 100 - 1);
        if let Some(count) = responses.get(class) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let asked = asked.map(|asked| format!("{} {}", asked.method, asked.target));
        let asked = asked.unwrap_or_default();
        match sent {
            Ok(()) => tracing::debug!("{}: {asked}: {}", self.peer, status.as_u16()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                let text = format!("{asked}: the file is shorter than when it was opened");
                report::file_cut_short(&self.shard.context.records, self.shard.host.now(), &text);
                return false;
            }
            Err(error) => {
                tracing::debug!("{}: {asked}: {}: ended: {error}", self.peer, status.as_u16());
                return false;
            }
        }
        keep
    }

    fn encode(&self, mut head: ResponseHead, version: Version, keep: bool) -> Bytes {
        head.set(DATE, &http_date(HttpDate::of(self.shard.host.utc())));
        head.set(NO_SNIFF, "nosniff");
        match (keep, version) {
            (false, _) => head.set(CONNECTION, "close"),
            (true, Version::HTTP_10) => head.set(CONNECTION, "keep-alive"),
            (true, _) => {}
        }
        let mut wire = BytesMut::new();
        head.encode(&mut wire);
        wire.freeze()
    }

    /// Says that this was all, and reads on until the client closes too.
    async fn close(&self) {
        self.stream.shutdown();
        let read = || self.stream.read_with(&self.shard.scratch, <[u8]>::len);
        while read().await.is_ok_and(|bytes| bytes > 0) {}
    }
}

/// A session has a request under way, for as long as this is there.
struct Watching<'a> {
    shard: &'a Shard,
    session: SessionId,
}

impl<'a> Watching<'a> {
    fn new(shard: &'a Shard, session: SessionId) -> Self {
        shard.context.http.sessions().open(session);
        Watching { shard, session }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.shard.context.http.sessions().close(self.session, self.shard.host.now());
    }
}

/// What a wait for bytes came to.
enum Read {
    Some,
    Over,
    Late,
}

const NO_SNIFF: HeaderName = HeaderName::from_static("x-content-type-options");
