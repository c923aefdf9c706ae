//! Files, read and written away from the fan-out loop.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use weir_time::Utc;

use crate::Host;

/// A file of this machine's file system, in both worlds.
///
/// On the system reads and writes run on threads that may block; in a simulation they run at
/// once and take no virtual time.
#[derive(Clone, Debug)]
pub struct File {
    file: Arc<fs::File>,
    len: u64,
    identity: u64,
    modified: Utc,
}

impl File {
    pub(crate) async fn open(host: &Host, path: &Path) -> io::Result<File> {
        let path = path.to_owned();
        host.blocking(move || File::open_blocking(&path)).await
    }

    /// Creates a file, or empties the one that is there. A device, as `/dev/null`, is taken too;
    /// a pipe is not: nothing may come to read it.
    ///
    /// # Errors
    /// Those of the file system.
    pub async fn create(host: &Host, path: &Path) -> io::Result<File> {
        let path = path.to_owned();
        host.blocking(move || File::from_std(create(&path)?)).await
    }

    /// Opens a file for reading, for work that runs where it may block ([`Host::blocking`]).
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open_blocking(path: &Path) -> io::Result<File> {
        File::from_std(open_regular(path)?)
    }

    fn from_std(file: fs::File) -> io::Result<File> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "is a folder"));
        }
        // Changes whenever the file is replaced or written: what was cached of it is then stale.
        let identity = weir_time::hash([
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime() as u64,
            metadata.mtime_nsec() as u64,
        ]);
        let seconds = u64::try_from(metadata.mtime()).unwrap_or(0);
        let nanos =
            seconds.saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec() as u64);
        let modified = Utc::from_nanos(nanos);
        Ok(File { file: Arc::new(file), len: metadata.len(), identity, modified })
    }

    /// Its length in bytes when it was opened.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it was empty when it was opened.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A number that names this version of the file: another one after it is replaced.
    pub fn identity(&self) -> u64 {
        self.identity
    }

    /// When it was last written, as the file system said when it was opened; 1970 for what is
    /// older.
    pub fn modified(&self) -> Utc {
        self.modified
    }

    pub(crate) fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Has `len` bytes at `offset` brought into memory, so that [`crate::TcpStream::try_send_file`]
    /// does not wait for the disk. At once where they are there already; otherwise it waits, and
    /// other tasks go on. What the disk refuses, whoever reads the bytes is told.
    pub async fn prefetch(&self, host: &Host, offset: u64, len: u64) {
        if host.is_virtual() || self.is_in_memory(offset, len) {
            return;
        }
        let file = self.clone();
        host.blocking(move || file.prefetch_blocking(offset, len)).await;
    }

    /// Whether the system says that all of these bytes are in memory; not every file system tells.
    fn is_in_memory(&self, offset: u64, len: u64) -> bool {
        let end = offset.saturating_add(len).min(self.len);
        let pages = (end.div_ceil(PAGE_BYTES)).saturating_sub(offset / PAGE_BYTES);
        let range = [offset, end.saturating_sub(offset)];
        let mut counts = [0u64; CACHE_COUNTS];
        // SAFETY: the system reads two and writes five numbers, for which there is room; where it
        // does not know the call, it does nothing.
        let failed = unsafe {
            libc::syscall(
                SYS_CACHESTAT,
                self.file.as_raw_fd(),
                range.as_ptr(),
                counts.as_mut_ptr(),
                0,
            )
        };
        failed == 0 && counts[0] >= pages
    }

    fn prefetch_blocking(&self, offset: u64, len: u64) {
        let end = offset.saturating_add(len).min(self.len);
        let off = |at: u64| libc::off_t::try_from(at).unwrap_or(libc::off_t::MAX);
        // SAFETY: a plain call on an open descriptor; it is advice.
        unsafe {
            libc::posix_fadvise(
                self.file.as_raw_fd(),
                off(offset),
                off(end.saturating_sub(offset)),
                libc::POSIX_FADV_WILLNEED,
            );
        }
        // The advice starts the reading; a byte of each stretch waits for it.
        for at in (offset..end).step_by(PREFETCH_STRIDE) {
            let mut byte = [0u8; 1];
            // SAFETY: the buffer is valid for its length.
            unsafe {
                libc::pread(self.file.as_raw_fd(), byte.as_mut_ptr().cast(), 1, off(at));
            }
        }
    }

    /// Where the file that was opened lies, with all links followed. Blocks.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn real_path_blocking(&self) -> io::Result<PathBuf> {
        fs::read_link(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// Reads `len` bytes at `offset`; fewer only where the file ends.
    ///
    /// # Errors
    /// Those of the file system.
    pub async fn read_at(&self, host: &Host, offset: u64, len: usize) -> io::Result<Bytes> {
        let file = self.clone();
        host.blocking(move || file.read_at_blocking(offset, len)).await
    }

    /// Reads `len` bytes at `offset`, for work that runs where it may block
    /// ([`Host::blocking`]); fewer only where the file ends.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn read_at_blocking(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.read_at_into_blocking(offset, len, BytesMut::with_capacity(len))
    }

    /// The same into the memory of `buffer`, which grows if it is too small.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn read_at_into_blocking(
        &self,
        offset: u64,
        len: usize,
        mut buffer: BytesMut,
    ) -> io::Result<Bytes> {
        buffer.clear();
        buffer.reserve(len);
        while buffer.len() < len {
            match self.read_some(&mut buffer, offset, len) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(buffer.freeze())
    }

    /// Reads into the room of `buffer`, which holds what stands at `offset` and is to hold `len`
    /// bytes of it; nothing is zeroed first. Gives how many came.
    fn read_some(&self, buffer: &mut BytesMut, offset: u64, len: usize) -> io::Result<usize> {
        let filled = buffer.len();
        let at = libc::off_t::try_from(offset + filled as u64)
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let room = buffer.spare_capacity_mut();
        let wanted = room.len().min(len - filled);
        // SAFETY: the descriptor is open as long as `self`, and the room holds `wanted` bytes.
        let read =
            unsafe { libc::pread(self.file.as_raw_fd(), room.as_mut_ptr().cast(), wanted, at) };
        let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
        // SAFETY: the system has written the first `read` bytes of the room.
        unsafe { buffer.set_len(filled + read) };
        Ok(read)
    }

    /// Appends `data` after what was written before.
    ///
    /// # Errors
    /// Those of the file system, a full disk among them.
    pub async fn append(&self, host: &Host, data: Bytes) -> io::Result<()> {
        let file = Arc::clone(&self.file);
        host.blocking(move || io::Write::write_all(&mut &*file, &data)).await
    }
}

/// The number of the system call that counts pages in memory, the same on all processors.
const SYS_CACHESTAT: libc::c_long = 451;
/// What it writes: pages in memory first, then those that are dirty and the like.
const CACHE_COUNTS: usize = 5;
const PAGE_BYTES: u64 = 4096;
/// A processor with larger pages counts fewer: then files are read ahead once too often.
const PREFETCH_STRIDE: usize = 64 * 1024;
/// Opens a regular file to be read. Blocks, but never on a pipe that nobody writes to.
///
/// # Errors
/// Those of the file system; [`io::ErrorKind::InvalidInput`] for a pipe, a device or a socket.
pub fn open_regular(path: &Path) -> io::Result<fs::File> {
    let file = fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() || metadata.is_dir() {
        true => Ok(file),
        false => Err(irregular()),
    }
}

fn create(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(|error| match error.raw_os_error() {
        // A pipe that nobody reads, or a socket.
        Some(libc::ENXIO) => irregular(),
        _ => error,
    })?;
    let metadata = file.metadata()?;
    match metadata.file_type() {
        kind if kind.is_file() => file.set_len(0)?,
        kind if kind.is_char_device() => {}
        _ => return Err(irregular()),
    }
    Ok(file)
}

fn irregular() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe with a name, in a folder that is gone with the returned guard.
    fn pipe(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("weir-net-{}-{test}", std::process::id()));
        let name = std::ffi::CString::new(path.as_os_str().as_encoded_bytes()).unwrap();
        // SAFETY: the name is a string that ends in a zero.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        path
    }

    #[test]
    fn a_pipe_is_neither_read_nor_written_and_nobody_waits_for_its_other_end() {
        let path = pipe("fifo");
        let refused = [open_regular(&path).unwrap_err(), create(&path).unwrap_err()];
        std::fs::remove_file(&path).unwrap();
        for error in refused {
            assert_eq!(error.to_string(), "it is no regular file");
        }
    }

    #[test]
    fn a_device_is_written_and_not_read() {
        let path = Path::new("/dev/null");
        assert!(create(path).is_ok());
        assert_eq!(open_regular(path).unwrap_err().to_string(), "it is no regular file");
    }
}
