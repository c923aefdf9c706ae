//! nginx with its RTMP module: the client's machine publishes to it and plays from it, and it
//! publishes to the server's machine.

use std::path::{Path, PathBuf};

use weir_proto::rtmp::client::Event;

use super::Program;
use super::driver::{dial, listen, serve};
use super::movie::movie;

const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// nginx with an application `live`, in which `more` is set.
fn nginx(port: u16, more: &str) -> Option<Program> {
    if !Path::new(MODULE).exists() {
        eprintln!("SKIPPED: {MODULE} is missing, nginx was not tried");
        return None;
    }
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("nginx-{port}"));
    std::fs::create_dir_all(&dir).unwrap();
    let config = format!(
        "load_module {MODULE};\ndaemon off;\nmaster_process off;\npid {dir}/pid;\n\
         error_log {dir}/error.log info;\nevents {{ }}\n\
         rtmp {{ server {{ listen 127.0.0.1:{port};\n\
         application live {{ live on; {more} }} }} }}\n",
        dir = dir.display()
    );
    let path = dir.join("nginx.conf");
    std::fs::write(&path, config).unwrap();
    let (path, dir) = (path.display(), dir.display());
    Some(Program::start(&format!("nginx -c {path} -p {dir} -e {dir}/error.log")))
}

#[test]
fn what_the_client_publishes_to_nginx_the_client_plays_from_it() {
    let Some((_, tracks, frames)) = movie() else { return };
    let port = listen().1;
    let Some(_nginx) = nginx(port, "wait_key on; sync 10ms;") else { return };
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    // The publisher starts the movie again and again until the player has had enough.
    let player = std::thread::scope(|scope| {
        #[allow(clippy::disallowed_methods)]
        let player = scope.spawn(|| dial(&url, None, 60));
        while !player.is_finished() {
            let published = dial(&url, Some((tracks, frames)), usize::MAX);
            assert_eq!(published.events.last(), Some(&Event::Ended), "{:?}", published.events);
        }
        player.join().unwrap()
    });
    let names: Vec<_> = player.stream.tracks.iter().map(|track| track.codec.name()).collect();
    assert_eq!(names, ["H.264", "AAC"], "{:?}", player.events);
    assert!(player.stream.count("H.264") > 5 && player.stream.count("AAC") > 5);
}

#[test]
fn nginx_publishes_what_it_gets_to_the_servers_machine() {
    let Some((path, ..)) = movie() else { return };
    let (listener, ours) = listen();
    let port = listen().1;
    let Some(mut nginx) = nginx(port, &format!("push rtmp://127.0.0.1:{ours}/live;")) else {
        return;
    };
    let path = path.display();
    // At the pace of real time: nginx takes a moment to connect.
    let _ffmpeg = Program::start(&format!(
        "ffmpeg -v error -re -i {path} -c copy -f flv rtmp://127.0.0.1:{port}/live/key"
    ));
    let served = serve(&listener, &mut nginx, None, "nginx-push.bin");
    let names: Vec<_> = served.stream.tracks.iter().map(|track| track.codec.name()).collect();
    assert_eq!(names, ["H.264", "AAC"], "{:?}", served.events);
    assert!(served.stream.count("H.264") > 30, "{}", served.stream.frames.len());
    assert!(served.end().is_some());
}
