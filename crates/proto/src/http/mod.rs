//! HTTP/1.1 without input or output. For servers: request heads, bodies, ranges, conditions; for
//! clients: responses ([`receive`]) and addresses ([`url`]).
//!
//! [`RequestReader`] takes the bytes of a connection and gives one request head after another;
//! [`Framing`] says what body follows, and [`ChunkedReader`] takes a chunked one apart. [`Ranges`]
//! and [`Condition`] decide what part of a file a request gets. [`ResponseHead`] is written by
//! whoever answers. The types of requests and header fields are those of the `http` crate.
//!
//! What is refused carries the status code to answer with, and the reason in a sentence
//! ([`Refusal`]); the connection is closed behind it, since where the next request begins is then
//! unknown.

mod condition;
mod date;
mod framing;
#[doc(hidden)]
pub mod fuzz;
mod path;
mod range;
pub mod receive;
mod request;
mod response;
#[cfg(test)]
mod tests;
pub mod url;

use http::StatusCode;

pub use condition::{Condition, Validators};
pub use date::{HttpDate, http_date};
pub use framing::{ChunkedReader, Framing, expects_continue, is_persistent};
pub use path::decode_path;
pub use range::{ByteRange, RANGES_MAX, Ranges};
pub use request::{HEAD_BYTES_MAX, REQUEST_LINE_BYTES_MAX, RequestHead, RequestReader};
pub use response::ResponseHead;

/// Why a request is not answered as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {why}")]
pub struct Refusal {
    /// The status code of the answer.
    pub status: StatusCode,
    /// What was wrong with the request, in a sentence without its end.
    pub why: &'static str,
}

impl Refusal {
    pub(crate) const fn new(status: StatusCode, why: &'static str) -> Self {
        Refusal { status, why }
    }

    pub(crate) const fn bad_request(why: &'static str) -> Self {
        Refusal::new(StatusCode::BAD_REQUEST, why)
    }
}
