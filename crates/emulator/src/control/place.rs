//! Where control sockets stand.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The folders where this user's sockets may stand: `$XDG_RUNTIME_DIR/weir`, where there is such a
/// folder and it is this user's, else `/tmp/weir-UID`.
pub(super) fn folders() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|path| path.is_absolute() && path.is_dir());
    let own = PathBuf::from(format!("/tmp/weir-{}", user()));
    runtime.map(|runtime| runtime.join("weir")).into_iter().chain([own]).collect()
}

/// The first of these folders in which a socket can stand; sockets of the dead are removed from it.
pub(super) fn usable() -> io::Result<PathBuf> {
    let mut failed = io::Error::other("there is no folder for it");
    for folder in folders() {
        match make(&folder) {
            Ok(()) => {
                sweep(&folder);
                return Ok(folder);
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Makes the folder, and makes sure that nobody else can put anything there.
pub(super) fn make(folder: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = fs::symlink_metadata(folder)?;
    if !found.is_dir() || found.uid() != user() || found.mode() & 0o022 != 0 {
        let text = format!("{} does not belong to this user alone", folder.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

/// A path for the socket of this process that is free.
pub(super) fn free(folder: &Path) -> PathBuf {
    let process = std::process::id();
    let numbered = (1..).map(|number| folder.join(format!("{PREFIX}{process}-{number}{SUFFIX}")));
    let first = std::iter::once(folder.join(format!("{PREFIX}{process}{SUFFIX}")));
    let mut names = first.chain(numbered).take(NUMBER_MAX);
    let free = names.find(|name| name.symlink_metadata().is_err());
    free.unwrap_or_else(|| folder.join(format!("{PREFIX}{process}{SUFFIX}")))
}

/// The sockets there, by name.
pub(super) fn sockets(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let is_ours = |name: &str| name.starts_with(PREFIX) && name.ends_with(SUFFIX);
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let name = |path: &PathBuf| path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
    let mut found: Vec<_> = paths.filter(|path| name(path).is_some_and(|n| is_ours(&n))).collect();
    found.sort();
    found
}

/// Removes the sockets of processes that are gone.
pub(super) fn sweep(folder: &Path) {
    for socket in sockets(folder) {
        let gone = UnixStream::connect(&socket).err();
        if gone.is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            // Another process may have removed it meanwhile.
            let _ = fs::remove_file(socket);
        }
    }
}

fn user() -> u32 {
    // SAFETY: the call takes nothing, and cannot fail.
    unsafe { libc::geteuid() }
}

const PREFIX: &str = "link-";
const SUFFIX: &str = ".sock";
const NUMBER_MAX: usize = 1000;
