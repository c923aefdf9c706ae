//! Entropy-coded data into the form that needs no tables of its own: the standard Huffman codes,
//! components interleaved by their least sampling factors. No coefficient changes.

use std::borrow::Cow;

use super::huffman::{Decoder, Encoder, STANDARD_CHROMA, STANDARD_LUMA};
use super::marker::{RST0, RST7, entropy_bytes};
use super::{CodeTable, Head, IMAGE, Process};
use crate::Error;

/// The scan of an image with standard codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recoded<'a> {
    /// Entropy-coded data, restart markers included, EOI not. The first component uses
    /// [`STANDARD_LUMA`], all others [`STANDARD_CHROMA`].
    pub entropy: Cow<'a, [u8]>,
    /// MCUs between restart markers; 0 where there are none.
    pub restart_interval: u16,
    /// What is wrong with the data of the image, of which all rows before are here.
    pub damage: Option<Error>,
}

/// Codes the first scan of an image with the standard tables. Data that use them already are
/// handed back as they are, and not looked at.
///
/// Encoders may write factors that have a divisor in common (4:2:2 as 2x2, 1x2, 1x2); then the
/// blocks come in the order of the least factors (2x1, 1x1, 1x1), and without restart markers.
///
/// # Errors
/// When the image is not sequential with samples of 8 bits, its first scan does not hold all
/// components in their order, or a table is missing.
pub fn recode<'a>(image: &'a [u8], head: &Head) -> Result<Recoded<'a>, Error> {
    let is_sequential = matches!(head.process, Process::Baseline | Process::Extended);
    if !is_sequential || head.sample_bits != 8 {
        let reason = format!("it is {}, with samples of {} bits", head.process, head.sample_bits);
        return Err(Error::unsupported("recoding a JPEG image", reason));
    }
    if !head.scan.iter().map(|of| of.component).eq(0..head.components.len()) {
        let reason = "its components are not all in one scan in their order";
        return Err(Error::unsupported("recoding a JPEG image", reason));
    }
    let data = image.get(head.scan_at..).unwrap_or(&[]);
    let data = data.get(..entropy_bytes(data)).unwrap_or(data);
    let lines = Lines::of(head);
    let mut codes = Vec::with_capacity(head.scan.len());
    let mut is_standard = !lines.reorders();
    for of in &head.scan {
        let (Some(dc), Some(ac)) = (head.dc_codes(of), head.ac_codes(of)) else {
            let reason = format!("tables of Huffman codes {} and {} are missing", of.dc, of.ac);
            return Err(Error::syntax(IMAGE, head.scan_at, reason));
        };
        is_standard &= [dc, ac] == standard(of.component).each_ref();
        codes.push((dc, ac));
    }
    if is_standard {
        let (entropy, restart_interval) = (Cow::Borrowed(data), head.restart_interval);
        return Ok(Recoded { entropy, restart_interval, damage: None });
    }
    let restart_interval = if lines.reorders() { 0 } else { head.restart_interval };
    let source = Source::new(data, head.restart_interval, &codes);
    let target = Target::new(data.len(), restart_interval, codes.len());
    let (entropy, damage) = lines.recode(source, target);
    let damage = damage.map(|(at, reason)| Error::syntax(IMAGE, head.scan_at + at, reason));
    Ok(Recoded { entropy: Cow::Owned(entropy), restart_interval, damage })
}

fn standard(component: usize) -> &'static [CodeTable; 2] {
    if component == 0 { &STANDARD_LUMA } else { &STANDARD_CHROMA }
}

/// How blocks lie in MCUs: those of the source, each of which covers `across` times `down` of the
/// target.
struct Lines {
    /// Of each component in the target, horizontal and vertical.
    factors: Vec<(usize, usize)>,
    across: usize,
    down: usize,
    /// MCUs of the source.
    columns: usize,
    rows: usize,
    /// MCUs of the target.
    target_columns: usize,
    target_rows: usize,
}

/// What is wrong, and where in the entropy-coded data.
type Fault = (usize, String);

impl Lines {
    fn of(head: &Head) -> Lines {
        let (mut across, mut down) = head.common_factors();
        let mut factors: Vec<_> = head.reduced_factors();
        if let [only] = &mut factors[..] {
            // A scan of one component is a row of blocks, whatever its factors (section A.2.2).
            (*only, across, down) = ((1, 1), 1, 1);
        }
        let factors: Vec<_> = factors.iter().map(|&(h, v)| (h.into(), v.into())).collect();
        let (across, down) = (usize::from(across), usize::from(down));
        let greatest_across = factors.iter().map(|&(h, _)| h).max().unwrap_or(1);
        let greatest_down = factors.iter().map(|&(_, v)| v).max().unwrap_or(1);
        let count = |pixels: u16, factor: usize| usize::from(pixels).div_ceil(8 * factor);
        Lines {
            columns: count(head.width, greatest_across * across),
            rows: count(head.height, greatest_down * down),
            target_columns: count(head.width, greatest_across),
            target_rows: count(head.height, greatest_down),
            factors,
            across,
            down,
        }
    }

    fn reorders(&self) -> bool {
        self.across * self.down > 1
    }

    fn recode(&self, mut source: Source<'_>, mut target: Target) -> (Vec<u8>, Option<Fault>) {
        let mut planes = vec![Vec::new(); self.factors.len()];
        let mut tokens = Vec::new();
        for row in 0..self.rows {
            tokens.clear();
            if let Err(reason) = self.read_row(&mut source, &mut planes, &mut tokens) {
                return (target.finish(), Some((source.at, reason)));
            }
            let first = row * self.down;
            for line in 0..self.down.min(self.target_rows.saturating_sub(first)) {
                if let Err(reason) = self.write_row(line, &planes, &tokens, &mut target) {
                    return (target.finish(), Some((source.at, reason)));
                }
            }
        }
        (target.finish(), None)
    }

    /// Blocks of a component in a row of MCUs of the source, from left to right.
    fn blocks_across(&self, component: usize) -> usize {
        let across = self.factors.get(component).map_or(1, |factors| factors.0);
        self.columns * across * self.across
    }

    /// Reads a row of MCUs: each component's blocks, by lines.
    fn read_row(
        &self,
        source: &mut Source<'_>,
        planes: &mut [Vec<Block>],
        tokens: &mut Vec<Token>,
    ) -> Result<(), String> {
        for (component, (plane, (_, v))) in planes.iter_mut().zip(&self.factors).enumerate() {
            plane.clear();
            plane.resize(self.blocks_across(component) * v * self.down, Block::default());
        }
        for column in 0..self.columns {
            source.start_mcu()?;
            for (component, (plane, &(h, v))) in planes.iter_mut().zip(&self.factors).enumerate() {
                let (h, stride) = (h * self.across, self.blocks_across(component));
                for line in 0..v * self.down {
                    for x in 0..h {
                        let block = source.block(component, tokens)?;
                        if let Some(place) = plane.get_mut(line * stride + column * h + x) {
                            *place = block;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Writes a row of MCUs of the target: the one with this number in a row of the source.
    fn write_row(
        &self,
        line: usize,
        planes: &[Vec<Block>],
        tokens: &[Token],
        target: &mut Target,
    ) -> Result<(), String> {
        for column in 0..self.target_columns {
            target.start_mcu();
            for (component, (plane, &(h, v))) in planes.iter().zip(&self.factors).enumerate() {
                let stride = self.blocks_across(component);
                for y in line * v..(line + 1) * v {
                    let first = y * stride + column * h;
                    for block in plane.get(first..first + h).unwrap_or(&[]) {
                        let ac = tokens.get(block.first..block.first + block.count);
                        target.block(component, block.dc, ac.unwrap_or(&[]))?;
                    }
                }
            }
        }
        Ok(())
    }
}

/// A block: its DC coefficient and where its AC coefficients are among the tokens.
#[derive(Clone, Copy, Default)]
struct Block {
    dc: i32,
    first: usize,
    count: usize,
}

/// One AC symbol with its further bits.
#[derive(Clone, Copy)]
struct Token {
    symbol: u8,
    more: u16,
}

struct Source<'a> {
    data: &'a [u8],
    at: usize,
    /// Bits read ahead, from the highest on.
    buffer: u64,
    bits: u32,
    restart_interval: u32,
    mcus: u32,
    decoders: Vec<(Decoder, Decoder)>,
    dc: Vec<i32>,
}

impl<'a> Source<'a> {
    fn new(data: &'a [u8], restart_interval: u16, codes: &[(&CodeTable, &CodeTable)]) -> Self {
        let decoders = codes.iter().map(|(dc, ac)| (Decoder::new(dc), Decoder::new(ac)));
        Source {
            data,
            at: 0,
            buffer: 0,
            bits: 0,
            restart_interval: restart_interval.into(),
            mcus: 0,
            decoders: decoders.collect(),
            dc: vec![0; codes.len()],
        }
    }

    /// Passes over a restart marker where one is due (section F.2.1.3.1).
    fn start_mcu(&mut self) -> Result<(), String> {
        if self.restart_interval > 0 && self.mcus == self.restart_interval {
            self.mcus = 0;
            (self.buffer, self.bits) = (0, 0);
            self.dc.fill(0);
            while self.data.get(self.at) == Some(&0xff) && self.data.get(self.at + 1) == Some(&0xff)
            {
                self.at += 1;
            }
            match self.data.get(self.at..self.at + 2) {
                Some([0xff, RST0..=RST7]) => self.at += 2,
                _ => return Err("a restart marker expected".to_owned()),
            }
        }
        self.mcus += 1;
        Ok(())
    }

    fn block(&mut self, component: usize, tokens: &mut Vec<Token>) -> Result<Block, String> {
        let first = tokens.len();
        let category = u32::from(self.symbol(component, false)?);
        if category > DC_CATEGORY_MAX {
            return Err(format!("DC category {category}, at most {DC_CATEGORY_MAX} expected"));
        }
        let difference = extend(self.take(category)?, category);
        let Some(dc) = self.dc.get_mut(component) else {
            return Err("no such component".to_owned());
        };
        *dc = dc.wrapping_add(difference);
        let dc = *dc;
        let mut place = 0;
        while place < 63 {
            let symbol = self.symbol(component, true)?;
            let (run, size) = (u32::from(symbol >> 4), u32::from(symbol & 15));
            let more = self.take(size)? as u16;
            if symbol == END_OF_BLOCK {
                tokens.push(Token { symbol, more });
                break;
            }
            place += run + 1;
            if place > 63 {
                return Err("a block of more than 64 coefficients".to_owned());
            }
            tokens.push(Token { symbol, more });
        }
        Ok(Block { dc, first, count: tokens.len() - first })
    }

    #[inline]
    fn symbol(&mut self, component: usize, is_ac: bool) -> Result<u8, String> {
        self.fill();
        let next = (self.buffer >> 48) as u32;
        let decoders = self.decoders.get(component);
        let decoder = decoders.map(|(dc, ac)| if is_ac { ac } else { dc });
        match decoder.and_then(|decoder| decoder.find(next)) {
            Some((bits, symbol)) if bits <= self.bits => {
                self.drop_bits(bits);
                Ok(symbol)
            }
            _ if self.bits < 16 => Err("the data end".to_owned()),
            _ => Err("bits that are no Huffman code".to_owned()),
        }
    }

    /// The next bits, 16 at most.
    #[inline]
    fn take(&mut self, bits: u32) -> Result<u32, String> {
        if bits == 0 {
            return Ok(0);
        }
        self.fill();
        if bits > self.bits {
            return Err("the data end".to_owned());
        }
        let value = (self.buffer >> (64 - bits)) as u32;
        self.drop_bits(bits);
        Ok(value)
    }

    #[inline]
    fn drop_bits(&mut self, bits: u32) {
        self.buffer <<= bits;
        self.bits -= bits;
    }

    /// Reads ahead up to the next marker.
    #[inline]
    fn fill(&mut self) {
        while self.bits <= 56 {
            let Some(&byte) = self.data.get(self.at) else {
                return;
            };
            if byte == 0xff {
                if self.data.get(self.at + 1) != Some(&0) {
                    return;
                }
                self.at += 1;
            }
            self.at += 1;
            self.buffer |= u64::from(byte) << (56 - self.bits);
            self.bits += 8;
        }
    }
}

struct Target {
    out: Vec<u8>,
    buffer: u64,
    bits: u32,
    restart_interval: u32,
    mcus: u32,
    restarts: u8,
    luma: (Encoder, Encoder),
    chroma: (Encoder, Encoder),
    dc: Vec<i32>,
}

impl Target {
    fn new(bytes: usize, restart_interval: u16, components: usize) -> Self {
        let encoders = |[dc, ac]: &[CodeTable; 2]| (Encoder::new(dc), Encoder::new(ac));
        Target {
            // Standard codes are longer than those made for an image, by some per cent.
            out: Vec::with_capacity(bytes + bytes / 8),
            buffer: 0,
            bits: 0,
            restart_interval: restart_interval.into(),
            mcus: 0,
            restarts: 0,
            luma: encoders(&STANDARD_LUMA),
            chroma: encoders(&STANDARD_CHROMA),
            dc: vec![0; components],
        }
    }

    fn start_mcu(&mut self) {
        if self.restart_interval > 0 && self.mcus == self.restart_interval {
            self.mcus = 0;
            self.align();
            self.out.extend([0xff, RST0 + self.restarts]);
            self.restarts = (self.restarts + 1) % 8;
            self.dc.fill(0);
        }
        self.mcus += 1;
    }

    fn block(&mut self, component: usize, dc: i32, ac: &[Token]) -> Result<(), String> {
        let Some(before) = self.dc.get_mut(component) else {
            return Err("no such component".to_owned());
        };
        let difference = dc.wrapping_sub(*before);
        *before = dc;
        let category = 32 - difference.unsigned_abs().leading_zeros();
        let encoders = if component == 0 { &self.luma } else { &self.chroma };
        let Some((code, bits)) = encoders.0.code(category as u8) else {
            return Err(format!("a step of {difference} between DC coefficients"));
        };
        // Negative steps are written as one less (section F.1.2.1.1).
        let low = if difference < 0 { difference - 1 } else { difference };
        let more = low as u32 & ((1 << category) - 1);
        put(
            &mut self.out,
            &mut self.buffer,
            &mut self.bits,
            code << category | more,
            bits + category,
        );
        for Token { symbol, more } in ac {
            let Some((code, bits)) = encoders.1.code(*symbol) else {
                return Err(format!("the standard tables have no code for {symbol:#04x}"));
            };
            let size = u32::from(symbol & 15);
            let value = code << size | u32::from(*more);
            put(&mut self.out, &mut self.buffer, &mut self.bits, value, bits + size);
        }
        Ok(())
    }

    /// Ones up to a whole byte (section F.1.2.3).
    fn align(&mut self) {
        let missing = (8 - self.bits % 8) % 8;
        put(&mut self.out, &mut self.buffer, &mut self.bits, (1 << missing) - 1, missing);
        drain(&mut self.out, &mut self.buffer, &mut self.bits);
    }

    fn finish(mut self) -> Vec<u8> {
        self.align();
        self.out
    }
}

/// Adds bits, 32 at most; fewer than 32 wait in `buffer` afterwards, at its high end.
#[inline]
fn put(out: &mut Vec<u8>, buffer: &mut u64, waiting: &mut u32, value: u32, bits: u32) {
    if bits == 0 {
        return;
    }
    *buffer |= u64::from(value) << (64 - *waiting - bits);
    *waiting += bits;
    if *waiting >= 32 {
        drain(out, buffer, waiting);
    }
}

/// Writes whole bytes, with a zero behind each 0xff (section F.1.2.3).
#[inline]
fn drain(out: &mut Vec<u8>, buffer: &mut u64, waiting: &mut u32) {
    while *waiting >= 8 {
        let byte = (*buffer >> 56) as u8;
        out.push(byte);
        if byte == 0xff {
            out.push(0);
        }
        *buffer <<= 8;
        *waiting -= 8;
    }
}

/// The number that bits of a category stand for (section F.2.2.1).
#[inline]
fn extend(bits: u32, category: u32) -> i32 {
    if category > 0 && bits >> (category - 1) == 0 {
        bits as i32 - (1 << category) + 1
    } else {
        bits as i32
    }
}

const END_OF_BLOCK: u8 = 0;
const DC_CATEGORY_MAX: u32 = 11;

#[cfg(test)]
pub(super) mod tests;
