//! Which address outside stands for which inside.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};

/// The machine itself, as hosts see it: `host.weir`.
pub(crate) const MACHINE: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 254);
/// Who resolves names, as hosts see it.
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::new(10, 255, 255, 253);
/// The machine's name.
pub(crate) const MACHINE_NAME: &str = "host.weir";

/// How addresses inside are reached outside.
#[derive(Clone, Debug, Default)]
pub(crate) struct Map {
    /// The machine's own resolver, if it has one that can be reached by IPv4.
    resolver: Option<SocketAddrV4>,
    /// Lines of the machine's `/etc/resolv.conf` that hosts keep.
    resolver_lines: String,
}

impl Map {
    /// As the machine resolves names now.
    pub(crate) fn of_this_machine() -> Self {
        Map::read(&fs::read_to_string("/etc/resolv.conf").unwrap_or_default())
    }

    fn read(text: &str) -> Self {
        let mut map = Map::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("nameserver"), Some(address)) if map.resolver.is_none() => {
                    map.resolver = address.parse().ok().map(|ip| SocketAddrV4::new(ip, DNS));
                }
                (Some("search" | "domain" | "options"), Some(_)) => {
                    map.resolver_lines.push_str(line);
                    map.resolver_lines.push('\n');
                }
                _ => {}
            }
        }
        map
    }

    /// The `/etc/resolv.conf` of hosts.
    pub(crate) fn resolver_file(&self) -> String {
        match self.resolver {
            Some(_) => format!("nameserver {RESOLVER}\n{}", self.resolver_lines),
            None => "# The machine has no resolver that can be reached by IPv4.\n".to_owned(),
        }
    }

    /// Where packets to an address inside go outside; `None` if nowhere.
    pub(super) fn outside(&self, to: SocketAddrV4) -> Option<SocketAddrV4> {
        match *to.ip() {
            MACHINE => Some(SocketAddrV4::new(Ipv4Addr::LOCALHOST, to.port())),
            RESOLVER if to.port() == DNS => self.resolver,
            RESOLVER => None,
            ip if ip.is_loopback() || ip.is_multicast() || ip.is_broadcast() => None,
            ip if ip.is_unspecified() || ip.is_link_local() => None,
            _ => Some(to),
        }
    }

    /// Who sent a packet that came from outside, as hosts see it.
    pub(super) fn inside(&self, from: SocketAddrV4, by_resolver: bool) -> SocketAddrV4 {
        if by_resolver && self.resolver == Some(from) {
            return SocketAddrV4::new(RESOLVER, DNS);
        }
        match from.ip().is_loopback() {
            true => SocketAddrV4::new(MACHINE, from.port()),
            false => from,
        }
    }
}

const DNS: u16 = 53;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddrV4 {
        text.parse().expect("it is well formed")
    }

    #[test]
    fn the_machine_stands_behind_an_address_of_its_own() {
        let map = Map::default();
        assert_eq!(map.outside(at("10.255.255.254:80")), Some(at("127.0.0.1:80")));
        assert_eq!(map.inside(at("127.0.0.1:80"), false), at("10.255.255.254:80"));
        assert_eq!(map.outside(at("127.0.0.1:80")), None);
        assert_eq!(map.outside(at("192.0.2.1:80")), Some(at("192.0.2.1:80")));
    }

    #[test]
    fn names_are_asked_of_the_machines_resolver() {
        let map = Map::read("search example\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n");
        assert_eq!(map.outside(at("10.255.255.253:53")), Some(at("192.0.2.53:53")));
        assert_eq!(map.inside(at("192.0.2.53:53"), true), at("10.255.255.253:53"));
        assert_eq!(map.inside(at("192.0.2.53:53"), false), at("192.0.2.53:53"));
        assert_eq!(map.resolver_file(), "nameserver 10.255.255.253\nsearch example\n");
        assert_eq!(map.outside(at("10.255.255.253:80")), None);
    }
}
