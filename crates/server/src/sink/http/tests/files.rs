//! Movies as they lie on the disk.

use std::fs::{self, OpenOptions};
use std::time::Duration;

use super::client::Answer;
use super::{MOVIE, Room};
use crate::Settings;
use crate::movie::stub;

fn whole() -> Settings {
    Settings::default()
}

#[test]
fn a_range_gets_its_bytes_and_what_is_wrong_the_right_status() {
    let room = Room::new("ranges");
    let file = room.file(MOVIE);
    let length = file.len();
    room.run(move |mut client| async move {
        let all = client.get("/movie.mp4", "").await;
        assert_eq!(all.field("accept-ranges"), Some("bytes"));
        assert_eq!(all.field("content-type"), Some("video/mp4"));
        assert_eq!(all.field("access-control-allow-origin"), Some("*"));
        let last = length - 1;
        for (range, first, last) in [
            ("0-", 0, last),
            ("0-0", 0, 0),
            ("100-199", 100, 199),
            ("-7", length - 7, last),
            ("5-9223372036854775808", 5, last),
            ("-99999999999", 0, last),
        ] {
            let part = client.get("/movie.mp4", &format!("Range: bytes={range}\r\n")).await;
            assert_eq!(part.status, 206, "{range}");
            let said = format!("bytes {first}-{last}/{length}");
            assert_eq!(part.field("content-range"), Some(&*said), "{range}");
            assert_eq!(part.body, file[first..=last], "{range}");
        }
        for range in ["bytes=9223372036854775808-", "bytes=99999999-", "bytes=-0"] {
            let none = client.get("/movie.mp4", &format!("Range: {range}\r\n")).await;
            assert_eq!(none.status, 416, "{range}");
            assert_eq!(none.field("content-range"), Some(&*format!("bytes */{length}")));
        }
        let many = format!("bytes={}", ["0-1"; 500].join(","));
        for range in ["bytes=9-5", "bytes=a-b", "lines=1-2", "bytes=", &many] {
            let all = client.get("/movie.mp4", &format!("Range: {range}\r\n")).await;
            assert_eq!((all.status, all.body.len()), (200, length), "{range}");
        }
        let several = "Range: bytes=0-1\r\nRange: bytes=5-6\r\n";
        assert_eq!(client.get("/movie.mp4", several).await.status, 200);
    });
}

/// The parts of a multipart/byteranges body: what Content-Range says, and the bytes.
fn parts(answer: &Answer) -> Vec<(String, Vec<u8>)> {
    let kind = answer.field("content-type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut rest = &answer.body[..];
    let mut parts = Vec::new();
    let find = |rest: &[u8], text: &str| {
        rest.windows(text.len()).position(|window| window == text.as_bytes()).unwrap()
    };
    let dashes = format!("\r\n--{boundary}");
    loop {
        rest = &rest[find(rest, &dashes) + dashes.len()..];
        if rest == b"--\r\n" {
            return parts;
        }
        let end = find(rest, "\r\n\r\n") + 4;
        let head = std::str::from_utf8(&rest[..end]).unwrap().to_owned();
        rest = &rest[end..];
        parts.push((head, rest[..find(rest, &dashes)].to_vec()));
    }
}

#[test]
fn several_ranges_come_as_parts_of_one_body() {
    let room = Room::new("multipart");
    let file = room.file(MOVIE);
    room.run(|mut client| async move {
        let answer = client.get("/movie.mp4", "Range: bytes=9-99, 0-3, -5\r\n").await;
        assert_eq!(answer.status, 206);
        let parts = parts(&answer);
        let length = file.len();
        let expected = [(9, 99), (0, 3), (length - 5, length - 1)];
        assert_eq!(parts.len(), expected.len());
        for ((head, bytes), (first, last)) in parts.iter().zip(expected) {
            assert!(head.contains(&format!("Content-Range: bytes {first}-{last}/{length}")));
            assert!(head.contains("Content-Type: video/mp4"));
            assert_eq!(*bytes, file[first..=last]);
        }
        // Behind it the connection goes on.
        assert_eq!(client.get("/healthz", "").await.status, 200);
    });
}

#[test]
fn a_head_is_what_a_get_would_have_without_the_body() {
    let room = Room::new("head");
    room.run(|mut client| async move {
        for path in ["/movie.mp4", "/", "/api/v1/streams", "/nothing", "/movie/"] {
            let get = client.get(path, "").await;
            let head = client.ask("HEAD", path, "Range: bytes=0-0\r\n").await;
            let fields = ["content-length", "content-type", "etag"];
            let of = |answer: &Answer| fields.map(|name| answer.field(name).map(str::to_owned));
            if path != "/api/v1/streams" {
                assert_eq!((head.status, of(&head)), (get.status, of(&get)), "{path}");
            }
            assert_eq!(client.waiting(), 0);
        }
    });
}

/// Sets when a file was last changed, in seconds since 1970.
#[allow(clippy::disallowed_types, reason = "the file system knows no other")]
fn set_modified(path: &std::path::Path, seconds: u64) {
    let file = OpenOptions::new().append(true).open(path).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
}

#[test]
fn conditions_spare_or_forbid_what_they_should() {
    let room = Room::with("conditions", whole(), weir_link::Settings::default(), |folder| {
        set_modified(&folder.join(MOVIE), 784_111_777);
    });
    room.run(|mut client| async move {
        let all = client.get("/movie.mp4", "").await;
        let same = "Sun, 06 Nov 1994 08:49:37 GMT";
        let before = "Sun, 06 Nov 1994 08:49:36 GMT";
        assert_eq!(all.field("last-modified"), Some(same));
        let etag = all.field("etag").unwrap();
        assert!(!etag.starts_with("W/"), "{etag}");
        for (fields, status) in [
            (format!("If-None-Match: {etag}"), 304),
            (format!("If-None-Match: W/{etag}, \"x\""), 304),
            ("If-None-Match: \"x\"".to_owned(), 200),
            (format!("If-Modified-Since: {same}"), 304),
            (format!("If-Modified-Since: {before}"), 200),
            ("If-Match: \"x\"".to_owned(), 412),
            (format!("If-Match: {etag}"), 200),
            (format!("If-Unmodified-Since: {before}"), 412),
            (format!("Range: bytes=0-3\r\nIf-Range: {etag}"), 206),
            ("Range: bytes=0-3\r\nIf-Range: \"x\"".to_owned(), 200),
            (format!("Range: bytes=0-3\r\nIf-Range: {same}"), 206),
            (format!("Range: bytes=0-3\r\nIf-None-Match: {etag}"), 304),
            ("Range: bytes=0-3\r\nIf-Match: \"x\"".to_owned(), 412),
        ] {
            let answer = client.get("/movie.mp4", &format!("{fields}\r\n")).await;
            assert_eq!(answer.status, status, "{fields}");
            assert_eq!(answer.field("etag"), Some(etag), "{fields}");
            assert!(status != 304 || answer.body.is_empty());
        }
    });
}

#[test]
fn names_with_anything_in_them_are_found_and_nothing_else_is() {
    let room = Room::with("names", whole(), weir_link::Settings::default(), |folder| {
        fs::create_dir_all(folder.join("a b/c%")).unwrap();
        stub::write(&folder.join("a b/c%/\u{1f438} & 50% #1?.mp4"), &[500; 2]);
        stub::write(&folder.join("two.mp4"), &[600; 2]);
        stub::write(&folder.join("two.mov"), &[700; 2]);
        fs::write(folder.join("secret.txt"), "secret").unwrap();
        fs::write(folder.join("not.mp4"), "secret").unwrap();
        fs::write(folder.join(".hidden.mp4"), "secret").unwrap();
        let outside = folder.with_extension("outside");
        fs::write(&outside, "secret").unwrap();
        let _ = std::os::unix::fs::symlink(&outside, folder.join("link.mp4"));
    });
    let (frog, two) = (room.file("a b/c%/\u{1f438} & 50% #1?.mp4"), room.file("two.mp4"));
    let mov = room.file("two.mov");
    room.run(|mut client| async move {
        let path = "/a%20b/c%25/%F0%9F%90%B8%20&%2050%25%20%231%3F";
        assert_eq!(client.get(&format!("{path}.mp4"), "").await.body, frog);
        assert_eq!(client.get(&format!("{}.mp4", path.replace("b/", "b%2F")), "").await.body, frog);
        let moved = client.get(path, "").await;
        assert_eq!(moved.status, 308);
        let page = moved.field("location").unwrap().to_owned();
        assert_eq!(client.get(&page, "").await.status, 200, "{page}");
        // Names that collide keep their endings.
        assert_eq!(client.get("/two.mp4", "").await.body, two);
        assert_eq!(client.get("/two.mp4.mp4", "").await.body, two);
        assert_eq!(client.get("/two.mov.mp4", "").await.body, mov);
        assert_eq!(client.get("/two/", "").await.status, 404);
        for path in [
            "/secret.txt",
            "/secret",
            "/secret.mp4",
            "/not.mp4",
            "/not",
            "/.hidden.mp4",
            "/.hidden",
            "/link.mp4",
            "/link",
            "/movie.ts",
            "/movie.flv",
            "/movie.mjpeg",
            "/a%20b/",
            "/a%20b",
            "//movie.mp4",
            "/movie.mp4/movie.mp4",
            "/movie/..%5c..%5cx",
        ] {
            let answer = client.get(path, "").await;
            assert_eq!(answer.status, 404, "{path}");
            assert!(!answer.text().contains("secret\n"), "{path}");
        }
        for path in [
            "/../secret.txt",
            "/..%2fsecret.txt",
            "/movie/../secret.txt",
            "/%2e%2e/%2e%2e/etc/passwd",
            "/a%20b/../../etc/passwd",
            "/movie.mp4%00.txt",
            "/./movie.mp4",
            "/%ff.mp4",
            "/%zz",
        ] {
            assert_eq!(client.get(path, "").await.status, 400, "{path}");
        }
    });
    let _ = fs::remove_file(
        std::env::temp_dir().join(format!("weir-http-{}-names.outside", std::process::id())),
    );
}

#[test]
fn a_movie_that_is_replaced_or_removed_while_it_plays_goes_on() {
    let link = weir_link::Settings {
        rate: weir_link::Rate::bits_per_second(4_000_000),
        ..weir_link::Settings::default()
    };
    for removed in [false, true] {
        let room = Room::with("replaced", whole(), link.clone(), |_| {});
        let (file, path) = (room.file(MOVIE), room.folder.0.join(MOVIE));
        let new = room.run(move |mut client| async move {
            client.send("GET /movie.mp4 HTTP/1.1\r\nHost: h\r\n\r\n").await;
            client.more().await.unwrap();
            fs::remove_file(&path).unwrap();
            if !removed {
                stub::write(&path, &[900; 3]);
            }
            assert!(client.answer(true).await.unwrap().body == file);
            client.host.sleep(Duration::from_secs(5)).await;
            client.get("/movie.mp4", "").await
        });
        match removed {
            true => assert_eq!(new.status, 404),
            false => assert_eq!(new.body, room.file(MOVIE)),
        }
    }
}

#[test]
fn a_movie_that_is_cut_short_while_it_plays_ends_the_connection() {
    let link = weir_link::Settings {
        rate: weir_link::Rate::bits_per_second(20_000_000),
        ..weir_link::Settings::default()
    };
    let mut room = Room::with("cut", whole(), link, |folder| {
        stub::write(&folder.join("long.mp4"), &[1_000_000; 20]);
    });
    let path = room.folder.0.join("long.mp4");
    room.run(move |mut client| async move {
        client.send("GET /long.mp4 HTTP/1.1\r\nHost: h\r\n\r\n").await;
        client.more().await.unwrap();
        OpenOptions::new().write(true).open(&path).unwrap().set_len(1000).unwrap();
        assert_eq!(client.answer(true).await, None);
        assert!(client.waiting() < 20_000_000);
        assert_eq!(client.again().await.get("/healthz", "").await.status, 200);
    });
    let said = room.records().into_iter().any(|event| match event {
        weir_record::Event::Failure(failure) => failure.text.contains("shorter"),
        _ => false,
    });
    assert!(said);
}
