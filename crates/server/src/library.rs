//! The movies on offer: files, and folders that are looked through again and again.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use weir_net::Host;
use weir_time::Instant;

/// Files and folders, and the names that viewers use for what is in them.
///
/// A movie's name is its file name without the extension, below a folder with the path from that
/// folder before it; the full file name works too. Where two files would bear one name, both
/// keep their full names alone.
pub struct Library {
    roots: Vec<PathBuf>,
    listing: Mutex<Option<(Instant, Arc<Listing>)>>,
}

/// What was found at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files by every name that works.
    by_name: BTreeMap<String, PathBuf>,
    /// One name for each file, the shortest that works.
    pub names: Vec<String>,
    /// What was odd, in words.
    pub warnings: Vec<String>,
}

/// File names that are taken for movies.
const EXTENSIONS: [&str; 3] = ["mp4", "m4v", "mov"];
/// How deep folders are looked through, and how many files are taken from them.
const DEPTH_MAX: usize = 8;
const FILES_MAX: usize = 100_000;
/// How long a listing is used before the folders are looked through again.
const LISTING_AGE_MAX: Duration = Duration::from_secs(2);

impl Listing {
    /// Another name of the same file, if it has one: what is left when a live stream has taken
    /// the first.
    pub fn other_name(&self, name: &str) -> Option<&str> {
        let path = self.by_name.get(name)?;
        let mut names = self.by_name.iter();
        names.find_map(|(other, at)| (at == path && other != name).then_some(other.as_str()))
    }
}

impl Library {
    /// A library of these files and folders.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Library { roots, listing: Mutex::new(None) }
    }

    /// All movies there are now, or were a moment ago.
    pub async fn list(&self, host: &Host) -> Arc<Listing> {
        self.listing_not_older(host, LISTING_AGE_MAX).await
    }

    /// The file behind a name.
    pub async fn find(&self, host: &Host, name: &str) -> Option<PathBuf> {
        let listing = self.listing_not_older(host, LISTING_AGE_MAX).await;
        listing.by_name.get(name).cloned()
    }

    async fn listing_not_older(&self, host: &Host, age_max: Duration) -> Arc<Listing> {
        let now = host.now();
        if let Some((at, listing)) = &*self.lock()
            && now.since(*at) <= age_max
        {
            return Arc::clone(listing);
        }
        let roots = self.roots.clone();
        let listing = Arc::new(host.blocking(move || scan(&roots)).await);
        *self.lock() = Some((now, Arc::clone(&listing)));
        listing
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Arc<Listing>)>> {
        self.listing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn scan(roots: &[PathBuf]) -> Listing {
    let mut found = Vec::new();
    let mut warnings = Vec::new();
    for root in roots {
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() => walk(root, "", 0, &mut found, &mut warnings),
            Ok(_) => found.push((file_name(root), root.clone())),
            Err(error) => warnings.push(format!("{}: {error}", root.display())),
        }
    }
    name_all(found, warnings)
}

fn walk(
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut Vec<(String, PathBuf)>,
    warnings: &mut Vec<String>,
) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return warnings.push(format!("{}: {error}", folder.display())),
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let name = file_name(&path);
        if name.is_empty() || name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            // A link may lead out of the folder, or round in a circle.
            if depth < DEPTH_MAX && !path.is_symlink() {
                walk(&path, &format!("{prefix}{name}/"), depth + 1, found, warnings);
            }
        } else if is_movie(&path) && found.len() < FILES_MAX {
            found.push((format!("{prefix}{name}"), path));
        }
    }
}

fn name_all(found: Vec<(String, PathBuf)>, mut warnings: Vec<String>) -> Listing {
    let mut by_stem: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, (name, _)) in found.iter().enumerate() {
        by_stem.entry(without_extension(name).to_owned()).or_default().push(index);
    }
    let mut by_name = BTreeMap::new();
    let mut names = Vec::new();
    for (stem, files) in by_stem {
        match files[..] {
            [only] => {
                by_name.insert(stem.clone(), found[only].1.clone());
                names.push(stem);
            }
            _ => {
                let full: Vec<&str> = files.iter().map(|index| found[*index].0.as_str()).collect();
                warnings.push(format!(
                    "{} bear the name {stem:?}: they are served under their full names alone",
                    full.join(" and ")
                ));
                names.extend(full.into_iter().map(str::to_owned));
            }
        }
    }
    for (name, path) in &found {
        if by_name.insert(name.clone(), path.clone()).is_some_and(|other| other != *path) {
            warnings
                .push(format!("{name:?} is the name of several files: {} wins", path.display()));
        }
    }
    names.sort();
    names.dedup();
    Listing { by_name, names, warnings }
}

fn is_movie(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn without_extension(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && !extension.contains('/') => stem,
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        name_all(names.iter().map(|n| ((*n).to_owned(), PathBuf::from(n))).collect(), Vec::new())
    }

    #[test]
    fn a_movie_is_found_by_its_short_and_by_its_full_name() {
        let listing = listing(&["a/big.buck.mp4", "sintel.mov"]);
        assert_eq!(listing.names, ["a/big.buck", "sintel"]);
        for name in ["a/big.buck", "a/big.buck.mp4", "sintel", "sintel.mov"] {
            assert!(listing.by_name.contains_key(name), "{name}");
        }
    }

    #[test]
    fn files_whose_names_collide_keep_their_full_names_and_a_warning_says_so() {
        let listing = listing(&["a.mp4", "a.mov", "b.mp4"]);
        assert_eq!(listing.names, ["a.mov", "a.mp4", "b"]);
        assert!(!listing.by_name.contains_key("a"));
        assert_eq!(listing.warnings.len(), 1);
    }
}
