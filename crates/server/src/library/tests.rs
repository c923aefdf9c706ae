use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use weir_net::sim::World;

use super::*;

/// A folder of one test's own.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("weir-library-{}-{test}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("films/sub")).unwrap();
        Folder(path.canonicalize().unwrap())
    }

    fn films(&self) -> PathBuf {
        self.0.join("films")
    }

    fn write(&self, name: &str, data: &[u8]) {
        fs::write(self.films().join(name), data).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Two images: a movie of few bytes.
fn movie() -> Vec<u8> {
    let frame = [0xff, 0xc0, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0];
    let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 0x55];
    let image = [&[0xff, 0xd8][..], &frame, &scan, &[0xff, 0xd9]].concat();
    image.repeat(2)
}

/// What `work` makes of the library and its host.
fn with<T: 'static, F: Future<Output = T>>(
    roots: Vec<PathBuf>,
    work: impl FnOnce(Library, weir_net::Host) -> F + 'static,
) -> T {
    let world = World::new(1);
    let host = world.host("server");
    world.run(async move { work(Library::new(roots), host).await }).unwrap()
}

fn listing(folder: &Folder) -> Arc<Listing> {
    with(vec![folder.films()], |library, host| async move { library.list(&host).await })
}

#[test]
fn what_is_no_movie_is_said_with_its_path_and_reason_and_hides_no_other() {
    let folder = Folder::new("odd");
    let films = folder.films();
    let path = |name: &str| films.join(name).display().to_string();
    for name in ["good.mjpeg", "sub/deep.MJPG"] {
        folder.write(name, &movie());
    }
    folder.write("good.ts", b"words, not packets");
    folder.write("empty.flv", b"");
    folder.write("bell\x07.mp4", &movie());
    folder.write("readme.txt", b"not looked at");
    fs::write(folder.0.join("outside.mjpeg"), movie()).unwrap();
    symlink("nowhere.mp4", films.join("dangling.mp4")).unwrap();
    symlink("../outside.mjpeg", films.join("out.mjpeg")).unwrap();
    symlink("../..", films.join("up")).unwrap();
    symlink("good.mjpeg", films.join("alias.mjpeg")).unwrap();
    symlink("sub", films.join("again")).unwrap();
    let listing = listing(&folder);
    assert_eq!(listing.names, ["alias", "good", "sub/deep"]);
    let out = folder.0.join("outside.mjpeg").display().to_string();
    let up = folder.0.parent().unwrap().display().to_string();
    let bell = format!("{:?}", films.join("bell\x07.mp4"));
    let mut expected = [
        format!("{bell}: control characters, or no UTF-8, in its name; it is not offered"),
        format!(
            "{}: the link leads to nothing (No such file or directory (os error 2)); it is not \
             offered",
            path("dangling.mp4")
        ),
        format!(
            "{}: the link leads out of the folder, to {out}; it is not offered",
            path("out.mjpeg")
        ),
        format!("{}: the link leads out of the folder, to {up}; it is not offered", path("up")),
        format!("{}: file at byte 0: it is empty; it is not offered", path("empty.flv")),
        format!(
            "{}: file at byte 0: no movie (MP4, QuickTime, FLV, MPEG-TS or Motion JPEG): it starts \
             with \"words, n\"; it is not offered",
            path("good.ts")
        ),
    ];
    let mut said = listing.warnings.clone();
    said.sort();
    expected.sort();
    assert_eq!(said, expected);
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let folder = Folder::new("traversal");
    folder.write("good.mjpeg", &movie());
    fs::write(folder.0.join("outside.mjpeg"), movie()).unwrap();
    let absolute = folder.0.join("outside.mjpeg").display().to_string();
    let inside = folder.films().join("good.mjpeg").display().to_string();
    let names = [
        "../outside.mjpeg",
        "../outside",
        "..",
        ".",
        "",
        "/",
        "sub/../good.mjpeg",
        "sub/../../outside.mjpeg",
        "./good.mjpeg",
        "//good.mjpeg",
        "good.mjpeg/",
        "good.mjpeg\0",
        "good.mjpeg\0.mp4",
        "%2e%2e/outside.mjpeg",
        "..%2foutside.mjpeg",
        "%2e%2e%2foutside.mjpeg",
        "..\\outside.mjpeg",
        &absolute,
        &inside,
        "good.mjp",
        "GOOD",
    ]
    .map(str::to_owned);
    with(vec![folder.films()], |library, host| async move {
        for name in names {
            assert_eq!(library.find(&host, &name).await, None, "{name:?}");
        }
        assert!(library.find(&host, "good").await.is_some());
    });
}

#[test]
fn files_that_come_change_and_go_are_seen_without_anybody_asking_for_the_listing() {
    let folder = Folder::new("rescan");
    let films = folder.films();
    folder.write("a.mjpeg", &movie());
    with(vec![films.clone()], |library, host| async move {
        let good = movie();
        assert!(library.find(&host, "a").await.is_some());
        assert_eq!(library.find(&host, "b").await, None);
        fs::write(films.join("b.mjpeg"), &good).unwrap();
        // A listing of a moment ago is used.
        assert_eq!(library.find(&host, "b").await, None);
        host.sleep(LISTING_AGE_MAX * 2).await;
        assert!(library.find(&host, "b").await.is_some());
        fs::write(films.join("b.mjpeg"), b"broken now, for sure").unwrap();
        fs::remove_file(films.join("a.mjpeg")).unwrap();
        host.sleep(LISTING_AGE_MAX * 2).await;
        library.list(&host).await;
        host.sleep(CHECK_PAUSE * 2).await;
        let listing = library.list(&host).await;
        assert_eq!(listing.names, [""; 0]);
        assert!(listing.warnings[0].contains("b.mjpeg: file at byte 0"), "{listing:?}");
        // It can still be asked for, and then says what is wrong with it.
        assert!(library.find(&host, "b").await.is_some());
        assert_eq!(library.find(&host, "a").await, None);
        fs::write(films.join("b.mjpeg"), &good).unwrap();
        host.sleep(LISTING_AGE_MAX * 2).await;
        library.list(&host).await;
        host.sleep(CHECK_PAUSE * 2).await;
        let listing = library.list(&host).await;
        assert_eq!((&listing.names[..], listing.warnings.len()), (&["b".to_owned()][..], 0));
    });
}

#[test]
fn unchanged_files_are_not_opened_again() {
    let folder = Folder::new("unchanged");
    (0..20).for_each(|n| folder.write(&format!("{n}.mjpeg"), &movie()));
    with(vec![folder.films()], |library, host| async move {
        library.list(&host).await;
        let checks = library.shared.lock().checks.len();
        assert_eq!(checks, 20);
        host.sleep(LISTING_AGE_MAX * 2).await;
        library.list(&host).await;
        host.sleep(CHECK_PAUSE).await;
        let state = library.shared.lock();
        assert!(state.unchecked.is_empty() && !state.checking);
    });
}

#[test]
fn a_movie_that_cannot_be_opened_after_all_is_not_offered_any_more() {
    let folder = Folder::new("refused");
    folder.write("a.mjpeg", &movie());
    let path = folder.films().join("a.mjpeg");
    with(vec![folder.films()], |library, host| async move {
        assert_eq!(library.list(&host).await.names, ["a"]);
        library.refuse(&path, &format!("{}: no key picture", path.display()));
        let listing = library.list(&host).await;
        assert_eq!(listing.names, [""; 0]);
        let expected = format!("{}: no key picture; it is not offered", path.display());
        assert_eq!(listing.warnings, [expected]);
    });
}

#[test]
fn a_thousand_movies_are_found_and_named() {
    let folder = Folder::new("thousand");
    let data = movie();
    for n in 0..1000 {
        let sub = folder.films().join(format!("season {}", n % 20));
        fs::create_dir_all(&sub).unwrap();
        fs::write(sub.join(format!("movie {n}.mjpeg")), &data).unwrap();
    }
    let found = scan(&[folder.films()]);
    assert_eq!((found.found.len(), found.warnings.len()), (1000, 0));
    assert_eq!(listing(&folder).names.len(), 1000);
}

#[test]
fn special_files_are_not_opened() {
    let folder = Folder::new("special");
    // A pipe would block whoever opens it.
    let path = folder.films().join("pipe.mp4");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if !made.is_ok_and(|status| status.success()) {
        return;
    }
    let listing = listing(&folder);
    assert_eq!(listing.names, [""; 0]);
    let expected = format!("{}: it is no regular file; it is not offered", path.display());
    assert_eq!(listing.warnings, [expected]);
    assert!(check(Path::new("/nonexistent")).is_err());
}

#[test]
fn a_file_that_has_become_a_link_out_of_the_folder_is_not_of_the_library() {
    let folder = Folder::new("swapped");
    let inside = folder.films().join("good.mjpeg");
    let outside = folder.0.join("outside.mjpeg");
    folder.write("good.mjpeg", &movie());
    fs::write(&outside, movie()).unwrap();
    let (path, named) = (inside.clone(), outside.clone());
    let before_and_after = with(vec![folder.films(), named], |library, host| async move {
        library.list(&host).await;
        let find = async || library.find(&host, "good").await.unwrap();
        let found = find().await;
        let file = host.open(&found).await.unwrap();
        let before = library.holds(&host, &found, &file).await;
        fs::remove_file(&path).unwrap();
        symlink(&outside, &path).unwrap();
        // The name is known, and nobody has looked through the folder since.
        let found = find().await;
        let file = host.open(&found).await.unwrap();
        let after = library.holds(&host, &found, &file).await;
        // What was named as a file may lie anywhere.
        let found = library.find(&host, "outside").await.unwrap();
        let file = host.open(&found).await.unwrap();
        (before, after, library.holds(&host, &found, &file).await)
    });
    assert_eq!(before_and_after, (true, false, true));
}
