//! `weir.toml`: every key with its meaning, in one place.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use weir_net::open_regular;
use weir_server::PatternSettings;

use crate::pattern::Size;
use crate::records::RecordLevel;

/// The file that is read where no other is named, if it is there.
pub(crate) const DEFAULT_FILE: &str = "weir.toml";

/// Settings of `weir serve`. An option on the command line wins over a key here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    /// Movies, and folders of movies, to serve. Example: ["films", "talk.mp4"]
    pub(crate) movies: Vec<PathBuf>,
    /// Movies to show as live streams that never end. Example: ["loop.mp4"]
    pub(crate) live: Vec<PathBuf>,
    /// The address to listen on: all of IPv4 and IPv6 by default, "0.0.0.0" for all of IPv4
    /// alone. Example: "127.0.0.1"
    pub(crate) bind: Option<IpAddr>,
    /// Where viewers of a live stream begin: "keyframe", at the newest one that is there (a
    /// picture at once), or "live", at the next one (less delay). Example: "keyframe"
    pub(crate) start: Option<Start>,
    /// Threads that deliver; one a core by default. Example: 2
    pub(crate) shards: Option<usize>,
    /// Memory for packed movies, in MiB: 1 to 1048576. Example: 256
    pub(crate) cache_mib: Option<usize>,
    /// RTSP and the RTP that it controls.
    pub(crate) rtsp: Rtsp,
    /// HTTP: pages, movies, the API.
    pub(crate) http: Http,
    /// What is written down of the run.
    pub(crate) record: Record,
    /// A live stream that is made here, under a name of your choice.
    pub(crate) streams: BTreeMap<String, Stream>,
}

/// A live stream that is made here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Stream {
    /// What it shows: "pattern", the test pattern. Example: "pattern"
    pub(crate) source: Option<StreamSource>,
    /// Width and height of its pictures; 1280x720 by default. Example: "1280x720"
    pub(crate) size: Option<String>,
    /// Its pictures a second; 30 by default. Example: 30
    pub(crate) fps: Option<f64>,
    /// Thousands of bits a second of its picture; by default what goes with the size.
    /// Example: 2700
    pub(crate) bitrate_kbps: Option<u32>,
}

/// What a live stream shows.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StreamSource {
    /// The test pattern.
    Pattern,
}

impl Config {
    /// The test patterns among the streams, by their names.
    pub(crate) fn patterns(&self) -> anyhow::Result<BTreeMap<String, PatternSettings>> {
        let pattern = |(name, stream): (&String, &Stream)| {
            let settings =
                stream.pattern().with_context(|| format!("streams.{name} cannot be made"))?;
            Ok((name.clone(), settings))
        };
        self.streams.iter().map(pattern).collect()
    }
}

impl Stream {
    fn pattern(&self) -> anyhow::Result<PatternSettings> {
        let Some(StreamSource::Pattern) = self.source else {
            bail!("it has no source: expected source = \"pattern\"");
        };
        let mut settings = PatternSettings::default();
        if let Some(size) = &self.size {
            let Size { width, height } = size.parse().map_err(|e| anyhow!("size: {e}"))?;
            (settings.width, settings.height) = (width, height);
        }
        if let Some(fps) = self.fps {
            settings.frame_rate = fps.to_string().parse().context("fps")?;
        }
        settings.bitrate_bps = self.bitrate_kbps.map(|kbps| kbps.saturating_mul(1_000));
        Ok(settings)
    }
}

/// RTSP and the RTP that it controls.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Rtsp {
    /// The TCP port; 0 for any free one. Example: 8554
    pub(crate) port: Option<u16>,
    /// The UDP port from which RTP leaves, an even one; RTCP has the next. 0 for any free pair.
    /// Example: 0
    pub(crate) rtp_port: Option<u16>,
    /// Seconds that a session lives without a sign of life. Example: 60
    pub(crate) session_timeout_s: Option<u64>,
    /// Congestion control of media over TCP, by its kernel name; the system's own by default.
    /// Example: "cubic"
    pub(crate) congestion: Option<String>,
}

/// HTTP: pages, movies, the API.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Http {
    /// Whether there is any. Example: true
    pub(crate) enabled: Option<bool>,
    /// The TCP port; 0 for any free one. Example: 8080
    pub(crate) port: Option<u16>,
    /// Connections that may stand at a time; further ones get a 503. Example: 20000
    pub(crate) connections_max: Option<u64>,
}

/// What is written down of the run.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Record {
    /// The file for records, as JSON lines. Example: "run.jsonl"
    pub(crate) file: Option<PathBuf>,
    /// How much: "event", "second" or "packet". Example: "second"
    pub(crate) level: Option<RecordLevel>,
}

/// Where viewers of a live stream begin.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Start {
    /// At the newest key frame that is there.
    Keyframe,
    /// At the next key frame.
    Live,
}

/// Reads `file`, or `weir.toml` of this folder if it is there.
pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Config> {
    let path = file.unwrap_or(Path::new(DEFAULT_FILE));
    if file.is_none() && !path.exists() {
        return Ok(Config::default());
    }
    let read = || open_regular(path).and_then(std::io::read_to_string);
    let text = read().with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text).with_context(|| path.display().to_string())
}

fn parse(text: &str) -> anyhow::Result<Config> {
    let table: toml::Table = toml::from_str(text)?;
    check(&table, "", &keys())?;
    Ok(toml::from_str(text)?)
}

/// One key, with the path that leads to it.
struct Key {
    path: String,
    meaning: String,
    example: Option<String>,
}

impl Key {
    /// Whether a path is that of a table of any name, of which this is a key.
    fn is_any_of(&self, path: &str) -> bool {
        let Some((table, _)) = path.rsplit_once('.') else { return false };
        let rest = self.path.strip_prefix(table).and_then(|rest| rest.strip_prefix('.'));
        rest.and_then(|rest| rest.strip_prefix(ANY_NAME)).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// What stands for a name in the path of a key.
const ANY_NAME: &str = "NAME";

/// All keys, as the types above have them.
fn keys() -> Vec<Key> {
    let schema = schemars::schema_for!(Config).to_value();
    let mut keys = Vec::new();
    collect(&schema, &schema, "", &mut keys);
    keys
}

fn collect(schema: &Value, root: &Value, prefix: &str, keys: &mut Vec<Key>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return };
    for (name, property) in properties {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let described = property.get("description").and_then(Value::as_str).unwrap_or_default();
        let described = described.split_whitespace().collect::<Vec<_>>().join(" ");
        let (meaning, example) = match described.split_once("Example: ") {
            Some((meaning, example)) => (meaning.trim().to_owned(), Some(example.to_owned())),
            None => (described, None),
        };
        keys.push(Key { path: path.clone(), meaning, example });
        // A table of named ones: what holds for any name.
        let (named, path) = match property.get("additionalProperties") {
            Some(named) if named.is_object() => (Some(named), format!("{path}.{ANY_NAME}")),
            _ => (None, path),
        };
        if named.is_some() {
            let meaning = keys.last().map(|key| key.meaning.clone()).unwrap_or_default();
            keys.push(Key { path: path.clone(), meaning, example: None });
        }
        let target = named.unwrap_or(property).get("$ref").and_then(Value::as_str);
        let target = target.and_then(|target| root.pointer(target.trim_start_matches('#')));
        if let Some(target) = target {
            collect(target, root, &path, keys);
        }
    }
}

fn check(table: &toml::Table, prefix: &str, keys: &[Key]) -> anyhow::Result<()> {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        if !keys.iter().any(|key| key.path == path || key.is_any_of(&path)) {
            match nearest(&path, keys) {
                Some(nearest) => bail!("there is no key {path:?}; did you mean {nearest:?}?"),
                None => bail!("there is no key {path:?}"),
            }
        }
        if let toml::Value::Table(inner) = value {
            let is_named = keys.iter().any(|key| key.is_any_of(&path));
            let path = if is_named { format!("{prefix}.{ANY_NAME}") } else { path };
            check(inner, &path, keys)?;
        }
    }
    Ok(())
}

/// The key that was probably meant: by its whole path, or by its name in another section.
fn nearest<'a>(path: &str, keys: &'a [Key]) -> Option<&'a str> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let name = last(path);
    let distance = |key: &Key| {
        let whole = strsim::damerau_levenshtein(&key.path, path);
        (whole.min(strsim::damerau_levenshtein(&last(&key.path), &name)), whole)
    };
    keys.iter().min_by_key(|key| (distance(key), &key.path)).map(|key| &*key.path)
}

/// A file with every key, each with its meaning, all commented out.
pub(crate) fn sample() -> String {
    let mut out =
        String::from("# weir.toml: settings of `weir serve`. Every key may be left out.\n");
    let (sections, keys): (Vec<_>, Vec<_>) =
        keys().into_iter().partition(|key| key.example.is_none());
    let mut write = |section: Option<&Key>| {
        let is_of = |key: &Key, section: &Key| {
            key.path.rsplit_once('.').is_some_and(|(of, _)| of == section.path)
        };
        if let Some(section) = section {
            if !keys.iter().any(|key| is_of(key, section)) {
                return;
            }
            // A table of any name would make something, also without a key.
            let comment = if section.path.ends_with(ANY_NAME) { "# " } else { "" };
            out += &format!("\n# {}\n{comment}[{}]\n", section.meaning, section.path);
        }
        for key in &keys {
            let (of, name) = key.path.rsplit_once('.').unwrap_or(("", &key.path));
            if of == section.map_or("", |section| &section.path) {
                let example = key.example.as_deref().unwrap_or_default();
                out += &format!("\n# {}\n# {name} = {example}\n", key.meaning);
            }
        }
    };
    write(None);
    for section in &sections {
        write(Some(section));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_key_is_refused_with_the_nearest_right_one() {
        let error = parse("[rtsp]\nprot = 1\n").unwrap_err().to_string();
        assert_eq!(error, "there is no key \"rtsp.prot\"; did you mean \"rtsp.port\"?");
        let error = parse("cache_mb = 1\n").unwrap_err().to_string();
        assert_eq!(error, "there is no key \"cache_mb\"; did you mean \"cache_mib\"?");
    }

    #[test]
    fn a_stream_of_any_name_is_read_and_what_is_wrong_with_it_is_named() {
        let config = parse("[streams.\"my test\"]\nsource = \"pattern\"\nfps = 29.97\n").unwrap();
        let patterns = config.patterns().unwrap();
        assert_eq!(patterns["my test"].frame_rate.to_string(), "29.97");
        let error = parse("[streams.x]\nsorce = \"pattern\"\n").unwrap_err().to_string();
        assert!(error.ends_with("did you mean \"streams.NAME.source\"?"), "{error}");
        let error = parse("[streams.x]\nsize = \"1x1\"\n").unwrap().patterns().unwrap_err();
        assert!(format!("{error:#}").contains("streams.x cannot be made: it has no source"));
    }

    #[test]
    fn a_key_in_the_wrong_section_is_told_its_right_one() {
        for (text, right) in [
            ("port = 1\n", "http.port"),
            ("[record]\nport = 1\n", "rtsp.port"),
            ("[rtsp]\nshards = 1\n", "shards"),
            ("levle = \"event\"\n", "record.level"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.ends_with(&format!("did you mean {right:?}?")), "{error}");
        }
    }

    #[test]
    fn a_value_of_the_wrong_kind_is_refused_with_its_place() {
        let error = parse("[rtsp]\nport = 70000\n").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }

    #[test]
    fn the_sample_holds_every_key_and_its_examples_are_right() {
        let text = sample();
        let uncommented: String = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.contains(" = ") && !rest.contains(": ") => rest,
                Some(rest) if rest.starts_with('[') => rest,
                _ => line,
            })
            .fold(String::new(), |out, line| out + line + "\n");
        let config = parse(&uncommented).unwrap();
        assert_eq!(config.rtsp.port, Some(8554));
        assert_eq!(config.record.file, Some(PathBuf::from("run.jsonl")));
        assert_eq!(config.patterns().unwrap().len(), 1);
        assert_eq!(
            uncommented.matches(" = ").count(),
            keys().iter().filter(|k| k.example.is_some()).count()
        );
    }
}
