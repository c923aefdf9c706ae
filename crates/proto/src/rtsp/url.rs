//! RTSP addresses (RFC 2326 section 3.2), and how they name streams and tracks here.

use core::fmt;

/// An absolute RTSP address in its parts, still percent-encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// `rtsps`, over TLS.
    pub secure: bool,
    /// What stands before `@`: a name, or a name and a password.
    pub userinfo: Option<String>,
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// The port, where one is given. See [`Url::port_or_default`].
    pub port: Option<u16>,
    /// With its leading `/`; empty where there is none.
    pub path: String,
    /// What follows `?`.
    pub query: Option<String>,
}

/// What a request's address names: a stream, or one track of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlPath {
    /// The stream's name, decoded: `movie`, `folder/movie`, `movie/high`. Empty for the server
    /// as a whole.
    pub stream: String,
    /// The track, from a last part `trackID=N`.
    pub track: Option<u8>,
    /// What follows `?`, still encoded, without the track.
    pub query: Option<String>,
}

/// Why an address cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not begin with `rtsp://`, `rtspu://` or `rtsps://`.
    #[error("expected an address that begins with rtsp://, got {0:?}")]
    Scheme(String),
    /// There is no host, or the port is no number up to 65535.
    #[error("expected HOST or HOST:PORT, got {0:?}")]
    Authority(String),
    /// A `%` without two hexadecimal digits, or bytes that are not UTF-8.
    #[error("expected percent-encoded UTF-8, got {0:?}")]
    Encoding(String),
    /// A part of the path is `.` or `..`, or holds an encoded slash or a control character.
    #[error("the part {0:?} of the path is not allowed")]
    Segment(String),
}

/// The port of `rtsp` (RFC 2326 section 3.2).
pub const DEFAULT_PORT: u16 = 554;
/// The port of `rtsps`.
pub const DEFAULT_PORT_SECURE: u16 = 322;

impl Url {
    /// Reads an absolute address.
    pub fn parse(text: &str) -> Result<Url, Error> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("", ""));
        let secure = scheme.eq_ignore_ascii_case("rtsps");
        let known = ["rtsp", "rtspu"];
        if !secure && !known.iter().any(|name| scheme.eq_ignore_ascii_case(name)) {
            return Err(Error::Scheme(excerpt(text)));
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at(end);
        let (userinfo, host) = match authority.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, authority),
        };
        let (host, port) = parse_host(host).ok_or_else(|| Error::Authority(excerpt(authority)))?;
        let (path, query) = split_query(rest);
        Ok(Url {
            secure,
            userinfo,
            host,
            port,
            path: path.to_owned(),
            query: query.map(str::to_owned),
        })
    }

    /// The port, or the scheme's own.
    pub fn port_or_default(&self) -> u16 {
        self.port.unwrap_or(if self.secure { DEFAULT_PORT_SECURE } else { DEFAULT_PORT })
    }

    /// The address without user and password, as it goes into requests and logs.
    pub fn without_userinfo(&self) -> Url {
        Url { userinfo: None, ..self.clone() }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "rtsps://" } else { "rtsp://" })?;
        if let Some(user) = &self.userinfo {
            write!(f, "{user}@")?;
        }
        match self.host.contains(':') {
            true => write!(f, "[{}]", self.host)?,
            false => f.write_str(&self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)?;
        match &self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

impl ControlPath {
    /// Reads the address of a request: absolute, `*` (the server as a whole), or a path with or
    /// without a leading slash, as some clients send.
    ///
    /// The track may stand behind the query too (`name?x=1/trackID=0`): clients append the
    /// control text to whatever base they were given.
    pub fn parse(target: &str) -> Result<ControlPath, Error> {
        if target == "*" {
            return Ok(ControlPath { stream: String::new(), track: None, query: None });
        }
        let url;
        let (path, query) = if target.contains("://") {
            url = Url::parse(target)?;
            (url.path.as_str(), url.query.as_deref())
        } else {
            split_query(target)
        };
        let (query, behind) = match query {
            Some(query) => split_track(query),
            None => ("", None),
        };
        let (path, track) = split_track(path);
        let mut segments = Vec::new();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            segments.push(decode_segment(segment)?);
        }
        let query = query.trim_end_matches('/');
        Ok(ControlPath {
            stream: segments.join("/"),
            track: track.or(behind),
            query: (!query.is_empty()).then(|| query.to_owned()),
        })
    }
}

/// A stream's name as the path of an address: each part percent-encoded, slashes kept.
pub fn encode_path(stream: &str) -> String {
    let mut path = String::with_capacity(stream.len());
    for byte in stream.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte);
        if plain {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    path
}

/// The address of the stream that a track's address belongs to; any other as it is.
pub fn without_track(url: &Url) -> Url {
    let (path, track) = split_track(&url.path);
    let path = if track.is_some() { format!("{path}/") } else { url.path.clone() };
    let query = url.query.as_deref().map(|query| match split_track(query) {
        (query, Some(_)) => query.to_owned(),
        (_, None) => query.trim_end_matches('/').to_owned(),
    });
    Url { path, query: query.filter(|query| !query.is_empty()), ..url.clone() }
}

/// What a track's address ends in: `trackID=N`.
pub fn track_control(track: u8) -> String {
    format!("{TRACK}{track}")
}

/// The address of a `control` attribute or header against its base.
///
/// An absolute one stands for itself and `*` (or nothing) for the base. A relative one is
/// appended to the base behind a slash, as clients and servers do, rather than put in the place
/// of the base's last part as RFC 1808 has it (RFC 2326 section C.1.1 asks for the latter, but
/// servers that omit the slash at the end of their Content-Base mean the former). One that
/// begins with a slash takes the place of the base's path.
pub fn resolve(base: &str, control: &str) -> String {
    let control = control.trim();
    if control.is_empty() || control == "*" {
        return base.to_owned();
    }
    if control.contains("://") {
        return control.to_owned();
    }
    if let (Some(path), Ok(url)) = (control.strip_prefix('/'), Url::parse(base)) {
        let root = Url { path: String::new(), query: None, ..url };
        return format!("{root}/{path}");
    }
    match base.ends_with('/') {
        true => format!("{base}{control}"),
        false => format!("{base}/{control}"),
    }
}

const TRACK: &str = "trackID=";

fn split_query(text: &str) -> (&str, Option<&str>) {
    match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    }
}

/// Takes a last part `trackID=N` off.
fn split_track(text: &str) -> (&str, Option<u8>) {
    let trimmed = text.trim_end_matches('/');
    let (rest, last) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
    let track = last.get(..TRACK.len()).filter(|t| t.eq_ignore_ascii_case(TRACK));
    match track.and_then(|_| last.get(TRACK.len()..)?.parse().ok()) {
        Some(track) => (rest, Some(track)),
        None => (text, None),
    }
}

fn parse_host(text: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            (host, behind.strip_prefix(':').or(behind.is_empty().then_some("")))
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("")),
        },
    };
    let port = match port? {
        "" => None,
        digits => Some(digits.parse().ok()?),
    };
    let forbidden = |c: char| c.is_control() || c.is_whitespace() || "[]".contains(c);
    let named = !host.is_empty() && !host.contains(forbidden);
    named.then(|| (host.to_owned(), port))
}

fn decode_segment(segment: &str) -> Result<String, Error> {
    let bad = || Error::Encoding(excerpt(segment));
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| char::from(b?).to_digit(16);
        let high = digit(rest.next()).ok_or_else(bad)?;
        let low = digit(rest.next()).ok_or_else(bad)?;
        bytes.push((high * 16 + low) as u8);
    }
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    let forbidden = |c: char| c.is_control() || c == '/' || c == '\\';
    if text == "." || text == ".." || text.contains(forbidden) {
        return Err(Error::Segment(excerpt(&text)));
    }
    Ok(text)
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(target: &str) -> (String, Option<u8>, Option<String>) {
        let path = ControlPath::parse(target).unwrap();
        (path.stream, path.track, path.query)
    }

    #[test]
    fn a_name_may_hold_slashes_and_a_track_stands_last() {
        let name = |s: &str| s.to_owned();
        assert_eq!(control("rtsp://h:8554/movie"), (name("movie"), None, None));
        assert_eq!(control("rtsp://h/movie/"), (name("movie"), None, None));
        assert_eq!(control("rtsp://h/a/b%20c/trackID=1"), (name("a/b c"), Some(1), None));
        assert_eq!(control("rtsp://h"), (name(""), None, None));
        assert_eq!(control("*"), (name(""), None, None));
        assert_eq!(control("/movie/trackID=0"), (name("movie"), Some(0), None));
        assert_eq!(control("movie.mjpeg"), (name("movie.mjpeg"), None, None));
    }

    #[test]
    fn a_track_behind_the_query_is_found() {
        let query = Some("x=1".to_owned());
        let expected = ("movie".to_owned(), Some(2), query.clone());
        assert_eq!(control("rtsp://h/movie?x=1/trackID=2"), expected);
        assert_eq!(control("rtsp://h/movie/trackID=2?x=1"), expected);
        assert_eq!(control("rtsp://h/movie?x=1/"), ("movie".to_owned(), None, query));
    }

    #[test]
    fn a_tracks_address_leads_to_its_stream() {
        for (url, stream) in [
            ("rtsp://h/a/trackID=1", "rtsp://h/a/"),
            ("rtsp://h/a/trackID=1/?x=1", "rtsp://h/a/?x=1"),
            ("rtsp://h/a?x=1/trackID=1", "rtsp://h/a?x=1"),
            ("rtsp://h/a?x=1/", "rtsp://h/a?x=1"),
            ("rtsp://h/a/?trackID=1", "rtsp://h/a/"),
            ("rtsp://h/trackID=1", "rtsp://h/"),
            ("rtsp://h/a//", "rtsp://h/a//"),
            ("rtsp://h", "rtsp://h"),
        ] {
            let found = without_track(&Url::parse(url).unwrap());
            assert_eq!(found.to_string(), stream, "{url}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for target in [
            "rtsp://h/../secret",
            "rtsp://h/a/%2e%2e/b",
            "rtsp://h/a%2Fb",
            "rtsp://h/a%5cb",
            "rtsp://h/a%00",
            "rtsp://h/./a",
        ] {
            let error = ControlPath::parse(target).unwrap_err();
            assert!(matches!(error, Error::Segment(_)), "{target}: {error}");
        }
        for target in ["rtsp://h/%", "rtsp://h/%4", "rtsp://h/%zz", "rtsp://h/%ff"] {
            let error = ControlPath::parse(target).unwrap_err();
            assert!(matches!(error, Error::Encoding(_)), "{target}: {error}");
        }
    }

    #[test]
    fn an_encoded_name_comes_back() {
        let name = "folder/my film 50% ü?#.mp4";
        let url = format!("rtsp://h/{}", encode_path(name));
        assert_eq!(control(&url).0, name);
    }

    #[test]
    fn an_address_comes_back() {
        for text in [
            "rtsp://h",
            "rtsps://user:pa@ss@h:99/a?b=c",
            "rtsp://[::1]:8554/movie/",
            "rtsp://[fe80::1]/x",
        ] {
            assert_eq!(Url::parse(text).unwrap().to_string(), text);
        }
        for text in [
            "http://h/",
            "h",
            "rtsp://",
            "rtsp://:1/",
            "rtsp://h:x/",
            "rtsp://[::1/",
            "rtsp://[[]/",
            "rtsp://a b/",
            "rtsp://h:70000",
        ] {
            assert!(Url::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn control_texts_resolve_as_servers_mean_them() {
        assert_eq!(resolve("rtsp://h/a/", "trackID=1"), "rtsp://h/a/trackID=1");
        assert_eq!(resolve("rtsp://h/a", "trackID=1"), "rtsp://h/a/trackID=1");
        assert_eq!(resolve("rtsp://h/a?q=1", "trackID=1"), "rtsp://h/a?q=1/trackID=1");
        assert_eq!(resolve("rtsp://h/a/", "*"), "rtsp://h/a/");
        assert_eq!(resolve("rtsp://h/a", ""), "rtsp://h/a");
        assert_eq!(resolve("rtsp://h/a", "rtsp://k/b"), "rtsp://k/b");
        assert_eq!(resolve("rtsp://h:1/a/b", "/c/d"), "rtsp://h:1/c/d");
    }
}
