"""What the benches share: a quiet network, a movie, servers, counting viewers, CPU clocks.

Standard library only. Every process started here is ended by the bench that started it, or by the
kernel when the bench dies.
"""

import contextlib
import ctypes
import datetime
import errno
import fcntl
import json
import os
import pathlib
import platform
import re
import select
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
BENCH = ROOT / "bench"
RESULTS = BENCH / "results"
WORK = ROOT / "target" / "bench"
FLOOR = ROOT / "target" / "release" / "floor"
WEIR = ROOT / "target" / "release" / "weir"

SERVER_CPU = 0
LOAD_CPU = 1

MOVIE_SECONDS = 150
FRAMES_PER_SECOND = 30
VIDEO_BITS_PER_SECOND = 2_600_000


class Trouble(Exception):
    """The bench cannot go on, and says why."""


# --- The network -------------------------------------------------------------------------------


def enter_quiet_network() -> None:
    """Starts this program again in a network namespace of its own.

    There no other program's packets cross the loopback device and no firewall rule is in the way.
    """
    if os.environ.get("WEIR_BENCH_NETWORK") != "own":
        os.environ["WEIR_BENCH_NETWORK"] = "own"
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        os.execvp("unshare", ["unshare", *user, "--net", sys.executable, *sys.argv])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        # SIOCSIFFLAGS of struct ifreq: a name of 16 bytes, then the flags, here IFF_UP.
        request = struct.pack("16sh14x", b"lo", 0x1)
        fcntl.ioctl(control, 0x8914, request)


def pin_cubic(pid: int) -> None:
    """Makes CUBIC the congestion control of a server's listeners, whose connections inherit it.

    The kernel lends the server's sockets for this, so that every server is treated alike, whether
    it can be told to pin CUBIC or not.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            lent = libc.syscall(SYS_PIDFD_GETFD, pidfd, int(name), 0)
            if lent < 0:
                error = ctypes.get_errno()
                if error == errno.EBADF:
                    continue  # closed meanwhile
                raise Trouble(f"cannot borrow a socket of process {pid}: {os.strerror(error)}")
            pin_cubic_if_listener(lent)
    finally:
        os.close(pidfd)


SYS_PIDFD_GETFD = 438


def pin_cubic_if_listener(fd: int) -> None:
    if not stat.S_ISSOCK(os.fstat(fd).st_mode):
        os.close(fd)
        return
    with socket.socket(fileno=fd) as lent:
        is_tcp = lent.family in (socket.AF_INET, socket.AF_INET6) and lent.type == socket.SOCK_STREAM
        if is_tcp and lent.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            lent.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"cubic")


def congestion_controls(port: int) -> list[str] | None:
    """The congestion controls of a server's connections; None without ss(8)."""
    if not shutil.which("ss"):
        return None
    listing = run_text("ss", "-tinH", "state", "established", f"( sport = :{port} )")
    return sorted(set(re.findall(r"\b(cubic|bbr|reno|dctcp)\b", listing)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


# --- Processes ---------------------------------------------------------------------------------


def run_text(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def start(command: list[str], cpu: int, **pipes) -> subprocess.Popen:
    """Starts a program on one core, to be killed by the kernel should this one die."""
    libc = ctypes.CDLL(None)

    def prepare() -> None:
        os.sched_setaffinity(0, {cpu})
        libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG

    return subprocess.Popen(command, preexec_fn=prepare, **pipes)


def end(process: subprocess.Popen) -> None:
    """Ends a program that this one started."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Lines:
    """JSON objects that a program prints, one a line."""

    def __init__(self, process: subprocess.Popen):
        self.process = process
        self.rest = b""

    def until(self, event: str, seconds: float) -> dict:
        """The next object with this event; others are passed over."""
        deadline = time.monotonic() + seconds
        while True:
            while b"\n" in self.rest:
                line, self.rest = self.rest.split(b"\n", 1)
                message = json.loads(line)
                if message.get("event") == event:
                    return message
            wait = deadline - time.monotonic()
            stdout = self.process.stdout
            if wait <= 0 or not select.select([stdout], [], [], wait)[0]:
                raise Trouble(f"{self.process.args[0]}: no {event!r} within {seconds} s")
            come = os.read(stdout.fileno(), 65536)
            if not come:
                raise Trouble(f"{self.process.args[0]} ended before {event!r}")
            self.rest += come


# --- The movie ---------------------------------------------------------------------------------


def movie(sound: bool) -> pathlib.Path:
    """A 720p30 H.264 movie of 2.6 Mbit/s, made once: a key frame every 2 s, no B-frames.

    B-frames are left out because a live stream of this rate seldom has them, and because all
    servers then send frames in the order and at the times of the file. The sound is AAC, stereo,
    128 kbit/s.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    path = WORK / ("bench.mp4" if sound else "bench-silent.mp4")
    if path.exists():
        return path
    part = path.with_suffix(".part.mp4")
    if sound:
        print(f"making {path.relative_to(ROOT)}: {MOVIE_SECONDS} s of test picture", file=sys.stderr)
        rate = str(VIDEO_BITS_PER_SECOND)
        run_text(
            "ffmpeg", "-v", "error", "-y",
            "-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate={FRAMES_PER_SECOND}",
            "-f", "lavfi", "-i", "anoisesrc=color=pink:sample_rate=48000:amplitude=0.3",
            "-t", str(MOVIE_SECONDS), "-vf", "noise=alls=12:allf=t", "-pix_fmt", "yuv420p",
            "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high", "-bf", "0",
            "-g", str(2 * FRAMES_PER_SECOND), "-keyint_min", str(2 * FRAMES_PER_SECOND),
            "-sc_threshold", "0", "-b:v", rate, "-maxrate", rate, "-bufsize", rate,
            "-c:a", "aac", "-b:a", "128k", "-ac", "2", str(part),
        )  # fmt: skip
    else:
        whole = str(movie(sound=True))
        run_text("ffmpeg", "-v", "error", "-y", "-i", whole, "-an", "-c", "copy", str(part))
    part.rename(path)
    return path


def trace(movie_path: pathlib.Path) -> pathlib.Path:
    """The frames of a movie for the bare sender: see bench/floor/src/trace.rs."""
    path = movie_path.with_suffix(".csv")
    if path.exists() and path.stat().st_mtime > movie_path.stat().st_mtime:
        return path
    probed = json.loads(
        run_text(
            "ffprobe", "-v", "error", "-of", "json", "-show_entries",
            "stream=index,codec_type,extradata_size:packet=stream_index,dts_time,size,flags",
            str(movie_path),
        )  # fmt: skip
    )
    kinds = {stream["index"]: stream["codec_type"] for stream in probed["streams"]}
    config_bytes = max(
        stream.get("extradata_size", 0)
        for stream in probed["streams"]
        if stream["codec_type"] == "video"
    )
    # The configuration record has 15 bytes beside its two parameter sets (ISO/IEC 14496-15
    # section 5.3.3.1, High profile); as STAP-A (RFC 6184 section 5.7.1) they have 5.
    parameter_sets_bytes = max(config_bytes - 10, 0)
    lines = ["time_ns,track,bytes,parameter_sets_bytes"]
    for packet in probed["packets"]:
        kind = kinds[packet["stream_index"]]
        time_ns = round(float(packet["dts_time"]) * 1e9)
        key = kind == "video" and packet["flags"].startswith("K")
        if time_ns >= 0:
            before = parameter_sets_bytes if key else 0
            lines.append(f"{time_ns},{kind},{packet['size']},{before}")
    path.write_text("\n".join(lines) + "\n")
    return path


def movie_bytes_per_second(movie_path: pathlib.Path) -> float:
    """The rate of a movie's frames, packet headers not counted."""
    rows = [line.split(",") for line in trace(movie_path).read_text().splitlines()[1:]]
    return sum(int(row[2]) for row in rows) / MOVIE_SECONDS


# --- Servers -----------------------------------------------------------------------------------


class Server:
    """A server that runs, the URL to play, and the reply that it is ready."""

    def __init__(self, process: subprocess.Popen, url: str, port: int):
        self.process, self.url, self.port = process, url, port

    def finish(self) -> dict | None:
        """Ends the bare sender and returns its counts; None for other servers, which run on."""
        if self.process.stdin is None:
            return None
        self.process.stdin.close()
        return Lines(self.process).until("sent", 10)

    @property
    def pid(self) -> int:
        return self.process.pid

    def cpu_ns(self) -> int:
        """Nanoseconds that all threads of the process have run, ended ones too.

        The process's CPU clock: the sum of what /proc/PID/task/*/schedstat says, to the moment.
        """
        return time.clock_gettime_ns((~self.pid << 3) | 2)


@contextlib.contextmanager
def server(kind: str, transport: str, movie_path: pathlib.Path):
    """Runs one of `floor`, `weir` and `gst` on its core, with its log under target/bench."""
    port = free_port()
    log_path = WORK / f"{kind}-{transport}.log"
    with open(log_path, "wb") as log:
        if kind == "floor":
            command = [str(FLOOR), "send", "--transport", transport]
            command += ["--trace", str(trace(movie_path)), "--listen", f"127.0.0.1:{port}"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": log}
            url = f"floor://127.0.0.1:{port}"
        else:
            pipes = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            url = f"rtsp://127.0.0.1:{port}/{movie_path.stem}"
            command = {
                "weir": [str(WEIR), "serve", "--live", str(movie_path), "--rtsp-port", str(port)],
                "gst": ["/usr/bin/python3", str(BENCH / "gst_server.py"), str(movie_path), str(port)],
            }[kind]
        process = start(command, SERVER_CPU, **pipes)
        try:
            if kind == "floor":
                Lines(process).until("listening", 10)
            else:
                await_listener(process, port, log_path)
                pin_cubic(process.pid)
            yield Server(process, url, port)
        finally:
            end(process)


def await_listener(process: subprocess.Popen, port: int, log_path: pathlib.Path) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    log = log_path.read_text(errors="replace")[-2000:]
    raise Trouble(f"{process.args[0]} does not listen on port {port}; its log ends:\n{log}")


# --- Viewers -----------------------------------------------------------------------------------


class Viewers:
    """Counting viewers in one process, on the other core."""

    def __init__(self, process: subprocess.Popen):
        self.process, self.lines = process, Lines(process)

    def add(self, count: int) -> None:
        """Joins so many more and waits until the last has joined."""
        if count > 0:
            self.tell(f"add {count}")
            self.lines.until("joined", 30 + count * 0.2)

    def mark(self) -> dict:
        """What came since the last mark."""
        self.tell("mark")
        return self.lines.until("mark", 10)

    def tell(self, line: str) -> None:
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()


@contextlib.contextmanager
def viewers(
    url: str,
    transport: str,
    gro: bool,
    poll_us: int | None = None,
    spread_seconds: float | None = None,
):
    command = [str(FLOOR), "receive", url, "--transport", transport]
    command += ["--gro"] if gro else []
    command += [] if poll_us is None else ["--poll-us", str(poll_us)]
    command += [] if spread_seconds is None else ["--spread-seconds", str(spread_seconds)]
    process = start(command, LOAD_CPU, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Viewers(process)
    finally:
        end(process)


# --- The machine -------------------------------------------------------------------------------


def build_floor() -> None:
    subprocess.run(
        ["cargo", "build", "--quiet", "--release", "--package", "weir-bench-floor"],
        cwd=ROOT,
        check=True,
    )


def softirq_thread_ns() -> int | None:
    """CPU of the server core's ksoftirqd: network work that was taken off the server's account."""
    for comm in pathlib.Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if comm.read_text().strip() == f"ksoftirqd/{SERVER_CPU}":
                return int((comm.parent / "schedstat").read_text().split()[0])
    return None


def machine() -> dict:
    model = re.search(r"^model name\s*:\s*(.*)$", pathlib.Path("/proc/cpuinfo").read_text(), re.M)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "versions": versions(),
    }


def versions() -> dict:
    found = {}
    with contextlib.suppress(Trouble, OSError):
        found["commit"] = run_text("git", "-C", str(ROOT), "describe", "--always", "--dirty").strip()
    with contextlib.suppress(Trouble, OSError):
        found["weir"] = run_text(str(WEIR), "--version").strip()
    with contextlib.suppress(Trouble, OSError):
        found["gst-rtsp-server"] = run_text(
            "dpkg-query", "-W", "-f", "${Version}", "libgstrtspserver-1.0-0"
        ).strip()
    return found


def write_results(name: str, result: dict, markdown: str) -> None:
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(markdown)
