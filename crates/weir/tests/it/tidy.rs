//! The rules of the tree: who may use whom, and what every crate and page must have.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The crates from the lowest layer to the highest, each with those that it may use. All of them
/// stand further up in this table, so that edges only go downwards.
const CRATES: &[(&str, &[&str])] = &[
    // L0
    ("weir-time", &[]),
    ("weir-media", &["weir-time"]),
    ("weir-link", &["weir-time"]),
    ("weir-record", &["weir-time"]),
    // L1
    ("weir-proto", &["weir-time", "weir-media"]),
    ("weir-codec", &["weir-time", "weir-media"]),
    // L2
    ("weir-net", &["weir-time", "weir-link", "weir-proto"]),
    ("weir-dial", &["weir-time", "weir-media", "weir-proto", "weir-net"]),
    ("weir-emulator", &["weir-time", "weir-link", "weir-record", "weir-proto"]),
    // L3
    (
        "weir-server",
        &["weir-time", "weir-media", "weir-record", "weir-proto", "weir-codec", "weir-net"],
    ),
    (
        "weir-player",
        &[
            "weir-time",
            "weir-media",
            "weir-record",
            "weir-proto",
            "weir-codec",
            "weir-net",
            "weir-dial",
        ],
    ),
    // L5
    (
        "weir",
        &[
            "weir-time",
            "weir-media",
            "weir-link",
            "weir-record",
            "weir-proto",
            "weir-codec",
            "weir-net",
            "weir-dial",
            "weir-emulator",
            "weir-server",
            "weir-player",
        ],
    ),
    // Tools beside the layers
    (
        "weir-fuzz",
        &[
            "weir-time",
            "weir-media",
            "weir-record",
            "weir-proto",
            "weir-codec",
            "weir-player",
            "weir-emulator",
        ],
    ),
    ("weir-bench-floor", &[]),
];

/// Third-party crates that reach clocks, sockets, threads or randomness, and who may use them.
const SYSTEM_CRATES: &[&str] = &[
    "async-std",
    "crossbeam",
    "fastrand",
    "getrandom",
    "io-uring",
    "libc",
    "mio",
    "nix",
    "polling",
    "quinn-udp",
    "rand",
    "rayon",
    "rustix",
    "smol",
    "socket2",
    "tokio",
];
const SYSTEM_CRATE_USERS: &[&str] = &["weir-net", "weir-emulator", "weir-bench-floor"];

/// Crates that may hold unsafe code: the system's calls are made there, or a codec's.
const UNSAFE_ALLOWED: &[&str] = &["weir-net", "weir-codec", "weir-emulator", "weir-bench-floor"];

/// A source file's lines, tests not counted.
const FILE_LINES_MAX: usize = 600;
/// Longer files, and why they are better in one piece.
const LONG_FILES: &[(&str, &str)] = &[];

const ARCHITECTURE_LINES_MAX: usize = 200;

#[test]
fn crates_use_only_crates_below_them() {
    let mut wrong = Vec::new();
    for package in packages() {
        let Some(place) = CRATES.iter().position(|(name, _)| *name == package.name) else {
            wrong.push(format!("{} is missing in the table of layers", package.name));
            continue;
        };
        let below: Vec<&str> = CRATES[..place].iter().map(|(name, _)| *name).collect();
        let allowed = CRATES[place].1;
        assert!(allowed.iter().all(|name| below.contains(name)), "{allowed:?}");
        for (dependency, is_dev) in &package.dependencies {
            let is_ours = CRATES.iter().any(|(name, _)| name == dependency);
            let may_use = if *is_dev { &below[..] } else { allowed };
            if is_ours && !may_use.contains(&dependency.as_str()) {
                wrong.push(format!("{} may not use {dependency}", package.name));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn only_hosts_use_crates_that_reach_the_system() {
    let mut wrong = Vec::new();
    for package in packages() {
        for (dependency, is_dev) in &package.dependencies {
            let reaches = SYSTEM_CRATES.contains(&dependency.as_str());
            if reaches && !is_dev && !SYSTEM_CRATE_USERS.contains(&package.name.as_str()) {
                wrong.push(format!("{} may not use {dependency}", package.name));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_crate_forbids_unsafe_code_except_where_the_system_is_called() {
    let mut wrong = Vec::new();
    for package in packages() {
        if UNSAFE_ALLOWED.contains(&package.name.as_str()) {
            continue;
        }
        let roots = ["src/lib.rs", "src/main.rs"].map(|root| package.folder.join(root));
        for root in roots.iter().filter(|root| root.exists()) {
            if !read(root).contains("#![forbid(unsafe_code)]") {
                wrong.push(format!("{} does not forbid unsafe code", shown(root)));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn every_crate_has_the_lints_and_fields_of_the_workspace() {
    let mut wrong = Vec::new();
    for package in packages() {
        let path = package.folder.join("Cargo.toml");
        let manifest: toml::Table = read(&path).parse().unwrap();
        let inherits = |section: &toml::Value| {
            section.get("workspace").and_then(toml::Value::as_bool) == Some(true)
        };
        if !manifest.get("lints").is_some_and(inherits) {
            wrong.push(format!("{}: `lints` wants workspace = true", shown(&path)));
        }
        for field in ["version", "edition", "rust-version", "license", "publish"] {
            if !manifest["package"].get(field).is_some_and(inherits) {
                wrong.push(format!("{}: {field} wants workspace = true", shown(&path)));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn the_architecture_page_is_short_and_names_every_crate_and_no_path_that_is_not_there() {
    let page = read(&root().join("ARCHITECTURE.md"));
    let mut wrong = Vec::new();
    let lines = page.lines().count();
    if lines > ARCHITECTURE_LINES_MAX {
        wrong.push(format!("it has {lines} lines, {ARCHITECTURE_LINES_MAX} at most"));
    }
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !page.contains(&format!("`crates/{name}`")) {
            wrong.push(format!("it does not name `crates/{name}`"));
        }
    }
    for path in page.split('`').skip(1).step_by(2).filter(|text| looks_like_path(text)) {
        if !root().join(path).exists() {
            wrong.push(format!("it names `{path}`, which is not there"));
        }
    }
    assert_none(&wrong);
}

/// Whether a word in backticks is meant as a path of this tree.
fn looks_like_path(text: &str) -> bool {
    const ENDINGS: [&str; 6] = [".rs", ".md", ".toml", ".py", ".yml", ".lock"];
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    text.bytes().all(plain)
        && !text.starts_with('/')
        && (text.contains('/') || ENDINGS.iter().any(|ending| text.ends_with(ending)))
}

#[test]
fn the_pages_and_licences_of_the_project_are_there() {
    let pages = [
        ("README.md", "weir"),
        ("CHANGELOG.md", "## Unreleased"),
        ("CONTRIBUTING.md", "./check"),
        ("LICENSE-MIT", "MIT License"),
        ("LICENSE-APACHE", "Apache License"),
        ("docs/records.md", "# Records"),
    ];
    let mut wrong = Vec::new();
    for (page, holds) in pages {
        match fs::read_to_string(root().join(page)) {
            Ok(text) if text.contains(holds) => {}
            Ok(_) => wrong.push(format!("{page} does not hold {holds:?}")),
            Err(error) => wrong.push(format!("{page}: {error}")),
        }
    }
    assert_none(&wrong);
}

#[test]
fn no_file_names_a_package_registry_or_a_path_of_one_machine() {
    let needles = [
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("npmjs", ".org"),
        concat!("npmjs", ".com"),
        concat!("proxy.golang", ".org"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
    ];
    let mut wrong = Vec::new();
    for path in files(root()) {
        let is_lock = path.extension().is_some_and(|ending| ending == "lock");
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        for (number, line) in text.lines().enumerate().filter(|_| !is_lock) {
            for needle in needles.iter().filter(|needle| line.contains(*needle)) {
                wrong.push(format!("{}:{} holds {needle}", shown(&path), number + 1));
            }
        }
    }
    assert_none(&wrong);
}

#[test]
fn source_files_are_short() {
    let mut wrong = Vec::new();
    for path in files(root()) {
        let name = shown(&path);
        let is_test = name.contains("/tests/") || name.ends_with("tests.rs");
        if !name.ends_with(".rs") || is_test {
            continue;
        }
        let lines = lines_without_tests(&read(&path));
        let is_excepted = LONG_FILES.iter().any(|(long, _)| *long == name);
        if lines > FILE_LINES_MAX && !is_excepted {
            wrong.push(format!("{name} has {lines} lines: split it by concern"));
        }
        if lines <= FILE_LINES_MAX && is_excepted {
            wrong.push(format!("{name} is short now: it needs no exception"));
        }
    }
    assert_none(&wrong);
}

/// The number of lines before the tests that stand at the end of a file.
fn lines_without_tests(source: &str) -> usize {
    let end = source.find("\n#[cfg(test)]\nmod tests {");
    source[..end.unwrap_or(source.len())].lines().count()
}

#[test]
fn every_fuzz_entry_is_driven_and_every_list_of_targets_is_the_same() {
    let fuzz = root().join("fuzz");
    let in_code = fuzz_entries();
    let driven = fuzz_paths(&read(&fuzz.join("drive/src/targets.rs")));
    assert_eq!(
        driven.keys().collect::<Vec<_>>(),
        in_code.iter().collect::<Vec<_>>(),
        "left: fuzz/drive/src/targets.rs, right: the code"
    );

    let manifest: toml::Table = read(&fuzz.join("Cargo.toml")).parse().unwrap();
    let bins = manifest["bin"].as_array().unwrap();
    let bins: BTreeSet<String> =
        bins.iter().map(|bin| bin["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(bins, in_code, "left: fuzz/Cargo.toml, right: the code");

    let mut harness = BTreeMap::new();
    for path in files(&fuzz.join("fuzz_targets")) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let paths = fuzz_paths(&read(&path));
        assert!(paths.len() == 1 && paths.contains_key(&stem), "{stem}: {paths:?}");
        harness.extend(paths);
    }
    assert_eq!(harness, driven, "left: fuzz/fuzz_targets, right: the driver");
}

/// The names of all `pub fn fuzz_...` in the crates.
fn fuzz_entries() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files(&root().join("crates")) {
        if path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        for line in read(&path).lines() {
            let Some(rest) = line.trim().strip_prefix("pub fn fuzz_") else {
                continue;
            };
            let name = rest.split('(').next().unwrap_or(rest);
            let is_new = names.insert(format!("fuzz_{name}"));
            assert!(is_new, "{} is a second fuzz_{name}", shown(&path));
        }
    }
    names
}

/// Paths such as `weir_x::fuzz::fuzz_y` in a text, by their last part.
fn fuzz_paths(text: &str) -> BTreeMap<String, String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !is_part(c));
    words
        .filter_map(|word| {
            let (_, name) = word.rsplit_once("::")?;
            let is_entry = word.starts_with("weir_") && name.starts_with("fuzz_");
            is_entry.then(|| (name.to_owned(), word.to_owned()))
        })
        .collect()
}

/// A member of the workspace.
struct Package {
    name: String,
    folder: PathBuf,
    /// Names, and whether only tests use them.
    dependencies: Vec<(String, bool)>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {complaint}");
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap();
            Package {
                name: text(&package["name"]),
                folder: PathBuf::from(text(&package["manifest_path"])).parent().unwrap().to_owned(),
                dependencies: dependencies
                    .iter()
                    .map(|dependency| (text(&dependency["name"]), dependency["kind"] == "dev"))
                    .collect(),
            }
        })
        .collect()
}

/// The root of the tree.
fn root() -> &'static Path {
    let this = Path::new(env!("CARGO_MANIFEST_DIR"));
    this.ancestors().nth(2).expect("this crate is crates/weir")
}

/// All files below `folder`, in order, without what is built, found or cached.
fn files(folder: &Path) -> Vec<PathBuf> {
    const LEFT_OUT: [&str; 6] =
        [".git", "artifacts", "coverage", "crashes", "__pycache__", "node_modules"];
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", shown(&folder))) {
            let entry = entry.unwrap();
            let name = entry.file_name();
            let kind = entry.file_type().unwrap();
            // Cargo marks the folders that it builds into.
            let is_built = entry.path().join("CACHEDIR.TAG").exists();
            if kind.is_dir() && !is_built && !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", shown(path)))
}

/// A path as seen from the root.
fn shown(path: &Path) -> String {
    let path = path.strip_prefix(root()).unwrap_or(path);
    path.display().to_string()
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
