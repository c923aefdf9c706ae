//! One host's namespaces: its network, its files of names, its own name.

use std::fs::{self, File};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use super::error::{Error, doing};

/// The namespaces of a host. They last as long as this, or as long as a program runs in them.
#[derive(Debug)]
pub(crate) struct Space {
    /// Devices, addresses, routes.
    pub(crate) network: OwnedFd,
    /// What `/etc/hosts` and `/etc/resolv.conf` hold.
    pub(crate) mounts: OwnedFd,
    /// The name of the host itself.
    pub(crate) name: OwnedFd,
}

/// What a host finds by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// The host's own name.
    pub(crate) host: String,
    /// The file that becomes `/etc/hosts`.
    pub(crate) hosts_file: std::path::PathBuf,
    /// The file that becomes `/etc/resolv.conf`.
    pub(crate) resolver_file: std::path::PathBuf,
}

impl Space {
    /// Makes new namespaces, and runs `set_up` inside them. `names` may be absent for a namespace
    /// in which nobody looks names up.
    pub(crate) fn make<T: Send>(
        names: Option<&Names>,
        set_up: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<(Space, T), Error> {
        apart(|| {
            let kinds = libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWUTS;
            unshare(kinds).map_err(|source| Error::NotAllowed { source })?;
            // Nothing mounted here may reach the machine's own mounts.
            mount(None, Path::new("/"), libc::MS_REC | libc::MS_PRIVATE)
                .map_err(doing("making mounts private"))?;
            set_switches();
            if let Some(names) = names {
                take_names(names)?;
            }
            let made = set_up()?;
            let open = |kind: &str| -> Result<OwnedFd, Error> {
                let path = format!("/proc/thread-self/ns/{kind}");
                Ok(File::open(&path).map_err(doing(format!("opening {path}")))?.into())
            };
            Ok((Space { network: open("net")?, mounts: open("mnt")?, name: open("uts")? }, made))
        })
    }

    /// Runs `act` in the network of this space, on a thread of its own.
    pub(crate) fn within<T: Send>(
        &self,
        act: impl FnOnce() -> Result<T, Error> + Send,
    ) -> Result<T, Error> {
        apart(|| {
            enter(self.network.as_fd()).map_err(doing("entering a network namespace"))?;
            act()
        })
    }

    /// Packets that devices of this space have dropped instead of sending them.
    pub(crate) fn dropped_on_sending(&self) -> u64 {
        let text = self.within(|| {
            fs::read_to_string("/proc/thread-self/net/dev").map_err(doing("reading counters"))
        });
        text.map_or(0, |text| text.lines().filter_map(dropped_of).sum())
    }
}

/// The count of a line of `/proc/net/dev` (proc(5)): after the device's name eight figures of what
/// was received, then bytes, packets, errors and drops of what was sent.
fn dropped_of(line: &str) -> Option<u64> {
    line.split_once(':')?.1.split_whitespace().nth(11)?.parse().ok()
}

/// Moves the calling thread into a namespace.
pub(crate) fn enter(space: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: the descriptor is open; no pointers.
    if unsafe { libc::setns(space.as_raw_fd(), 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Gives the calling thread, or process, namespaces of its own.
pub(crate) fn unshare(kinds: i32) -> io::Result<()> {
    // SAFETY: no pointers; what the thread shares with others stays valid for them.
    if unsafe { libc::unshare(kinds) } < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The lines of `/etc/hosts`.
pub(crate) fn hosts_file<'a>(hosts: impl Iterator<Item = (&'a str, Ipv4Addr)>) -> String {
    let mut text = "127.0.0.1 localhost\n::1 localhost\n".to_owned();
    for (name, address) in hosts {
        text.push_str(&format!("{address} {name}\n"));
    }
    text
}

/// On a thread of its own, which ends with the namespaces that it took.
fn apart<T: Send>(act: impl FnOnce() -> Result<T, Error> + Send) -> Result<T, Error> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("weir-namespace".to_owned());
        let thread = thread.spawn_scoped(scope, act).map_err(doing("starting a thread"))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Switches of the kernel that a new namespace may have taken over from the machine's own.
fn set_switches() {
    for (switch, value) in [
        // No host gets an IPv6 address, so that none talks on links before it is asked to.
        ("ipv6/conf/default/disable_ipv6", "1"),
        ("ipv6/conf/all/disable_ipv6", "1"),
        // Hosts forward nothing, and take packets from whichever link they come.
        ("ipv4/ip_forward", "0"),
        ("ipv4/conf/default/rp_filter", "0"),
        ("ipv4/conf/all/rp_filter", "0"),
    ] {
        // A kernel without the switch has nothing to be switched.
        let _ = fs::write(format!("/proc/sys/net/{switch}"), value);
    }
}

fn take_names(names: &Names) -> Result<(), Error> {
    // SAFETY: the name is as long as said; the kernel copies it.
    let result = unsafe { libc::sethostname(names.host.as_ptr().cast(), names.host.len()) };
    if result < 0 {
        return Err(super::error::last(format!("naming the host {}", names.host)));
    }
    for (file, place) in
        [(&names.hosts_file, "/etc/hosts"), (&names.resolver_file, "/etc/resolv.conf")]
    {
        // A machine without the file has nowhere to put ours: then names are not found by it.
        if Path::new(place).exists() {
            mount(Some(file), Path::new(place), libc::MS_BIND)
                .map_err(doing(format!("putting our own {place} in place")))?;
        }
    }
    Ok(())
}

fn mount(from: Option<&Path>, to: &Path, flags: libc::c_ulong) -> io::Result<()> {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    let text = |path: &Path| CString::new(path.as_os_str().as_bytes());
    let from = text(from.unwrap_or(Path::new("none")))?;
    let to = text(to)?;
    // SAFETY: both texts end with a zero and live until the call returns; the other pointers may
    // be absent.
    let result = unsafe {
        libc::mount(from.as_ptr(), to.as_ptr(), std::ptr::null(), flags, std::ptr::null())
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_the_fourth_figure_of_what_was_sent() {
        let line = "  eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16";
        assert_eq!(dropped_of(line), Some(12));
        assert_eq!(dropped_of("Inter-|   Receive"), None);
    }
}
