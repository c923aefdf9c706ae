//! Pairs of Ethernet devices whose far end is a packet socket, for users who may not open
//! `/dev/net/tun`.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::{Landing, Port, write};
use crate::namespace::netlink::DeviceIndex;
use crate::namespace::packet::Packet;

/// The hardware address of a host's end of each pair.
pub(crate) const HARDWARE_HOST: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
/// That of the driver's end. Hosts do not use it: their frames are nobody's, and only the packet
/// socket sees them.
pub(crate) const HARDWARE_PEER: [u8; 6] = [0x02, 0, 0, 0, 0, 0x02];

/// The driver's end of a pair.
#[derive(Debug)]
pub(crate) struct Veth {
    socket: OwnedFd,
    landing: Landing,
}

impl Veth {
    /// On a device of the calling thread's namespace.
    pub(crate) fn open(device: DeviceIndex) -> io::Result<Self> {
        // SAFETY: no pointers; a result of 0 or more is a new descriptor of our own.
        let socket = unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            let fd = libc::socket(libc::AF_PACKET, kind, 0);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(fd)
        };
        set(&socket, libc::SOL_PACKET, PACKET_VNET_HDR, 1)?;
        set(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
        if set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, BUFFER_BYTES).is_err() {
            set(&socket, libc::SOL_SOCKET, libc::SO_RCVBUF, BUFFER_BYTES)?;
        }
        if set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, BUFFER_BYTES).is_err() {
            set(&socket, libc::SOL_SOCKET, libc::SO_SNDBUF, BUFFER_BYTES)?;
        }
        // SAFETY: a sockaddr_ll of zeros is a valid one.
        let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = (libc::ETH_P_IP as u16).to_be();
        address.sll_ifindex = device.0 as i32;
        // SAFETY: the address is ours and as long as said.
        let result = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const address).cast(),
                size_of_val(&address) as libc::socklen_t,
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Veth { socket, landing: Landing::default() })
    }
}

impl Port for Veth {
    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    fn receive(&mut self) -> io::Result<Option<Packet>> {
        self.landing.read(self.socket.as_fd(), ETHERNET.len())
    }

    fn send(&mut self, packet: &Packet) -> io::Result<()> {
        write(self.socket.as_fd(), &ETHERNET, packet)
    }

    /// The pair always leaves them to us: the driver cuts them itself.
    fn allow_offload(&mut self, _: bool) -> io::Result<()> {
        Ok(())
    }

    fn take_dropped(&mut self) -> u64 {
        let mut statistics = [0_u32; 2];
        let mut length = size_of_val(&statistics) as libc::socklen_t;
        // SAFETY: the kernel writes a tpacket_stats, two numbers of 32 bits, which are ours.
        let result = unsafe {
            let place = statistics.as_mut_ptr().cast();
            let fd = self.socket.as_raw_fd();
            libc::getsockopt(fd, libc::SOL_PACKET, PACKET_STATISTICS, place, &raw mut length)
        };
        if result < 0 { 0 } else { u64::from(statistics[1]) }
    }
}

fn set(socket: &OwnedFd, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the value is an int that lives until the call returns.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// To the host, from the driver's end, IPv4.
const ETHERNET: [u8; 14] = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
/// Of linux/if_packet.h.
const PACKET_STATISTICS: i32 = 6;
const PACKET_VNET_HDR: i32 = 15;
const PACKET_IGNORE_OUTGOING: i32 = 23;
const BUFFER_BYTES: i32 = 8 << 20;
