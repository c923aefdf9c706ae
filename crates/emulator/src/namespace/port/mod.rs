//! The driver's side of a host's network device.

mod tun;
mod veth;

use std::io;
use std::os::fd::BorrowedFd;

pub(crate) use tun::Tun;
pub(crate) use veth::{HARDWARE_HOST, HARDWARE_PEER, Veth};

use super::packet::{OFFLOAD_BYTES, Offload, PACKET_BYTES_MAX, Packet};

/// Where a host's packets come out and where packets for it go in.
pub(crate) trait Port: Send + Sync {
    /// Readable when there is a packet.
    fn fd(&self) -> BorrowedFd<'_>;

    /// The next packet of the host; `None` if there is none now.
    fn receive(&mut self) -> io::Result<Option<Packet>>;

    /// Gives the host a packet.
    fn send(&mut self, packet: &Packet) -> io::Result<()>;

    /// Whether the host may leave super-packets and checksums to us. It may take effect late, and
    /// some ports cannot do without.
    fn allow_offload(&mut self, allowed: bool) -> io::Result<()>;

    /// Packets of the host that were dropped before they could be received here, if that is known
    /// here alone. Totals since the last call.
    fn take_dropped(&mut self) -> u64 {
        0
    }
}

/// A buffer for packets of unknown length: large ones are given away as they are, small ones are
/// copied, so that they hold no more memory than they need.
#[derive(Debug, Default)]
struct Landing {
    spare: Vec<u8>,
}

impl Landing {
    /// Reads one packet: the header of `Offload`, `before` bytes that are passed over, the packet.
    fn read(&mut self, fd: BorrowedFd<'_>, before: usize) -> io::Result<Option<Packet>> {
        use std::os::fd::AsRawFd;

        let mut header = [0_u8; OFFLOAD_BYTES];
        let mut skipped = [0_u8; BEFORE_BYTES_MAX];
        self.spare.clear();
        self.spare.reserve(PACKET_BYTES_MAX);
        let parts = [
            libc::iovec { iov_base: header.as_mut_ptr().cast(), iov_len: OFFLOAD_BYTES },
            libc::iovec { iov_base: skipped.as_mut_ptr().cast(), iov_len: before },
            libc::iovec { iov_base: self.spare.as_mut_ptr().cast(), iov_len: PACKET_BYTES_MAX },
        ];
        // SAFETY: the three buffers are ours, and have room for what is said of them.
        let count = unsafe { libc::readv(fd.as_raw_fd(), parts.as_ptr(), parts.len() as i32) };
        if count < 0 {
            let error = io::Error::last_os_error();
            let nothing =
                matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted);
            return if nothing { Ok(None) } else { Err(error) };
        }
        let length = (count as usize).saturating_sub(OFFLOAD_BYTES + before);
        // SAFETY: the kernel wrote that many bytes into the last buffer, which has room for more.
        unsafe { self.spare.set_len(length) };
        let offload = Offload::decode(&header, before as u16);
        let bytes = if length < COPIED_BYTES_MAX {
            self.spare.as_slice().to_vec()
        } else {
            std::mem::take(&mut self.spare)
        };
        Ok(Some(Packet { offload, bytes }))
    }
}

/// Writes a packet behind its header of `Offload` and `before`.
fn write(fd: BorrowedFd<'_>, before: &[u8], packet: &Packet) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    let header = packet.offload_header(before.len() as u16);
    let part = |bytes: &[u8]| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    let parts = [part(&header), part(before), part(&packet.bytes)];
    // SAFETY: the kernel only reads from the three buffers, which live until the call returns.
    let count = unsafe { libc::writev(fd.as_raw_fd(), parts.as_ptr(), parts.len() as i32) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An Ethernet header.
const BEFORE_BYTES_MAX: usize = 14;
const COPIED_BYTES_MAX: usize = 16_384;
