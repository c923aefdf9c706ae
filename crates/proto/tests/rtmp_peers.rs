//! Real peers against the machines of RTMP, over sockets: ffmpeg and GStreamer publish to and play
//! from the server's machine; the client's publishes to and plays from ffmpeg and nginx.
//!
//! With `WEIR_RTMP_RECORD=DIRECTORY` what each peer sends to the server's machine is kept there.
#![allow(clippy::print_stderr, clippy::unwrap_used)]

#[path = "rtmp/driver.rs"]
mod driver;
#[path = "rtmp/movie.rs"]
mod movie;
#[path = "rtmp/nginx.rs"]
mod nginx;
#[path = "rtmp/played.rs"]
mod played;
#[path = "rtmp/published.rs"]
mod published;

use std::process::{Child, Command, Stdio};

/// A program that is ended with the test.
struct Program {
    child: Child,
}

impl Program {
    fn start(line: &str) -> Self {
        let mut words = line.split_whitespace();
        let child = Command::new(words.next().unwrap())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Program { child: child.unwrap() }
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has written, once it has ended by itself, and whether it was content.
    fn output(&mut self) -> (bool, String) {
        use std::io::Read;
        let status = self.child.wait().unwrap();
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        (status.success(), text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a program can be run with these arguments; says so if not.
fn has(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap();
    let found = Command::new(name).args(words).output().is_ok_and(|out| out.status.success());
    if !found {
        eprintln!("SKIPPED: {line} does not work here, {name} was not tried");
    }
    found
}
