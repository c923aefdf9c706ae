//! The path of an address as the name of something (RFC 3986 sections 2.1 and 3.3).

use super::Refusal;

/// Decodes a path: percent-encoded UTF-8, with the slash before it taken off. An encoded slash is
/// a slash.
///
/// The result names a stream, a resource or a page; it is only ever looked up among names, and
/// never given to the file system. All the same it has no part `.` or `..`, and no control
/// character.
///
/// # Errors
/// When it is not encoded right, is no UTF-8, or has such parts or characters.
pub fn decode_path(path: &str) -> Result<String, Refusal> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let [first, behind @ ..] = rest {
        if *first != b'%' {
            bytes.push(*first);
            rest = behind;
            continue;
        }
        let [high, low, behind @ ..] = behind else { return Err(BAD_ESCAPE) };
        let (Some(high), Some(low)) = (digit(*high), digit(*low)) else { return Err(BAD_ESCAPE) };
        bytes.push(high << 4 | low);
        rest = behind;
    }
    let name = String::from_utf8(bytes).map_err(|_| NOT_UTF_8)?;
    if name.contains(char::is_control) {
        return Err(Refusal::bad_request("the path has a control character"));
    }
    if name.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(Refusal::bad_request("the path has a part `.` or `..`"));
    }
    Ok(name)
}

const BAD_ESCAPE: Refusal =
    Refusal::bad_request("the path has a percent sign without two hexadecimal digits behind it");
const NOT_UTF_8: Refusal = Refusal::bad_request("the path is no UTF-8");

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
