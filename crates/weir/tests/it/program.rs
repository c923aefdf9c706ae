//! Programs under test: started, watched against a deadline, and ended by their own ids.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program `weir`: that of `WEIR_BIN`, or the one built with these tests.
pub(crate) fn weir() -> Command {
    let built = env!("CARGO_BIN_EXE_weir");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
    let path = std::env::var_os("WEIR_BIN").map_or_else(|| built.into(), |path| root.join(path));
    let mut command = Command::new(path);
    command.env_remove("WEIR_LOG");
    command
}

/// A program of the system; `None`, and a line that says so, where it is not installed.
pub(crate) fn installed(name: &str) -> Option<()> {
    let flag = if name.starts_with("gst") { "--version" } else { "-version" };
    let is_there =
        Command::new(name).arg(flag).output().is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("SKIPPED: {name} is not installed");
    }
    is_there.then_some(())
}

/// A folder of one test's own, gone when the test has passed.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(test: &str) -> Folder {
        let name = format!("{test}-{}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("program").join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

/// A program that runs, with what it says in files. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    name: String,
    out: PathBuf,
    err: PathBuf,
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Running {
    /// Starts `command`; `name` tells it from the others of its test.
    pub(crate) fn start(mut command: Command, folder: &Folder, name: &str) -> Running {
        command.stdin(Stdio::null());
        Running::start_as_is(command, folder, name)
    }

    /// The same with a pipe to its standard input.
    pub(crate) fn start_with_input(
        mut command: Command,
        folder: &Folder,
        name: &str,
    ) -> (Running, ChildStdin) {
        command.stdin(Stdio::piped());
        let mut running = Running::start_as_is(command, folder, name);
        let input = running.child.stdin.take().unwrap();
        (running, input)
    }

    fn start_as_is(mut command: Command, folder: &Folder, name: &str) -> Running {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&err).unwrap());
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        Running { child, name: name.to_owned(), out, err }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// What it has said so far on standard output and on standard error.
    pub(crate) fn said(&self) -> (String, String) {
        let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        (read(&self.out), read(&self.err))
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
    }

    /// Waits for its end; past the limit it is killed and the test fails.
    pub(crate) fn finish(mut self, limit: Duration) -> Finished {
        let deadline = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > deadline {
                let _ = self.child.kill();
                let (out, err) = self.said();
                panic!("{} did not end within {limit:?}\nout: {out}\nerr: {err}", self.name);
            }
            sleep(Duration::from_millis(5));
        };
        let (out, err) = self.said();
        Finished { code: status.code(), out, err }
    }

    /// Memory of its own, in bytes: anonymous pages in use.
    pub(crate) fn memory_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// The document on standard output.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Starts `command` and waits for its end.
pub(crate) fn run(command: Command, folder: &Folder, name: &str, limit: Duration) -> Finished {
    Running::start(command, folder, name).finish(limit)
}

/// Waits until `done` holds; the test fails with `what` where it does not in time.
pub(crate) fn wait_until(limit: Duration, what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + limit;
    while !done() {
        assert!(Instant::now() < deadline, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(10));
    }
}

/// `weir serve` on a free port of this machine alone.
pub(crate) struct Server {
    pub(crate) program: Running,
    /// Its RTSP address.
    pub(crate) address: String,
    /// What it printed as JSON.
    pub(crate) banner: Value,
}

const START_LIMIT: Duration = Duration::from_secs(10);
const END_LIMIT: Duration = Duration::from_secs(10);

impl Server {
    /// Serves with these arguments, which name movies and options.
    pub(crate) fn start<S: AsRef<OsStr>>(folder: &Folder, arguments: &[S]) -> Server {
        let mut command = serve(folder);
        command.args(arguments);
        Server::of(Running::start(command, folder, "server"))
    }

    /// The server that starts as `program`.
    pub(crate) fn of(mut program: Running) -> Server {
        wait_until(START_LIMIT, "the server prints its addresses", || {
            program.said().0.ends_with('\n') || program.is_over()
        });
        let (out, err) = program.said();
        let banner: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        let address = banner["rtsp"].as_str().unwrap().to_owned();
        Server { program, address, banner }
    }

    /// The address of a stream, whose name stands as it is to be sent.
    pub(crate) fn url(&self, name: &str) -> String {
        format!("rtsp://{}/{name}", self.address)
    }

    /// Ends it as Ctrl-C does, and holds that it ends well and has not panicked.
    pub(crate) fn end(self) -> Finished {
        self.program.signal("INT");
        let finished = self.program.finish(END_LIMIT);
        assert_eq!(finished.code, Some(0), "{finished:?}");
        assert!(!finished.err.contains("panicked"), "{}", finished.err);
        finished
    }
}

/// The command `weir serve` on a free port, away from any `weir.toml`.
pub(crate) fn serve(folder: &Folder) -> Command {
    let mut command = weir();
    command.current_dir(folder.path());
    command.args([
        "serve",
        "--bind",
        "127.0.0.1",
        "--rtsp-port",
        "0",
        "--http-port",
        "0",
        "--json",
    ]);
    command
}

/// The command `weir play`, which prints JSON.
pub(crate) fn play(url: &str, transport: &str) -> Command {
    let mut command = weir();
    command.args(["play", url, "--transport", transport, "--json"]);
    command
}

/// Holds that a summary of `weir play` tells of no loss on any track.
pub(crate) fn assert_nothing_lost(summary: &Value) {
    let tracks = summary["tracks"].as_array().unwrap();
    assert!(!tracks.is_empty(), "{summary:#}");
    for track in tracks {
        for figure in ["lost", "duplicates", "reordered", "frames_discarded", "late"] {
            assert_eq!(track[figure], 0, "{figure}: {summary:#}");
        }
        assert!(track["packets"].as_u64().is_some_and(|packets| packets > 0), "{summary:#}");
    }
}

/// Holds that the server still serves: a short play of the stream loses nothing.
pub(crate) fn assert_serves_on(server: &Server, folder: &Folder, name: &str) {
    let mut command = play(&server.url(name), "tcp");
    command.args(["--seconds", "0.3"]);
    let finished = run(command, folder, "serves-on", Duration::from_secs(10));
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_nothing_lost(&finished.json());
}
