//! Resources as a client gets them, on a simulated host.

mod foreign;
mod live;
mod movies;
mod validate;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_media::movie;
use weir_net::Host;
use weir_net::sim::World;

use super::*;
use crate::Library;
use crate::movie::Movie;

/// A folder of a test's own, taken away when it ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("weir-package-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn hub() -> Arc<Hub> {
    Hub::new(Library::new(Vec::new()), 64 << 20)
}

async fn open(host: &Host, path: &Path) -> Arc<Movie> {
    let file = host.open(path).await.unwrap();
    Arc::new(Movie::open(host, "movie", path, file).await.unwrap())
}

/// A client of one stream.
struct Client {
    hub: Arc<Hub>,
    host: Host,
    stream: Stream,
}

impl Client {
    async fn get(&self, path: &str) -> Result<Resource, Refusal> {
        resource(&self.hub, &self.host, &self.stream, path, None).await
    }

    async fn bytes(&self, path: &str) -> Vec<u8> {
        self.get(path).await.unwrap_or_else(|error| panic!("{path}: {error:?}")).body.concat()
    }

    async fn text(&self, path: &str) -> String {
        String::from_utf8(self.bytes(path).await).unwrap()
    }

    async fn media(&self, folder: &str) -> validate::Media {
        validate::media(&self.text(&format!("{folder}/index.m3u8")).await)
    }

    /// The frames of a segment.
    async fn segment(&self, folder: &str, segment: &validate::Segment) -> movie::Movie {
        let init = self.bytes(&format!("{folder}/{}", segment.map)).await;
        let data = self.bytes(&format!("{folder}/{}", segment.uri)).await;
        validate::movie(&init, &[&data])
    }

    /// Writes all that clients ask for into a folder.
    async fn export(&self, folder: &Path) {
        let mut wanted = vec!["index.m3u8".to_owned(), "manifest.mpd".to_owned()];
        while let Some(path) = wanted.pop() {
            let body = self.bytes(&path).await;
            if path.ends_with(".m3u8") {
                let base = path.strip_suffix("index.m3u8").unwrap();
                let text = String::from_utf8(body.clone()).unwrap();
                wanted.extend(uris(&text).iter().map(|uri| format!("{base}{uri}")));
            }
            let file = folder.join(&path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, body).unwrap();
        }
    }
}

/// The addresses that a playlist names.
fn uris(playlist: &str) -> Vec<String> {
    let in_tags = playlist.lines().filter_map(|line| {
        line.split_once("URI=\"")?.1.split_once('"').map(|(uri, _)| uri.to_owned())
    });
    let lines = playlist.lines().filter(|line| !line.starts_with('#')).map(str::to_owned);
    in_tags.chain(lines).collect()
}

#[test]
fn addresses_are_read_and_others_refused() {
    assert_eq!(Place::read("index.m3u8"), Some(Place::Multivariant));
    assert_eq!(Place::read("manifest.mpd"), Some(Place::Mpd));
    assert_eq!(Place::read("video/17.m4s"), Some(Place::Segment("video", 17)));
    assert_eq!(Place::read("audio/init-3.mp4"), Some(Place::Init("audio", 3)));
    for path in
        ["", "/", "video", "video/", "video/+1.m4s", "video/01.m4s", "video/1.m4s/", "x.m3u8"]
    {
        assert_eq!(Place::read(path), None, "{path}");
    }
    let huge = "video/99999999999999999999.m4s";
    assert_eq!(Place::read(huge), None);
}

#[test]
fn a_session_goes_on_and_nothing_else_does() {
    assert_eq!(session(Some("a=b&session=0123456789abcdef")), "?session=0123456789abcdef");
    for query in [None, Some(""), Some("session="), Some("session=%22"), Some("session=a\"b")] {
        assert_eq!(session(query), "");
    }
}
