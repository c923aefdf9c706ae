//! Movies as they lie on the disk: whole, or in ranges (RFC 9110 section 14).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT_RANGES, CACHE_CONTROL, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use weir_media::movie::Format;
use weir_net::File;
use weir_proto::http::{
    ByteRange, Condition, HttpDate, Ranges, RequestHead, ResponseHead, Validators,
};

use super::answer::{Answer, Body, FileBody};
use super::connection::Request;
use crate::Error;
use crate::shard::Shard;

/// A movie's own file.
#[derive(Clone)]
pub(super) struct Found {
    file: File,
    format: Format,
}

/// Files that were opened a moment ago, for those who ask again and again: players ask for one
/// range after another. A file that is replaced is noticed once its time is over.
#[derive(Default)]
pub(super) struct Kept(RefCell<BTreeMap<String, (u64, Found)>>);

/// How long a file stays open for the next request.
const KEEP: Duration = Duration::from_secs(1);
/// Files that are kept open; further ones are opened for each request.
const KEPT_MAX: usize = 64;
/// What is read of a file to tell its container.
const HEAD_BYTES: usize = 4096;

/// The file of a movie, if it has one of these containers. What is in no movie container is never
/// served, whatever it is called.
pub(super) async fn find(
    shard: &Rc<Shard>,
    name: &str,
    formats: &[Format],
) -> Result<Option<Found>, Error> {
    if shard.context.hub.live(name).is_some() {
        return Ok(None);
    }
    let kept = shard.http.files.0.borrow().get(name).map(|(_, found)| found.clone());
    let found = match kept {
        Some(found) => Some(found),
        None => open(shard, name).await?,
    };
    Ok(found.filter(|found| formats.contains(&found.format)))
}

async fn open(shard: &Rc<Shard>, name: &str) -> Result<Option<Found>, Error> {
    let host = &shard.host;
    let Some(path) = shard.context.hub.library().find(host, name).await else { return Ok(None) };
    let at = path.clone();
    let opened = host.blocking(move || {
        let file = File::open_blocking(&at)?;
        let head = file.read_at_blocking(0, HEAD_BYTES)?;
        Ok((file, Format::of(&head)))
    });
    match opened.await {
        Ok((file, Some(format))) => {
            let found = Found { file, format };
            keep(shard, name, &found);
            Ok(Some(found))
        }
        Ok((_, None)) => Ok(None),
        // It went since the folders were looked through.
        Err(error) if io::Error::kind(&error) == io::ErrorKind::NotFound => {
            Err(Error::NotFound { stream: name.to_owned() })
        }
        Err(error) => Err(Error::open(&path, error)),
    }
}

fn keep(shard: &Rc<Shard>, name: &str, found: &Found) {
    let mut files = shard.http.files.0.borrow_mut();
    if files.len() >= KEPT_MAX {
        return;
    }
    let number = shard.context.next_ticket();
    files.insert(name.to_owned(), (number, found.clone()));
    let (shard, name) = (Rc::clone(shard), name.to_owned());
    shard.host.clone().spawn(async move {
        shard.host.sleep(KEEP).await;
        let mut files = shard.http.files.0.borrow_mut();
        // Several who asked at once have opened it several times.
        if files.get(&name).is_some_and(|(kept, _)| *kept == number) {
            files.remove(&name);
        }
    });
}

fn content_type(format: Format) -> &'static str {
    match format {
        Format::Mp4 => "video/mp4",
        Format::Flv => "video/x-flv",
        Format::Ts => "video/mp2t",
        _ => "video/x-motion-jpeg",
    }
}

/// Answers a GET or HEAD for a file.
pub(super) fn answer(shard: &Rc<Shard>, request: &Request, found: Found) -> Answer {
    let head = &request.head;
    let now = HttpDate::of(shard.host.utc());
    let Found { file, format } = found;
    let validators = Validators {
        etag: Some(format!("\"{:016x}-{:x}\"", file.identity(), file.len())),
        // Never later than the answer (RFC 9110 section 8.8.2.1).
        modified: Some(HttpDate::of(file.modified()).min(now)),
    };
    let answer = match Condition::of(head, &validators, now) {
        Condition::NotModified => Answer::empty(StatusCode::NOT_MODIFIED),
        Condition::Failed => {
            let error = "the movie is not the version that was asked for";
            Answer::error(head, StatusCode::PRECONDITION_FAILED, error, "Ask without a condition")
        }
        Condition::Met { range } => {
            let ranges = if range { ranges(head, file.len()) } else { Ranges::Whole };
            content(shard, head, file, content_type(format), ranges)
        }
    };
    answer
        .with(ACCEPT_RANGES, "bytes")
        .with(CACHE_CONTROL, "no-cache")
        .validated(&validators)
        .shared()
}

/// One Range field alone is understood.
fn ranges(head: &RequestHead, length: u64) -> Ranges {
    let mut values = head.headers.get_all(RANGE).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => Ranges::parse(value, length),
        _ => Ranges::Whole,
    }
}

fn content(
    shard: &Rc<Shard>,
    asked: &RequestHead,
    file: File,
    content_type: &'static str,
    ranges: Ranges,
) -> Answer {
    let length = file.len();
    let (mut head, parts, end) = match ranges {
        Ranges::Unsatisfiable => {
            let error = format!("nothing of that range is there: the movie has {length} bytes");
            let status = StatusCode::RANGE_NOT_SATISFIABLE;
            return Answer::error(asked, status, &error, "Ask for less, or without a range")
                .with(CONTENT_RANGE, &format!("bytes */{length}"));
        }
        Ranges::Whole => {
            let whole = length.checked_sub(1).map(|last| ByteRange { first: 0, last });
            let parts = whole.into_iter().map(|range| (Bytes::new(), range)).collect();
            (ResponseHead::new(StatusCode::OK), parts, Bytes::new())
        }
        Ranges::Parts(parts) if parts.len() == 1 => {
            let head = ResponseHead::new(StatusCode::PARTIAL_CONTENT)
                .with(CONTENT_RANGE, &content_range(parts[0], length));
            (head, vec![(Bytes::new(), parts[0])], Bytes::new())
        }
        Ranges::Parts(parts) => {
            let boundary = format!("{:016x}", shard.host.random_u64());
            let before = |range: ByteRange| {
                let range = content_range(range, length);
                format!(
                    "\r\n--{boundary}\r\nContent-Type: {content_type}\r\n\
                     Content-Range: {range}\r\n\r\n"
                )
            };
            let parts = parts.into_iter().map(|range| (before(range).into(), range)).collect();
            let kind = format!("multipart/byteranges; boundary={boundary}");
            let head = ResponseHead::new(StatusCode::PARTIAL_CONTENT).with(CONTENT_TYPE, &kind);
            (head, parts, format!("\r\n--{boundary}--\r\n").into())
        }
    };
    if !head.headers.contains_key(CONTENT_TYPE) {
        head.set(CONTENT_TYPE, content_type);
    }
    let mut answer = Answer::new(head, Bytes::new());
    answer.body = Body::File(FileBody { file, parts, end });
    answer
}

fn content_range(range: ByteRange, length: u64) -> String {
    format!("bytes {}-{}/{length}", range.first, range.last)
}
