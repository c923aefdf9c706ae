//! Movies of JPEG images for tests, without a file format that has them.
//!
//! The images lie as the pictures of an MP4 movie of H.264, each a key picture of one NAL unit;
//! only the track says that they are JPEG.

use std::path::Path;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::mp4::FragmentWriter;
use weir_media::{Codec, Frame, KeyKind, MediaTime, Track, TrackId, h264, jpeg};
use weir_net::Host;

use super::Movie;

/// Bytes of an image before those of its own: the length of the NAL unit.
const LENGTH_BYTES: usize = 4;

/// A movie with images of these sizes, 50 ms each.
pub(crate) async fn images(host: &Host, name: &str, sizes: &[usize]) -> Arc<Movie> {
    // Tests of one program run at the same time, each on its own thread.
    let test = (std::process::id(), std::thread::current().id());
    let file_name = format!("weir-server-{test:?}-{name}.mp4");
    let path = Path::new(&std::env::temp_dir()).join(file_name);
    write(&path, sizes);
    let file = host.open(&path).await.expect("it was just written");
    let mut movie = Movie::open(host, name, &path, file).await.expect("it is whole");
    let _ = std::fs::remove_file(&path);
    movie.tracks[0].codec = Codec::Jpeg(jpeg::Config { width: 320, height: 240, coding: None });
    Arc::new(movie)
}

/// What image `number` (from 0) of `bytes` bytes consists of.
pub(crate) fn image(number: usize, bytes: usize) -> Bytes {
    let mut image = BytesMut::with_capacity(bytes);
    image.put_u32((bytes - LENGTH_BYTES) as u32);
    image.put_u8(0x65);
    image.put_bytes(0x80 | number as u8, bytes - LENGTH_BYTES - 1);
    image.freeze()
}

/// Writes an MP4 movie with pictures of these sizes, 50 ms each.
pub(crate) fn write(path: &Path, sizes: &[usize]) {
    let sps = Bytes::from_static(&[0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb]);
    let pps = Bytes::from_static(&[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0]);
    let config = h264::Config::from_parameter_sets(vec![sps], vec![pps]).expect("they are right");
    let track = Track { id: TrackId(0), codec: Codec::H264(config), clock_rate_hz: 90_000 };
    let mut writer = FragmentWriter::new(&[track]).expect("it has a track");
    let mut file = writer.init_segment().to_vec();
    for (number, bytes) in sizes.iter().enumerate() {
        let at = |number: usize| MediaTime::from_ticks(number as i64, 20);
        let frame = Frame {
            track: TrackId(0),
            pts: at(number),
            dts: Some(at(number)),
            duration: Some(at(1)),
            key: KeyKind::Key,
            capture: None,
            arrival: weir_time::Instant::ZERO,
            discontinuity: false,
            payload: image(number, *bytes),
        };
        file.extend(writer.push(&frame).expect("it is a picture").into_iter().flatten());
    }
    file.extend(writer.finish());
    std::fs::write(path, file).expect("there is room");
}
