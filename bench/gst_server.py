#!/usr/bin/python3
"""gst-rtsp-server as the rival: one movie, payloaded once and shared by all viewers.

Usage: /usr/bin/python3 bench/gst_server.py MOVIE PORT

Serves rtsp://127.0.0.1:PORT/NAME, the movie's file name without its extension, over UDP and TCP,
without re-encoding. The movie is played once, from the time the first viewer comes, so it must last
longer than the measurement. Its sound is left out if the file has none.
Debian packages: gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
gstreamer1.0-plugins-bad python3-gi
"""

import os
import pathlib
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

VIDEO = (
    "filesrc location=\"{movie}\" ! qtdemux name=demux "
    "demux.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 mtu=1400 config-interval=-1"
)
SOUND = "demux.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 mtu=1400"


def has_sound(movie: str) -> bool:
    """Whether the file's index speaks of a sound track."""
    return b"smhd" in pathlib.Path(movie).read_bytes()


def main() -> int:
    if len(sys.argv) != 3:
        print(__doc__, file=sys.stderr)
        return 2
    movie, port = sys.argv[1:]
    Gst.init(None)
    factory = GstRtspServer.RTSPMediaFactory()
    branches = VIDEO.format(movie=os.path.abspath(movie))
    if has_sound(movie):
        branches += f" {SOUND}"
    factory.set_launch(f"( {branches} )")
    factory.set_shared(True)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    name = pathlib.Path(movie).stem
    server.get_mount_points().add_factory(f"/{name}", factory)
    if server.attach(None) == 0:
        print(f"cannot listen on 127.0.0.1:{port}", file=sys.stderr)
        return 1
    print(f"{Gst.version_string()} at rtsp://127.0.0.1:{port}/{name}", flush=True)
    GLib.MainLoop().run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
