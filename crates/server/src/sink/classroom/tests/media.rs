//! What comes by RTP.

use std::time::Duration;

use weir_proto::classroom::pack::IMAGE_BYTES_MAX;
use weir_record::{Event, event};

use super::Room;
use super::client::{Client, Image, handout};
use crate::movie::stub::image;

/// Plays a movie of images of these sizes to its end.
fn play(room: &Room) -> Vec<Image> {
    let (host, address) = (room.client.clone(), room.address);
    let images = room.world.run(async move {
        let mut client = Client::connect(&host, address).await;
        let session = client.play().await;
        let images = client.watch_for(4_000).await;
        assert_eq!(client.ask(&handout("TEARDOWN", 3, session)).await.0, 200);
        images
    });
    images.unwrap()
}

fn left(room: &mut Room) -> event::ViewerLeft {
    let mut left = room.events().into_iter().filter_map(|event| match event {
        Event::ViewerLeft(left) => Some(left),
        _ => None,
    });
    left.next().expect("the viewer has left")
}

#[test]
fn a_frame_is_a_datagram_of_payload_type_26_without_marker_numbered_from_1() {
    let sizes: Vec<usize> = (0..30).map(|n| 500 + 613 * n).collect();
    let mut room = Room::new(1, &sizes);
    let images = play(&room);
    assert_eq!(images.len(), sizes.len());
    for (index, came) in images.iter().enumerate() {
        assert_eq!(came.header[..2], [0x80, 26], "version 2 and nothing else; marker 0, type 26");
        assert_eq!(usize::from(came.number()), index + 1);
        assert_eq!(came.header[8..], images[0].header[8..], "one source");
        assert_eq!(came.data, image(index, sizes[index]));
    }
    let left = left(&mut room);
    assert_eq!((left.packets, left.oversize, left.images_dropped), (30, Some(0), Some(0)));
}

#[test]
fn frames_come_every_50_ms_and_bear_the_time_of_day_in_whole_seconds() {
    let room = Room::new(2, &[4_000; 60]);
    let images = play(&room);
    let began = weir_time::Utc::from_nanos(1_767_225_600_000_000_000).as_millis();
    for two in images.windows(2) {
        let gap = two[1].at.since(two[0].at);
        assert!(gap.abs_diff(Duration::from_millis(50)) < Duration::from_millis(1), "{gap:?}");
    }
    for came in &images {
        // Sent 5 ms before.
        let sent_ms = began + came.at.as_nanos() / 1_000_000 - 5;
        assert!((sent_ms - 1) / 1_000 <= u64::from(came.unix_s()));
        assert!(u64::from(came.unix_s()) <= (sent_ms + 1) / 1_000);
    }
}

#[test]
fn images_that_many_clients_cannot_take_are_sent_whole_and_counted() {
    let sizes = [9_000, 20_468, 20_469, 40_000, IMAGE_BYTES_MAX, 9_000];
    let mut room = Room::new(3, &sizes);
    let images = play(&room);
    let came: Vec<usize> = images.iter().map(|image| image.data.len()).collect();
    assert_eq!(came, sizes);
    assert_eq!((left(&mut room)).oversize, Some(3));
}

#[test]
fn an_image_that_no_datagram_holds_is_missing_with_its_number_and_counted() {
    let sizes = [9_000, IMAGE_BYTES_MAX + 1, 70_000, 9_000, 9_000, 70_000];
    let mut room = Room::new(4, &sizes);
    let images = play(&room);
    let numbers: Vec<u16> = images.iter().map(Image::number).collect();
    assert_eq!(numbers, [1, 4, 5]);
    let left = left(&mut room);
    assert_eq!((left.packets, left.images_dropped), (3, Some(3)));
}

#[test]
fn a_movie_that_is_over_begins_anew_with_the_next_number() {
    let room = Room::new(5, &[4_000; 10]);
    let (host, address) = (room.client.clone(), room.address);
    room.world.run(async move {
        let mut client = Client::connect(&host, address).await;
        let session = client.play().await;
        assert_eq!(client.watch_for(2_000).await.len(), 10);
        assert_eq!(client.ask(&handout("PAUSE", 3, session)).await.0, 200);
        assert_eq!(client.ask(&handout("PLAY", 4, session)).await.0, 200);
        let again = client.watch_for(2_000).await;
        let numbers: Vec<u16> = again.iter().map(Image::number).collect();
        assert_eq!(numbers, (11..=20).collect::<Vec<_>>());
        assert_eq!(again[0].data, image(0, 4_000));
    });
}
