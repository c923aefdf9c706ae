//! The control socket: a thread for each client, and few clients.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Desk, Request, Response, place};

/// A socket that is open, until it is closed.
#[derive(Debug)]
pub(crate) struct SocketDoor {
    path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    is_closed: AtomicBool,
    /// By number.
    clients: Mutex<Vec<(u64, UnixStream)>>,
}

impl SocketDoor {
    /// Opens a socket at `path`, or at a place of its own where others find it.
    pub(crate) fn open(path: Option<&Path>, desk: Desk) -> io::Result<SocketDoor> {
        let path = match path {
            Some(path) => {
                make_way(path)?;
                path.to_owned()
            }
            None => place::free(&place::usable()?),
        };
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
        let shared = Arc::new(Shared::default());
        let accepted = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("weir-control".to_owned())
            .spawn(move || accept(&listener, &desk, &accepted))?;
        Ok(SocketDoor { path, shared, thread: Some(thread) })
    }

    /// Where it stands.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketDoor {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Ordering::SeqCst);
        // A connection wakes the thread that waits for one.
        let woken = UnixStream::connect(&self.path).is_ok();
        let _ = fs::remove_file(&self.path);
        for (_, client) in self.shared.lock().drain(..) {
            let _ = client.shutdown(std::net::Shutdown::Both);
        }
        if let Some(thread) = self.thread.take().filter(|_| woken) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, UnixStream)>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept(listener: &UnixListener, desk: &Desk, shared: &Arc<Shared>) {
    let active = Arc::new(());
    for (number, client) in (0_u64..).zip(listener.incoming()) {
        if shared.is_closed.load(Ordering::SeqCst) {
            return;
        }
        let Ok(mut client) = client else {
            // Out of descriptors, perhaps: it must not spin.
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        let _ = client.set_write_timeout(Some(WRITE_WITHIN));
        if Arc::strong_count(&active) > CLIENTS_MAX {
            let refused = Response::refused("too many clients at once: try again later");
            let _ = answer(&mut client, &refused);
            continue;
        }
        let Ok(known) = client.try_clone() else { continue };
        shared.lock().push((number, known));
        let (desk, shared, here) = (desk.clone(), Arc::clone(shared), Arc::clone(&active));
        let serve = move || {
            let _here = here;
            serve(&client, &desk);
            shared.lock().retain(|(other, _)| *other != number);
        };
        let name = "weir-control-client".to_owned();
        // Without a thread the client finds its connection closed.
        let _ = std::thread::Builder::new().name(name).spawn(serve);
    }
}

fn serve(client: &UnixStream, desk: &Desk) {
    let (Ok(input), Ok(mut output)) = (client.try_clone(), client.try_clone()) else { return };
    let mut input = BufReader::new(input);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = LINE_BYTES_MAX as u64 + 1;
        match (&mut input).take(limit).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if line.len() > LINE_BYTES_MAX {
            let _ = answer(&mut output, &Response::refused("the line is longer than 64 KB"));
            return;
        }
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let response = match Request::read(line) {
            Ok(request) => desk.answer(request),
            Err(why) => Response::refused(why),
        };
        if answer(&mut output, &response).is_err() {
            return;
        }
    }
}

fn answer(client: &mut UnixStream, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    client.write_all(&line)
}

/// A socket that nobody listens at any more gives way; anything else stays.
fn make_way(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_err() {
        return Ok(());
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => {
            let text = format!("{} is there already: name another", path.display());
            Err(io::Error::new(io::ErrorKind::AddrInUse, text))
        }
    }
}

const CLIENTS_MAX: usize = 16;
const LINE_BYTES_MAX: usize = 64 << 10;
const WRITE_WITHIN: Duration = Duration::from_secs(5);
