//! The HTTP API, on loopback alone: one small thread, one request a connection.
//!
//! - `GET /api/v1/links`: how all links stand.
//! - `PATCH /api/v1/links/NAME`, `{"direction":"up","set":"rate=2mbit delay=50ms"}`: change one.
//! - `GET /api/v1/links/NAME/capture`: the capture that goes on.
//! - `POST /api/v1/links/NAME/capture`, `{"action":"start","file":"/tmp/a.pcapng"}` or
//!   `{"action":"stop"}`. The name `all` stands for all links.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use http::header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN};
use http::{Method, StatusCode};
use serde::Deserialize;
use weir_link::Direction;
use weir_proto::http::{
    ChunkedReader, Framing, RequestHead, RequestReader, ResponseHead, decode_path,
};

use super::{Desk, Request, Response};

/// A port that is open, until it is closed.
#[derive(Debug)]
pub(crate) struct HttpDoor {
    address: SocketAddr,
    is_closed: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl HttpDoor {
    /// Opens a port of 127.0.0.1; 0 for any.
    pub(crate) fn open(port: u16, desk: Desk) -> io::Result<HttpDoor> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let is_closed = Arc::new(AtomicBool::new(false));
        let closed = Arc::clone(&is_closed);
        let thread = std::thread::Builder::new()
            .name("weir-http".to_owned())
            .spawn(move || accept(&listener, &desk, &closed))?;
        Ok(HttpDoor { address, is_closed, thread: Some(thread) })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpDoor {
    fn drop(&mut self) {
        self.is_closed.store(true, Ordering::SeqCst);
        // A connection wakes the thread that waits for one.
        let woken = TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, desk: &Desk, is_closed: &AtomicBool) {
    for client in listener.incoming() {
        if is_closed.load(Ordering::SeqCst) {
            return;
        }
        match client {
            // Who asks nonsense, or leaves, is told or not: the next is served.
            Ok(mut client) => drop(serve(&mut client, desk)),
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

fn serve(client: &mut TcpStream, desk: &Desk) -> io::Result<()> {
    client.set_read_timeout(Some(WAIT_MAX))?;
    client.set_write_timeout(Some(WAIT_MAX))?;
    let answer = match read(client)? {
        Ok((head, body)) => answer(&head, &body, desk),
        Err(refusal) => *refusal,
    };
    let body = serde_json::to_vec(&answer.response)?;
    let mut head = ResponseHead::new(answer.status)
        .with(CONTENT_TYPE, "application/json")
        .with(CONTENT_LENGTH, &body.len().to_string())
        .with(CACHE_CONTROL, "no-store")
        .with(CONNECTION, "close");
    if let Some(allow) = answer.allow {
        head.set(ALLOW, allow);
    }
    let mut out = BytesMut::new();
    head.encode(&mut out);
    out.extend_from_slice(&body);
    client.write_all(&out)?;
    client.shutdown(std::net::Shutdown::Write)
}

struct Answer {
    status: StatusCode,
    response: Response,
    /// The methods that the address knows, where another was used.
    allow: Option<&'static str>,
}

impl Answer {
    fn refused(status: StatusCode, why: impl Into<String>) -> Answer {
        Answer { status, response: Response::refused(why), allow: None }
    }
}

/// A request with its body, or the answer to one that cannot be read.
type Asked = Result<(RequestHead, Vec<u8>), Box<Answer>>;

fn read(client: &mut TcpStream) -> io::Result<Asked> {
    let until = Instant::now() + WAIT_MAX;
    let mut reader = RequestReader::default();
    let head = loop {
        match reader.poll() {
            Ok(Some(head)) => break head,
            Ok(None) => reader.push(&more(client, until)?),
            Err(refusal) => return Ok(Err(Box::new(Answer::refused(refusal.status, refusal.why)))),
        }
    };
    let mut body = Vec::new();
    let mut chunked = ChunkedReader::default();
    let framing = match Framing::of(&head) {
        Ok(framing) => framing,
        Err(refusal) => return Ok(Err(Box::new(Answer::refused(refusal.status, refusal.why)))),
    };
    let mut waiting = reader.take(usize::MAX).to_vec();
    loop {
        let is_whole = match framing {
            Framing::Length(bytes) => {
                body.append(&mut waiting);
                body.len() as u64 >= bytes
            }
            Framing::Chunked => {
                if let Err(refusal) = chunked.read(&waiting, &mut body) {
                    return Ok(Err(Box::new(Answer::refused(refusal.status, refusal.why))));
                }
                chunked.is_done()
            }
        };
        if body.len() > BODY_BYTES_MAX {
            let why = "the body is longer than 64 KB";
            return Ok(Err(Box::new(Answer::refused(StatusCode::PAYLOAD_TOO_LARGE, why))));
        }
        if is_whole {
            return Ok(Ok((head, body)));
        }
        waiting = more(client, until)?;
    }
}

fn more(client: &mut TcpStream, until: Instant) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; 16 << 10];
    let read = client.read(&mut buffer)?;
    // One who sends a byte a second holds up all others.
    if read == 0 || Instant::now() > until {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    buffer.truncate(read);
    Ok(buffer)
}

fn answer(head: &RequestHead, body: &[u8], desk: &Desk) -> Answer {
    if !is_from_here(head) {
        let why = "only this machine may ask: pages of others may not";
        return Answer::refused(StatusCode::FORBIDDEN, why);
    }
    let Ok(path) = decode_path(head.target.path()) else {
        return Answer::refused(StatusCode::BAD_REQUEST, "the path is not encoded right");
    };
    let Some(rest) = path.strip_prefix("api/v1/links") else { return nothing_here() };
    let rest = rest.trim_end_matches('/');
    let method = &head.method;
    if rest.is_empty() {
        return match *method {
            Method::GET => told(desk.answer(Request::Show {})),
            _ => wrong_method("GET"),
        };
    }
    let Some(rest) = rest.strip_prefix('/') else { return nothing_here() };
    match rest.strip_suffix("/capture") {
        Some(name) => capture(method, name, body, desk),
        None => link(method, rest, body, desk),
    }
}

fn link(method: &Method, name: &str, body: &[u8], desk: &Desk) -> Answer {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Patch {
        direction: Option<Direction>,
        set: String,
    }
    match *method {
        Method::GET => {
            let mut response = desk.answer(Request::Show {});
            response.links.retain(|link| link.name == name);
            match response.links.is_empty() && response.error.is_none() {
                true => {
                    Answer::refused(StatusCode::NOT_FOUND, format!("there is no link {name:?}"))
                }
                false => told(response),
            }
        }
        Method::PATCH => match serde_json::from_slice::<Patch>(body) {
            Ok(Patch { direction, set }) => {
                told(desk.answer(Request::Set { link: Some(name.to_owned()), direction, set }))
            }
            Err(error) => {
                let expected = "expected {\"direction\":\"up\",\"set\":\"rate=2mbit\"}";
                Answer::refused(StatusCode::BAD_REQUEST, format!("{expected}: {error}"))
            }
        },
        _ => wrong_method("GET, PATCH"),
    }
}

fn capture(method: &Method, name: &str, body: &[u8], desk: &Desk) -> Answer {
    #[derive(Deserialize)]
    #[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
    enum Action {
        Start { file: PathBuf, bytes_max: Option<u32> },
        Stop {},
    }
    let link = (name != "all").then(|| name.to_owned());
    match *method {
        Method::GET => told(desk.answer(Request::Show {})),
        Method::POST => match serde_json::from_slice::<Action>(body) {
            Ok(Action::Start { file, bytes_max }) => {
                told(desk.answer(Request::CaptureStart { file, link, bytes_max }))
            }
            Ok(Action::Stop {}) => told(desk.answer(Request::CaptureStop {})),
            Err(error) => {
                let expected = "expected {\"action\":\"start\",\"file\":\"/tmp/a.pcapng\"}";
                Answer::refused(StatusCode::BAD_REQUEST, format!("{expected}: {error}"))
            }
        },
        _ => wrong_method("GET, POST"),
    }
}

/// A page from elsewhere must not reach links through a browser: neither by its own name for this
/// machine, nor from its own origin.
fn is_from_here(head: &RequestHead) -> bool {
    let host = head.text(&HOST).unwrap_or("127.0.0.1");
    let is_origin_here = match head.headers.get(ORIGIN) {
        None => true,
        Some(origin) => {
            let origin = origin.to_str().unwrap_or("");
            let rest = origin.strip_prefix("http://").or(origin.strip_prefix("https://"));
            rest.is_some_and(is_loopback)
        }
    };
    is_loopback(host) && is_origin_here
}

/// Whether a host, with or without its port, is this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

fn told(response: Response) -> Answer {
    let status = match &response.error {
        None => StatusCode::OK,
        Some(why) if why.starts_with("there is no link") => StatusCode::NOT_FOUND,
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Answer { status, response, allow: None }
}

fn wrong_method(allow: &'static str) -> Answer {
    let refused = format!("this address knows {allow}");
    Answer { allow: Some(allow), ..Answer::refused(StatusCode::METHOD_NOT_ALLOWED, refused) }
}

fn nothing_here() -> Answer {
    let why = "nothing is here: /api/v1/links lists the links";
    Answer::refused(StatusCode::NOT_FOUND, why)
}

const WAIT_MAX: Duration = Duration::from_secs(2);
const BODY_BYTES_MAX: usize = 64 << 10;
