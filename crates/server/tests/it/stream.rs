//! A live stream out of nothing, and hosts to serve it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use weir_media::{Codec, Frame, KeyKind, MediaTime, Track, TrackId, h264};
use weir_net::Host;
use weir_record::Sink;
use weir_server::{Hub, Library, Publisher, Server, Settings};

/// Frames a second, and frames from one key frame to the next.
pub(crate) const RATE: u64 = 30;
const GOP: u64 = 60;

/// A picture track.
pub(crate) fn track() -> Track {
    let sps = Bytes::from_static(&[0x67, 0x64, 0x00, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb]);
    let pps = Bytes::from_static(&[0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0]);
    let config = h264::Config::from_parameter_sets(vec![sps], vec![pps]).unwrap();
    Track { id: TrackId(0), codec: Codec::H264(config), clock_rate_hz: 90_000 }
}

/// Frame `number` of a stream of so many bytes a frame.
pub(crate) fn frame(number: u64, bytes: usize) -> Frame {
    let key = number.is_multiple_of(GOP);
    let mut payload = BytesMut::new();
    payload.put_u32(bytes as u32);
    payload.put_u8(if key { 0x65 } else { 0x41 });
    payload.put_bytes(0x80, bytes - 1);
    let pts = MediaTime::from_ticks(number as i64, RATE as u32);
    Frame {
        track: TrackId(0),
        pts,
        dts: Some(pts),
        duration: Some(MediaTime::from_ticks(1, RATE as u32)),
        key: if key { KeyKind::Key } else { KeyKind::Delta },
        capture: None,
        arrival: weir_time::Instant::ZERO,
        discontinuity: false,
        payload: payload.freeze(),
    }
}

/// Starts a server on `host` that shows the live stream `live`, with `frame_bytes` a frame.
pub(crate) fn serve_live(host: &Host, frame_bytes: usize, records: Sink) -> Rc<RefCell<u64>> {
    let hub = Hub::new(Library::new(Vec::new()), 1 << 20);
    Server::start(host, &hub, Settings::default(), records).unwrap();
    let publisher = hub.publish("live", vec![track()]).unwrap();
    let count = Rc::new(RefCell::new(0));
    host.spawn(publish(host.clone(), publisher, frame_bytes, Rc::clone(&count)));
    count
}

async fn publish(
    host: Host,
    mut publisher: Publisher,
    frame_bytes: usize,
    count: Rc<RefCell<u64>>,
) {
    let start = host.now();
    for number in 0.. {
        host.sleep_until(start + Duration::from_nanos(number * 1_000_000_000 / RATE)).await;
        publisher.push(&frame(number, frame_bytes), host.now()).unwrap();
        *count.borrow_mut() += 1;
    }
}
