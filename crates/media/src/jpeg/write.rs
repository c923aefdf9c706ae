//! The head of an image whose scan comes without one.

use super::huffman::{STANDARD_CHROMA, STANDARD_LUMA};
use super::marker::{APP0, DHT, DQT, DRI, SOF0, SOF1, SOI, SOS};
use super::{Component, QuantisationTable};

/// Writes SOI and all segments before the entropy-coded data of an image with 8-bit samples and
/// standard Huffman codes: the first component uses quantisation table 0 and the codes of
/// brightness, the others table 1 (or 0 where there is one alone) and the codes of colour.
///
/// `factors` are the sampling factors of each component, horizontal and vertical.
pub fn write_head(
    width: u16,
    height: u16,
    factors: &[(u8, u8)],
    tables: &[QuantisationTable],
    restart_interval: u16,
) -> Vec<u8> {
    let mut out = vec![0xff, SOI];
    segment(&mut out, APP0, |out| out.extend(b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"));
    for (table, destination) in tables.iter().zip(0u8..) {
        segment(&mut out, DQT, |out| {
            out.push(u8::from(table.is_wide()) << 4 | destination);
            table.write(out);
        });
    }
    if restart_interval > 0 {
        segment(&mut out, DRI, |out| out.extend(restart_interval.to_be_bytes()));
    }
    let components: Vec<_> = components(factors, tables.len()).collect();
    // Baseline has tables of 8 bits (ITU-T T.81 section B.2.4.1).
    let is_wide = tables.iter().any(QuantisationTable::is_wide);
    segment(&mut out, if is_wide { SOF1 } else { SOF0 }, |out| {
        out.push(8);
        out.extend(height.to_be_bytes());
        out.extend(width.to_be_bytes());
        out.push(components.len() as u8);
        for c in &components {
            out.extend([c.id, c.horizontal << 4 | c.vertical, c.quantisation]);
        }
    });
    let codes = [(&STANDARD_LUMA, 0), (&STANDARD_CHROMA, 1)];
    segment(&mut out, DHT, |out| {
        for ([dc, ac], destination) in codes {
            dc.write(destination, out);
            ac.write(0x10 | destination, out);
        }
    });
    segment(&mut out, SOS, |out| {
        out.push(components.len() as u8);
        for (c, number) in components.iter().zip(0u8..) {
            out.extend([c.id, if number == 0 { 0 } else { 0x11 }]);
        }
        out.extend([0, 63, 0]);
    });
    out
}

fn components(factors: &[(u8, u8)], tables: usize) -> impl Iterator<Item = Component> {
    factors.iter().zip(1u8..).map(move |(&(horizontal, vertical), id)| Component {
        id,
        horizontal,
        vertical,
        quantisation: u8::from(id > 1 && tables > 1),
    })
}

fn segment(out: &mut Vec<u8>, marker: u8, parameters: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0xff, marker, 0, 0]);
    parameters(out);
    let bytes = out.len() - start - 2;
    out[start + 2..start + 4].copy_from_slice(&(bytes as u16).to_be_bytes());
}
