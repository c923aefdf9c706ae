//! Which dialect a server speaks.

use std::time::Duration;

use bytes::BytesMut;
use weir_net::{Host, TcpStream, timeout};

use super::connect::Place;
use super::{Error, Settings};

/// What a server speaks on its port for RTSP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// RTSP 1.0 (RFC 2326); perhaps the classroom dialect as well.
    Rtsp,
    /// Not RTSP 1.0: the classroom dialect, if anything known here.
    Classroom,
}

/// Asks the server at an address, on a connection of its own, what real RTSP always answers
/// (OPTIONS, RFC 2326 section 10.1). An answer that ends in a blank line is real RTSP's; none
/// within `limit`, or another one, is not.
///
/// # Errors
/// When no connection can be had.
pub async fn detect(host: &Host, settings: &Settings, limit: Duration) -> Result<Dialect, Error> {
    let place = Place::parse(&settings.url)?;
    let stream = place.connect(host, settings.connect_timeout).await?;
    let request = format!("OPTIONS {} RTSP/1.0\r\nCSeq: 1\r\n\r\n", place.url);
    let answered = timeout(host, limit, is_answered(&stream, &request)).await;
    Ok(if answered == Some(true) { Dialect::Rtsp } else { Dialect::Classroom })
}

/// Answers longer than this are not RTSP's.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

async fn is_answered(stream: &TcpStream, request: &str) -> bool {
    if stream.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    let mut answer = BytesMut::new();
    while answer.len() < ANSWER_BYTES_MAX {
        if !matches!(stream.read(&mut answer).await, Ok(1..)) {
            return false;
        }
        let is_ended = |end: &[u8]| answer.windows(end.len()).any(|part| part == end);
        if is_ended(b"\r\n\r\n") || is_ended(b"\n\n") {
            return answer.starts_with(b"RTSP/1.0 ");
        }
    }
    false
}
