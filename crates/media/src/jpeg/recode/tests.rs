//! Recoding of images out of the air, whose coefficients are compared.

use bytes::Bytes;
use proptest::prelude::*;
use weir_time::hash;

use super::super::{QuantisationTable, write_head};
use super::*;

/// The coefficients of all blocks, in zigzag order, by component, line and column.
type Coefficients = Vec<Vec<[i32; 64]>>;

/// A scan with the tables that the head says, of coefficients out of the air.
pub(crate) fn random_scan(head: &Head, seed: u64) -> Vec<u8> {
    let lines = Lines::of(head);
    let mut target = Target::new(0, head.restart_interval, head.components.len());
    let codes: Vec<_> = head.scan.iter().map(|of| (head.dc_codes(of), head.ac_codes(of))).collect();
    let encoder = |table: Option<&CodeTable>| Encoder::new(table.unwrap());
    target.luma = (encoder(codes[0].0), encoder(codes[0].1));
    let last = codes.last().unwrap();
    target.chroma = (encoder(last.0), encoder(last.1));
    let mut number = 0u64;
    let mut random = |below: u64| {
        number += 1;
        hash([seed, number]) % below
    };
    for _ in 0..lines.rows * lines.columns {
        target.start_mcu();
        for (component, &(h, v)) in lines.factors.iter().enumerate() {
            for _ in 0..h * v * lines.across * lines.down {
                let dc = random(2_000) as i32 - 1_000;
                let mut tokens = Vec::new();
                let mut place = 0;
                for _ in 0..random(6) {
                    let (run, size) = (random(16), 1 + random(10));
                    if place + run + 1 > 63 {
                        break;
                    }
                    place += run + 1;
                    let more = random(1 << size) as u16;
                    tokens.push(Token { symbol: (run << 4 | size) as u8, more });
                }
                if place < 63 {
                    tokens.push(Token { symbol: END_OF_BLOCK, more: 0 });
                }
                target.block(component, dc, &tokens).unwrap();
            }
        }
    }
    target.finish()
}

/// Decodes a scan by itself, without what is tested.
fn coefficients(image: &[u8], head: &Head) -> Coefficients {
    let lines = Lines::of(head);
    let data = &image[head.scan_at..];
    let data = &data[..entropy_bytes(data)];
    let codes: Vec<_> = head
        .scan
        .iter()
        .map(|of| (head.dc_codes(of).unwrap(), head.ac_codes(of).unwrap()))
        .collect();
    let mut source = Source::new(data, head.restart_interval, &codes);
    let factors: Vec<_> =
        lines.factors.iter().map(|&(h, v)| (h * lines.across, v * lines.down)).collect();
    let mut planes: Vec<Vec<_>> =
        factors.iter().map(|&(h, v)| vec![[0; 64]; h * v * lines.columns * lines.rows]).collect();
    for mcu in 0..lines.rows * lines.columns {
        source.start_mcu().unwrap();
        for (component, &(h, v)) in factors.iter().enumerate() {
            for (y, x) in (0..v).flat_map(|y| (0..h).map(move |x| (y, x))) {
                let mut tokens = Vec::new();
                let block = source.block(component, &mut tokens).unwrap();
                let line = mcu / lines.columns * v + y;
                let column = mcu % lines.columns * h + x;
                let place = &mut planes[component][line * lines.columns * h + column];
                place[0] = block.dc;
                let mut at = 0;
                for Token { symbol, more } in tokens.iter().filter(|t| t.symbol != 0) {
                    at += usize::from(symbol >> 4) + 1;
                    let size = u32::from(symbol & 15);
                    place[at] = extend((*more).into(), size);
                }
            }
        }
    }
    planes
}

/// The head with tables whose codes are all in another order.
fn with_other_codes(mut head: Head) -> Head {
    let turned = |table: &CodeTable| {
        let values: Vec<u8> = table.values.iter().rev().copied().collect();
        CodeTable { counts: table.counts, values: Bytes::from(values) }
    };
    let chroma = STANDARD_CHROMA.each_ref().map(turned);
    let luma = STANDARD_LUMA.each_ref().map(turned);
    head.codes.set([luma, chroma]);
    head
}

/// What a component shows: its coefficients without those of blocks past its edge.
fn shown(head: &Head, planes: &Coefficients) -> Coefficients {
    let lines = Lines::of(head);
    let greatest = |of: fn(&(usize, usize)) -> usize| lines.factors.iter().map(of).max().unwrap();
    let (across, down) = (greatest(|f| f.0), greatest(|f| f.1));
    let cut = |component: usize, plane: &Vec<[i32; 64]>| {
        let (h, v) = lines.factors[component];
        let columns = (usize::from(head.width) * h).div_ceil(8 * across);
        let rows = (usize::from(head.height) * v).div_ceil(8 * down);
        let stride = lines.blocks_across(component);
        let of_row = |row: usize| plane[row * stride..row * stride + columns].to_vec();
        (0..rows).flat_map(of_row).collect()
    };
    planes.iter().enumerate().map(|(component, plane)| cut(component, plane)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn recoding_changes_no_coefficient(
        width in 1u16..70,
        height in 1u16..70,
        sampling in prop::sample::select(vec![
            vec![(1u8, 1u8)], vec![(2, 2), (1, 1), (1, 1)], vec![(2, 1), (1, 1), (1, 1)],
            vec![(2, 2), (1, 2), (1, 2)], vec![(4, 2), (2, 2), (2, 2)], vec![(1, 2); 3],
            vec![(2, 2)],
        ]),
        restart_interval in 0u16..5,
        seed: u64,
    ) {
        let table = QuantisationTable([1; 64]);
        let mut image = write_head(width, height, &sampling, &[table], restart_interval);
        let head = with_other_codes(Head::read(&image).unwrap());
        image.extend(random_scan(&head, seed));
        let recoded = recode(&image, &head).unwrap();
        prop_assert_eq!(recoded.damage, None);
        let factors = head.reduced_factors();
        let interval = recoded.restart_interval;
        let mut again = write_head(width, height, &factors, &[table], interval);
        let again_head = Head::read(&again).unwrap();
        again.extend(&recoded.entropy[..]);
        prop_assert_eq!(
            shown(&head, &coefficients(&image, &head)),
            shown(&again_head, &coefficients(&again, &again_head))
        );
    }
}

#[test]
fn data_that_break_off_are_recoded_up_to_there() {
    let table = QuantisationTable([1; 64]);
    let mut image = write_head(64, 64, &[(2, 2), (1, 1), (1, 1)], &[table], 0);
    let head = with_other_codes(Head::read(&image).unwrap());
    let scan = random_scan(&head, 9);
    image.extend(&scan[..scan.len() / 2]);
    let recoded = recode(&image, &head).unwrap();
    assert!(!recoded.entropy.is_empty() && recoded.entropy.len() < scan.len());
    let message = recoded.damage.unwrap().to_string();
    assert!(message.ends_with("the data end"), "{message}");
}
