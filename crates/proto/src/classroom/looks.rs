//! Telling the dialect from real RTSP.

use super::Method;
use super::text::{header, line, number, without_version};

/// What the first bytes of a connection look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Looks {
    /// The classroom dialect.
    Yes,
    /// Something else: real RTSP, most likely.
    No,
    /// It cannot be told yet.
    NotYet,
}

/// Tells by the first bytes of a connection whether its client speaks the classroom dialect.
///
/// Its lines tell, whatever pieces they come in:
/// - a first line without ` RTSP/1.0` and a second one that is a number: the student's spelling;
/// - `Transport: RTP/UDP` behind SETUP: the handout's (RFC 2326 section 12.39 has `RTP/AVP`);
/// - another first request of the dialect that names a movie without `rtsp://`, in lines that end
///   in LF alone, with a number as its session: the handout's, out of order.
///
/// Any other method, an address with a scheme, another transport or a blank line before one of
/// these say that it is real RTSP. Once it is said it stays, whatever follows.
pub fn looks_classroom(bytes: &[u8]) -> Looks {
    let bytes = bytes.get(..LOOK_BYTES_MAX).unwrap_or(bytes);
    let Some(first) = line(bytes, 0) else {
        return Looks::NotYet;
    };
    if !may_be_method(first.text) {
        return Looks::No;
    }
    let looks = match first.is_whole {
        false => Looks::NotYet,
        true => of_request(bytes, first.text, first.next),
    };
    if looks == Looks::NotYet && bytes.len() >= LOOK_BYTES_MAX { Looks::No } else { looks }
}

/// A head that has not told by then is not of this dialect.
const LOOK_BYTES_MAX: usize = 4_096;

/// Whether a line that may grow can begin with a method of the dialect and a space.
fn may_be_method(text: &[u8]) -> bool {
    let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_open = word.len() == text.len();
    // The first half of a line's end.
    let word = if is_open { word.strip_suffix(b"\r").unwrap_or(word) } else { word };
    Method::ALL.iter().any(|method| {
        let method = method.as_str().as_bytes();
        method == word || is_open && method.starts_with(word)
    })
}

fn of_request(bytes: &[u8], first: &[u8], next: usize) -> Looks {
    let word = first.split(|byte| *byte == b' ').next().unwrap_or_default();
    let Some(method) = Method::from_word(word) else {
        return Looks::No;
    };
    let Some(target) = without_version(first) else {
        return of_student(bytes, next);
    };
    let name = target.get(word.len()..).unwrap_or_default().trim_ascii();
    if method == Method::Setup {
        return of_setup(bytes, next);
    }
    let has_scheme = name.windows(3).any(|three| three == b"://");
    let is_name = !has_scheme && !name.is_empty() && name != b"*";
    let ends_in_lf = bytes.get(next.wrapping_sub(2)) != Some(&b'\r');
    if is_name && ends_in_lf { of_handout(bytes, next) } else { Looks::No }
}

/// The student's spelling: a number stands alone in the second line.
fn of_student(bytes: &[u8], at: usize) -> Looks {
    match line(bytes, at) {
        None => Looks::NotYet,
        Some(line) if line.text.first().is_some_and(u8::is_ascii_digit) => Looks::Yes,
        Some(_) => Looks::No,
    }
}

/// SETUP in the handout's spelling: its transport is one that RTSP does not have.
fn of_setup(bytes: &[u8], mut at: usize) -> Looks {
    while let Some(line) = line(bytes, at) {
        if line.is_whole && line.text.is_empty() {
            return Looks::No;
        }
        if let Some((name, value)) = header(line.text)
            && name == "transport"
        {
            return match value {
                value if value.starts_with(TRANSPORT) => Looks::Yes,
                value if !line.is_whole && TRANSPORT.starts_with(value) => Looks::NotYet,
                _ => Looks::No,
            };
        }
        at = line.next;
    }
    Looks::NotYet
}

/// Another request in the handout's spelling: its session is a number, and no blank line comes.
fn of_handout(bytes: &[u8], mut at: usize) -> Looks {
    while let Some(line) = line(bytes, at) {
        if line.is_whole && line.text.is_empty() {
            return Looks::No;
        }
        if let Some((name, value)) = header(line.text)
            && name == "session"
        {
            return match number(value) {
                Some(_) => Looks::Yes,
                None if !line.is_whole && value.is_empty() => Looks::NotYet,
                None => Looks::No,
            };
        }
        at = line.next;
    }
    Looks::NotYet
}

/// What a transport of the dialect begins with.
const TRANSPORT: &[u8] = b"RTP/UDP";
