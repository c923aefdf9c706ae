//! Looks through folders: what is in them, without opening any file.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that may be a movie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its name below its root, with the extension.
    pub(super) name: String,
    pub(super) path: PathBuf,
    /// Another one after the file is replaced or written.
    pub(super) version: u64,
}

/// What was found, and what was odd about it, in words.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) found: Vec<Found>,
    pub(super) warnings: Vec<String>,
}

/// File names that are taken for movies. What they hold is told by their content.
const EXTENSIONS: [&str; 11] =
    ["mp4", "m4v", "mov", "m4a", "f4v", "flv", "ts", "m2ts", "mts", "mjpeg", "mjpg"];
/// How deep folders are looked through, and how many files are taken from all of them.
const DEPTH_MAX: usize = 8;
const FILES_MAX: usize = 100_000;
const WARNINGS_MAX: usize = 1000;

/// Looks through files and folders. Blocks.
pub(super) fn scan(roots: &[PathBuf]) -> Scan {
    let mut scan = Scan::default();
    for root in roots {
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => match fs::canonicalize(root) {
                Ok(canonical) => scan.walk(root, &canonical, "", 0),
                Err(error) => scan.warn(format!("{}: {error}", root.display())),
            },
            // Named by whoever serves: whatever it is called, and wherever a link leads.
            Ok(metadata) => scan.add(file_name(root).unwrap_or_default(), root, &metadata),
            Err(error) => scan.warn(format!("{}: {error}", root.display())),
        }
    }
    scan
}

impl Scan {
    /// Looks through a folder below `root`.
    fn walk(&mut self, folder: &Path, root: &Path, prefix: &str, depth: usize) {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => return self.warn(format!("{}: {error}", folder.display())),
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
            let Ok(kind) = entry.file_type() else { continue };
            if is_hidden || !(kind.is_dir() || kind.is_symlink() || is_movie(&path)) {
                continue;
            }
            let Some(name) = file_name(&path).filter(|name| !name.contains(char::is_control))
            else {
                if kind.is_dir() || is_movie(&path) {
                    self.leave_out(&path, "control characters, or no UTF-8, in its name");
                }
                continue;
            };
            if kind.is_symlink() {
                self.follow(&path, root, &format!("{prefix}{name}"));
            } else if kind.is_dir() && depth < DEPTH_MAX {
                self.walk(&path, root, &format!("{prefix}{name}/"), depth + 1);
            } else if kind.is_dir() {
                let reason = format!("more than {DEPTH_MAX} folders deep");
                self.leave_out(&path, &reason);
            } else {
                match entry.metadata() {
                    Ok(metadata) => self.add(format!("{prefix}{name}"), &path, &metadata),
                    Err(error) => self.leave_out(&path, &error.to_string()),
                }
            }
        }
    }

    /// Takes a link to a file in the same folder. Links to folders are not followed: what is in
    /// the same root is found anyway, and a circle would have no end.
    fn follow(&mut self, path: &Path, root: &Path, name: &str) {
        let target = fs::canonicalize(path).and_then(|to| Ok((fs::metadata(&to)?, to)));
        match target {
            Err(error) if is_movie(path) => {
                self.leave_out(path, &format!("the link leads to nothing ({error})"));
            }
            Err(_) => {}
            Ok((metadata, to)) if !to.starts_with(root) => {
                if metadata.is_dir() || is_movie(path) {
                    let reason = format!("the link leads out of the folder, to {}", to.display());
                    self.leave_out(path, &reason);
                }
            }
            Ok((metadata, _)) => {
                if !metadata.is_dir() && is_movie(path) {
                    self.add(name.to_owned(), path, &metadata);
                }
            }
        }
    }

    fn add(&mut self, name: String, path: &Path, metadata: &Metadata) {
        if !metadata.is_file() {
            return self.leave_out(path, "it is no regular file");
        }
        if self.found.len() >= FILES_MAX {
            return self.warn(format!("more than {FILES_MAX} movies: the rest is left out"));
        }
        let version = weir_time::hash([
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime() as u64,
            metadata.mtime_nsec() as u64,
        ]);
        self.found.push(Found { name, path: path.to_owned(), version });
    }

    fn leave_out(&mut self, path: &Path, reason: &str) {
        self.warn(format!("{}: {reason}; it is not offered", shown(path)));
    }

    fn warn(&mut self, text: String) {
        if self.warnings.len() < WARNINGS_MAX && !self.warnings.contains(&text) {
            self.warnings.push(text);
        }
    }
}

/// A path for people: escaped where it would do something to a terminal.
pub(super) fn shown(path: &Path) -> String {
    let text = path.display().to_string();
    if text.contains(char::is_control) { format!("{path:?}") } else { text }
}

fn is_movie(path: &Path) -> bool {
    let extension = path.extension().map(|extension| extension.to_string_lossy());
    let extension = extension.unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn file_name(path: &Path) -> Option<String> {
    path.file_name()?.to_str().map(str::to_owned)
}
