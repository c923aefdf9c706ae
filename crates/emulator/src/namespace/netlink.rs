//! Devices, addresses and routes of the namespace in which the calling thread stands: the few
//! requests of rtnetlink that are needed (RFC 3549).

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A socket to the kernel.
#[derive(Debug)]
pub(crate) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

/// A device's number in its namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DeviceIndex(pub(crate) u32);

/// A route to be added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route<'a> {
    pub(crate) to: Ipv4Addr,
    pub(crate) prefix_bits: u8,
    pub(crate) device: DeviceIndex,
    /// The address that packets get as their source.
    pub(crate) from: Option<Ipv4Addr>,
    /// What comes this way is for this host itself.
    pub(crate) is_local: bool,
    /// In the table that is looked at first.
    pub(crate) is_first: bool,
    /// How TCP on this route reacts to loss.
    pub(crate) congestion: Option<&'a str>,
}

/// A pair of devices, what enters one comes out of the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'a> {
    pub(crate) name: &'a str,
    pub(crate) hardware: [u8; 6],
    pub(crate) peer_name: &'a str,
    pub(crate) peer_hardware: [u8; 6],
    /// The namespace of the peer.
    pub(crate) peer_space: BorrowedFd<'a>,
}

impl Netlink {
    /// To the namespace of the calling thread.
    pub(crate) fn open() -> io::Result<Self> {
        // SAFETY: no pointers; a result of 0 or more is a new descriptor of our own.
        let socket = unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
            let fd = libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        Ok(Netlink { socket, sequence: 0 })
    }

    /// Brings a device up, with this MTU, and with room for so many packets that wait, if given.
    pub(crate) fn up(
        &mut self,
        device: DeviceIndex,
        mtu_bytes: Option<u16>,
        waiting_packets: Option<u32>,
    ) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, 0);
        request.link(device, libc::IFF_UP as u32, libc::IFF_UP as u32);
        if let Some(mtu) = mtu_bytes {
            request.attribute(libc::IFLA_MTU, &u32::from(mtu).to_ne_bytes());
        }
        if let Some(packets) = waiting_packets {
            request.attribute(libc::IFLA_TXQLEN, &packets.to_ne_bytes());
        }
        self.ask(request)
    }

    /// Lets a device ask nobody for hardware addresses.
    pub(crate) fn without_arp(&mut self, device: DeviceIndex) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, 0);
        request.link(device, libc::IFF_NOARP as u32, libc::IFF_NOARP as u32);
        self.ask(request)
    }

    /// Gives a device an address of its own, without a network around it.
    pub(crate) fn address(&mut self, device: DeviceIndex, address: Ipv4Addr) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWADDR, CREATE);
        // struct ifaddrmsg
        request.bytes(&[libc::AF_INET as u8, 32, 0, 0]);
        request.bytes(&device.0.to_ne_bytes());
        request.attribute(libc::IFA_LOCAL, &address.octets());
        request.attribute(libc::IFA_ADDRESS, &address.octets());
        self.ask(request)
    }

    /// Adds a route.
    pub(crate) fn route(&mut self, route: &Route<'_>) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWROUTE, CREATE);
        let table = if route.is_first { libc::RT_TABLE_LOCAL } else { libc::RT_TABLE_MAIN };
        let (scope, kind) = match route.is_local {
            true => (libc::RT_SCOPE_HOST, libc::RTN_LOCAL),
            false => (libc::RT_SCOPE_LINK, libc::RTN_UNICAST),
        };
        // struct rtmsg
        request.bytes(&[libc::AF_INET as u8, route.prefix_bits, 0, 0]);
        request.bytes(&[table, libc::RTPROT_STATIC, scope, kind]);
        request.bytes(&0_u32.to_ne_bytes());
        if route.prefix_bits > 0 {
            request.attribute(libc::RTA_DST, &route.to.octets());
        }
        request.attribute(libc::RTA_OIF, &route.device.0.to_ne_bytes());
        if let Some(from) = route.from {
            request.attribute(libc::RTA_PREFSRC, &from.octets());
        }
        if let Some(congestion) = route.congestion {
            request.nest(libc::RTA_METRICS, |metrics| {
                metrics.text(RTAX_CC_ALGO, congestion);
            });
        }
        self.ask(request)
    }

    /// Makes a pair of Ethernet devices.
    pub(crate) fn pair(&mut self, pair: &Pair<'_>) -> io::Result<()> {
        let mut request = Request::new(libc::RTM_NEWLINK, CREATE);
        request.link(DeviceIndex(0), 0, 0);
        request.text(libc::IFLA_IFNAME, pair.name);
        request.attribute(libc::IFLA_ADDRESS, &pair.hardware);
        request.nest(libc::IFLA_LINKINFO, |info| {
            info.text(libc::IFLA_INFO_KIND, "veth");
            info.nest(libc::IFLA_INFO_DATA, |data| {
                data.nest(VETH_INFO_PEER, |peer| {
                    peer.link(DeviceIndex(0), 0, 0);
                    peer.text(libc::IFLA_IFNAME, pair.peer_name);
                    peer.attribute(libc::IFLA_ADDRESS, &pair.peer_hardware);
                    let space = pair.peer_space.as_raw_fd() as u32;
                    peer.attribute(libc::IFLA_NET_NS_FD, &space.to_ne_bytes());
                });
            });
        });
        self.ask(request)
    }

    /// Sends a request and waits for its answer, which the kernel gives at once.
    fn ask(&mut self, request: Request) -> io::Result<()> {
        self.sequence += 1;
        let message = request.finish(self.sequence);
        let socket = self.socket.as_raw_fd();
        // SAFETY: the message is ours and as long as said.
        let sent = unsafe { libc::send(socket, message.as_ptr().cast(), message.len(), 0) };
        if sent < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut answer = [0_u8; 8192];
        // SAFETY: the buffer is ours and as long as said.
        let count = unsafe { libc::recv(socket, answer.as_mut_ptr().cast(), answer.len(), 0) };
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        // struct nlmsghdr, then the error's number, negative.
        let number = answer.get(HEADER_BYTES..HEADER_BYTES + 4).filter(|_| count >= 20);
        match number.map(|bytes| i32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) {
            Some(0) => Ok(()),
            Some(number) => Err(io::Error::from_raw_os_error(-number)),
            None => Err(io::Error::from(io::ErrorKind::UnexpectedEof)),
        }
    }
}

/// The number of a device of the calling thread's namespace.
pub(crate) fn device(name: &str) -> io::Result<DeviceIndex> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: the name ends with a zero and lives until the call returns.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(DeviceIndex(index)),
    }
}

/// A message while it is written.
#[derive(Debug)]
struct Request {
    bytes: Vec<u8>,
}

impl Request {
    fn new(kind: u16, flags: i32) -> Self {
        let flags = (flags | libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        Request { bytes }
    }

    fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.bytes.len() as u32;
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// struct ifinfomsg: which device, its flags, and which of them are meant.
    fn link(&mut self, device: DeviceIndex, flags: u32, change: u32) {
        self.bytes(&[libc::AF_UNSPEC as u8, 0, 0, 0]);
        self.bytes(&device.0.to_ne_bytes());
        self.bytes(&flags.to_ne_bytes());
        self.bytes(&change.to_ne_bytes());
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        self.nest(kind, |request| request.bytes(value));
    }

    fn text(&mut self, kind: u16, value: &str) {
        self.nest(kind, |request| {
            request.bytes(value.as_bytes());
            request.bytes(&[0]);
        });
    }

    /// struct rtattr around what `write` writes, then padding to four bytes.
    fn nest(&mut self, kind: u16, write: impl FnOnce(&mut Request)) {
        let start = self.bytes.len();
        self.bytes(&[0, 0]);
        self.bytes(&kind.to_ne_bytes());
        write(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

const HEADER_BYTES: usize = 16;
const CREATE: i32 = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
/// From linux/rtnetlink.h and linux/veth.h.
const RTAX_CC_ALGO: u16 = 16;
const VETH_INFO_PEER: u16 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_padded_and_nested_as_the_kernel_reads_them() {
        let mut request = Request::new(libc::RTM_NEWLINK, CREATE);
        request.nest(18, |info| info.text(1, "veth"));
        let bytes = request.finish(7);
        assert_eq!(bytes.len(), 16 + 4 + 12);
        assert_eq!(u32::from_ne_bytes(bytes[0..4].try_into().expect("four bytes")), 32);
        assert_eq!(u16::from_ne_bytes(bytes[16..18].try_into().expect("two bytes")), 16);
        assert_eq!(u16::from_ne_bytes(bytes[20..22].try_into().expect("two bytes")), 9);
        assert_eq!(&bytes[24..32], b"veth\0\0\0\0");
    }
}
