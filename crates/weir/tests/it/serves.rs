//! `weir serve`: what it says of mistakes, what it finds in folders, and how it ends.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::movies::{self, PLAIN};
use crate::program::{
    Finished, Folder, Running, Server, assert_nothing_lost, assert_serves_on, play, run, serve,
    wait_until, weir,
};
use crate::rtsp::Client;

const LIMIT: Duration = Duration::from_secs(10);

/// What `weir serve` says of arguments with which it cannot start.
fn refusal(folder: &Folder, arguments: &[&Path]) -> String {
    let mut command = serve(folder);
    command.args(arguments);
    let finished = run(command, folder, "refused", LIMIT);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(finished.out.is_empty() && finished.err.starts_with("weir: "), "{finished:?}");
    assert!(!finished.err.contains("panicked"), "{finished:?}");
    finished.err
}

#[test]
fn a_busy_port_is_refused_with_the_option_that_helps() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("serve-busy");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port().to_string();
    let mut command = weir();
    command.current_dir(folder.path()).arg("serve").arg(&movie);
    command.args(["--bind", "127.0.0.1", "--rtsp-port", &port]);
    let finished = run(command, &folder, "serve", LIMIT);
    assert_eq!(finished.code, Some(1), "{finished:?}");
    assert!(
        finished.err.contains(&port) && finished.err.contains("--rtsp-port 0"),
        "{}",
        finished.err
    );
}

#[test]
fn an_unknown_key_of_the_settings_is_refused_with_the_nearest_right_one() {
    let folder = Folder::new("serve-key");
    fs::write(folder.join("weir.toml"), "[rtsp]\nprot = 8554\n").unwrap();
    let said = refusal(&folder, &[Path::new(".")]);
    assert!(
        said.contains("weir.toml") && said.contains("rtsp.prot") && said.contains("rtsp.port"),
        "{said}"
    );
}

#[test]
fn settings_of_the_file_hold_where_the_command_line_says_nothing() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("serve-settings");
    fs::write(
        folder.join("weir.toml"),
        format!("live = [{movie:?}]\n[record]\nfile = \"run.jsonl\"\n"),
    )
    .unwrap();
    let server = Server::start::<&str>(&folder, &[]);
    assert_eq!(server.banner["streams"][0]["live"], true, "{}", server.banner);
    server.end();
    let records = fs::read_to_string(folder.join("run.jsonl")).unwrap();
    assert!(records.starts_with("{\"record\":\"weir\""), "{records}");
}

#[test]
fn a_file_that_is_not_there_is_refused_by_its_name() {
    let folder = Folder::new("serve-missing");
    let said = refusal(&folder, &[Path::new("nowhere.mp4")]);
    assert!(said.contains("nowhere.mp4") && said.contains("No such file"), "{said}");
}

#[test]
fn nothing_to_serve_is_refused_with_an_example() {
    let folder = Folder::new("serve-nothing");
    let said = refusal(&folder, &[]);
    assert!(said.contains("weir serve movie.mp4"), "{said}");
}

/// Holds that a refusal says which file, and where in it or what was expected of it.
fn assert_tells_the_place(said: &str, path: &Path) {
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(name), "{name} is not named: {said}");
    let reason = said.split(name).last().unwrap_or_default();
    let tells = ["byte", "box", "moov", "empty", "MP4"];
    assert!(tells.iter().any(|word| reason.contains(word)), "no place or box: {said}");
}

#[test]
fn a_movie_cut_off_anywhere_in_its_index_is_refused_with_file_and_place() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("serve-cut");
    let bytes = fs::read(&movie).unwrap();
    let media = find(&bytes, b"mdat").unwrap();
    let cuts = [
        0,
        1,
        7,
        8,
        20,
        media - 5,
        media + 3,
        media + 4,
        (media + bytes.len()) / 2,
        bytes.len() - 1,
    ];
    for cut in cuts.into_iter().chain((1..12).map(|twelfth| media * twelfth / 12)) {
        let path = folder.join(format!("cut-{cut}.mp4"));
        fs::write(&path, &bytes[..cut]).unwrap();
        let said = refusal(&folder, &[&path]);
        assert_tells_the_place(&said, &path);
    }
}

#[test]
fn files_that_are_no_movies_are_refused_with_what_was_expected() {
    let folder = Folder::new("serve-other");
    for (name, bytes) in
        [("text.mp4", &b"not a movie at all, just words\n"[..]), ("zeros.mp4", &[0; 5000])]
    {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        let said = refusal(&folder, &[&path]);
        assert_tells_the_place(&said, &path);
    }
}

#[test]
fn a_folder_of_broken_movies_hurts_only_those_that_ask_for_them() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("serve-broken");
    let films = folder.join("films");
    let names = broken_movies(&movie, &films);
    fs::copy(&movie, films.join("good.mp4")).unwrap();
    let server = Server::start(&folder, &[&films]);
    let mut good = Running::start(play(&server.url("good"), "tcp"), &folder, "good");
    let mut playing = Vec::new();
    for name in &names {
        let mut client = Client::connect(&server.address);
        let response = client.request("DESCRIBE", &server.url(name), "");
        match response.status {
            200 => {
                // What can be described is played, whatever its samples are.
                client.set_up_and_play(&server.url(name));
                playing.push(client);
            }
            status => {
                assert!((400..600).contains(&status) && status != 404, "{name}: {response:?}");
                let said = server.program.said().1;
                assert!(said.contains(name.as_str()), "{name} is not in the log: {said}");
            }
        }
    }
    assert!(playing.len() < names.len(), "all {} broken movies could be described", names.len());
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        playing.iter_mut().for_each(|client| client.drain_what_is_there());
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(!good.is_over());
    let finished = good.finish(Duration::from_secs(20));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_nothing_lost(&finished.json());
    assert_serves_on(&server, &folder, "good");
    server.end();
}

/// Writes copies of the movie with flipped bytes, most of them in the index, and cut ones.
fn broken_movies(movie: &Path, films: &Path) -> Vec<String> {
    fs::create_dir(films).unwrap();
    let bytes = fs::read(movie).unwrap();
    let media = find(&bytes, b"mdat").unwrap();
    let mut names = Vec::new();
    let mut keep = |name: String, bytes: &[u8]| {
        fs::write(films.join(format!("{name}.mp4")), bytes).unwrap();
        names.push(name);
    };
    for number in 0..60 {
        let place = media * number / 60;
        let mut broken = bytes.clone();
        broken[place] ^= 0xff;
        keep(format!("flipped-{place}"), &broken);
    }
    for number in 0..8 {
        let mut broken = bytes.clone();
        let place = media + 8 + (bytes.len() - media - 8) * number / 8;
        broken[place..place + 4].iter_mut().for_each(|byte| *byte ^= 0xff);
        keep(format!("media-{place}"), &broken);
    }
    for cut in [0, 9, media / 2, media + 100, bytes.len() - 1] {
        keep(format!("cut-{cut}"), &bytes[..cut]);
    }
    keep("words".to_owned(), b"not a movie at all, just words\n");
    names
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

#[test]
fn movies_are_found_by_their_names_with_and_without_extension_and_with_spaces_and_umlauts() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("serve-names");
    let films = folder.join("films");
    fs::create_dir_all(films.join("alt")).unwrap();
    for name in ["Über den Wolken.mp4", "plain.mp4", "alt/plain.mov", "two.dots.mp4"] {
        fs::copy(&movie, films.join(name)).unwrap();
    }
    let server = Server::start(&folder, &[&films]);
    let urls: Vec<&str> = streams(&server);
    let umlaut = server.url("%C3%9Cber%20den%20Wolken");
    assert!(urls.contains(&umlaut.as_str()), "{urls:?}");
    let names = ["plain", "plain.mp4", "alt/plain", "alt/plain.mov", "two.dots", "two.dots.mp4"];
    for name in names
        .map(str::to_owned)
        .into_iter()
        .chain(["%C3%9Cber%20den%20Wolken".to_owned(), "%C3%9Cber%20den%20Wolken.mp4".to_owned()])
    {
        let response = Client::connect(&server.address).request("DESCRIBE", &server.url(&name), "");
        assert_eq!(response.status, 200, "{name}: {response:?}");
    }
    for name in ["two", "plain.mov", "..%2Fplain", "../films/plain", "%C3%9Cber"] {
        let response = Client::connect(&server.address).request("DESCRIBE", &server.url(name), "");
        assert!((400..500).contains(&response.status), "{name}: {response:?}");
    }
    assert_serves_on(&server, &folder, "%C3%9Cber%20den%20Wolken");
    server.end();
}

fn streams(server: &Server) -> Vec<&str> {
    let streams = server.banner["streams"].as_array().unwrap();
    streams.iter().map(|stream| stream["url"].as_str().unwrap()).collect()
}

#[test]
fn movies_that_come_and_go_in_a_folder_are_served_and_not_served_some_seconds_later() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("serve-rescan");
    let films = folder.join("films");
    fs::create_dir(&films).unwrap();
    let server = Server::start(&folder, &[&films]);
    let status = || {
        let mut client = Client::connect(&server.address);
        client.request("DESCRIBE", &server.url("late"), "").status
    };
    assert_eq!(status(), 404);
    fs::copy(&movie, films.join("late.mp4")).unwrap();
    wait_until(Duration::from_secs(6), "a new file is served", || status() == 200);
    assert_serves_on(&server, &folder, "late");
    fs::remove_file(films.join("late.mp4")).unwrap();
    wait_until(Duration::from_secs(6), "a file that is gone is not served", || status() == 404);
    server.end();
}

#[test]
fn a_banner_for_people_names_every_address_and_who_may_do_what() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    let folder = Folder::new("serve-banner");
    fs::copy(&movie, folder.join("talk.mp4")).unwrap();
    let mut command = weir();
    command.current_dir(folder.path());
    command.args([
        "serve",
        "talk.mp4",
        "--bind",
        "127.0.0.1",
        "--rtsp-port",
        "0",
        "--http-port",
        "0",
    ]);
    let server = Running::start(command, &folder, "server");
    wait_until(LIMIT, "the banner is printed", || server.said().0.contains("ffplay"));
    let banner = server.said().0;
    assert!(banner.contains("rtsp://127.0.0.1:") && banner.contains("/talk"), "{banner}");
    assert!(banner.contains("may play"), "{banner}");
    server.signal("INT");
    assert_eq!(server.finish(LIMIT).code, Some(0));
}

/// Ends a server by this signal while viewers play; says how all of them ended.
fn ended_by(signal: &str, movie: &Path, options: &[&str]) -> (Finished, Vec<Finished>) {
    let folder = Folder::new(&format!("serve-ends-{signal}-{}", options.len()));
    let mut arguments: Vec<&Path> = options.iter().map(Path::new).collect();
    arguments.push(movie);
    let server = Server::start(&folder, &arguments);
    let url = server.url(movie.file_stem().unwrap().to_str().unwrap());
    let viewers: Vec<Running> = ["udp", "tcp"]
        .into_iter()
        .map(|transport| Running::start(play(&url, transport), &folder, transport))
        .collect();
    std::thread::sleep(Duration::from_millis(800));
    server.program.signal(signal);
    let finished = server.program.finish(Duration::from_secs(3));
    let viewers = viewers.into_iter().map(|viewer| viewer.finish(Duration::from_secs(3))).collect();
    (finished, viewers)
}

#[test]
fn a_server_that_is_interrupted_or_terminated_ends_well_and_its_viewers_get_a_good_bye() {
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    for (signal, options) in [("INT", &[][..]), ("TERM", &["--live"][..])] {
        let (server, viewers) = ended_by(signal, &movie, options);
        assert_eq!(server.code, Some(0), "{signal}: {server:?}");
        assert!(!server.err.contains("panicked"), "{}", server.err);
        for viewer in viewers {
            let summary = viewer.json();
            assert!(
                ["end_of_stream", "peer_closed"].contains(&summary["ended"].as_str().unwrap()),
                "{summary:#}"
            );
            assert_nothing_lost(&summary);
            // The good-bye tells that nothing is missing at the end.
            for track in summary["tracks"].as_array().unwrap() {
                assert_eq!(track["tail_lost"], 0, "{signal}: {summary:#}");
            }
        }
    }
}
