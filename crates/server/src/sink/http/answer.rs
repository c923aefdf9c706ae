//! Answers: a head, and a body in memory or in a file.

use std::collections::VecDeque;

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCEPT, ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ALLOW,
    CACHE_CONTROL, CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION, VARY,
};
use serde_json::json;
use weir_net::File;
use weir_proto::http::{ByteRange, RequestHead, ResponseHead, Validators, http_date};

use super::sessions::SessionId;

/// What a request is answered with.
pub(super) struct Answer {
    pub(super) head: ResponseHead,
    pub(super) body: Body,
    /// Whose viewing it is part of.
    pub(super) session: Option<SessionId>,
    /// The connection does not stay open behind it.
    pub(super) last: bool,
}

/// The body of an answer.
pub(super) enum Body {
    Pieces(VecDeque<Bytes>),
    File(FileBody),
}

/// Parts of a file, each behind what stands before it.
pub(super) struct FileBody {
    pub(super) file: File,
    pub(super) parts: Vec<(Bytes, ByteRange)>,
    pub(super) end: Bytes,
}

impl Body {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Body::Pieces(pieces) => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Body::File(file) => {
                let parts = file.parts.iter();
                let parts = parts.map(|(before, range)| before.len() as u64 + range.bytes());
                parts.sum::<u64>() + file.end.len() as u64
            }
        }
    }
}

impl Answer {
    pub(super) fn new(head: ResponseHead, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let pieces = if body.is_empty() { VecDeque::new() } else { VecDeque::from([body]) };
        Answer { head, body: Body::Pieces(pieces), session: None, last: false }
    }

    pub(super) fn empty(status: StatusCode) -> Self {
        Answer::new(ResponseHead::new(status), Bytes::new())
    }

    pub(super) fn json(status: StatusCode, value: &serde_json::Value) -> Self {
        let head = ResponseHead::new(status)
            .with(CONTENT_TYPE, "application/json")
            .with(CACHE_CONTROL, "no-store");
        Answer::new(head, format!("{value}\n"))
    }

    /// The error in words, and what helps: as a page for whoever wants one, else as JSON.
    pub(super) fn error(asked: &RequestHead, status: StatusCode, error: &str, hint: &str) -> Self {
        if !wants_page(asked) {
            return Answer::json_error(status, error, hint);
        }
        let head = ResponseHead::new(status)
            .with(CONTENT_TYPE, "text/html; charset=utf-8")
            .with(CACHE_CONTROL, "no-store");
        let title = status.canonical_reason().unwrap_or("Error");
        let (error, hint) = (escape(error), escape(hint));
        let page = format!(
            "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title}</title>\n\
             <style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:10vh auto;\
             padding:0 1rem}}</style>\n\
             <h1>{title}</h1>\n<p>{error}.\n<p>{hint}\n\
             <p><a href=\"/\">All streams and movies</a>\n</html>\n",
        );
        Answer::new(head, page)
    }

    pub(super) fn json_error(status: StatusCode, error: &str, hint: &str) -> Self {
        Answer::json(status, &json!({ "error": error, "hint": hint }))
    }

    /// For methods that do not apply (RFC 9110 section 15.5.6).
    pub(super) fn not_allowed(asked: &RequestHead, allowed: &str) -> Self {
        let error = format!("{} does not apply here", asked.method);
        let hint = format!("What applies: {allowed}");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        Answer::error(asked, status, &error, &hint).with(ALLOW, allowed)
    }

    /// To another address, for good (RFC 9110 section 15.4.9).
    pub(super) fn moved(location: &str) -> Self {
        Answer::empty(StatusCode::PERMANENT_REDIRECT).with(LOCATION, location)
    }

    pub(super) fn with(mut self, name: http::HeaderName, value: &str) -> Self {
        self.head.set(name, value);
        self
    }

    pub(super) fn with_session(mut self, session: Option<SessionId>) -> Self {
        self.session = session;
        self
    }

    pub(super) fn and_close(mut self) -> Self {
        self.last = true;
        self
    }

    pub(super) fn validated(mut self, validators: &Validators) -> Self {
        if let Some(etag) = &validators.etag {
            self.head.set(ETAG, etag);
        }
        if let Some(modified) = validators.modified {
            self.head.set(LAST_MODIFIED, &http_date(modified));
        }
        self
    }

    /// Readable by scripts of pages from anywhere (Fetch standard, CORS protocol).
    pub(super) fn shared(mut self) -> Self {
        self.head.set(ACCESS_CONTROL_ALLOW_ORIGIN, "*");
        self.head.set(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        self
    }

    /// The answer to OPTIONS, preflights of browsers among them.
    pub(super) fn options(allowed: &str) -> Self {
        Answer::empty(StatusCode::NO_CONTENT)
            .with(ALLOW, allowed)
            .with(ACCESS_CONTROL_ALLOW_METHODS, allowed)
            .with(ACCESS_CONTROL_ALLOW_HEADERS, "*, Range, If-Range, If-None-Match")
            .with(ACCESS_CONTROL_MAX_AGE, "86400")
            .with(VARY, "Access-Control-Request-Headers")
            .with(ACCEPT_RANGES, "bytes")
            .shared()
    }
}

const EXPOSED: &str = "Accept-Ranges, Content-Length, Content-Range, Date, ETag, Last-Modified";

/// Whether it is a browser that shows what it gets.
pub(super) fn wants_page(asked: &RequestHead) -> bool {
    asked.text(&ACCEPT).is_some_and(|accept| accept.contains("text/html"))
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
