//! Addresses of HTTP (RFC 3986, RFC 9110 section 4.2.1).

use std::fmt;

/// An `http` URL, taken apart. Its path is kept as it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Url {
    /// Name or address; IPv6 addresses without their brackets.
    pub host: String,
    /// The port, 80 where none is written.
    pub port: u16,
    /// From the first slash on; with the query, without the fragment. Never empty.
    pub target: String,
}

/// Why a text is no URL that can be fetched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another scheme, or none.
    #[error("{text:?}: expected http://HOST/...{}", https(text))]
    Scheme {
        /// What stands there.
        text: String,
    },
    /// No host.
    #[error("{text:?}: expected a host behind http://")]
    Host {
        /// What stands there.
        text: String,
    },
    /// No port number.
    #[error("{text:?}: expected a port from 1 to 65535 behind the colon")]
    Port {
        /// What stands there.
        text: String,
    },
    /// Blanks or control characters, which would end the request line.
    #[error("{text:?}: blanks and control characters must be percent-encoded")]
    Characters {
        /// What stands there.
        text: String,
    },
}

fn https(text: &str) -> &'static str {
    if text.starts_with("https:") { "; there is no TLS here yet" } else { "" }
}

impl Url {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// Says what is expected and what stands there.
    pub fn parse(text: &str) -> Result<Url, Error> {
        let owned = || text.to_owned();
        let rest = text.get(..7).filter(|start| start.eq_ignore_ascii_case("http://"));
        let rest = rest.and(text.get(7..)).ok_or_else(|| Error::Scheme { text: owned() })?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, after) = rest.split_at(end);
        // Who asks by name and password is not known to this client: they never leave.
        let authority = authority.rsplit('@').next().unwrap_or(authority);
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) =
                    bracketed.split_once(']').ok_or_else(|| Error::Host { text: owned() })?;
                (host, rest.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port.filter(|port| !port.is_empty()) {
            None => 80,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                _ => return Err(Error::Port { text: owned() }),
            },
        };
        if host.is_empty() {
            return Err(Error::Host { text: owned() });
        }
        let url = Url { host: host.to_owned(), port, target: target(after) };
        url.checked(text)
    }

    /// The URL that a reference in a document at this one means (RFC 3986 section 5.2).
    ///
    /// # Errors
    /// When the reference is absolute and no `http` URL.
    pub fn join(&self, reference: &str) -> Result<Url, Error> {
        let reference = reference.split('#').next().unwrap_or(reference);
        if has_scheme(reference) {
            return Url::parse(reference);
        }
        if let Some(rest) = reference.strip_prefix("//") {
            return Url::parse(&format!("http://{rest}"));
        }
        let (path, query) = match reference.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (reference, None),
        };
        let (own_path, own_query) = match self.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.target.as_str(), None),
        };
        let (path, query) = match path {
            "" => (own_path.to_owned(), query.or(own_query)),
            _ if path.starts_with('/') => (without_dots(path), query),
            _ => {
                let folder = own_path.rsplit_once('/').map_or("", |(folder, _)| folder);
                (without_dots(&format!("{folder}/{path}")), query)
            }
        };
        let target = match query {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        Url { target, ..self.clone() }.checked(reference)
    }

    /// The value of the `Host` field (RFC 9110 section 7.2).
    pub fn authority(&self) -> String {
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    /// The path, without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or(&self.target)
    }

    fn checked(self, text: &str) -> Result<Url, Error> {
        let is_bad = |c: char| c.is_ascii_control() || c == ' ';
        if self.target.contains(is_bad) || self.host.contains(is_bad) {
            return Err(Error::Characters { text: text.to_owned() });
        }
        Ok(self)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.target)
    }
}

fn target(after: &str) -> String {
    let after = after.split('#').next().unwrap_or(after);
    match after.starts_with('/') {
        true => after.to_owned(),
        false => format!("/{after}"),
    }
}

/// A scheme before the first slash, query or colon-less part (RFC 3986 section 3.1).
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    })
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            "." if is_last => kept.push(""),
            "." => {}
            ".." => {
                kept.pop();
                if is_last {
                    kept.push("");
                }
            }
            part => kept.push(part),
        }
    }
    format!("/{}", kept.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_put_together() {
        for (text, again) in [
            ("http://h/a/b?c=d#e", "http://h/a/b?c=d"),
            ("HTTP://h:8080", "http://h:8080/"),
            ("http://[::1]:81/x", "http://[::1]:81/x"),
            ("http://user:secret@h/x", "http://h/x"),
            ("http://h?x", "http://h/?x"),
        ] {
            assert_eq!(Url::parse(text).unwrap().to_string(), again);
        }
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_with_a_reason() {
        let message = |text: &str| Url::parse(text).unwrap_err().to_string();
        assert_eq!(message("ftp://h/"), "\"ftp://h/\": expected http://HOST/...");
        assert!(message("https://h/").ends_with("there is no TLS here yet"));
        assert!(message("http:///x").contains("expected a host"));
        assert!(message("http://h:0/x").contains("expected a port"));
        assert!(message("http://h/a b").contains("percent-encoded"));
    }

    #[test]
    fn references_are_joined_as_the_standard_has_them() {
        let base = Url::parse("http://h/b/c/d?q").unwrap();
        for (reference, joined) in [
            ("g", "http://h/b/c/g"),
            ("./g", "http://h/b/c/g"),
            ("g/", "http://h/b/c/g/"),
            ("/g", "http://h/g"),
            ("//g", "http://g/"),
            ("?y", "http://h/b/c/d?y"),
            ("", "http://h/b/c/d?q"),
            (".", "http://h/b/c/"),
            ("..", "http://h/b/"),
            ("../../../g", "http://h/g"),
            ("http://x:1/y", "http://x:1/y"),
            ("a:b/c", ""),
        ] {
            let found = base.join(reference).map(|url| url.to_string()).unwrap_or_default();
            assert_eq!(found, joined, "{reference}");
        }
    }
}
