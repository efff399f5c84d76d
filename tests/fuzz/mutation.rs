//! Inputs out of a corpus. Which ones depends on the seed alone.

use ottla_codegen::random::Rng;

/// The longest input.
const BYTES_MAX: usize = 16 << 10;
/// The most changes of one input.
const CHANGES_MAX: usize = 6;
/// Numbers that are often mistaken.
const INTERESTING: [i64; 18] = [
    0,
    1,
    -1,
    2,
    -2,
    7,
    127,
    128,
    255,
    256,
    32_767,
    65_535,
    1_000_000,
    i32::MAX as i64,
    i32::MIN as i64,
    u32::MAX as i64,
    i64::MAX,
    i64::MIN,
];
/// Unsigned varints that are: huge, too long, negative as a number of 32 bits, too long by far.
const VARINTS: [&[u8]; 5] = [
    b"\x00",
    b"\xff\xff\xff\xff\x07",
    b"\xff\xff\xff\xff\x0f",
    b"\x80\x80\x80\x80\x80\x00",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
];
/// What means something in one of the texts.
const TEXTS: [&str; 24] = [
    ",",
    "=",
    "\\",
    "\n",
    "\0",
    "n,,",
    "r=",
    "c=biws",
    "p=",
    "=2C",
    ":",
    "//",
    "RULE:",
    "DEFAULT",
    "$1",
    "(.*",
    "\\u00",
    "0",
    "-1",
    "9223372036854775808",
    "\u{fffd}",
    "é",
    "[::1]",
    "*",
];

/// Makes inputs.
pub(crate) struct Mutation<'a> {
    rng: &'a mut Rng,
    corpus: &'a [Vec<u8>],
}

impl<'a> Mutation<'a> {
    pub(crate) fn new(rng: &'a mut Rng, corpus: &'a [Vec<u8>]) -> Self {
        Self { rng, corpus }
    }

    /// One of the corpus, changed a few times; now and then noise.
    pub(crate) fn next_input(&mut self) -> Vec<u8> {
        if self.rng.one_in(20) {
            let len = self.rng.below(200);
            return self.rng.bytes(len);
        }
        let mut input = self.any().to_vec();
        for _ in 0..=self.rng.below(CHANGES_MAX) {
            self.change(&mut input);
        }
        input.truncate(BYTES_MAX);
        input
    }

    fn any(&mut self) -> &'a [u8] {
        &self.corpus[self.rng.below(self.corpus.len())]
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let at = self.rng.below(input.len() + 1);
        let len = (1 + self.rng.below(16)).min(input.len() - at);
        match self.rng.below(14) {
            0 | 1 => self.flip(input),
            2 => input[at..at + len].fill(if self.rng.one_in(2) { 0 } else { 0xff }),
            3 => input.truncate(at),
            4 => drop(input.drain(at..at + len)),
            5 => insert(input, at, &input[at..at + len].to_vec().repeat(1 + self.rng.below(4))),
            6 => self.splice(input, at),
            7 => self.number(input, at),
            8 | 9 => self.lie(input, at),
            10 => {
                let varint = VARINTS[self.rng.below(VARINTS.len())];
                insert(input, at, varint);
            }
            11 => self.tagged_fields(input, at),
            12 => {
                let text = TEXTS[self.rng.below(TEXTS.len())];
                insert(input, at, text.as_bytes());
            }
            _ => {
                let noise = self.rng.bytes(len);
                input[at..at + len].copy_from_slice(&noise);
            }
        }
    }

    fn flip(&mut self, input: &mut [u8]) {
        if !input.is_empty() {
            let at = self.rng.below(input.len());
            input[at] ^= 1 << self.rng.below(8);
        }
    }

    /// Goes on as another input does.
    fn splice(&mut self, input: &mut Vec<u8>, at: usize) {
        let other = self.any();
        let from = self.rng.below(other.len() + 1);
        input.truncate(at);
        input.extend_from_slice(&other[from..]);
    }

    /// Puts a number in the place of what stands there.
    fn number(&mut self, input: &mut [u8], at: usize) {
        let number = INTERESTING[self.rng.below(INTERESTING.len())].to_be_bytes();
        let width = 1 << self.rng.below(4);
        if let Some(place) = input.get_mut(at..at + width) {
            place.copy_from_slice(&number[8 - width..]);
        }
    }

    /// Adds a little to a number, which may be a length, or takes it away.
    fn lie(&mut self, input: &mut [u8], at: usize) {
        let width = 1 << self.rng.below(3);
        let Some(place) = input.get_mut(at..at + width) else { return };
        let difference = 1 + self.rng.below(8) as u64;
        let mut number = [0; 8];
        number[8 - width..].copy_from_slice(place);
        let number = u64::from_be_bytes(number);
        let number = if self.rng.one_in(2) { number.wrapping_add(difference) } else { number.wrapping_sub(difference) };
        place.copy_from_slice(&number.to_be_bytes()[8 - width..]);
    }

    /// Tagged fields, in order or not, some longer than they are.
    fn tagged_fields(&mut self, input: &mut Vec<u8>, at: usize) {
        let count = self.rng.below(4);
        let mut fields = vec![u8::try_from(count).expect("a few")];
        for tag in 0..count {
            let len = self.rng.below(5);
            let tag = if self.rng.one_in(4) { self.rng.below(128) } else { tag };
            let said = if self.rng.one_in(4) { self.rng.below(128) } else { len };
            fields.extend([tag, said].map(|number| u8::try_from(number).expect("below 128")));
            fields.extend(self.rng.bytes(len));
        }
        let behind = (at + self.rng.below(2)).min(input.len());
        input.splice(at..behind, fields);
    }
}

fn insert(input: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    input.splice(at..at, bytes.iter().copied());
}
