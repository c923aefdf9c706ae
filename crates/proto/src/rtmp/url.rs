//! Addresses: `rtmp://HOST/APP/NAME?QUERY`, and the same in the parts that clients send.

use core::fmt;

/// The port of `rtmp`.
pub const DEFAULT_PORT: u16 = 1935;
/// The port of `rtmps`.
pub const DEFAULT_PORT_TLS: u16 = 443;

/// An absolute RTMP address in its parts, still percent-encoded.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// `rtmps`, over TLS.
    pub tls: bool,
    /// What stands before `@`: a name, or a name and a password.
    pub userinfo: Option<String>,
    /// A name, an IPv4 address, or an IPv6 address without its brackets.
    pub host: String,
    /// The port, where one is given. See [`Url::port_or_default`].
    pub port: Option<u16>,
    /// The application: the path but for its last part; may be empty.
    pub app: String,
    /// The stream's name, or stream key: the last part of the path, with the query. May be empty.
    pub name: String,
}

/// Why an address cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not begin with `rtmp://` or `rtmps://`.
    #[error("\"{0}\": an address that begins with rtmp:// or rtmps:// expected")]
    Scheme(String),
    /// There is no host, or the port is no number up to 65535.
    #[error("\"{0}\": rtmp://HOST[:PORT]/APP/NAME expected")]
    Authority(String),
    /// A blank or a control character.
    #[error("\"{0}\": a blank or a control character, which stands for itself as %20 and so on")]
    Character(String),
}

impl Url {
    /// Reads an absolute address. The last part of the path is the stream's name, what stands
    /// before it the application, as OBS and ffmpeg have it; a path of one part is a name alone.
    ///
    /// # Errors
    /// Says what is expected and what stands there; passwords and stream keys are not repeated.
    pub fn parse(text: &str) -> Result<Url, Error> {
        let shown = || without_secrets(text);
        if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::Character(shown()));
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| Error::Scheme(shown()))?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "rtmp" => false,
            "rtmps" => true,
            _ => return Err(Error::Scheme(shown())),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (userinfo, host_port) = match authority.rsplit_once('@') {
            Some((userinfo, host_port)) => (Some(userinfo.to_owned()), host_port),
            None => (None, authority),
        };
        let authority = || Error::Authority(format!("{scheme}://{host_port}"));
        let (host, port) = split_port(host_port).ok_or_else(authority)?;
        let (path, query) = split_query(path);
        let path = path.trim_start_matches('/');
        let (app, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = if query.is_empty() { name.to_owned() } else { format!("{name}?{query}") };
        Ok(Url { tls, userinfo, host, port, app: app.to_owned(), name })
    }

    /// The port, or the scheme's own.
    pub fn port_or_default(&self) -> u16 {
        let default = if self.tls { DEFAULT_PORT_TLS } else { DEFAULT_PORT };
        self.port.unwrap_or(default)
    }

    /// The address of the application, without user and password: what clients send as `tcUrl`.
    pub fn tc_url(&self) -> String {
        let scheme = if self.tls { "rtmps" } else { "rtmp" };
        let host =
            if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{host}{port}/{}", self.app)
    }
}

/// Without what is secret: user, password, the stream's name and its query.
impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/...", self.tc_url())
    }
}

/// What a client says that it means, over its commands: an application and a stream's name, each
/// perhaps with a query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The application, without slashes around it.
    pub app: String,
    /// The stream's name, without slashes around it and without the prefix of a file type that
    /// players put before it (`mp4:`, `flv:`).
    pub name: String,
    /// What follows `?`, of the address (`tcUrl`), the application and the name, joined by `&`;
    /// still percent-encoded.
    pub query: String,
}

impl Target {
    /// The target of a stream's name within an application, as it was sent in the command
    /// connect. A client that leaves the application away but sends its address means that one.
    pub fn new(app: &str, tc_url: &str, name: &str) -> Self {
        let (app, app_query) = split_query(app);
        let (tc_path, tc_query) = split_query(tc_url);
        let mut app = app.trim_matches('/');
        if app.is_empty() {
            let path = tc_path.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
            app = path.map_or("", |(_, path)| path.trim_matches('/'));
        }
        let (name, name_query) = split_query(name);
        let name = name.trim_matches('/');
        let name = FILE_TYPES.iter().find_map(|kind| name.strip_prefix(kind)).unwrap_or(name);
        let mut query = String::new();
        let mut seen = Vec::new();
        for part in [tc_query, app_query, name_query] {
            // The address says again what the application says.
            if part.is_empty() || seen.contains(&part) {
                continue;
            }
            seen.push(part);
            if !query.is_empty() {
                query.push('&');
            }
            query.push_str(part);
        }
        Target { app: app.to_owned(), name: name.trim_matches('/').to_owned(), query }
    }

    /// Application and name as one path, whichever of them is empty: people put the stream key
    /// into either.
    pub fn path(&self) -> String {
        match (self.app.as_str(), self.name.as_str()) {
            ("", name) => name.to_owned(),
            (app, "") => app.to_owned(),
            (app, name) => format!("{app}/{name}"),
        }
    }

    /// The query's values, decoded: `+` is a blank. Those that are no text are left out.
    pub fn query_values(&self) -> impl Iterator<Item = (String, String)> {
        self.query.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decoded(key)?, decoded(value)?))
        })
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.first_chunk::<2>().and_then(|[high, low]| {
            let digit = |c: u8| (c as char).to_digit(16);
            Some((digit(*high)? << 4 | digit(*low)?) as u8)
        });
        match (first, escaped) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = behind.get(2..).unwrap_or(&[]);
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(other),
        }
        rest = behind;
    }
    String::from_utf8(bytes).ok()
}

/// The scheme and the host of what may be an address.
fn without_secrets(text: &str) -> String {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let sign = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{sign}{host}").escape_debug().to_string()
}

fn split_port(host_port: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match host_port.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest.split_once(']')?;
            (host, behind.strip_prefix(':').or(behind.is_empty().then_some(""))?)
        }
        None => host_port.split_once(':').unwrap_or((host_port, "")),
    };
    if host.is_empty() || host.contains(['[', ']']) {
        return None;
    }
    let port = if port.is_empty() { None } else { Some(port.parse().ok()?) };
    Some((host.to_owned(), port))
}

fn split_query(text: &str) -> (&str, &str) {
    text.split_once('?').unwrap_or((text, ""))
}

/// What players put before names, so that the server opens the right kind of file.
const FILE_TYPES: [&str; 4] = ["mp4:", "flv:", "mp3:", "raw:"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_of_the_path_is_the_name() {
        for (text, app, name) in [
            ("rtmp://h/live/key", "live", "key"),
            ("rtmp://h/app/instance/key", "app/instance", "key"),
            ("rtmp://h/live/key?user=a/b&pass=c", "live", "key?user=a/b&pass=c"),
            ("rtmp://h/key", "", "key"),
            ("rtmp://h/mystream?user=alice", "", "mystream?user=alice"),
            ("rtmp://h/live/", "live", ""),
            ("rtmp://h", "", ""),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.app.as_str(), url.name.as_str()), (app, name), "{text}");
        }
    }

    #[test]
    fn host_and_port_are_told_apart() {
        let url = Url::parse("RTMPS://user:pa@ss@[::1]:19350/live/k").unwrap();
        assert_eq!((url.tls, url.host.as_str(), url.port_or_default()), (true, "::1", 19_350));
        assert_eq!(url.userinfo.as_deref(), Some("user:pa@ss"));
        assert_eq!(url.tc_url(), "rtmps://[::1]:19350/live");
        assert_eq!(Url::parse("rtmps://h/a/b").unwrap().port_or_default(), 443);
        assert_eq!(Url::parse("rtmp://h/a/b").unwrap().port_or_default(), 1935);
    }

    #[test]
    fn errors_and_logs_keep_stream_keys_to_themselves() {
        let url = Url::parse("rtmp://u:secret@h/live/secret?p=secret").unwrap();
        assert!(!format!("{url:?}").contains("secret"));
        for text in ["rtmp://u:secret@:1/live/secret", "rtmp://u:secret@h:x/live/secret"] {
            let message = Url::parse(text).unwrap_err().to_string();
            assert!(!message.contains("secret"), "{message}");
        }
        let message = Url::parse("rtmp://u:secret@h/a b/secret").unwrap_err().to_string();
        assert!(!message.contains("secret"), "{message}");
        let message = Url::parse("http://h/live/secret").unwrap_err().to_string();
        assert_eq!(
            message,
            "\"http://h\": an address that begins with rtmp:// or rtmps:// expected"
        );
    }

    #[test]
    fn stream_keys_are_found_wherever_people_put_them() {
        for (app, tc_url, name, path, query) in [
            ("live", "rtmp://h/live", "key", "live/key", ""),
            ("live/", "rtmp://h/live/", "/key", "live/key", ""),
            // OBS with the key in the field of the server, and none in its own.
            ("live/key", "rtmp://h/live/key", "", "live/key", ""),
            // An address without an application.
            ("", "rtmp://h", "key", "key", ""),
            ("", "rtmp://h/live", "key", "live/key", ""),
            // Credentials in the name, in the application, in the address.
            ("live", "rtmp://h/live", "key?user=a&pass=b", "live/key", "user=a&pass=b"),
            ("live?t=1", "rtmp://h/live?t=1", "key", "live/key", "t=1"),
            ("live", "rtmp://h/live?t=1", "key?u=2", "live/key", "t=1&u=2"),
            ("live?", "rtmp://h/live?", "key", "live/key", ""),
            ("live", "rtmp://h/live", "mp4:movie.mp4", "live/movie.mp4", ""),
        ] {
            let target = Target::new(app, tc_url, name);
            assert_eq!((target.path().as_str(), target.query.as_str()), (path, query), "{name}");
        }
    }

    #[test]
    fn query_values_are_decoded() {
        let target = Target::new("", "", "key?user=a%40b&pass=x+y%&flag&bad=%ff&");
        let values: Vec<_> = target.query_values().collect();
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        assert_eq!(values, [pair("user", "a@b"), pair("pass", "x y%"), pair("flag", "")]);
    }
}
