use proptest::prelude::*;

use super::*;

/// An image of random coefficients in our own head, and what it was made of.
fn picture(
    width: u16,
    height: u16,
    factors: &[(u8, u8)],
    restart_interval: u16,
    seed: u64,
) -> Vec<u8> {
    let table = QuantisationTable([7; 64]);
    let mut image = write_head(width, height, factors, &[table, table], restart_interval);
    let head = Head::read(&image).unwrap();
    image.extend(super::recode::tests::random_scan(&head, seed));
    image.extend([0xff, 0xd9]);
    image
}

const YUV420: [(u8, u8); 3] = [(2, 2), (1, 1), (1, 1)];
const YUV422: [(u8, u8); 3] = [(2, 1), (1, 1), (1, 1)];

#[test]
fn the_head_that_is_written_reads_back() {
    let tables = scaled_tables(50);
    let image = write_head(640, 480, &YUV422, &tables, 9);
    let head = Head::read(&image).unwrap();
    assert_eq!((head.width, head.height, head.restart_interval), (640, 480, 9));
    assert_eq!((head.process, head.sampling()), (Process::Baseline, Sampling::Yuv422));
    assert_eq!(head.quantisation[..2], tables.map(Some));
    assert_eq!(head.components.iter().map(|c| c.quantisation).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(head.scan_at, image.len());
    let of = &head.scan[0];
    assert_eq!(head.dc_codes(of), Some(&STANDARD_LUMA[0]));
    assert_eq!(head.ac_codes(&head.scan[2]), Some(&STANDARD_CHROMA[1]));
}

#[test]
fn an_image_without_tables_of_huffman_codes_means_the_standard_ones() {
    let image = write_head(16, 16, &YUV420, &scaled_tables(50), 0);
    let dht = image.windows(2).position(|two| two == [0xff, 0xc4]).unwrap();
    let bytes = 2 + usize::from(u16::from_be_bytes([image[dht + 2], image[dht + 3]]));
    let image = [&image[..dht], &image[dht + bytes..]].concat();
    let head = Head::read(&image).unwrap();
    assert_eq!(head.dc_codes(&head.scan[0]), Some(&STANDARD_LUMA[0]));
    assert_eq!(head.ac_codes(&head.scan[1]), Some(&STANDARD_CHROMA[1]));
}

#[test]
fn tables_of_a_quality_are_scaled_as_in_rfc_2435_appendix_a() {
    let [luma, chroma] = scaled_tables(50);
    assert_eq!(luma.0[..4], [16, 11, 12, 14]);
    assert_eq!(chroma.0[..4], [17, 18, 18, 24]);
    assert_eq!(scaled_tables(1)[0].0[0], 255);
    assert_eq!(scaled_tables(99)[0].0[0], 1);
    assert_eq!(scaled_tables(75)[0].0[0], 8);
    assert_eq!((scaled_tables(0), scaled_tables(120)), (scaled_tables(1), scaled_tables(99)));
}

#[test]
fn sampling_factors_with_a_common_divisor_are_the_same_sampling() {
    let sampling = |factors: &[(u8, u8)]| {
        let image = write_head(16, 16, factors, &scaled_tables(50), 0);
        Head::read(&image).unwrap().sampling()
    };
    assert_eq!(sampling(&[(2, 2), (1, 2), (1, 2)]), Sampling::Yuv422);
    assert_eq!(sampling(&[(1, 2), (1, 2), (1, 2)]), Sampling::Yuv444);
    assert_eq!(sampling(&YUV420), Sampling::Yuv420);
    assert_eq!(sampling(&[(4, 1), (1, 1), (1, 1)]), Sampling::Yuv411);
    assert_eq!(sampling(&[(2, 2), (2, 1), (1, 1)]), Sampling::OtherYuv);
    assert_eq!(sampling(&[(2, 2)]), Sampling::Grey);
    assert_eq!(sampling(&[(1, 1); 4]), Sampling::Components(4));
}

#[test]
fn an_image_ends_at_its_own_end_and_not_at_that_of_its_thumbnail() {
    let thumbnail = picture(8, 8, &YUV420, 0, 1);
    let image = picture(64, 48, &YUV420, 3, 2);
    let length = (thumbnail.len() as u16 + 2).to_be_bytes();
    let app1 = [&[0xff, 0xe1][..], &length, &thumbnail].concat();
    let whole = [&image[..2], &app1, &image[2..]].concat();
    let data = [&whole[..], &image].concat();
    assert_eq!(image_bytes(&data), Ok(Some(whole.len())));
    for cut in 0..whole.len() {
        assert_eq!(image_bytes(&data[..cut]), Ok(None), "{cut}");
    }
    assert_eq!(Config::from_image(&whole).unwrap().width, 64);
}

#[test]
fn bytes_that_fill_up_before_a_marker_and_a_missing_end_are_taken() {
    let image = picture(16, 16, &YUV420, 0, 3);
    let open = &image[..image.len() - 2];
    let filled = [open, &[0xff, 0xff, 0xff, 0xd9, 1, 2]].concat();
    assert_eq!(image_bytes(&filled), Ok(Some(filled.len() - 2)));
    assert_eq!(image_bytes(&[open, &image[..]].concat()), Ok(Some(open.len())));
}

#[test]
fn what_is_no_image_is_an_error_that_names_the_byte() {
    let message = |data: &[u8]| image_bytes(data).unwrap_err().to_string();
    assert_eq!(message(b"PNG"), "JPEG image, byte 0: a marker expected, 0x50 came");
    assert_eq!(message(&[0xff, 0xd9]), "JPEG image, byte 0: SOI expected, marker 0xd9 came");
    let stray = [0xff, 0xd8, 0xff, 0xe0, 0, 2, 7];
    assert_eq!(message(&stray), "JPEG image, byte 6: a marker expected, 0x07 came");
    let short = [0xff, 0xd8, 0xff, 0xe0, 0, 1];
    let expected = "JPEG image, byte 4: a segment of 1 bytes is shorter than its length field";
    assert_eq!(message(&short), expected);
    let twice = [0xff, 0xd8, 0xff, 0xd8];
    assert_eq!(message(&twice), "JPEG image, byte 2: a second SOI before any scan");
    let message = Head::read(&picture(16, 16, &YUV420, 0, 4)[..40]).unwrap_err().to_string();
    assert_eq!(message, "JPEG image, byte 40: ends before its first scan");
}

#[test]
fn standard_codes_are_handed_back_as_they_are() {
    let image = picture(50, 30, &YUV422, 2, 5);
    let head = Head::read(&image).unwrap();
    let recoded = recode(&image, &head).unwrap();
    assert_eq!(recoded.entropy[..], image[head.scan_at..image.len() - 2]);
    assert!(matches!(recoded.entropy, std::borrow::Cow::Borrowed(_)));
    assert_eq!((recoded.restart_interval, recoded.damage), (2, None));
}

#[test]
fn what_cannot_be_recoded_is_refused() {
    let mut image = picture(16, 16, &YUV420, 0, 6);
    let sof = image.windows(2).position(|two| two == [0xff, 0xc0]).unwrap();
    image[sof + 1] = 0xc2;
    let head = Head::read(&image).unwrap();
    let message = recode(&image, &head).unwrap_err().to_string();
    let expected = "recoding a JPEG image is not supported: it is progressive, with samples of \
                    8 bits";
    assert_eq!(message, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn an_image_is_found_at_the_start_of_any_bytes(seed: u64, tail: Vec<u8>) {
        let image = picture(40, 40, &YUV420, 0, seed);
        prop_assert_eq!(image_bytes(&[&image[..], &tail].concat()), Ok(Some(image.len())));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(mut data: Vec<u8>, seed: u64) {
        let _ = (image_bytes(&data), Head::read(&data));
        let mut image = picture(33, 9, &YUV420, 1, seed);
        data.truncate(40);
        for (n, byte) in data.iter().enumerate() {
            let at = (seed as usize).wrapping_mul(n + 1) % image.len();
            image[at] = *byte;
        }
        crate::fuzz::fuzz_jpeg(&image);
    }
}
