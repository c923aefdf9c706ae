//! `weir link -- COMMAND` and topologies: real programs in namespaces behind emulated links.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use crate::program::{Finished, Folder, Running, run, wait_until, weir};

const LIMIT: Duration = Duration::from_secs(30);

/// Whether this system gives network namespaces; a line that says so, where it does not.
fn allowed() -> bool {
    static ALLOWED: OnceLock<bool> = OnceLock::new();
    let allowed = *ALLOWED.get_or_init(|| {
        let mut tried = weir();
        tried.args(["link", "--", "true"]);
        let refused = |text: &str| text.contains("gives no network namespaces");
        tried.output().is_ok_and(|output| !refused(&String::from_utf8_lossy(&output.stderr)))
    });
    if !allowed {
        eprintln!("SKIPPED: this system gives no network namespaces to this user");
    }
    allowed
}

/// Whether a program is installed; a line that says so, where it is not.
fn has(program: &str) -> bool {
    let is_there = Command::new(program).arg("--version").output().is_ok();
    if !is_there {
        eprintln!("SKIPPED: {program} is not installed");
    }
    is_there
}

/// `weir link` whose run directory is the test's own.
fn link(folder: &Folder, arguments: &[&str]) -> Command {
    let mut command = weir();
    command.env("XDG_RUNTIME_DIR", folder.path()).arg("link").args(arguments);
    command
}

fn behind(folder: &Folder, options: &[&str], command: &[&str]) -> Finished {
    let mut arguments = options.to_vec();
    arguments.push("--");
    arguments.extend(command);
    run(link(folder, &arguments), folder, "link", LIMIT)
}

/// A web server on the machine's loopback that gives `body` to everybody.
fn web_server(body: Vec<u8>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let body = body.clone();
            std::thread::spawn(move || {
                let _ = connection.read(&mut [0; 4096]);
                let head = format!("HTTP/1.0 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                let _ = connection.write_all(head.as_bytes());
                let _ = connection.write_all(&body);
            });
        }
    });
    port
}

fn seconds(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

#[test]
fn the_exit_code_is_the_commands_own() {
    if !allowed() {
        return;
    }
    let folder = Folder::new("namespace-code");
    assert_eq!(behind(&folder, &[], &["sh", "-c", "exit 7"]).code, Some(7));
    assert_eq!(behind(&folder, &[], &["sh", "-c", "kill -9 $$"]).code, Some(137));
    let missing = behind(&folder, &[], &["no-such-program"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.err.contains("cannot run no-such-program on client"), "{missing:?}");
}

#[test]
fn a_command_reaches_the_machine_by_name_over_the_link() {
    if !allowed() || !has("curl") {
        return;
    }
    let folder = Folder::new("namespace-curl");
    let port = web_server(vec![7; 500_000]);
    let url = format!("http://host.weir:{port}/");
    let curl = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{time_connect} %{time_total} %{size_download}",
        &url,
    ];
    let finished = behind(&folder, &["--rate", "8mbit", "--delay", "30ms"], &curl);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let times = seconds(&finished.out);
    assert!(times[0] >= 0.06, "a round trip takes twice the delay: {finished:?}");
    assert!(times[1] >= 0.5, "500,000 bytes take half a second at 8 Mbit/s: {finished:?}");
    assert_eq!(times[2], 500_000.0);
}

#[test]
fn what_is_refused_outside_is_refused_inside() {
    if !allowed() || !has("curl") {
        return;
    }
    let folder = Folder::new("namespace-refused");
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://host.weir:{free}/");
    // 7: curl could not connect.
    assert_eq!(behind(&folder, &[], &["curl", "-s", &url]).code, Some(7));
}

#[test]
fn datagrams_larger_than_the_mtu_cross_whole_both_ways() {
    if !allowed() {
        return;
    }
    let folder = Folder::new("namespace-udp");
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            socket.send_to(&buffer[..length], from).unwrap();
        }
    });
    let script = format!(
        "exec 3<>/dev/udp/host.weir/{port}; head -c 20000 /dev/zero | dd bs=20000 count=1 iflag=fullblock >&3 2>/dev/null; \
         dd bs=65536 count=1 <&3 2>/dev/null | wc -c"
    );
    let finished = behind(&folder, &["--rate", "20mbit"], &["bash", "-c", &script]);
    assert_eq!(finished.out.trim(), "20000", "{finished:?}");
}

#[test]
fn a_server_behind_the_link_is_reached_by_a_published_port() {
    if !allowed() || !has("curl") {
        return;
    }
    let folder = Folder::new("namespace-publish");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let publish = format!("{port}:8080");
    let binary = weir().get_program().to_owned();
    let binary = binary.to_str().unwrap();
    let arguments = [
        "--publish",
        &publish,
        "--",
        binary,
        "serve",
        "--pattern",
        "--http-port",
        "8080",
        "--rtsp-port",
        "0",
    ];
    let running = Running::start(link(&folder, &arguments), &folder, "link");
    let url = format!("http://127.0.0.1:{port}/healthz");
    wait_until(LIMIT, "the server behind the link answers", || {
        Command::new("curl").args(["-sf", "-o", "/dev/null", &url]).status().unwrap().success()
    });
    running.signal("TERM");
    assert_eq!(running.finish(LIMIT).code, Some(0));
}

const LINE: &str = r#"
    host = [{name = "server"}, {name = "client"}]
    switch = [{name = "s1"}, {name = "s2"}]
    link = [
        {ends = ["server", "s1"]},
        {ends = ["s1", "s2"], rate = "10mbit", delay = "10ms"},
        {ends = ["s2", "client"]},
    ]
"#;

/// A topology that runs, once it says so.
fn topology(folder: &Folder, text: &str) -> Running {
    let file = folder.join("topology.toml");
    fs::write(&file, text).unwrap();
    let command = link(folder, &["--topology", file.to_str().unwrap()]);
    let mut running = Running::start(command, folder, "topology");
    wait_until(LIMIT, "the topology is up", || {
        running.said().0.contains("weir link exec") || running.is_over()
    });
    running
}

#[test]
fn hosts_of_a_topology_find_each_other_by_name() {
    if !allowed() || !has("curl") {
        return;
    }
    let folder = Folder::new("namespace-topology");
    let running = topology(&folder, LINE);
    let on = |host: &str, command: &[&str]| {
        let mut arguments = vec!["exec", host, "--"];
        arguments.extend(command);
        link(&folder, &arguments)
    };
    let found = run(on("client", &["getent", "hosts", "server"]), &folder, "getent", LIMIT);
    assert!(found.out.starts_with("10.77.0.1"), "{found:?}");
    let named = run(on("client", &["uname", "-n"]), &folder, "uname", LIMIT);
    assert_eq!(named.out.trim(), "client");
    let binary = weir().get_program().to_owned();
    let serve = [binary.to_str().unwrap(), "serve", "--pattern", "--http-port", "8080"];
    let server = Running::start(on("server", &serve), &folder, "server");
    let curl =
        ["curl", "-sf", "-o", "/dev/null", "-w", "%{time_connect}", "http://server:8080/healthz"];
    wait_until(LIMIT, "the server answers over the links", || {
        let answer = run(on("client", &curl), &folder, "curl", LIMIT);
        answer.code == Some(0) && seconds(&answer.out)[0] >= 0.02
    });
    server.signal("INT");
    assert_eq!(server.finish(LIMIT).code, Some(0));
    let nobody = run(on("nobody", &["true"]), &folder, "nobody", LIMIT);
    assert!(nobody.err.contains("there are server, client"), "{nobody:?}");
    running.signal("INT");
    let finished = running.finish(LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    assert_eq!(fs::read_dir(folder.join("weir")).unwrap().count(), 0);
}

#[test]
fn what_runs_on_hosts_ends_with_the_topology() {
    if !allowed() {
        return;
    }
    let folder = Folder::new("namespace-end");
    let pid_file = folder.join("pid");
    let text = format!(
        "{LINE}\n[[run]]\nhost = \"server\"\ncommand = \"echo $$ > {}; exec sleep 1000\"\n",
        pid_file.display()
    );
    let running = topology(&folder, &text);
    wait_until(LIMIT, "the command runs", || {
        fs::read_to_string(&pid_file).is_ok_and(|text| text.ends_with('\n'))
    });
    let pid = fs::read_to_string(&pid_file).unwrap();
    let process = format!("/proc/{}", pid.trim());
    assert!(Path::new(&process).exists());
    running.signal("TERM");
    running.finish(LIMIT);
    assert!(!Path::new(&process).exists());
}

#[test]
fn what_a_killed_run_left_behind_is_cleared_by_the_next() {
    if !allowed() {
        return;
    }
    let folder = Folder::new("namespace-killed");
    let running = topology(&folder, LINE);
    let left = folder.join("weir").join(format!("link-{}", running.id()));
    assert!(left.join("network.json").exists());
    running.signal("KILL");
    running.finish(LIMIT);
    assert!(left.exists());
    assert_eq!(behind(&folder, &[], &["true"]).code, Some(0));
    assert!(!left.exists());
}

#[test]
fn a_link_that_loses_everything_carries_nothing() {
    if !allowed() || !has("curl") {
        return;
    }
    let folder = Folder::new("namespace-loss");
    let port = web_server(vec![1]);
    let text = "host = [{name = 'a'}]\nlink = [{ends = ['a', 'internet'], loss = '100%'}]";
    let file = folder.join("lossy.toml");
    fs::write(&file, text).unwrap();
    let url = format!("http://host.weir:{port}/");
    let options = ["--topology", file.to_str().unwrap(), "--json"];
    let finished = behind(&folder, &options, &["curl", "-s", "--max-time", "1.5", &url]);
    assert_eq!(finished.code, Some(28), "curl ran out of time: {finished:?}");
    let links: Value = finished.json();
    let directions = links["certificate"]["directions"].as_array().unwrap();
    let up = directions.iter().find(|each| each["direction"] == "up").unwrap();
    let up = &up["stretches"][0]["counts"];
    assert!(up["dropped_loss_packets"].as_u64().unwrap() >= 1, "{links}");
    assert_eq!(up["delivered_packets"], 0, "{links}");
}

#[test]
fn a_topology_that_cannot_be_built_says_where_it_is_wrong() {
    let folder = Folder::new("namespace-wrong");
    let file = folder.join("wrong.toml");
    let text = "host = [{name = 'a'}]\nlink = [{ends = ['a', 'internet'], rate = '5 apples'}]";
    fs::write(&file, text).unwrap();
    let finished = behind(&folder, &["--topology", file.to_str().unwrap()], &["true"]);
    assert_eq!(finished.code, Some(1));
    assert!(finished.err.contains("wrong.toml: link a-internet: rate: "), "{finished:?}");
}

#[test]
fn without_a_command_or_a_topology_it_says_what_to_do() {
    let folder = Folder::new("namespace-nothing");
    let finished = run(link(&folder, &["--rate", "5mbit"]), &folder, "link", LIMIT);
    assert_eq!(finished.code, Some(1));
    assert!(finished.err.contains("-- curl"), "{finished:?}");
}

#[test]
fn no_privileges_are_needed_where_user_namespaces_are_allowed() {
    if !allowed() || !has("curl") {
        return;
    }
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let mut unshared = Command::new("setpriv");
    unshared.args(nobody).args(["unshare", "-Urn", "true"]);
    if !unshared.status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: other users are given no user namespaces, or this is not root");
        return;
    }
    let folder = Folder::new("namespace-nobody");
    let port = web_server(vec![7; 100_000]);
    let binary = weir().get_program().to_owned();
    let mut command = Command::new("setpriv");
    command.args(nobody).arg(binary).env_remove("XDG_RUNTIME_DIR").current_dir("/");
    let url = format!("http://host.weir:{port}/");
    let options = ["link", "--rate", "8mbit", "--delay", "20ms", "--"];
    let curl = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{time_connect} %{time_total} %{size_download}",
        &url,
    ];
    command.args(options).args(curl);
    let finished = run(command, &folder, "nobody", LIMIT);
    assert_eq!(finished.code, Some(0), "{finished:?}");
    let times = seconds(&finished.out);
    assert!(times[0] >= 0.04 && times[1] >= 0.1, "{finished:?}");
    assert_eq!(times[2], 100_000.0);
}
