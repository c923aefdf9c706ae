//! The directory in which a running network can be found by others.
//!
//! `$XDG_RUNTIME_DIR/weir/link-PID`, or `/tmp/weir-UID/link-PID`, with the files of names of its
//! hosts, a description, and a lock that the kernel lets go when the process ends, however it
//! ends: whoever starts next clears away what nobody holds.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{Error, doing};

/// A directory of our own; it goes when this is dropped.
#[derive(Debug)]
pub(crate) struct RunDirectory {
    path: PathBuf,
    _lock: File,
}

/// What others need to know of a running network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Description {
    /// The process that holds it.
    pub(crate) pid: u32,
    /// What it was made from.
    pub(crate) topology: String,
    /// The descriptor of the user namespace among those of the process, if there is one.
    pub(crate) user_fd: Option<i32>,
    /// The hosts.
    pub(crate) hosts: Vec<HostDescription>,
}

/// A host, with descriptors among those of the process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HostDescription {
    pub(crate) name: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) network_fd: i32,
    pub(crate) mounts_fd: i32,
    pub(crate) name_fd: i32,
}

impl RunDirectory {
    /// Makes one, and clears away those that nobody holds.
    pub(crate) fn make() -> Result<Self, Error> {
        let base = base()?;
        clear(&base);
        let pid = std::process::id();
        let (draft, path) = (base.join(format!(".link-{pid}")), base.join(format!("link-{pid}")));
        let _ = fs::remove_dir_all(&draft);
        let shown = path.display().to_string();
        fs::DirBuilder::new()
            .mode(0o755)
            .create(&draft)
            .map_err(doing(format!("making the directory {shown}")))?;
        let lock = File::create(draft.join(LOCK)).map_err(doing(format!("locking {shown}")))?;
        // It gets its name once it is locked, so that nobody takes it for one left behind.
        lock_whole(&lock).map_err(doing(format!("locking {shown}")))?;
        fs::rename(&draft, &path).map_err(doing(format!("making the directory {shown}")))?;
        Ok(RunDirectory { path, _lock: lock })
    }

    /// Writes a file there.
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        fs::write(&path, text).map_err(doing(format!("writing {}", path.display())))?;
        Ok(path)
    }

    /// Lets others find the network.
    pub(crate) fn describe(&self, description: &Description) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(description).unwrap_or_default();
        // It appears whole or not at all.
        let draft = self.write("draft", &text)?;
        let path = self.path.join(DESCRIPTION);
        fs::rename(&draft, &path).map_err(doing(format!("writing {}", path.display())))
    }
}

impl Drop for RunDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// The networks that run now, of this user.
pub(crate) fn running() -> Result<Vec<Description>, Error> {
    let mut found: Vec<Description> = directories(&base()?)
        .filter(|path| is_held(path))
        .filter_map(|path| fs::read_to_string(path.join(DESCRIPTION)).ok())
        .filter_map(|text| serde_json::from_str(&text).ok())
        .collect();
    found.sort_by_key(|description| description.pid);
    Ok(found)
}

/// Where the directories of this user are; made if need be.
fn base() -> Result<PathBuf, Error> {
    // SAFETY: it has no pointers and cannot fail.
    let user = unsafe { libc::geteuid() };
    let given = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let path = match given.filter(|path| path.is_absolute() && path.is_dir()) {
        Some(path) => path.join("weir"),
        None => PathBuf::from(format!("/tmp/weir-{user}")),
    };
    let shown = path.display().to_string();
    match fs::DirBuilder::new().mode(0o700).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(doing(format!("making the directory {shown}"))(error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(&path).map_err(doing(format!("looking at {shown}")))?;
    if !found.is_dir() || found.uid() != user {
        let why = format!("{shown} is there already and belongs to somebody else: remove it");
        return Err(Error::NotRunning(why));
    }
    Ok(path)
}

fn directories(base: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(base).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("link-"))
        .map(|entry| entry.path())
}

fn clear(base: &Path) {
    for path in directories(base) {
        if !is_held(&path) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_held(directory: &Path) -> bool {
    let lock =
        OpenOptions::new().read(true).custom_flags(libc::O_CLOEXEC).open(directory.join(LOCK));
    lock.is_ok_and(|lock| lock_whole(&lock).is_err())
}

fn lock_whole(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open; no pointers.
    let result = unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

const LOCK: &str = "lock";
const DESCRIPTION: &str = "network.json";
