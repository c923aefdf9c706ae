//! TUN devices: the system hands the driver bare IP packets.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::{Landing, Port, write};
use crate::namespace::packet::Packet;

/// A TUN device. It stays in the namespace in which it was opened, and is gone once this is
/// dropped.
#[derive(Debug)]
pub(crate) struct Tun {
    file: File,
    landing: Landing,
}

impl Tun {
    /// Makes a device of this name in the namespace of the calling thread.
    pub(crate) fn open(name: &str) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")?;
        // SAFETY: an ifreq of zeros is a valid one.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        let room = request.ifr_name.len() - 1;
        for (to, from) in request.ifr_name.iter_mut().zip(name.bytes().take(room)) {
            *to = from as libc::c_char;
        }
        let flags = libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        request.ifr_ifru.ifru_flags = flags as libc::c_short;
        // SAFETY: the descriptor is open, and the kernel reads and writes one ifreq, which is ours.
        let result =
            unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Tun { file, landing: Landing::default() })
    }

    fn set_offload(&self, flags: libc::c_uint) -> io::Result<()> {
        // SAFETY: the descriptor is open; the argument is a number.
        let result = unsafe {
            libc::ioctl(self.file.as_raw_fd(), libc::TUNSETOFFLOAD as _, libc::c_ulong::from(flags))
        };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

impl Port for Tun {
    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn receive(&mut self) -> io::Result<Option<Packet>> {
        self.landing.read(self.file.as_fd(), 0)
    }

    fn send(&mut self, packet: &Packet) -> io::Result<()> {
        write(self.file.as_fd(), &[], packet)
    }

    fn allow_offload(&mut self, allowed: bool) -> io::Result<()> {
        if !allowed {
            return self.set_offload(0);
        }
        // Older kernels know no super-packets of UDP.
        self.set_offload(OFFLOAD_TCP | OFFLOAD_UDP).or_else(|_| self.set_offload(OFFLOAD_TCP))
    }
}

/// TUN_F_CSUM, TUN_F_TSO4 and TUN_F_TSO_ECN of linux/if_tun.h.
const OFFLOAD_TCP: libc::c_uint = 0x01 | 0x02 | 0x08;
/// TUN_F_USO4 and TUN_F_USO6, which go together.
const OFFLOAD_UDP: libc::c_uint = 0x20 | 0x40;
