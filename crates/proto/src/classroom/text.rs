//! Lines and numbers in bytes of which more may come.

use super::Method;

/// One line, and where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Without its end.
    pub(super) text: &'a [u8],
    /// Where it begins.
    pub(super) at: usize,
    /// Where the next one begins.
    pub(super) next: usize,
    /// Its end has come: it does not grow any more.
    pub(super) is_whole: bool,
}

/// The line of `bytes` that begins at `at`; `None` where there is nothing.
pub(super) fn line(bytes: &[u8], at: usize) -> Option<Line<'_>> {
    let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
        return Some(Line { text: rest, at, next: bytes.len(), is_whole: false });
    };
    let text = &rest[..end];
    let text = text.strip_suffix(b"\r").unwrap_or(text);
    Some(Line { text, at, next: at + end + 1, is_whole: true })
}

/// Splits a header line into its lower-case name and its value.
pub(super) fn header(text: &[u8]) -> Option<(String, &[u8])> {
    let colon = text.iter().position(|byte| *byte == b':')?;
    let name = text[..colon].trim_ascii().to_ascii_lowercase();
    Some((String::from_utf8(name).ok()?, text[colon + 1..].trim_ascii_start()))
}

/// A number at the start of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) value: u64,
    /// How many bytes it takes, spaces before it included.
    pub(super) bytes: usize,
    /// More digits may come.
    pub(super) is_open: bool,
}

/// The decimal number that `text` begins with, behind spaces.
pub(super) fn number(text: &[u8]) -> Option<Number> {
    let digits_at = text.iter().position(|byte| *byte != b' ' && *byte != b'\t')?;
    let digits = text.get(digits_at..)?;
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = core::str::from_utf8(digits.get(..count)?).ok()?.parse().ok()?;
    Some(Number { value, bytes: digits_at + count, is_open: count == digits.len() })
}

/// Whether a request begins here: a method and a space.
pub(super) fn begins_request(text: &[u8]) -> bool {
    let word = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    word.len() < text.len() && Method::from_word(word).is_some()
}

/// Whether the next request begins behind a number, without a line end between them; `is_open`
/// says that more may come.
pub(super) fn is_glued(behind: &[u8], is_open: bool) -> bool {
    let begins = |method: &Method| method.as_str().as_bytes().starts_with(behind);
    begins_request(behind) || is_open && !behind.is_empty() && Method::ALL.iter().any(begins)
}

/// What stands before ` RTSP/1.0` at the end of a request line, if that is there.
pub(super) fn without_version(text: &[u8]) -> Option<&[u8]> {
    let text = text.trim_ascii_end();
    let space = text.iter().rposition(|byte| *byte == b' ')?;
    let version = text.get(space + 1..)?.strip_prefix(b"RTSP/")?;
    let is_version =
        !version.is_empty() && version.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    is_version.then(|| &text[..space])
}

/// At most 80 characters of a line, for messages.
pub(super) fn excerpt(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(80).collect()
}
