//! The list of packets.

use weir_dial::rtsp::Transport;
use weir_player::packets::{HEADER, PacketList};
use weir_player::rtsp::play;
use weir_record::{Event, Level, queue};

use crate::movie::{movie, path_of};
use crate::world::{Pair, settings};

#[test]
fn every_packet_that_came_has_its_line_as_its_record_has_it() {
    for transport in [Transport::Udp, Transport::Tcp] {
        let file = movie("listed", 2);
        let list_path = path_of("listed.csv");
        let pair = Pair::new(3, if transport == Transport::Udp { 0.05 } else { 0.0 });
        pair.serve(vec![file.path.clone()]);
        let mut settings = settings(&pair.url(&file.path), transport);
        let (sink, mut drain) = queue(Level::Packet, 1 << 20);
        let (viewer, path) = (pair.viewer.clone(), list_path.clone());
        let listed = pair.world.run(async move {
            let list = PacketList::create(&viewer, &path).await.unwrap();
            settings.packets = Some(list.clone());
            assert!(play(&viewer, settings, &sink, |_| {}).await.is_success());
            list.finish().await
        });
        let listed = listed.unwrap();
        let text = std::fs::read_to_string(&list_path).unwrap();
        std::fs::remove_file(&list_path).unwrap();
        let lines: Vec<&str> = text.strip_prefix(HEADER).unwrap().lines().collect();
        assert_eq!((listed.packets, listed.packets_dropped), (lines.len() as u64, 0));
        let mut records = Vec::new();
        drain.take(&mut records);
        let packets = records.iter().filter_map(|record| match &record.event {
            Event::RtpPacket(packet) => Some((record.at, packet)),
            _ => None,
        });
        let expected: Vec<String> = packets
            .map(|(at, packet)| {
                let (seq, marker) = (packet.seq & 0xffff, u8::from(packet.marker));
                let ip_bytes = packet.ip_bytes.map_or_else(String::new, |bytes| bytes.to_string());
                format!(
                    "{},{} {seq},{},{marker},{},{ip_bytes}",
                    at.as_nanos(),
                    packet.track,
                    packet.rtp_timestamp,
                    packet.bytes
                )
            })
            .collect();
        let found: Vec<String> = lines.iter().map(|line| without_source_and_type(line)).collect();
        assert_eq!(found, expected);
        assert!(lines.len() > 100);
    }
}

fn without_source_and_type(line: &str) -> String {
    let [at, track, _ssrc, seq, time, _payload_type, marker, bytes, ip_bytes] =
        line.split(',').collect::<Vec<_>>()[..]
    else {
        panic!("{line}")
    };
    format!("{at},{track} {seq},{time},{marker},{bytes},{ip_bytes}")
}
