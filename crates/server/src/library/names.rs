//! The names under which files are served.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::scan::{Found, shown};

/// What was found at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Files by every name that works; those that cannot be played among them, so that whoever
    /// asks for one is told why.
    by_name: BTreeMap<String, PathBuf>,
    /// Names of those that cannot be played.
    bad_names: BTreeSet<String>,
    /// Short names that several files would bear, and the full names of those files.
    ambiguous: BTreeMap<String, Vec<String>>,
    /// One name for each file that is offered, the shortest that works.
    pub names: Vec<String>,
    /// What was odd, in words: paths and reasons.
    pub warnings: Vec<String>,
}

impl Listing {
    /// Another name of the same file, if it has one: what is left when a live stream has taken
    /// the first.
    pub fn other_name(&self, name: &str) -> Option<&str> {
        let path = self.by_name.get(name)?;
        let mut names = self.by_name.iter();
        names.find_map(|(other, at)| (at == path && other != name).then_some(other.as_str()))
    }

    /// Whether a name is that of a movie that can be played, as far as is known.
    pub(super) fn offers(&self, name: &str) -> bool {
        self.by_name.contains_key(name) && !self.bad_names.contains(name)
    }

    /// The full names of the files that would all bear a name, where they are several.
    pub(super) fn bearers(&self, name: &str) -> Vec<String> {
        self.ambiguous.get(name).cloned().unwrap_or_default()
    }

    /// The file behind a name.
    pub(super) fn path(&self, name: &str) -> Option<&PathBuf> {
        self.by_name.get(name)
    }

    /// Names all files that were found. `is_bad` tells those that cannot be played: they are not
    /// offered, and take no name from any other.
    pub(super) fn new(
        found: &[Found],
        warnings: Vec<String>,
        is_bad: impl Fn(&Found) -> bool,
    ) -> Listing {
        let (bad, good): (Vec<&Found>, Vec<&Found>) = found.iter().partition(|file| is_bad(file));
        let mut listing = Listing { warnings, ..Listing::default() };
        let good = listing.by_full_name(good);
        let full_names: BTreeSet<&str> = good.iter().map(|file| file.name.as_str()).collect();
        let mut by_stem: BTreeMap<&str, Vec<&Found>> = BTreeMap::new();
        for &file in &good {
            by_stem.entry(without_extension(&file.name)).or_default().push(file);
            listing.by_name.insert(file.name.clone(), file.path.clone());
        }
        for (stem, files) in by_stem {
            let other = full_names.contains(stem) && files.iter().all(|file| file.name != stem);
            match files[..] {
                [only] if !other => {
                    listing.by_name.insert(stem.to_owned(), only.path.clone());
                    listing.names.push(stem.to_owned());
                }
                _ => listing.keep_full_names(stem, &files, other),
            }
        }
        for file in bad {
            for name in [&file.name[..], without_extension(&file.name)] {
                if !listing.by_name.contains_key(name) {
                    listing.bad_names.insert(name.to_owned());
                    listing.by_name.insert(name.to_owned(), file.path.clone());
                }
            }
        }
        listing.names.sort();
        listing
    }

    /// One file for each full name: the first, in the order in which roots were given.
    fn by_full_name<'a>(&mut self, files: Vec<&'a Found>) -> Vec<&'a Found> {
        let mut order: Vec<&str> = Vec::new();
        let mut groups: BTreeMap<&str, Vec<&'a Found>> = BTreeMap::new();
        for file in files {
            let group = groups.entry(&file.name).or_default();
            if group.is_empty() {
                order.push(&file.name);
            }
            // The same file may be found by way of two roots.
            if group.iter().all(|other| other.version != file.version) {
                group.push(file);
            }
        }
        for (name, group) in &groups {
            if let [first, rest @ ..] = &group[..]
                && !rest.is_empty()
            {
                let are = if rest.len() == 1 { "is" } else { "are" };
                self.warnings.push(format!(
                    "{name:?} is the name of several files: {} is served, {} {are} not",
                    shown(&first.path),
                    paths(rest)
                ));
            }
        }
        order.iter().filter_map(|name| groups.get(name)?.first().copied()).collect()
    }

    fn keep_full_names(&mut self, stem: &str, files: &[&Found], is_full_name: bool) {
        self.names.extend(files.iter().map(|file| file.name.clone()));
        let full_names = files.iter().map(|file| file.name.clone());
        self.ambiguous.insert(stem.to_owned(), full_names.collect());
        let other = if is_full_name { self.by_name.get(stem) } else { None };
        let other = other.map(|path| format!(", which {} has", shown(path))).unwrap_or_default();
        let (bear, they) = if files.len() == 1 { ("bears", "it is") } else { ("bear", "they are") };
        self.warnings.push(format!(
            "{} {bear} the name {stem:?}{other}: {they} served under full names alone",
            paths(files)
        ));
    }
}

fn paths(files: &[&Found]) -> String {
    files.iter().map(|file| shown(&file.path)).collect::<Vec<_>>().join(" and ")
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

    fn found(name: &str, path: &str) -> Found {
        let version = path.bytes().fold(0, |hash, byte| weir_time::hash([hash, byte.into()]));
        Found { name: name.to_owned(), path: PathBuf::from(path), version }
    }

    fn listing(names: &[&str]) -> Listing {
        let found: Vec<_> = names.iter().map(|name| found(name, name)).collect();
        Listing::new(&found, Vec::new(), |_| false)
    }

    #[test]
    fn a_movie_is_found_by_its_short_and_by_its_full_name() {
        let listing = listing(&["a/big.buck.mp4", "sintel.mov"]);
        assert_eq!(listing.names, ["a/big.buck", "sintel"]);
        for name in ["a/big.buck", "a/big.buck.mp4", "sintel", "sintel.mov"] {
            assert!(listing.by_name.contains_key(name), "{name}");
        }
        assert_eq!(listing.other_name("sintel"), Some("sintel.mov"));
    }

    #[test]
    fn files_whose_names_collide_keep_their_full_names_and_a_warning_names_them() {
        let listing = listing(&["a.mp4", "a.mov", "b.mp4"]);
        assert_eq!(listing.names, ["a.mov", "a.mp4", "b"]);
        assert!(!listing.by_name.contains_key("a"));
        let expected =
            "a.mp4 and a.mov bear the name \"a\": they are served under full names alone";
        assert_eq!(listing.warnings, [expected]);
        assert_eq!(listing.bearers("a"), ["a.mp4", "a.mov"]);
        assert!(listing.bearers("a.mp4").is_empty());
    }

    #[test]
    fn of_two_files_with_one_full_name_the_first_is_served_and_a_warning_names_both() {
        let all = [found("a.mp4", "/x/a.mp4"), found("a.mp4", "/y/a.mp4")];
        let listing = Listing::new(&all, Vec::new(), |_| false);
        assert_eq!(listing.names, ["a"]);
        assert_eq!(listing.path("a.mp4"), Some(&PathBuf::from("/x/a.mp4")));
        let expected =
            "\"a.mp4\" is the name of several files: /x/a.mp4 is served, /y/a.mp4 is not";
        assert_eq!(listing.warnings, [expected]);
        // The same file by two ways is one.
        let twice = [found("a.mp4", "/x/a.mp4"), found("a.mp4", "/x/a.mp4")];
        assert!(Listing::new(&twice, Vec::new(), |_| false).warnings.is_empty());
    }

    #[test]
    fn a_short_name_that_is_the_full_name_of_another_file_is_left_to_it() {
        let listing = listing(&["a.mp4", "a.mp4.mov"]);
        assert_eq!(listing.names, ["a", "a.mp4.mov"]);
        assert_eq!(listing.path("a.mp4"), Some(&PathBuf::from("a.mp4")));
        assert_eq!(listing.warnings.len(), 1, "{:?}", listing.warnings);
    }

    #[test]
    fn a_file_that_cannot_be_played_takes_no_name_from_another() {
        let all = [
            found("a.mp4", "/bad/a.mp4"),
            found("a.mp4", "/b/a.mp4"),
            found("a.ts", "/bad/t"),
            found("c.ts", "/bad/c"),
        ];
        let listing = Listing::new(&all, Vec::new(), |file| file.path.starts_with("/bad"));
        assert_eq!(listing.names, ["a"]);
        assert_eq!(listing.path("a"), Some(&PathBuf::from("/b/a.mp4")));
        assert_eq!(listing.path("c"), Some(&PathBuf::from("/bad/c")));
        assert!(listing.warnings.is_empty());
    }
}
