//! Addresses as people write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context, anyhow};
use weir_net::Host;

/// Where to listen: `5004`, `:5004`, `127.0.0.1:5004`, `[::1]:5004`, `localhost:5004`. A port alone
/// is all addresses of this machine.
pub(super) async fn listen(host: &Host, text: &str) -> anyhow::Result<SocketAddr> {
    match split(text)? {
        (None | Some("*"), port) => Ok(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)),
        (Some(name), port) => Ok(SocketAddr::new(resolve(host, name).await?, port)),
    }
}

/// Where to send on to: `5005` (of this machine), `192.0.2.7:5005`, `camera.local:5005`.
pub(super) async fn target(host: &Host, text: &str) -> anyhow::Result<SocketAddr> {
    let (name, port) = split(text)?;
    if port == 0 {
        return Err(anyhow!("target {text:?}: expected a port from 1 to 65535"));
    }
    match name {
        None => Ok(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)),
        Some(name) => Ok(SocketAddr::new(resolve(host, name).await?, port)),
    }
}

/// The address as it is shown: all addresses of both families are a star.
pub(super) fn shown(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V6(ip) if ip.is_unspecified() => format!("*:{}", address.port()),
        _ => address.to_string(),
    }
}

/// Host, if there is one, and port.
fn split(text: &str) -> anyhow::Result<(Option<&str>, u16)> {
    let expected =
        || anyhow!("{text:?}: expected PORT, ADDRESS:PORT or NAME:PORT (example: 127.0.0.1:5004)");
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, port),
        None => ("", text),
    };
    let port = port.parse().map_err(|_| expected())?;
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if name.contains(':') && !text.starts_with('[') {
        return Err(anyhow!("{text:?}: an IPv6 address stands in brackets (example: [::1]:5004)"));
    }
    Ok((Some(name).filter(|name| !name.is_empty()), port))
}

/// The address of a name: of IPv4 where it has one.
async fn resolve(host: &Host, name: &str) -> anyhow::Result<IpAddr> {
    if let Ok(ip) = name.parse() {
        return Ok(ip);
    }
    let no_such = || format!("no host is named {name:?}");
    let found = host.resolve(name).await.with_context(no_such)?;
    let v4 = found.iter().find(|ip| ip.is_ipv4());
    v4.or(found.first()).copied().with_context(no_such)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(split("5004").unwrap(), (None, 5004));
        assert_eq!(split(":5004").unwrap(), (None, 5004));
        assert_eq!(split("127.0.0.1:0").unwrap(), (Some("127.0.0.1"), 0));
        assert_eq!(split("[::1]:7").unwrap(), (Some("::1"), 7));
        assert_eq!(split("camera.local:5005").unwrap(), (Some("camera.local"), 5005));
    }

    #[test]
    fn what_is_no_address_is_refused_with_an_example() {
        for text in ["", "x", "host:", "host:99999", "::1:5004", "-1"] {
            let error = split(text).expect_err(text).to_string();
            assert!(error.contains("example: "), "{error}");
        }
    }
}
