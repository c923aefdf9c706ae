//! The movies on offer: files, and folders that are looked through again and again.

mod names;
mod scan;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use weir_media::movie::{Opener, Step};
use weir_net::{File, Host, open_regular};
use weir_time::Instant;

use scan::{Found, Scan, scan, shown};

pub use names::Listing;

/// Files and folders, and the names that viewers use for what is in them.
///
/// A movie's name is its file name without the extension, below a folder with the path from that
/// folder before it; the full file name works too. Where two files would bear one name, both
/// keep their full names alone, and where that is the same, the first root's is served; a warning
/// names the files. A viewer's name is only ever looked up among those: no name leads out of the
/// folders.
///
/// Folders are looked through where that may block, by file names and metadata alone. Whoever asks
/// for a name that is known never waits for it. Files that are new or have changed are then checked
/// a few at a time (their first 4 MB at most, which is the whole index of most
/// MP4 files), so that one that cannot be played is told before somebody asks for it, and thousands
/// do not keep the disk busy. What shows further on is told by the first who asks. Either way it is
/// said once, and not offered until it changes.
pub struct Library {
    shared: Arc<Shared>,
}

struct Shared {
    roots: Vec<PathBuf>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is offered, and when the folders were looked through for it.
    listing: Option<(Instant, Arc<Listing>)>,
    scan: Scan,
    /// What is known of files that were opened.
    checks: BTreeMap<PathBuf, Check>,
    /// Files that were not.
    unchecked: VecDeque<Found>,
    /// Somebody looks through the folders; these wait for it.
    scanning: Option<Vec<Waker>>,
    /// A task checks files one after another.
    checking: bool,
    /// How many reads for that are under way.
    reading: usize,
    /// Somebody has asked for the whole listing.
    begun: bool,
    /// It was given: from then on what is odd goes into the log.
    listed: bool,
    /// Warnings that are in the log already.
    said: BTreeSet<String>,
}

struct Check {
    version: u64,
    /// Why it cannot be played.
    fault: Option<String>,
}

/// How long a listing is used before the folders are looked through again.
const LISTING_AGE_MAX: Duration = Duration::from_secs(2);
/// How long the first listing may wait for checks, for the banner.
const FIRST_CHECKS_MAX: Duration = Duration::from_secs(1);
/// Files that are checked at once, and the pause behind: 40 files a second at most.
const CHECKED_AT_ONCE: usize = 4;
const CHECK_PAUSE: Duration = Duration::from_millis(100);
const READING_PAUSE: Duration = Duration::from_millis(1);
/// What is read of a file to check it.
const CHECK_BYTES_MAX: u64 = 4 << 20;

impl Library {
    /// A library of these files and folders.
    pub fn new(roots: Vec<PathBuf>) -> Self {
        Library { shared: Arc::new(Shared { roots, state: Mutex::default() }) }
    }

    /// All movies there are now, or were a moment ago.
    pub async fn list(&self, host: &Host) -> Arc<Listing> {
        let begun = std::mem::replace(&mut self.shared.lock().begun, true);
        if !begun {
            self.shared.scan(host).await;
            self.shared.check_first(host).await;
            let mut state = self.shared.lock();
            state.listed = true;
            state.say();
        }
        self.shared.refresh(host);
        self.shared.listing().map(|(_, listing)| listing).unwrap_or_default()
    }

    /// The file behind a name.
    pub async fn find(&self, host: &Host, name: &str) -> Option<PathBuf> {
        if let Some((_, listing)) = self.shared.listing()
            && let Some(path) = listing.path(name)
        {
            // It is opened anew by whoever asked, so that it may be an old listing.
            let path = path.clone();
            self.shared.refresh(host);
            return Some(path);
        }
        if self.shared.is_old(host.now()) {
            self.shared.scan(host).await;
        }
        self.shared.refresh(host);
        self.shared.listing()?.1.path(name).cloned()
    }

    /// Whether a name is that of a movie that can be played, as far as is known.
    pub(crate) async fn offers(&self, host: &Host, name: &str) -> bool {
        let is_there = self.find(host, name).await.is_some();
        is_there && self.shared.listing().is_some_and(|(_, listing)| listing.offers(name))
    }

    /// Whether a movie's file is called as those in MP4 or QuickTime are.
    pub(crate) fn is_called_mp4(&self, name: &str) -> bool {
        let listing = self.shared.listing();
        let path = listing.as_ref().and_then(|(_, listing)| listing.path(name));
        let ending = path.and_then(|path| path.extension()).unwrap_or_default();
        ["mp4", "m4v", "mov", "m4a", "f4v"].iter().any(|known| ending.eq_ignore_ascii_case(known))
    }

    /// The full names of the files that would all bear a name, where they are several.
    pub(crate) fn bearers(&self, name: &str) -> Vec<String> {
        self.shared.listing().map(|(_, listing)| listing.bearers(name)).unwrap_or_default()
    }

    /// Whether a file that was opened by a path of the library lies in one of its folders, however
    /// links may have changed since the folders were looked through. What was named as a file may
    /// lie anywhere.
    pub(crate) async fn holds(&self, host: &Host, path: &Path, file: &File) -> bool {
        let (roots, path, file) = (self.shared.roots.clone(), path.to_owned(), file.clone());
        host.blocking(move || {
            let real = file.real_path_blocking().or_else(|_| path.canonicalize());
            roots.iter().any(|root| match root.canonicalize() {
                _ if *root == path => true,
                Ok(folder) => {
                    path.starts_with(root)
                        && real.as_ref().is_ok_and(|real| real.starts_with(folder))
                }
                Err(_) => false,
            })
        })
        .await
    }

    /// Takes a movie out of what is offered, until its file changes: somebody has opened it, and
    /// it cannot be played.
    pub(crate) fn refuse(&self, path: &Path, why: &str) {
        let mut state = self.shared.lock();
        let found = state.scan.found.iter().find(|file| file.path == path);
        let Some(version) = found.map(|file| file.version) else { return };
        let fault = Some(why.to_owned());
        state.checks.insert(path.to_owned(), Check { version, fault });
        state.list_anew();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listing(&self) -> Option<(Instant, Arc<Listing>)> {
        self.lock().listing.clone()
    }

    fn is_old(&self, now: Instant) -> bool {
        self.listing().is_none_or(|(at, _)| now.since(at) > LISTING_AGE_MAX)
    }

    /// Has the folders looked through if that is due, and new files checked; waits for neither.
    fn refresh(self: &Arc<Self>, host: &Host) {
        if self.is_old(host.now()) {
            self.start_scan(host);
        }
        let mut state = self.lock();
        if state.checking || state.unchecked.is_empty() {
            return;
        }
        state.checking = true;
        drop(state);
        let (shared, runner) = (Arc::clone(self), host.clone());
        host.spawn(async move {
            while shared.check_some(&runner).await {
                runner.sleep(CHECK_PAUSE).await;
            }
            shared.lock().checking = false;
        });
    }

    /// Waits until the folders have been looked through; those who ask at once wait for one.
    async fn scan(self: &Arc<Self>, host: &Host) {
        self.start_scan(host);
        poll_fn(|cx| match &mut self.lock().scanning {
            Some(waiting) => {
                waiting.push(cx.waker().clone());
                Poll::Pending
            }
            None => Poll::Ready(()),
        })
        .await;
    }

    /// As a task of its own, which goes on if whoever asked does not wait any more.
    fn start_scan(self: &Arc<Self>, host: &Host) {
        let mut state = self.lock();
        if state.scanning.is_some() {
            return;
        }
        state.scanning = Some(Vec::new());
        drop(state);
        let (shared, runner) = (Arc::clone(self), host.clone());
        host.spawn(async move {
            let at = runner.now();
            let roots = shared.roots.clone();
            let scan = runner.blocking(move || scan(&roots)).await;
            let mut state = shared.lock();
            state.take(scan, at);
            let waiting = state.scanning.take().unwrap_or_default();
            drop(state);
            waiting.into_iter().for_each(Waker::wake);
        });
    }

    /// Checks files for a while.
    async fn check_first(&self, host: &Host) {
        let start = host.now();
        while host.now().since(start) < FIRST_CHECKS_MAX {
            if !self.check_some(host).await {
                if self.lock().reading == 0 {
                    return;
                }
                host.sleep(READING_PAUSE).await;
            }
        }
    }

    /// Checks a few files that were not checked yet; whether there were any.
    async fn check_some(&self, host: &Host) -> bool {
        let files = self.lock().next_unchecked();
        if files.is_empty() {
            return false;
        }
        let check = |file: Found| {
            let fault = check(&file.path).err();
            (file.path, Check { version: file.version, fault })
        };
        let reading = Reading::new(self);
        let checks: Vec<_> = host.blocking(move || files.into_iter().map(check).collect()).await;
        drop(reading);
        let mut state = self.lock();
        let is_bad = checks.iter().any(|(_, check)| check.fault.is_some());
        state.checks.extend(checks);
        if is_bad {
            state.list_anew();
        }
        true
    }
}

/// Files are read to check them, for as long as this is there.
struct Reading<'a>(&'a Shared);

impl<'a> Reading<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.lock().reading += 1;
        Reading(shared)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.lock().reading -= 1;
    }
}

impl State {
    /// What was found takes the place of what was found before.
    fn take(&mut self, scan: Scan, at: Instant) {
        let is_same = self.scan.found == scan.found && self.scan.warnings == scan.warnings;
        if is_same && let Some((then, _)) = &mut self.listing {
            *then = at;
            return;
        }
        let paths: BTreeSet<&PathBuf> = scan.found.iter().map(|file| &file.path).collect();
        self.checks.retain(|path, _| paths.contains(path));
        let is_known = |file: &&Found| {
            self.checks.get(&file.path).is_some_and(|check| check.version == file.version)
        };
        self.unchecked = scan.found.iter().filter(|file| !is_known(file)).cloned().collect();
        self.scan = scan;
        self.listing = Some((at, Arc::default()));
        self.list_anew();
    }

    /// Makes the listing of what was found and what is known of it, and says what is new.
    fn list_anew(&mut self) {
        let Some((at, _)) = self.listing else { return };
        let checks = &self.checks;
        let fault = |file: &Found| {
            let check = checks.get(&file.path).filter(|check| check.version == file.version);
            check.and_then(|check| check.fault.as_ref())
        };
        let mut warnings = self.scan.warnings.clone();
        for file in &self.scan.found {
            if let Some(why) = fault(file) {
                // An error that names the file already.
                let why = why.trim_start_matches(&format!("{}: ", file.path.display()));
                warnings.push(format!("{}: {why}; it is not offered", shown(&file.path)));
            }
        }
        let listing = Listing::new(&self.scan.found, warnings, |file| fault(file).is_some());
        self.listing = Some((at, Arc::new(listing)));
        if self.listed {
            self.say();
        }
    }

    /// Puts into the log what is odd and was not there before.
    fn say(&mut self) {
        let Some((_, listing)) = &self.listing else { return };
        for warning in &listing.warnings {
            if !self.said.contains(warning) {
                tracing::warn!("{warning}");
            }
        }
        self.said = listing.warnings.iter().cloned().collect();
    }

    fn next_unchecked(&mut self) -> Vec<Found> {
        let count = self.unchecked.len().min(CHECKED_AT_ONCE);
        self.unchecked.drain(..count).collect()
    }
}

/// Why a file cannot be played, as far as its start tells. Blocks.
fn check(path: &Path) -> Result<(), String> {
    let in_words = |error: std::io::Error| error.to_string();
    let file = open_regular(path).map_err(in_words)?;
    let mut opener = Opener::new(file.metadata().map_err(in_words)?.len());
    let mut left = CHECK_BYTES_MAX;
    loop {
        match opener.poll().map_err(|error| error.to_string())? {
            Step::Done(_) => return Ok(()),
            Step::Need { bytes, .. } if bytes > left => return Ok(()),
            Step::Need { offset, bytes } => {
                left -= bytes;
                let mut data = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
                file.read_exact_at(&mut data, offset).map_err(in_words)?;
                opener.feed(offset, data).map_err(|error| error.to_string())?;
            }
        }
    }
}

#[cfg(test)]
mod tests;
