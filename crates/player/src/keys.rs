//! Keys: what somebody types while a stream is played, as actions.

use std::time::Duration;

use crate::Action;

/// Reads actions out of what standard input brings: keys of a terminal as they are pressed, or
/// the letters of the lines of a pipe.
///
/// | Letter | Action |
/// |---|---|
/// | `p` | play on |
/// | `t` | pause |
/// | `q` | stop |
/// | `f SECONDS`, a line of its own from a pipe | seek |
/// | arrow right and left, on a terminal | 10 s forward and back |
#[derive(Debug)]
pub struct Keys {
    is_terminal: bool,
    /// What has come of a line, or of an escape sequence.
    held: Vec<u8>,
    /// The line is longer than any that means something.
    too_long: bool,
}

/// Something that was typed.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// It means this.
    Action(Action),
    /// It means nothing: a sentence about it.
    Unknown(String),
}

/// How far an arrow key goes.
pub const ARROW_STEP: Duration = Duration::from_secs(10);
/// The keys in one line, for who types them.
pub const HELP: &str = "p play, t pause, arrows 10 s, q stop";
const LINE_BYTES_MAX: usize = 256;

impl Keys {
    /// Keys of a terminal, or lines.
    pub fn new(is_terminal: bool) -> Self {
        Keys { is_terminal, held: Vec::new(), too_long: false }
    }

    /// Takes bytes in, cut anywhere; gives what they mean, in their order.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        for &byte in bytes {
            match self.is_terminal {
                true => keys.extend(self.press(byte)),
                false if byte == b'\n' => self.end_line(&mut keys),
                false if self.held.len() < LINE_BYTES_MAX => self.held.push(byte),
                false => self.too_long = true,
            }
        }
        keys
    }

    /// There are no more bytes: a last line may have no end.
    pub fn finish(&mut self) -> Vec<Key> {
        let mut keys = Vec::new();
        if !self.is_terminal {
            self.end_line(&mut keys);
        }
        keys
    }

    fn press(&mut self, byte: u8) -> Option<Key> {
        match (self.held.as_slice(), byte) {
            (_, ESCAPE) => self.held = vec![ESCAPE],
            ([ESCAPE], b'[' | b'O') => self.held.push(byte),
            ([ESCAPE, _], b'C' | b'D') => {
                self.held.clear();
                return Some(Key::Action(match byte {
                    b'C' => Action::Forward(ARROW_STEP),
                    _ => Action::Back(ARROW_STEP),
                }));
            }
            // Parameters of a longer sequence, up to the letter or tilde that ends it.
            ([ESCAPE, _], b'0'..=b'?') => {}
            ([ESCAPE, _], _) => self.held.clear(),
            _ => {
                self.held.clear();
                return letter(char::from(byte));
            }
        }
        None
    }

    fn end_line(&mut self, keys: &mut Vec<Key>) {
        let line = std::mem::take(&mut self.held);
        if std::mem::take(&mut self.too_long) {
            let text = format!("a line of more than {LINE_BYTES_MAX} bytes means nothing here");
            return keys.push(Key::Unknown(text));
        }
        let line = String::from_utf8_lossy(&line);
        match line.trim().strip_prefix('f').filter(|rest| !rest.trim().is_empty()) {
            Some(seconds) => keys.push(seek(seconds.trim())),
            None => keys.extend(line.chars().filter_map(letter)),
        }
    }
}

const ESCAPE: u8 = 0x1b;

fn letter(letter: char) -> Option<Key> {
    Some(match letter.to_ascii_lowercase() {
        'p' => Key::Action(Action::Resume),
        't' => Key::Action(Action::Pause),
        'q' => Key::Action(Action::Stop),
        'f' => Key::Unknown("f wants a place in seconds, as in: f 12.5".to_owned()),
        blank if blank.is_whitespace() => return None,
        other => {
            let other = other.escape_debug();
            Key::Unknown(format!("unknown key {other}: p play, t pause, f SECONDS seek, q stop"))
        }
    })
}

fn seek(text: &str) -> Key {
    let seconds = text.parse().ok().and_then(|number| Duration::try_from_secs_f64(number).ok());
    match seconds {
        Some(place) => Key::Action(Action::Seek(place)),
        None => Key::Unknown(format!("f wants a place in seconds, as in: f 12.5; got {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn actions(keys: &[Key]) -> Vec<Action> {
        let all = keys.iter().filter_map(|key| match key {
            Key::Action(action) => Some(*action),
            Key::Unknown(_) => None,
        });
        all.collect()
    }

    #[test]
    fn a_line_may_hold_several_letters_and_blanks() {
        let keys = Keys::new(false).push(b"tp\r\n Q\n");
        assert_eq!(actions(&keys), [Action::Pause, Action::Resume, Action::Stop]);
        assert_eq!(keys.len(), 3);
    }

    #[test]
    fn letters_count_once_their_line_has_ended() {
        let mut keys = Keys::new(false);
        assert_eq!(keys.push(b"t"), []);
        assert_eq!(actions(&keys.finish()), [Action::Pause]);
        assert_eq!(keys.finish(), []);
    }

    #[test]
    fn a_place_is_sought_by_its_seconds() {
        let keys = Keys::new(false).push(b"f 12.5\nf3\n");
        let places = [Duration::from_millis(12_500), secs(3)].map(Action::Seek);
        assert_eq!(actions(&keys), places);
        for wrong in ["f\n", "f x\n", "f -1\n", "f 1e99\n"] {
            let keys = Keys::new(false).push(wrong.as_bytes());
            assert!(matches!(&keys[..], [Key::Unknown(_)]), "{wrong}: {keys:?}");
        }
    }

    #[test]
    fn unknown_letters_are_named_and_the_others_heard() {
        let keys = Keys::new(false).push(b"txp\n");
        let [_, Key::Unknown(text), _] = &keys[..] else { panic!("{keys:?}") };
        assert!(text.starts_with("unknown key x:"), "{text}");
        assert_eq!(actions(&keys), [Action::Pause, Action::Resume]);
    }

    #[test]
    fn an_endless_line_is_passed_over_and_the_next_one_read() {
        let mut keys = Keys::new(false);
        assert_eq!(keys.push(&[b'x'; 100_000]), []);
        let said = keys.push(b"\nq\n");
        assert_eq!((said.len(), actions(&said)), (2, vec![Action::Stop]));
    }

    #[test]
    fn arrow_keys_seek_on_a_terminal_and_other_sequences_mean_nothing() {
        let keys = Keys::new(true).push(b"\x1b[Ct\x1bOD\x1b[5~\x1b[1;5Ap");
        let forward = Action::Forward(ARROW_STEP);
        let expected = [forward, Action::Pause, Action::Back(ARROW_STEP), Action::Resume];
        assert_eq!((actions(&keys), keys.len()), (expected.to_vec(), 4));
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_read_alike_however_it_is_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            at in 0usize..200,
            is_terminal in any::<bool>(),
        ) {
            let whole = Keys::new(is_terminal).push(&bytes);
            let (before, behind) = bytes.split_at(at.min(bytes.len()));
            let mut cut = Keys::new(is_terminal);
            let mut parts = cut.push(before);
            parts.extend(cut.push(behind));
            prop_assert_eq!(parts, whole);
        }
    }
}
