//! Transport (RFC 2326 section 12.39).

use core::fmt;

use super::{Error, split_outside_quotes, unquote};

/// One way to carry a track: an alternative that a client offers, or the server's choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transport {
    /// The protocol, its profile and what it runs over.
    pub lower: Lower,
    /// `Some(true)` for `unicast`, `Some(false)` for `multicast`. Where nothing is said, RFC 2326
    /// means multicast, and clients mean unicast.
    pub unicast: Option<bool>,
    /// Where the media shall go.
    pub destination: Option<String>,
    /// Where the media comes from.
    pub source: Option<String>,
    /// The channels on the control connection.
    pub interleaved: Option<ChannelPair>,
    /// The client's UDP ports.
    pub client_port: Option<PortPair>,
    /// The server's UDP ports.
    pub server_port: Option<PortPair>,
    /// The multicast ports.
    pub port: Option<PortPair>,
    /// The multicast time to live.
    pub ttl: Option<u8>,
    /// The synchronisation source of the server's RTP packets.
    pub ssrc: Option<u32>,
    /// What the transport is for; PLAY where absent.
    pub mode: Option<Mode>,
    /// All other parameters, in their order.
    pub other: Vec<(String, Option<String>)>,
}

/// Protocol, profile and lower transport.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lower {
    /// `RTP/AVP` or `RTP/AVP/UDP`.
    Udp,
    /// `RTP/AVP/TCP`: interleaved on the control connection.
    Tcp,
    /// Anything else, as it was sent.
    Other(String),
}

/// What a transport is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The server sends.
    Play,
    /// The client sends.
    Record,
    /// Anything else, as it was sent.
    Other(String),
}

/// A port, or one for RTP and one for RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortPair {
    /// RTP.
    pub rtp: u16,
    /// RTCP; where absent, the next port is meant.
    pub rtcp: Option<u16>,
}

/// A channel, or one for RTP and one for RTCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelPair {
    /// RTP.
    pub rtp: u8,
    /// RTCP; where absent, the next channel is meant.
    pub rtcp: Option<u8>,
}

impl PortPair {
    /// The RTCP port, said or meant; `None` past 65535.
    pub fn rtcp_port(self) -> Option<u16> {
        self.rtcp.or(self.rtp.checked_add(1))
    }
}

impl ChannelPair {
    /// The RTCP channel, said or meant; `None` past 255.
    pub fn rtcp_channel(self) -> Option<u8> {
        self.rtcp.or(self.rtp.checked_add(1))
    }
}

impl Transport {
    /// A unicast transport without parameters.
    pub fn new(lower: Lower) -> Self {
        Transport {
            lower,
            unicast: Some(true),
            destination: None,
            source: None,
            interleaved: None,
            client_port: None,
            server_port: None,
            port: None,
            ttl: None,
            ssrc: None,
            mode: None,
            other: Vec::new(),
        }
    }

    /// RTP and RTCP by UDP to the client's ports `rtp` and `rtp + 1`.
    pub fn udp(rtp: u16) -> Self {
        let pair = PortPair { rtp, rtcp: rtp.checked_add(1) };
        Transport { client_port: Some(pair), ..Transport::new(Lower::Udp) }
    }

    /// RTP and RTCP interleaved on channels `rtp` and `rtp + 1`.
    pub fn tcp(rtp: u8) -> Self {
        let pair = ChannelPair { rtp, rtcp: rtp.checked_add(1) };
        Transport { interleaved: Some(pair), ..Transport::new(Lower::Tcp) }
    }

    /// Whether a parameter of this lower-case name was given with a value that cannot be read.
    pub fn names(&self, name: &str) -> bool {
        self.other.iter().any(|(other, _)| other == name)
    }

    /// Reads a header value: alternatives with commas between, at most [`ALTERNATIVES_MAX`].
    pub fn parse_list(value: &str) -> Result<Vec<Transport>, Error> {
        let alternatives = split_outside_quotes(value, ',').filter(|text| !text.is_empty());
        let list: Result<Vec<_>, _> = alternatives.take(ALTERNATIVES_MAX).map(parse_one).collect();
        match list {
            Ok(list) if list.is_empty() => Err(Error::new("Transport", "a transport", value)),
            list => list,
        }
    }

    /// Writes alternatives as one header value.
    pub fn format_list(list: &[Transport]) -> String {
        let texts: Vec<String> = list.iter().map(Transport::to_string).collect();
        texts.join(",")
    }
}

/// How many alternatives of one header are looked at.
pub const ALTERNATIVES_MAX: usize = 16;

const PARAMETERS_MAX: usize = 32;

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.lower {
            Lower::Udp => f.write_str("RTP/AVP")?,
            Lower::Tcp => f.write_str("RTP/AVP/TCP")?,
            Lower::Other(text) => f.write_str(text)?,
        }
        match self.unicast {
            Some(true) => f.write_str(";unicast")?,
            Some(false) => f.write_str(";multicast")?,
            None => {}
        }
        text(f, "destination", self.destination.as_deref())?;
        text(f, "source", self.source.as_deref())?;
        pair(f, "interleaved", self.interleaved.map(|p| (p.rtp, p.rtcp)))?;
        pair(f, "port", self.port.map(|p| (p.rtp, p.rtcp)))?;
        pair(f, "client_port", self.client_port.map(|p| (p.rtp, p.rtcp)))?;
        pair(f, "server_port", self.server_port.map(|p| (p.rtp, p.rtcp)))?;
        if let Some(ttl) = self.ttl {
            write!(f, ";ttl={ttl}")?;
        }
        if let Some(ssrc) = self.ssrc {
            write!(f, ";ssrc={ssrc:08X}")?;
        }
        match &self.mode {
            None => {}
            Some(Mode::Play) => f.write_str(";mode=\"PLAY\"")?,
            Some(Mode::Record) => f.write_str(";mode=\"RECORD\"")?,
            Some(Mode::Other(mode)) => write!(f, ";mode=\"{mode}\"")?,
        }
        for (name, value) in &self.other {
            match value {
                Some(value) => write!(f, ";{name}={value}")?,
                None => write!(f, ";{name}")?,
            }
        }
        Ok(())
    }
}

fn text(f: &mut fmt::Formatter<'_>, name: &str, value: Option<&str>) -> fmt::Result {
    match value {
        Some(value) => write!(f, ";{name}={value}"),
        None => Ok(()),
    }
}

fn pair<N: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    value: Option<(N, Option<N>)>,
) -> fmt::Result {
    match value {
        Some((first, Some(second))) => write!(f, ";{name}={first}-{second}"),
        Some((first, None)) => write!(f, ";{name}={first}"),
        None => Ok(()),
    }
}

fn parse_one(alternative: &str) -> Result<Transport, Error> {
    let mut parts = split_outside_quotes(alternative, ';');
    let spec = parts.next().unwrap_or_default();
    let mut transport = Transport::new(parse_lower(spec));
    transport.unicast = None;
    if spec.is_empty() {
        return Err(Error::new("Transport", "RTP/AVP", alternative));
    }
    for part in parts.filter(|part| !part.is_empty()).take(PARAMETERS_MAX) {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim(), Some(unquote(value.trim()))),
            None => (part, None),
        };
        parse_parameter(&mut transport, name, value);
    }
    Ok(transport)
}

fn parse_lower(spec: &str) -> Lower {
    if spec.eq_ignore_ascii_case("RTP/AVP") || spec.eq_ignore_ascii_case("RTP/AVP/UDP") {
        Lower::Udp
    } else if spec.eq_ignore_ascii_case("RTP/AVP/TCP") {
        Lower::Tcp
    } else {
        Lower::Other(spec.to_owned())
    }
}

/// A parameter whose value cannot be read is kept among the others, so that an alternative is
/// judged by what is missing, not by its spelling.
fn parse_parameter(transport: &mut Transport, name: &str, value: Option<&str>) {
    let name = name.to_ascii_lowercase();
    let owned = || value.map(str::to_owned);
    let number = |value: Option<&str>| value.and_then(|text| text.parse().ok());
    let kept = match name.as_str() {
        "unicast" => replace(&mut transport.unicast, Some(true)),
        "multicast" => replace(&mut transport.unicast, Some(false)),
        "destination" => replace(&mut transport.destination, owned()),
        "source" => replace(&mut transport.source, owned()),
        "interleaved" => replace(&mut transport.interleaved, parse_channels(value)),
        "client_port" => replace(&mut transport.client_port, parse_ports(value)),
        "server_port" => replace(&mut transport.server_port, parse_ports(value)),
        "port" => replace(&mut transport.port, parse_ports(value)),
        "ttl" => replace(&mut transport.ttl, number(value)),
        "ssrc" => replace(&mut transport.ssrc, parse_ssrc(value)),
        "mode" => replace(&mut transport.mode, value.map(parse_mode)),
        _ => false,
    };
    if !kept {
        transport.other.push((name, owned()));
    }
}

fn replace<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let some = value.is_some();
    if some {
        *slot = value;
    }
    some
}

fn parse_pair<N: core::str::FromStr>(value: Option<&str>) -> Option<(N, Option<N>)> {
    let value = value?;
    match value.split_once('-') {
        Some((first, second)) => {
            Some((first.trim().parse().ok()?, Some(second.trim().parse().ok()?)))
        }
        None => Some((value.parse().ok()?, None)),
    }
}

fn parse_ports(value: Option<&str>) -> Option<PortPair> {
    parse_pair(value).map(|(rtp, rtcp)| PortPair { rtp, rtcp })
}

fn parse_channels(value: Option<&str>) -> Option<ChannelPair> {
    parse_pair(value).map(|(rtp, rtcp)| ChannelPair { rtp, rtcp })
}

/// Eight hexadecimal digits; fewer, and a `0x` before them, are seen too.
fn parse_ssrc(value: Option<&str>) -> Option<u32> {
    let digits = value?.trim_start_matches("0x");
    let hex = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

fn parse_mode(value: &str) -> Mode {
    let value = value.trim();
    if value.eq_ignore_ascii_case("play") {
        Mode::Play
    } else if value.eq_ignore_ascii_case("record") || value.eq_ignore_ascii_case("receive") {
        Mode::Record
    } else {
        Mode::Other(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(value: &str) -> Transport {
        let mut list = Transport::parse_list(value).unwrap();
        assert_eq!(list.len(), 1, "{value}");
        list.remove(0)
    }

    fn ports(rtp: u16, rtcp: u16) -> Option<PortPair> {
        Some(PortPair { rtp, rtcp: Some(rtcp) })
    }

    #[test]
    fn the_forms_of_common_clients_are_read() {
        let ffmpeg = one("RTP/AVP/UDP;unicast;client_port=14322-14323");
        assert_eq!(ffmpeg, Transport::udp(14322));
        let interleaved = one("RTP/AVP/TCP;unicast;interleaved=0-1");
        assert_eq!(interleaved, Transport::tcp(0));
        let quoted = one("RTP/AVP;unicast;client_port=1024-1025;mode=\"PLAY\"");
        assert_eq!(quoted.mode, Some(Mode::Play));
        assert_eq!(one("RTP/AVP;unicast;client_port=4;mode=play").mode, Some(Mode::Play));
        let lower_case = one("rtp/avp/tcp ; Unicast ; Interleaved = 2 - 3");
        assert_eq!(lower_case, Transport::tcp(2));
        let multicast = one("RTP/AVP;multicast;destination=224.2.0.1;ttl=127;port=3456-3457");
        assert_eq!((multicast.unicast, multicast.ttl), (Some(false), Some(127)));
        assert_eq!(multicast.port, ports(3456, 3457));
    }

    #[test]
    fn a_servers_choice_is_read() {
        let value =
            "RTP/AVP;unicast;source=10.0.0.1;client_port=4-5;server_port=6970-6971;ssrc=0BADF00D";
        let transport = one(value);
        assert_eq!(transport.server_port, ports(6970, 6971));
        assert_eq!(transport.ssrc, Some(0x0bad_f00d));
        assert_eq!(transport.source.as_deref(), Some("10.0.0.1"));
        assert_eq!(transport.to_string(), value);
        assert_eq!(one("RTP/AVP;ssrc=0x1F").ssrc, Some(0x1f));
        assert_eq!(one("RTP/AVP;ssrc= 1F").ssrc, Some(0x1f));
    }

    #[test]
    fn alternatives_are_split_at_commas_outside_quotes() {
        let value =
            "RTP/AVP;unicast;client_port=4-5;mode=\"PLAY,RECORD\", RTP/AVP/TCP;interleaved=0-1";
        let list = Transport::parse_list(value).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].mode, Some(Mode::Other("PLAY,RECORD".to_owned())));
        assert_eq!(list[1].lower, Lower::Tcp);
    }

    #[test]
    fn a_form_of_another_dialect_is_named_not_refused() {
        let transport = one("RTP/UDP; client_port= 25000");
        assert_eq!(transport.lower, Lower::Other("RTP/UDP".to_owned()));
        assert_eq!(transport.client_port.unwrap().rtp, 25000);
        assert_eq!(transport.client_port.unwrap().rtcp_port(), Some(25001));
    }

    #[test]
    fn what_cannot_be_read_counts_as_not_given() {
        let transport = one("RTP/AVP;unicast;client_port=99999-100000;interleaved=a-b");
        assert_eq!(transport.client_port, None);
        assert_eq!(transport.interleaved, None);
        assert_eq!(transport.other.len(), 2);
        assert!(Transport::parse_list("").is_err());
        assert!(Transport::parse_list(" , ").is_err());
    }

    proptest! {
        #[test]
        fn a_transport_comes_back(
            tcp in any::<bool>(), rtp in 0u16..65535, channel in 0u8..255,
            server in proptest::option::of(0u16..65535), ssrc in any::<Option<u32>>(),
            play in any::<bool>(),
        ) {
            let mut transport = if tcp { Transport::tcp(channel) } else { Transport::udp(rtp) };
            transport.server_port = server.map(|rtp| PortPair { rtp, rtcp: Some(rtp + 1) });
            transport.ssrc = ssrc;
            transport.mode = play.then_some(Mode::Play);
            prop_assert_eq!(one(&transport.to_string()), transport);
        }
    }
}
