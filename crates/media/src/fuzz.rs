//! Entries for fuzzing: whatever `data` holds, none of these panics, loops for ever or takes
//! memory out of proportion to it.

use bytes::Bytes;
use weir_time::Instant;

use crate::h264::{Config, PictureInfo, recovery_point};
use crate::movie::{Movie, Opener, Step};
use crate::mp4::FragmentWriter;
use crate::nal::{AccessUnit, AnnexB, LengthPrefixed};
use crate::{MediaTime, TrackId, aac, av1, h265, jpeg, opus, vp8, vp9};

/// `data` as a movie file of any format: opens it, walks over its GOPs and writes its frames anew.
pub fn fuzz_movie(data: &[u8]) {
    let mut opener = Opener::new(data.len() as u64);
    loop {
        match opener.poll() {
            Ok(Step::Need { offset, bytes }) => {
                let range = offset as usize..(offset + bytes) as usize;
                let part = data.get(range).expect("an opener stays within the file");
                opener.feed(offset, part.to_vec()).expect("these bytes were asked for");
            }
            Ok(Step::Done(movie)) => return walk(&movie, data),
            Err(error) => return drop(error.to_string()),
        }
    }
}

/// `data` as an MP4 file, whose first box is told as one.
pub fn fuzz_mp4(data: &[u8]) {
    fuzz_movie(data);
    fuzz_movie(&[b"\0\0\0\x10ftypisom\0\0\0\0", data].concat());
}

/// `data` as the tags of an FLV file.
pub fn fuzz_flv(data: &[u8]) {
    fuzz_movie(&[b"FLV\x01\x05\0\0\0\x09\0\0\0\0", data].concat());
}

/// `data` as a transport stream, cut into packets that are in sync, of each size.
pub fn fuzz_ts(data: &[u8]) {
    fuzz_movie(data);
    for (packet_bytes, lead_bytes) in [(188, 0), (192, 4), (204, 0)] {
        let mut file = Vec::new();
        for part in data.chunks(packet_bytes) {
            let start = file.len();
            file.extend_from_slice(part);
            file.resize(start + packet_bytes, 0xff);
            if let Some(sync) = file.get_mut(start + lead_bytes) {
                *sync = 0x47;
            }
        }
        fuzz_movie(&file);
    }
}

/// `data` as images: bare, and behind lengths that are right.
pub fn fuzz_mjpeg(data: &[u8]) {
    fuzz_movie(data);
    fuzz_movie(&[b"\xff\xd8\xff", data].concat());
    let mut file = Vec::new();
    for part in data.chunks(300) {
        file.extend(format!("{:05}", part.len() + 5).into_bytes());
        file.extend([b"\xff\xd8\xff", part, b"\xff\xd9"].concat());
    }
    fuzz_movie(&file);
}

fn walk(movie: &Movie, data: &[u8]) {
    let mut writer = FragmentWriter::new(movie.tracks()).ok();
    let gops = movie.gops();
    for gop in (0..gops.min(32)).chain([gops - 1, gops, u32::MAX]) {
        movie.gop_at(movie.gop_start(gop));
        let mut last = None;
        for sample in movie.gop_samples(gop).take(2000) {
            assert!(last.is_none_or(|last| last <= sample.dts), "decoding times rise");
            last = Some(sample.dts);
            let end = sample.offset + u64::from(sample.bytes);
            let bytes = data.get(sample.offset as usize..end as usize);
            let bytes = bytes.expect("samples are within the file");
            let frame = movie.frame(&sample, Bytes::copy_from_slice(bytes), Instant::from_nanos(0));
            if let (Ok(frame), Some(writer)) = (frame, &mut writer) {
                let _ = writer.push(&frame);
            }
        }
    }
    movie.gop_extents(0);
    movie.gop_at(MediaTime::ZERO);
    movie.sample(TrackId(0), u32::MAX);
    writer.map(|mut writer| writer.finish());
}

/// `data` as an AVCDecoderConfigurationRecord.
pub fn fuzz_avcc(data: &[u8]) {
    let _ = Config::nal_length_bytes(data);
    if let Ok(config) = Config::from_avcc(data) {
        let _ = config.picture();
        let again = Config::from_avcc(&config.to_avcc());
        assert_eq!(again.as_ref(), Ok(&config), "a record returns its configuration");
    }
}

/// `data` as an AudioSpecificConfig, and as an ADTS frame.
pub fn fuzz_asc(data: &[u8]) {
    if let Ok(config) = aac::Config::from_asc(data) {
        let _ = (config.frame_duration(), config.output_rate_hz(), config.codec_string());
    }
    let _ = aac::AdtsHeader::read(data);
}

/// `data` as a sequence parameter set.
pub fn fuzz_sps(data: &[u8]) {
    let _ = PictureInfo::from_sps(data);
    let _ = PictureInfo::from_sps(&[&[0x67], data].concat());
}

/// `data` as an HEVCDecoderConfigurationRecord, and as parameter sets of H.265.
pub fn fuzz_hvcc(data: &[u8]) {
    let _ = h265::Config::nal_length_bytes(data);
    if let Ok(config) = h265::Config::from_hvcc(data) {
        let _ = (config.picture(), config.codec_string());
        if let Ok(hvcc) = config.to_hvcc() {
            let again = h265::Config::from_hvcc(&hvcc);
            assert_eq!(again.as_ref(), Ok(&config), "a record returns its configuration");
        }
    }
    for head in [&[0x40, 1][..], &[0x42, 1], &[0x44, 1]] {
        let set = Bytes::from([head, data].concat());
        let _ = (h265::parameter_set_id(&set), h265::PictureInfo::from_sps(&set));
        let sets = || vec![set.clone()];
        let config = h265::Config { vps: sets(), sps: sets(), pps: sets() };
        let _ = config.picture();
    }
}

/// `data` as NAL units of H.265: a byte stream, and behind lengths of each size.
pub fn fuzz_nal_h265(data: &[u8]) {
    let sets = |set: &'static [u8]| vec![Bytes::from_static(set)];
    let config = h265::Config {
        vps: sets(&[0x40, 1, 0x0c]),
        sps: sets(&[0x42, 1, 1]),
        pps: sets(&[0x44, 1, 0xc0]),
    };
    let nals: Vec<_> = AnnexB::new(data).collect();
    let unit = AccessUnit::from_nals(&config, nals.into_iter());
    let again = AccessUnit::from_length_prefixed(&config, &unit.payload, 4);
    assert_eq!(again.map(|again| again.payload), Ok(unit.payload), "it is in form");
    for length_bytes in [1, 2, 4] {
        let data = Bytes::copy_from_slice(data);
        let _ = AccessUnit::from_length_prefixed(&config, &data, length_bytes);
    }
}

/// `data` as frames and records of VP8, VP9 and AV1.
pub fn fuzz_vpx_av1(data: &[u8]) {
    let _ = (vp8::Config::from_key_frame(data), vp8::key(data));
    let _ = (vp9::Config::from_key_frame(data), vp9::key(data));
    if let Ok(config) = vp9::Config::from_record(data, 1, 1) {
        let again = vp9::Config::from_record(&config.to_record(), 1, 1).map(|again| again.profile);
        assert_eq!(again, Ok(config.profile), "a record returns its configuration");
    }
    if let Ok(config) = av1::Config::from_record(data) {
        let _ = config.codec_string();
        assert!(av1::Config::from_sequence_header(config.sequence_header()).is_ok());
    }
    if let Ok(unit) = av1::TemporalUnit::from_obus(&Bytes::copy_from_slice(data)) {
        let again = av1::TemporalUnit::from_obus(&unit.payload);
        assert_eq!(again.map(|again| again.payload), Ok(unit.payload), "it is in form");
    }
}

/// `data` as a JPEG image: where it ends, its head, and its scan coded anew.
pub fn fuzz_jpeg(data: &[u8]) {
    if let Ok(Some(bytes)) = jpeg::image_bytes(data) {
        assert!(bytes <= data.len());
    }
    let Ok(head) = jpeg::Head::read(data) else { return };
    assert!(head.scan_at <= data.len());
    let _ = head.config();
    // A row of blocks is held in memory: bounded by the width.
    if let Ok(recoded) = jpeg::recode(data, &head) {
        assert!(recoded.entropy.len() <= 64 + 16 * data.len());
    }
}

/// `data` as an Opus identification header, as a `dOps` box and as a packet.
pub fn fuzz_opus(data: &[u8]) {
    for read in [opus::Config::from_opus_head, opus::Config::from_dops] {
        if let Ok(config) = read(data) {
            assert_eq!(opus::Config::from_dops(&config.to_dops()).as_ref(), Ok(&config));
            assert_eq!(opus::Config::from_opus_head(&config.to_opus_head()), Ok(config));
        }
    }
    assert!(opus::packet_samples(data).is_none_or(|samples| samples <= 5_760));
}

/// `data` as NAL units: a byte stream, and behind lengths of each size.
pub fn fuzz_nal(data: &[u8]) {
    let sets = |set: &'static [u8]| vec![Bytes::from_static(set)];
    let config = Config::from_parameter_sets(sets(&[0x67, 66, 0, 30]), sets(&[0x68, 1]));
    let config = config.expect("these are parameter sets");
    let nals: Vec<_> = AnnexB::new(data).collect();
    for nal in &nals {
        let _ = recovery_point(nal);
    }
    let unit = AccessUnit::from_nals(&config, nals.into_iter());
    let again = AccessUnit::from_length_prefixed(&config, &unit.payload, 4);
    assert_eq!(again.map(|again| again.payload), Ok(unit.payload), "it is in form");
    for length_bytes in [1, 2, 4] {
        LengthPrefixed::new(data, length_bytes).for_each(drop);
        let data = Bytes::copy_from_slice(data);
        let _ = AccessUnit::from_length_prefixed(&config, &data, length_bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn no_entry_panics(data in prop::collection::vec(any::<u8>(), 0..300)) {
            for entry in [fuzz_movie, fuzz_flv, fuzz_ts, fuzz_mjpeg] {
                entry(&data);
            }
            for entry in [fuzz_avcc, fuzz_asc, fuzz_sps, fuzz_nal, fuzz_jpeg, fuzz_opus] {
                entry(&data);
            }
            for entry in [fuzz_hvcc, fuzz_nal_h265, fuzz_vpx_av1] {
                entry(&data);
            }
            let hvcc = h265::tests::config().to_hvcc().unwrap();
            let keep = hvcc.len() - data.len().min(hvcc.len());
            fuzz_hvcc(&[&hvcc[..keep], &data].concat());
            let avcc = crate::h264::tests::config().to_avcc();
            let keep = avcc.len() - data.len().min(avcc.len());
            fuzz_avcc(&[&avcc[..keep], &data].concat());
        }
    }
}
