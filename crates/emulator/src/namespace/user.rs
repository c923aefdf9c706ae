//! A user namespace: what makes namespaces possible without privileges.

use std::fs::{self, File};
use std::os::fd::OwnedFd;

use super::error::{Error, doing};
use super::space::unshare;

/// The user namespace that this process made for itself.
#[derive(Debug)]
pub(crate) struct User {
    /// For others who want to enter it.
    pub(crate) space: OwnedFd,
}

/// Moves this process, which must have one thread, into a user namespace of its own, if it may not
/// make network namespaces without. There it is root, and may do to its own namespaces what root
/// may; towards the machine it stays who it is.
pub(crate) fn enter_if_needed() -> Result<Option<User>, Error> {
    if may_make_namespaces() {
        return Ok(None);
    }
    // SAFETY: neither call has pointers or can fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    unshare(libc::CLONE_NEWUSER).map_err(|source| Error::NotAllowed { source })?;
    // A user may only map its group once it has given up setting groups (user_namespaces(7)).
    for (file, text) in [
        ("setgroups", "deny".to_owned()),
        ("uid_map", format!("0 {user} 1")),
        ("gid_map", format!("0 {group} 1")),
    ] {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).map_err(|source| Error::NotAllowed { source })?;
    }
    let path = "/proc/self/ns/user";
    let space = File::open(path).map_err(doing(format!("opening {path}")))?.into();
    Ok(Some(User { space }))
}

/// Whether this process has the capabilities for it: CAP_NET_ADMIN and CAP_SYS_ADMIN
/// (capabilities(7)).
fn may_make_namespaces() -> bool {
    const NEEDED: u64 = 1 << 12 | 1 << 21;

    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    effective.is_some_and(|effective| effective & NEEDED == NEEDED)
}
