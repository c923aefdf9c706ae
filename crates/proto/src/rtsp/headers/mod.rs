//! Header values with their types (RFC 2326 section 12).

mod range;
mod rtp_info;
mod session;
mod transport;

pub use range::{Npt, Range};
pub use rtp_info::RtpInfo;
pub use session::Session;
pub use transport::{ALTERNATIVES_MAX, ChannelPair, Lower, Mode, PortPair, Transport};

/// Why a header value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{header}: expected {expected}, got {got:?}")]
#[non_exhaustive]
pub struct Error {
    /// The header field.
    pub header: &'static str,
    /// The form that is wanted.
    pub expected: &'static str,
    /// What stands there, cut to 80 characters.
    pub got: String,
}

impl Error {
    pub(crate) fn new(header: &'static str, expected: &'static str, got: &str) -> Self {
        Error { header, expected, got: got.chars().take(80).collect() }
    }
}

/// The number of a request, which its response repeats (RFC 2326 section 12.17).
pub fn parse_cseq(value: &str) -> Result<u32, Error> {
    let digits = value.bytes().all(|b| b.is_ascii_digit());
    let number = digits.then(|| value.parse().ok()).flatten();
    number.ok_or_else(|| Error::new("CSeq", "a decimal number", value))
}

/// A speed factor (RFC 2326 section 12.34): finite, and not zero.
pub fn parse_scale(value: &str) -> Result<f64, Error> {
    let number: Option<f64> = value.parse().ok();
    number
        .filter(|scale| scale.is_finite() && *scale != 0.0)
        .ok_or_else(|| Error::new("Scale", "a number other than zero", value))
}

/// A delivery speed (RFC 2326 section 12.35): finite, and above zero.
pub fn parse_speed(value: &str) -> Result<f64, Error> {
    let number: Option<f64> = value.parse().ok();
    number
        .filter(|speed| speed.is_finite() && *speed > 0.0)
        .ok_or_else(|| Error::new("Speed", "a number above zero", value))
}

/// The entries of a header whose value is a list with commas (Public, Require, Accept), without
/// blanks and empty entries.
pub fn list(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}

/// Splits at a separator, but not inside double quotes.
fn split_outside_quotes(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        c == separator && !quoted
    })
    .map(str::trim)
}

fn unquote(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cseq_is_digits_alone() {
        assert_eq!(parse_cseq("7"), Ok(7));
        for value in ["", "-1", "+1", "x", "1 2", "4294967296"] {
            assert!(parse_cseq(value).is_err(), "{value}");
        }
    }

    #[test]
    fn scale_is_a_finite_number_other_than_zero() {
        assert_eq!(parse_scale("-2.5"), Ok(-2.5));
        for value in ["", "0", "nan", "inf", "fast"] {
            assert!(parse_scale(value).is_err(), "{value}");
        }
    }

    #[test]
    fn speed_is_a_finite_number_above_zero() {
        assert_eq!(parse_speed("2.5"), Ok(2.5));
        for value in ["", "0", "-1", "nan", "inf", "fast"] {
            assert!(parse_speed(value).is_err(), "{value}");
        }
    }

    #[test]
    fn lists_may_have_blanks_and_gaps() {
        assert_eq!(list(" a ,b,, c").collect::<Vec<_>>(), ["a", "b", "c"]);
    }
}
