//! Addresses: IPv4 and IPv6, and the many ways to write that of a stream.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;

use crate::movies::{self, PLAIN};
use crate::program::{Folder, Running, Server, assert_nothing_lost, installed, play, run, weir};
use crate::rtsp::Client;

const LIMIT: Duration = Duration::from_secs(20);

/// A server with the plain movie on the addresses that these options name.
fn server(folder: &Folder, options: &[&str]) -> Option<(Server, String, u16)> {
    let movie = movies::movie(&PLAIN)?;
    let mut command = weir();
    command.current_dir(folder.path());
    command
        .args(["serve", "--rtsp-port", "0", "--http-port", "0", "--json"])
        .args(options)
        .arg(&movie);
    let server = Server::of(Running::start(command, folder, "server"));
    let name = movie.file_stem().unwrap().to_str().unwrap().to_owned();
    let port = server.address.rsplit(':').next().unwrap().parse().unwrap();
    Some((server, name, port))
}

/// Whether this machine has IPv6; a line says so where it has not.
fn has_ipv6() -> bool {
    let has = TcpListener::bind("[::1]:0").is_ok();
    if !has {
        eprintln!("SKIPPED: this machine has no IPv6");
    }
    has
}

/// The session description at an address, and the response that brings it.
fn described(address: &str, url: &str) -> String {
    let mut client = Client::connect(address);
    let response = client.request("DESCRIBE", url, "Accept: application/sdp\r\n");
    assert_eq!(response.status, 200, "{response:?}");
    response.body
}

#[test]
fn by_default_ipv4_and_ipv6_are_served_each_in_its_own_words() {
    let folder = Folder::new("addresses-both");
    let Some((server, name, port)) = server(&folder, &[]) else {
        return;
    };
    let v4 = format!("127.0.0.1:{port}");
    let sdp = described(&v4, &format!("rtsp://{v4}/{name}"));
    assert!(sdp.contains("IN IP4 127.0.0.1") && !sdp.contains("IP6"), "{sdp}");
    let mut addresses = vec![v4];
    if has_ipv6() {
        let v6 = format!("[::1]:{port}");
        let sdp = described(&v6, &format!("rtsp://{v6}/{name}"));
        assert!(sdp.contains("IN IP6 ::1") && !sdp.contains("IP4"), "{sdp}");
        addresses.push(v6);
    }
    for address in addresses {
        for transport in ["udp", "tcp"] {
            let mut command = play(&format!("rtsp://{address}/{name}"), transport);
            command.args(["--seconds", "1"]);
            let played = run(command, &folder, "play", LIMIT);
            assert_eq!(played.code, Some(0), "{address} {transport}: {played:?}");
            assert_nothing_lost(&played.json());
        }
    }
    server.end();
}

#[test]
fn ffmpeg_plays_over_ipv6_by_udp_and_tcp() {
    let folder = Folder::new("addresses-ffmpeg6");
    if !has_ipv6() || installed("ffmpeg").is_none() {
        return;
    }
    let Some((server, name, port)) = server(&folder, &["--bind", "::"]) else {
        return;
    };
    for transport in ["udp", "tcp"] {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "warning", "-rtsp_transport", transport]);
        command.args(["-i", &format!("rtsp://[::1]:{port}/{name}")]);
        command.args(["-t", "2", "-f", "null", "-"]);
        let finished = run(command, &folder, "ffmpeg", LIMIT);
        assert_eq!((finished.code, &*finished.err), (Some(0), ""), "{transport}");
    }
    server.end();
}

#[test]
fn a_client_over_ipv6_may_name_its_own_address_and_no_other() {
    let folder = Folder::new("addresses-destination");
    if !has_ipv6() {
        return;
    }
    let Some((server, name, port)) = server(&folder, &["--bind", "::1"]) else {
        return;
    };
    let url = format!("rtsp://[::1]:{port}/{name}");
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    let own = socket.local_addr().unwrap().port();
    for (destination, status) in [("::1", 200), ("[::1]", 200), ("::2", 461), ("127.0.0.1", 461)] {
        let mut client = Client::connect(&format!("[::1]:{port}"));
        let transport =
            format!("Transport: RTP/AVP;unicast;destination={destination};client_port={own}\r\n");
        let response = client.set_up_by(&url, 0, &transport);
        assert_eq!(response.status, status, "{destination}: {response:?}");
        if status == 200 {
            assert_eq!(client.request("PLAY", &url, "").status, 200);
            socket.set_read_timeout(Some(LIMIT)).unwrap();
            let (_, from) = socket.recv_from(&mut [0; 2000]).unwrap();
            assert!(from.is_ipv6());
        }
    }
    server.end();
}

/// UDP sockets on an even port of this address and the next.
fn port_pair(ip: &str) -> (UdpSocket, UdpSocket, u16) {
    loop {
        let rtp = UdpSocket::bind((ip, 0)).unwrap();
        let port = rtp.local_addr().unwrap().port();
        if port.is_multiple_of(2)
            && let Ok(rtcp) = UdpSocket::bind((ip, port + 1))
        {
            return (rtp, rtcp, port);
        }
    }
}

/// A receiver report on one source that has lost 3 packets.
fn receiver_report(source: u32) -> Vec<u8> {
    let mut report = vec![0x81, 201, 0, 7, 0, 0, 0, 1];
    report.extend(source.to_be_bytes());
    report.extend([16, 0, 0, 3]);
    report.extend(1000_u32.to_be_bytes());
    report.extend(900_u32.to_be_bytes());
    report.extend([0; 8]);
    report
}

#[test]
fn reports_by_udp_keep_a_session_and_are_recorded_over_ipv4_and_ipv6() {
    let folder = Folder::new("addresses-reports");
    std::fs::write(folder.join("short.toml"), "[rtsp]\nsession_timeout_s = 2\n").unwrap();
    let options = ["--config", "short.toml", "--record", "run.jsonl"];
    let Some((server, name, port)) = server(&folder, &options) else {
        return;
    };
    let families: &[&str] = if has_ipv6() { &["127.0.0.1", "::1"] } else { &["127.0.0.1"] };
    for ip in families {
        let address = std::net::SocketAddr::new(ip.parse().unwrap(), port);
        let rtcp_to = std::net::SocketAddr::new(
            address.ip(),
            u16::try_from(server.banner["rtcp_port"].as_u64().unwrap()).unwrap(),
        );
        let url = format!("rtsp://{address}/{name}");
        let (_rtp, rtcp, own) = port_pair(ip);
        let mut client = Client::connect(&address.to_string());
        let transport = format!("Transport: RTP/AVP;unicast;client_port={own}-{}\r\n", own + 1);
        let set_up = client.set_up_by(&url, 0, &transport);
        let (_, ssrc) = set_up.field("Transport").unwrap().rsplit_once("ssrc=").unwrap();
        let source = u32::from_str_radix(ssrc, 16).unwrap();
        assert_eq!(client.request("PLAY", &url, "").status, 200);
        for _ in 0..7 {
            rtcp.send_to(&receiver_report(source), rtcp_to).unwrap();
            std::thread::sleep(Duration::from_millis(500));
        }
        let alive = client.request("PAUSE", &url, "");
        assert_eq!(alive.status, 200, "over {ip}: {alive:?}");
    }
    server.end();
    let records = std::fs::read_to_string(folder.join("run.jsonl")).unwrap();
    let reports: Vec<&str> =
        records.lines().filter(|line| line.contains("\"receiver_report\"")).collect();
    assert_eq!(reports.len(), 7 * families.len(), "{records}");
    assert!(reports.iter().all(|line| line.contains("\"cumulative_lost\":3")
        && line.contains("\"jitter_ns\":10000000")
        && !line.contains("round_trip_ns")));
}

#[test]
fn the_banner_names_all_addresses_in_words_and_one_to_paste() {
    let folder = Folder::new("addresses-banner");
    let Some(movie) = movies::movie(&PLAIN) else {
        return;
    };
    for (options, words) in [
        (&[][..], if has_ipv6() { "of all addresses of this machine" } else { "of all IPv4" }),
        (&["--bind", "0.0.0.0"][..], "of all IPv4 addresses of this machine"),
        (&["--bind", "127.0.0.1"][..], "RTSP on 127.0.0.1:"),
    ] {
        let mut command = weir();
        command
            .current_dir(folder.path())
            .args(["serve", "--rtsp-port", "0", "--http-port", "0"])
            .args(options);
        let server = Running::start(
            {
                command.arg(&movie);
                command
            },
            &folder,
            "banner",
        );
        crate::program::wait_until(LIMIT, "the banner", || server.said().0.contains("ffplay"));
        let banner = server.said().0;
        assert!(banner.contains(words), "{banner}");
        assert!(!banner.contains("[::]") && !banner.contains("rtsp://0.0.0.0"), "{banner}");
        server.signal("INT");
        assert_eq!(server.finish(LIMIT).code, Some(0));
    }
}

#[test]
fn players_find_the_tracks_however_the_address_is_written() {
    let folder = Folder::new("addresses-forms");
    let Some((server, name, port)) = server(&folder, &["--bind", "127.0.0.1"]) else {
        return;
    };
    let encoded: String = name.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let forms = [
        format!("rtsp://127.0.0.1:{port}/{name}/"),
        format!("rtsp://127.0.0.1:{port}//{name}"),
        format!("rtsp://127.0.0.1:{port}/{name}?channel=1&subtype=0"),
        format!("rtsp://127.0.0.1:{port}/{name}/?x=1"),
        format!("rtsp://127.0.0.1:{port}/{encoded}"),
        format!("RTSP://LOCALHOST:{port}/{name}.mp4"),
    ];
    for url in &forms {
        for (program, command) in players(url) {
            let mut command = command;
            let mut finished = run(command, &folder, program, LIMIT);
            // gst-launch may close its connection before its own PAUSE is written.
            for _ in 0..3 {
                if !finished.err.contains("gst_rtspsrc_pause") {
                    break;
                }
                command = players(url).pop().expect("gst-launch is the last").1;
                finished = run(command, &folder, program, LIMIT);
            }
            assert_eq!(finished.code, Some(0), "{program} {url}: {finished:?}");
            assert!(!finished.err.contains("RROR"), "{program} {url}: {finished:?}");
        }
    }
    server.end();
}

/// Players, each to take a moment of a stream.
fn players(url: &str) -> Vec<(&'static str, Command)> {
    let mut players = Vec::new();
    let mut own = play(url, "tcp");
    own.args(["--seconds", "0.3"]);
    players.push(("weir", own));
    if installed("ffmpeg").is_some() {
        let mut command = Command::new("ffmpeg");
        command.args(["-nostdin", "-v", "error", "-rtsp_transport", "tcp", "-i"]);
        // ffmpeg takes schemes in lower case alone.
        let url = url.strip_prefix("RTSP").map_or(url.to_owned(), |rest| format!("rtsp{rest}"));
        command.arg(url).args(["-t", "0.3", "-f", "null", "-"]);
        players.push(("ffmpeg", command));
    }
    if installed("gst-launch-1.0").is_some() && url.starts_with("rtsp") {
        let mut command = Command::new("gst-launch-1.0");
        command.args(["-q", "rtspsrc", &format!("location={url}"), "protocols=tcp", "name=s"]);
        let selected = "application/x-rtp,media=video";
        command.args(["s.", "!", selected, "!", "rtph264depay", "!", "identity", "eos-after=3"]);
        command.args(["!", "fakesink"]);
        players.push(("gst-launch", command));
    }
    players
}
