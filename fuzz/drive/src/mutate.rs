//! Seeded mutations of inputs.

use weir_time::Random;

/// Makes inputs of the corpus and the dictionary. What it makes depends on its seed alone.
pub(crate) struct Mutator {
    random: Random,
    corpus: Vec<Vec<u8>>,
    dictionary: Vec<Vec<u8>>,
}

/// A change of an input in place.
type Mutation = fn(&mut Mutator, &mut Vec<u8>);

const MUTATIONS: [Mutation; 11] = [
    |mutator, input| mutator.flip_bit(input),
    |mutator, input| mutator.set_byte(input),
    |mutator, input| mutator.add_to_byte(input),
    Mutator::set_number,
    Mutator::insert_bytes,
    Mutator::insert_word,
    |mutator, input| mutator.overwrite_with_word(input),
    Mutator::remove,
    Mutator::repeat,
    Mutator::splice,
    Mutator::truncate,
];

/// Most changes to one input; most inputs get few.
const CHANGES_MAX: u64 = 12;
/// Inputs do not grow past this, or past the longest of the corpus.
pub(crate) const INPUT_BYTES_MAX: usize = 16 * 1024;
/// Most bytes that one change inserts or repeats.
const STRETCH_BYTES_MAX: usize = 512;
/// Numbers at which parsers err, cut to the width that is written.
const NUMBERS: [u64; 18] = [
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    16,
    32,
    64,
    100,
    0x7f,
    0x80,
    0xff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_8000_8000,
    0xffff_ffff_ffff_fffe,
    0xffff_ffff_ffff_ffff,
];

impl Mutator {
    /// A mutator of `corpus`, with the words of `dictionary`. An empty corpus holds one empty
    /// input.
    pub(crate) fn new(seed: u64, mut corpus: Vec<Vec<u8>>, dictionary: Vec<Vec<u8>>) -> Self {
        if corpus.is_empty() {
            corpus.push(Vec::new());
        }
        Mutator { random: Random::new(seed), corpus, dictionary }
    }

    /// The next input.
    pub(crate) fn next_input(&mut self) -> Vec<u8> {
        let which = self.below(self.corpus.len());
        let mut input = self.corpus[which].clone();
        let bytes_max = input.len().max(INPUT_BYTES_MAX);
        // Half of the inputs have one change, a quarter two, and so on.
        let changes = (u64::from(self.random.next_u64().trailing_zeros()) + 1).min(CHANGES_MAX);
        for _ in 0..changes {
            MUTATIONS[self.below(MUTATIONS.len())](self, &mut input);
        }
        input.truncate(bytes_max);
        input
    }

    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound.max(1) as u64) as usize
    }

    /// A place in `input`, its end included.
    fn place(&mut self, input: &[u8]) -> usize {
        self.below(input.len() + 1)
    }

    /// A stretch of `input`, from its start to its end.
    fn stretch(&mut self, input: &[u8]) -> std::ops::Range<usize> {
        let start = self.place(input);
        let len_max = (input.len() - start).min(STRETCH_BYTES_MAX);
        start..start + self.below(len_max + 1)
    }

    fn byte<'a>(&mut self, input: &'a mut [u8]) -> Option<&'a mut u8> {
        let at = self.below(input.len());
        input.get_mut(at)
    }

    fn word(&mut self) -> Vec<u8> {
        let which = self.below(self.dictionary.len());
        self.dictionary.get(which).cloned().unwrap_or_default()
    }

    fn flip_bit(&mut self, input: &mut [u8]) {
        let bit = self.below(8);
        if let Some(byte) = self.byte(input) {
            *byte ^= 1 << bit;
        }
    }

    fn set_byte(&mut self, input: &mut [u8]) {
        let value = self.random.next_u64() as u8;
        if let Some(byte) = self.byte(input) {
            *byte = value;
        }
    }

    fn add_to_byte(&mut self, input: &mut [u8]) {
        let step = self.below(33) as u8;
        if let Some(byte) = self.byte(input) {
            *byte = byte.wrapping_add(step).wrapping_sub(16);
        }
    }

    /// Writes a number over the input: binary of 1 to 8 bytes, or decimal.
    fn set_number(&mut self, input: &mut Vec<u8>) {
        let number = NUMBERS[self.below(NUMBERS.len())];
        let at = self.place(input);
        if self.below(4) == 0 {
            let digits_end = input[at..]
                .iter()
                .position(|byte| !byte.is_ascii_digit())
                .map_or(input.len(), |digits| at + digits);
            input.splice(at..digits_end, number.to_string().into_bytes());
        } else {
            let width = 1 << self.below(4);
            overwrite(input, at, &number.to_be_bytes()[8 - width..]);
        }
    }

    fn insert_bytes(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input);
        let value = self.random.next_u64() as u8;
        let count = 1 + self.below(16);
        input.splice(at..at, std::iter::repeat_n(value, count));
    }

    fn insert_word(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input);
        let word = self.word();
        input.splice(at..at, word);
    }

    fn overwrite_with_word(&mut self, input: &mut [u8]) {
        let at = self.place(input);
        let word = self.word();
        overwrite(input, at, &word);
    }

    fn remove(&mut self, input: &mut Vec<u8>) {
        let stretch = self.stretch(input);
        input.drain(stretch);
    }

    /// Puts a stretch of the input somewhere else, once or many times.
    fn repeat(&mut self, input: &mut Vec<u8>) {
        let stretch = self.stretch(input);
        let times = if self.below(8) == 0 { 64 } else { 1 };
        let copy = input[stretch].repeat(times);
        let at = self.place(input);
        input.splice(at..at, copy);
    }

    /// Goes on with the end of another input of the corpus.
    fn splice(&mut self, input: &mut Vec<u8>) {
        let which = self.below(self.corpus.len());
        let from = self.below(self.corpus[which].len() + 1);
        let at = self.place(input);
        input.truncate(at);
        input.extend_from_slice(&self.corpus[which][from..]);
    }

    fn truncate(&mut self, input: &mut Vec<u8>) {
        let at = self.place(input);
        input.truncate(at);
    }
}

/// Writes `bytes` over `input` from `at`, as far as it goes.
fn overwrite(input: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in input[at..].iter_mut().zip(bytes) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutator(seed: u64) -> Mutator {
        let corpus = vec![b"a first input".to_vec(), Vec::new(), vec![0; 40]];
        Mutator::new(seed, corpus, vec![b"word".to_vec()])
    }

    #[test]
    fn the_same_seed_gives_the_same_inputs_and_another_seed_others() {
        let draw = |seed| {
            let mut mutator = mutator(seed);
            (0..50).map(|_| mutator.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn inputs_differ_and_stay_within_their_bound() {
        let mut mutator = mutator(3);
        let mut inputs: Vec<_> = (0..20_000).map(|_| mutator.next_input()).collect();
        assert!(inputs.iter().all(|input| input.len() <= INPUT_BYTES_MAX));
        inputs.sort_unstable();
        inputs.dedup();
        assert!(inputs.len() > 5_000, "{} are left", inputs.len());
    }

    #[test]
    fn without_a_corpus_inputs_come_from_nothing() {
        let mut mutator = Mutator::new(1, Vec::new(), Vec::new());
        assert!((0..1000).any(|_| !mutator.next_input().is_empty()));
    }
}
