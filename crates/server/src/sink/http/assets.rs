//! What the pages are made of: files that are part of the program.

use bytes::Bytes;

/// A file that is part of the program.
pub(crate) struct Asset {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: Bytes,
    /// Its entity tag, with quotes.
    pub(crate) etag: String,
}

/// The asset at a path, such as `index.html` or `js/player.js`.
pub(crate) fn asset(path: &str) -> Option<Asset> {
    let path = if path == "favicon.ico" { "favicon.svg" } else { path };
    let (_, bytes) = FILES.iter().find(|(name, _)| *name == path)?;
    let content_type = content_type(path)?;
    let etag = format!("\"{:016x}\"", fnv(bytes));
    Some(Asset { content_type, bytes: Bytes::from_static(bytes), etag })
}

fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "LICENSE" => "text/plain; charset=utf-8",
        _ => return None,
    })
}

/// FNV-1a, 64 bits: another content has another tag.
const fn fnv(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0100_0000_01b3);
        at += 1;
    }
    hash
}

macro_rules! files {
    ($($path:literal,)*) => {
        /// All assets by their paths.
        const FILES: &[(&str, &[u8])] =
            &[$(($path, include_bytes!(concat!("../../../assets/", $path))),)*];
    };
}

files! {
    "css/base.css",
    "css/list.css",
    "css/player.css",
    "favicon.svg",
    "icons.svg",
    "index.html",
    "js/addresses.js",
    "js/api.js",
    "js/chart.js",
    "js/clipboard.js",
    "js/clock.js",
    "js/controls.js",
    "js/dom.js",
    "js/format.js",
    "js/keys.js",
    "js/list.js",
    "js/measure.js",
    "js/playback.js",
    "js/player.js",
    "js/problems.js",
    "js/quality.js",
    "js/quantiles.js",
    "js/report.js",
    "js/seekbar.js",
    "js/session.js",
    "js/stats.js",
    "js/strip.js",
    "js/theme.js",
    "js/timecode.js",
    "player.html",
    "vendor/hls.LICENSE",
    "vendor/hls.min.mjs",
    "vendor/uPlot.LICENSE",
    "vendor/uPlot.iife.min.js",
    "vendor/uPlot.min.css",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    fn names(folder: &Path, prefix: &str, names: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true => self::names(&entry.path(), &format!("{name}/"), names),
                false => drop(names.insert(name)),
            }
        }
    }

    #[test]
    fn every_file_of_the_folder_is_served_with_its_type() {
        let mut found = BTreeSet::new();
        names(&Path::new(env!("CARGO_MANIFEST_DIR")).join("assets"), "", &mut found);
        let listed: BTreeSet<_> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(listed, found);
        for name in &listed {
            assert!(asset(name).is_some(), "{name} has no content type");
        }
    }

    #[test]
    fn pages_name_nothing_that_is_not_there_and_nothing_elsewhere() {
        for page in ["index.html", "player.html"] {
            let text = String::from_utf8(asset(page).unwrap().bytes.to_vec()).unwrap();
            for part in text.split(['"', '\'']).filter(|part| part.starts_with("/assets/")) {
                let path = part.trim_start_matches("/assets/").split('#').next().unwrap();
                assert!(asset(path).is_some(), "{page} names {part}");
            }
            assert!(!text.contains("http://") && !text.contains("https://"), "{page}");
        }
    }
}
