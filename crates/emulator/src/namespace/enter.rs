//! Running programs in the namespaces of a host.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::error::{Error, doing};
use super::run_directory::{self, Description, HostDescription};
use super::space::{Space, enter};

/// Lets `command` start in the namespaces of a host, and end when this thread ends.
pub(crate) fn place(command: &mut Command, space: &Space, directory: &Path) -> Result<(), Error> {
    let spaces = [&space.mounts, &space.network, &space.name].map(AsRawFd::as_raw_fd);
    let directory = working_directory(directory)?;
    let enter_all = move || {
        for fd in spaces {
            // SAFETY: the space outlives the start of the command, which holds a reference.
            enter(unsafe { BorrowedFd::borrow_raw(fd) })?;
        }
        change_directory(&directory);
        // SAFETY: the set is ours; prctl takes numbers. The supervisor has blocked signals that
        // commands are to get.
        unsafe {
            let mut none: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut none);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
            libc::prctl(
                libc::PR_SET_PDEATHSIG,
                libc::SIGKILL as libc::c_ulong,
                0_u64,
                0_u64,
                0_u64,
            );
        }
        Ok(())
    };
    // SAFETY: what runs between fork and exec allocates nothing and takes no lock: it makes calls
    // of the system alone.
    unsafe { command.pre_exec(enter_all) };
    Ok(())
}

/// Replaces this process, which must have one thread, by a command on a host of a running
/// network; `pid` says of which, if there are several. It only comes back with an error.
pub fn exec(host: &str, pid: Option<u32>, command: &[String]) -> Error {
    match exec_there(host, pid, command) {
        Ok(never) => match never {},
        Err(error) => error,
    }
}

fn exec_there(
    host: &str,
    pid: Option<u32>,
    command: &[String],
) -> Result<std::convert::Infallible, Error> {
    let (description, found) = find(host, pid)?;
    let open = |fd: i32| -> Result<OwnedFd, Error> {
        let path = format!("/proc/{}/fd/{fd}", description.pid);
        Ok(File::open(&path).map_err(doing(format!("opening {path}")))?.into())
    };
    // All are opened before the first is entered, where paths may lead elsewhere.
    let mut spaces = Vec::new();
    for fd in
        description.user_fd.into_iter().chain([found.mounts_fd, found.network_fd, found.name_fd])
    {
        spaces.push(open(fd)?);
    }
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let here = working_directory(&here)?;
    for space in &spaces {
        use std::os::fd::AsFd;
        enter(space.as_fd()).map_err(doing(format!("entering the namespaces of {host}")))?;
    }
    change_directory(&here);
    let (program, arguments) = command.split_first().expect("the caller gives a program");
    let source = Command::new(program).args(arguments).exec();
    Err(Error::Command { command: program.clone(), host: host.to_owned(), source })
}

fn find(host: &str, pid: Option<u32>) -> Result<(Description, HostDescription), Error> {
    let all = run_directory::running()?;
    if all.is_empty() {
        let why = "no network runs: start one with `weir link --topology FILE.toml`";
        return Err(Error::NotRunning(why.to_owned()));
    }
    let mut found: Vec<(Description, HostDescription)> = Vec::new();
    let mut names = Vec::new();
    for description in all.into_iter().filter(|one| pid.is_none_or(|pid| pid == one.pid)) {
        for one in &description.hosts {
            names.push(one.name.clone());
            if one.name == host {
                found.push((description.clone(), one.clone()));
            }
        }
    }
    match found.len() {
        0 => Err(Error::NotRunning(format!(
            "there is no host {host:?} in the networks that run; there are {}",
            names.join(", ")
        ))),
        1 => Ok(found.remove(0)),
        _ => {
            let runs: Vec<String> = found
                .iter()
                .map(|(description, _)| format!("{} ({})", description.pid, description.topology))
                .collect();
            Err(Error::NotRunning(format!(
                "several networks have a host {host:?}: say which with --pid: {}",
                runs.join(", ")
            )))
        }
    }
}

fn working_directory(path: &Path) -> Result<CString, Error> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|error| doing("reading the working directory")(io::Error::from(error)))
}

/// Entering namespaces leads to their root. Where the directory is not to be had, that is where
/// it stays.
fn change_directory(path: &CString) {
    // SAFETY: the path ends with a zero and lives until the call returns.
    unsafe { libc::chdir(path.as_ptr()) };
}
