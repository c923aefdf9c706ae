//! Session (RFC 2326 section 12.37).

use core::fmt;
use core::time::Duration;

use super::Error;

/// A session's identifier, and in responses how long it lives without a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// The identifier, opaque.
    pub id: String,
    /// The timeout; where absent, 60 s is meant.
    pub timeout: Option<Duration>,
}

impl Session {
    /// The timeout that is meant where a server gives none.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

    /// Reads `ID` or `ID;timeout=SECONDS`, with blanks anywhere between the parts. A timeout that
    /// is no number or zero counts as absent.
    pub fn parse(value: &str) -> Result<Session, Error> {
        let mut parts = value.split(';').map(str::trim);
        let id = parts.next().unwrap_or_default();
        if id.is_empty() || id.len() > ID_BYTES_MAX {
            return Err(Error::new("Session", "an identifier", value));
        }
        let timeout = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("timeout"))
            .and_then(|(_, seconds)| seconds.trim().parse::<u32>().ok())
            .filter(|&seconds| seconds > 0);
        Ok(Session {
            id: id.to_owned(),
            timeout: timeout.map(|seconds| Duration::from_secs(u64::from(seconds))),
        })
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        match self.timeout {
            Some(timeout) => write!(f, ";timeout={}", timeout.as_secs()),
            None => Ok(()),
        }
    }
}

const ID_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_timeout_is_found_in_every_spelling() {
        let seconds = |value: &str| Session::parse(value).unwrap().timeout.map(|t| t.as_secs());
        assert_eq!(seconds("12345678"), None);
        assert_eq!(seconds("12345678;timeout=60"), Some(60));
        assert_eq!(seconds("12345678 ; Timeout = 30 "), Some(30));
        assert_eq!(seconds("12345678;timeout=soon"), None);
        assert_eq!(seconds("12345678;timeout=0"), None);
        assert_eq!(Session::parse(" ab ;timeout=6").unwrap().id, "ab");
        assert!(Session::parse("").is_err());
        assert!(Session::parse(";timeout=60").is_err());
    }

    #[test]
    fn it_comes_back() {
        for value in ["12345678", "ABCDEF01;timeout=60"] {
            assert_eq!(Session::parse(value).unwrap().to_string(), value);
        }
    }
}
