//! Request heads (RFC 9112 sections 2 to 5).

use bytes::{Buf, BytesMut};
use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::{PathAndQuery, Uri};
use http::{Method, StatusCode, Version};

use super::Refusal;

/// The head of a request.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// What is to be done.
    pub method: Method,
    /// The path as it came, percent-encoded, with the query; `*` for the server itself.
    pub target: PathAndQuery,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// The header fields.
    pub headers: HeaderMap,
}

impl RequestHead {
    /// What stands behind `?`.
    pub fn query(&self) -> Option<&str> {
        self.target.query()
    }

    /// The value of a field that is text, its first line if there are several.
    pub fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A whole head, all of its lines together (RFC 6585 section 5).
pub const HEAD_BYTES_MAX: usize = 64 * 1024;
/// The request line (RFC 9112 section 3 recommends 8,000 octets at least).
pub const REQUEST_LINE_BYTES_MAX: usize = 8 * 1024;
/// The lines of a head.
const FIELDS_MAX: usize = 100;

/// Takes the bytes of a connection, and gives request heads.
///
/// ```
/// use weir_proto::http::RequestReader;
///
/// let mut reader = RequestReader::default();
/// reader.push(b"GET /movie/ HTTP/1.1\r\nHos");
/// assert!(reader.poll()?.is_none());
/// reader.push(b"t: here\r\n\r\nrest");
/// let head = reader.poll()?.expect("it is whole now");
/// assert_eq!(head.target.path(), "/movie/");
/// assert_eq!(&reader.take(64)[..], b"rest");
/// # Ok::<(), weir_proto::http::Refusal>(())
/// ```
///
/// It holds no memory while nothing is there, so that ten thousand idle connections are cheap.
#[derive(Debug, Default)]
pub struct RequestReader {
    buffer: BytesMut,
    /// How much of it was looked through for the end of a head.
    searched: usize,
}

impl RequestReader {
    /// Takes bytes as they came.
    pub fn push(&mut self, data: &[u8]) {
        self.buffer.extend_from_slice(data);
    }

    /// Whether a request has begun, or bytes of a body wait.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Takes at most `bytes_max` of the bytes behind the last head: the request's body.
    pub fn take(&mut self, bytes_max: usize) -> BytesMut {
        self.searched = 0;
        let taken = self.buffer.split_to(bytes_max.min(self.buffer.len()));
        self.tidy();
        taken
    }

    /// What waits, without taking it.
    pub fn waiting(&self) -> &[u8] {
        &self.buffer
    }

    /// The next head, once it is whole; its bytes are then taken.
    ///
    /// # Errors
    /// Why it is no request that can be answered. Nothing more can be read of the connection.
    pub fn poll(&mut self) -> Result<Option<RequestHead>, Refusal> {
        self.skip_empty_lines();
        check_start(&self.buffer)?;
        // Looked through once, however small the pieces are in which it comes.
        let is_whole = has_end(&self.buffer, self.searched);
        if !is_whole && self.buffer.len() <= HEAD_BYTES_MAX {
            self.searched = self.buffer.len();
            return Ok(None);
        }
        let head = self.buffer.get(..HEAD_BYTES_MAX).unwrap_or(&self.buffer);
        let (head, bytes) = parse(head)?;
        self.buffer.advance(bytes);
        self.searched = 0;
        self.tidy();
        Ok(Some(head))
    }

    /// Empty lines before a request are passed over (RFC 9112 section 2.2).
    fn skip_empty_lines(&mut self) {
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let empty = self.buffer.iter().take_while(|byte| is_end(byte)).count();
        if empty > 0 {
            self.buffer.advance(empty);
            self.searched = 0;
            self.tidy();
        }
    }

    fn tidy(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
    }
}

/// Refuses at once what cannot become a request, such as the first bytes of TLS, and a request
/// line that is too long.
fn check_start(data: &[u8]) -> Result<(), Refusal> {
    let line = data.iter().take(REQUEST_LINE_BYTES_MAX);
    let line = line.take_while(|byte| **byte != b'\n').count();
    if line >= REQUEST_LINE_BYTES_MAX {
        return Err(Refusal::new(StatusCode::URI_TOO_LONG, "the request line is too long"));
    }
    let method = data.iter().take_while(|byte| **byte != b' ').take(METHOD_BYTES_MAX + 1);
    if method.clone().count() > METHOD_BYTES_MAX || method.copied().any(|byte| !is_token(byte)) {
        return Err(Refusal::bad_request(
            "it does not start with a method: this is plain HTTP/1.1",
        ));
    }
    Ok(())
}

const METHOD_BYTES_MAX: usize = 32;

/// Whether a byte may stand in a token (RFC 9110 section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Whether the empty line behind a head is there; what lies before `searched` was looked through.
fn has_end(data: &[u8], searched: usize) -> bool {
    // The end may have begun in what was there before.
    let data = data.get(searched.saturating_sub(3)..).unwrap_or_default();
    let ends = |rest: &[u8]| rest.starts_with(b"\n") || rest.starts_with(b"\r\n");
    let mut lines = data.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    lines.any(|(at, _)| data.get(at + 1..).is_some_and(ends))
}

/// Reads a head, and says how many bytes it has.
fn parse(data: &[u8]) -> Result<(RequestHead, usize), Refusal> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    let bytes = match request.parse(data).map_err(|error| refusal(&error))? {
        httparse::Status::Complete(bytes) => bytes,
        httparse::Status::Partial => return Err(too_large()),
    };
    let method = request.method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
    let method = method.ok_or(Refusal::bad_request("the method is no token"))?;
    let version = match request.version {
        Some(0) => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let target = target(request.path.unwrap_or_default(), &method)?;
    let headers = headers(request.headers)?;
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        // RFC 9112 section 3.2.
        (None, _) if version == Version::HTTP_11 => {
            return Err(Refusal::bad_request("there is no Host field, which HTTP/1.1 requires"));
        }
        (_, Some(_)) => return Err(Refusal::bad_request("there are several Host fields")),
        _ => {}
    }
    Ok((RequestHead { method, target, version, headers }, bytes))
}

fn headers(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Refusal> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let value = HeaderValue::from_bytes(field.value);
        let (Ok(name), Ok(value)) = (name, value) else {
            return Err(Refusal::bad_request(
                "a header field has a name or value that is not allowed",
            ));
        };
        headers.append(name, value);
    }
    Ok(headers)
}

/// The request target in each of its forms (RFC 9112 section 3.2).
fn target(target: &str, method: &Method) -> Result<PathAndQuery, Refusal> {
    let wrong = Refusal::bad_request("the request target is no address");
    if *method == Method::CONNECT {
        return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, "this server is no proxy: CONNECT"));
    }
    if target == "*" && *method == Method::OPTIONS {
        return Ok(PathAndQuery::from_static("*"));
    }
    if target.starts_with('/') {
        return PathAndQuery::try_from(target).map_err(|_| wrong);
    }
    let uri = Uri::try_from(target).map_err(|_| wrong)?;
    match (uri.scheme_str(), uri.path_and_query()) {
        (Some("http" | "https"), Some(path)) if path.as_str().starts_with('/') => Ok(path.clone()),
        _ => Err(wrong),
    }
}

fn refusal(error: &httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => too_large(),
        httparse::Error::HeaderName => Refusal::bad_request("the name of a header field is wrong"),
        httparse::Error::HeaderValue => {
            Refusal::bad_request("a header field has a control character in its value")
        }
        httparse::Error::Version => Refusal::new(
            StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            "expected HTTP/1.1 or HTTP/1.0 behind the address",
        ),
        _ => Refusal::bad_request("the request line is not: method, address, HTTP/1.1"),
    }
}

fn too_large() -> Refusal {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Refusal::new(status, "the head is longer than 64 KB, or has more than 100 fields")
}
