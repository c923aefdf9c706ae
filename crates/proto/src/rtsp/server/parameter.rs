//! GET_PARAMETER and SET_PARAMETER (RFC 2326 sections 10.8 and 10.9).

use bytes::Bytes;

use super::Refusal;
use crate::rtsp::Status;

/// The refusal of a body that names parameters, for none is known here: its own body names them
/// again, one a line, as section 10.9 shows. `None` for a body without a name.
pub(super) fn refusal(body: &Bytes) -> Option<Refusal> {
    let text = String::from_utf8_lossy(body);
    let names: Vec<String> = text.lines().filter_map(name).take(NAMES_MAX).collect();
    if names.is_empty() {
        return None;
    }
    let detail = "no parameter is known here";
    let mut refusal = Refusal::new(Status::PARAMETER_NOT_UNDERSTOOD, detail);
    refusal.fields.push(("Content-Type".into(), "text/parameters".into()));
    refusal.body = names.into_iter().map(|name| name + "\r\n").collect::<String>().into();
    Some(refusal)
}

/// How many names of one request are told.
const NAMES_MAX: usize = 32;
const NAME_CHARS_MAX: usize = 64;

/// The name on a line `NAME` or `NAME: VALUE`.
fn name(line: &str) -> Option<String> {
    let name = line.split(':').next().unwrap_or_default().trim();
    let shown = name.chars().filter(|c| !c.is_control()).take(NAME_CHARS_MAX);
    Some(shown.collect()).filter(|name: &String| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_that_are_not_known_come_back_one_a_line() {
        let refusal = refusal(&Bytes::from_static(b"barparam: barstuff\r\n jitter \r\n")).unwrap();
        assert_eq!(refusal.status, Status::PARAMETER_NOT_UNDERSTOOD);
        assert_eq!(&refusal.body[..], b"barparam\r\njitter\r\n");
    }

    #[test]
    fn a_blank_body_names_nothing() {
        for body in ["", "\r\n", " \r\n\t\r\n"] {
            assert_eq!(refusal(&Bytes::from_static(body.as_bytes())), None);
        }
    }

    #[test]
    fn what_comes_back_is_bounded() {
        let body = format!("{}\r\n", "\u{7}x".repeat(1000)).repeat(100);
        let refusal = refusal(&body.into()).unwrap();
        assert_eq!(refusal.body.len(), NAMES_MAX * (NAME_CHARS_MAX + 2));
    }
}
