//! Text of bounded length.

use core::fmt;
use core::ops::Deref;

use serde::{Deserialize, Serialize};

/// The most bytes that a [`Text`] holds.
pub const TEXT_BYTES_MAX: usize = 1024;

/// A text in a record, of at most [`TEXT_BYTES_MAX`] bytes.
///
/// Peers choose many of the texts that are recorded (user agents, paths, reasons). A longer one
/// is cut and ends in an ellipsis, so that a full queue of records has a known size.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Text(Box<str>);

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        if text.len() <= TEXT_BYTES_MAX {
            return Text(text.into());
        }
        let end = text.floor_char_boundary(TEXT_BYTES_MAX - ELLIPSIS.len());
        Text([text.get(..end).unwrap_or_default(), ELLIPSIS].concat().into())
    }
}

const ELLIPSIS: &str = "…";

impl From<String> for Text {
    fn from(text: String) -> Self {
        if text.len() <= TEXT_BYTES_MAX {
            return Text(text.into());
        }
        Text::from(text.as_str())
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters_and_says_so() {
        let text = Text::from("ä".repeat(TEXT_BYTES_MAX));
        assert!(text.len() <= TEXT_BYTES_MAX && text.len() > TEXT_BYTES_MAX - 4);
        assert!(text.ends_with("ä…"));
    }

    #[test]
    fn a_text_of_the_greatest_length_is_kept_whole() {
        let whole = "a".repeat(TEXT_BYTES_MAX);
        assert_eq!(&*Text::from(whole.as_str()), whole);
    }
}
