//! The files beside the driver: corpora, dictionaries, crashes.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use weir_time::hash;

use crate::targets::Target;

/// The folder `fuzz` of the tree that this program was built from.
fn root() -> &'static Path {
    let drive = Path::new(env!("CARGO_MANIFEST_DIR"));
    drive.parent().expect("the driver stands in fuzz/drive")
}

/// The seeds of `target`, by name.
pub(crate) fn corpus(target: &Target) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let folder = root().join("corpus").join(target.name());
    let mut paths = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
        paths.push(entry?.path());
    }
    paths.sort();
    paths.into_iter().map(|path| read(&path).map(|bytes| (path, bytes))).collect()
}

/// The words of `target`'s dictionary.
pub(crate) fn dictionary(target: &Target) -> Result<Vec<Vec<u8>>> {
    let Some(name) = target.dictionary else {
        return Ok(Vec::new());
    };
    let path = root().join("dictionaries").join(format!("{name}.dict"));
    let bytes = read(&path)?;
    let text = String::from_utf8(bytes).with_context(|| path.display().to_string())?;
    let lines = text.lines().enumerate();
    let words = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    words
        .map(|(number, line)| {
            word(line).with_context(|| format!("{}:{}", path.display(), number + 1))
        })
        .collect()
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| path.display().to_string())
}

/// Keeps an input on which `target` failed, and says where.
pub(crate) fn keep_crash(target: &Target, input: &[u8]) -> Result<PathBuf> {
    let folder = root().join("crashes");
    fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let name = format!("{}-{:016x}", target.name(), digest(input));
    let path = folder.join(name);
    fs::write(&path, input).with_context(|| path.display().to_string())?;
    Ok(path)
}

/// A number for `bytes`.
pub(crate) fn digest(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |state, byte| hash([state, u64::from(*byte)]))
}

/// One line of a dictionary in libFuzzer's form: a word in quotation marks, with `\\`, `\"` and
/// `\xAB`.
fn word(line: &str) -> Result<Vec<u8>> {
    let quoted = line
        .trim()
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .context("a word stands in quotation marks")?;
    let mut word = Vec::new();
    let mut bytes = quoted.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            word.push(byte);
            continue;
        }
        match bytes.next() {
            Some(plain @ (b'\\' | b'"')) => word.push(plain),
            Some(b'x') => {
                let digits = [bytes.next(), bytes.next()];
                let [Some(high), Some(low)] = digits.map(|digit| hex_value(digit?)) else {
                    bail!(r"\x wants two digits behind it");
                };
                word.push(high << 4 | low);
            }
            _ => bail!(r#"a backslash wants \, " or x behind it"#),
        }
    }
    Ok(word)
}

fn hex_value(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::targets::TARGETS;

    #[test]
    fn words_are_read_with_their_escapes() {
        assert_eq!(word(r#""a\\b\"\x0d\xFF""#).expect("it is right"), b"a\\b\"\r\xff");
        for wrong in ["a", "\"a", r#""\n""#, r#""\xg0""#, r#""\x0""#] {
            assert!(word(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_target_has_seeds_and_a_dictionary_that_can_be_read() {
        for target in TARGETS {
            let seeds = corpus(target).expect("there is a corpus");
            assert!(!seeds.is_empty(), "{} has no seed", target.name());
            let words = dictionary(target).expect("the dictionary can be read");
            assert_eq!(words.is_empty(), target.dictionary.is_none());
        }
    }
}
