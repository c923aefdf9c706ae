//! The system's own sockets and time: a host is a thread of this machine.

mod batch;
mod blocking;
mod reactor;
mod runtime;
mod socket;
mod tcp;
mod udp;
mod uring;

pub(crate) use batch::{BatchScratch, submit};
pub(crate) use runtime::{Remote, Thread};
pub use runtime::{Settings, run};
pub use tcp::check_congestion;
pub(crate) use tcp::{TcpListener, TcpStream};
pub(crate) use udp::{SharedUdp, UdpSocket};

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use weir_time::{Instant, Utc};

/// The time on the system's monotonic clock.
pub(crate) fn monotonic_now() -> Instant {
    Instant::from_nanos(clock_nanos(libc::CLOCK_MONOTONIC))
}

/// The time of day.
pub(crate) fn utc_now() -> Utc {
    Utc::from_nanos(clock_nanos(libc::CLOCK_REALTIME))
}

fn clock_nanos(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec for the call to fill in.
    let failed = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(failed, 0, "Linux always has these two clocks");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// 64 bits from the system's random source.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is valid for its length.
    let read = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    assert_eq!(read, 8, "getrandom gives up to 256 bytes whole once the system is up");
    u64::from_ne_bytes(bytes)
}

/// Looks a host name up; blocks.
pub(crate) fn resolve(name: &str) -> io::Result<Vec<IpAddr>> {
    let addresses: Vec<_> = (name, 0).to_socket_addrs()?.map(|address| address.ip()).collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, format!("no address for {name}")));
    }
    Ok(addresses)
}

/// The system's answer to a call that gives -1 for an error.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The same for calls that give a length.
pub(crate) fn check_len(result: libc::ssize_t) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// This machine's address on the way to `peer`, if there is a way; nothing is sent.
pub fn address_towards(peer: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match peer {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = std::net::UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// What this process has used and uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessUsage {
    /// Memory that it holds.
    pub resident_bytes: u64,
    /// Processor time of all its threads, in the kernel too.
    pub cpu: std::time::Duration,
}

/// What this process has used and uses; `None` where the system does not say.
pub fn process_usage() -> Option<ProcessUsage> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    // SAFETY: a plain call; all zeroes is a valid rusage for the next one to fill in.
    let (page_bytes, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        check(libc::getrusage(libc::RUSAGE_SELF, &mut usage)).ok()?;
        (libc::sysconf(libc::_SC_PAGESIZE), usage)
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    let cpu = std::time::Duration::from_micros(micros(usage.ru_utime) + micros(usage.ru_stime));
    Some(ProcessUsage { resident_bytes: pages * u64::try_from(page_bytes).ok()?, cpu })
}
