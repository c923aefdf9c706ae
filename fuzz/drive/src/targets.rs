//! The fuzz targets: each takes any bytes, and must neither panic nor loop for ever.

/// One target.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    /// The path of its function.
    path: &'static str,
    /// The file under `fuzz/dictionaries` with words of its language, if it has one.
    pub(crate) dictionary: Option<&'static str>,
    pub(crate) run: fn(&[u8]),
}

impl Target {
    /// The function's name, under which its corpus and its crashes are kept.
    pub(crate) fn name(&self) -> &'static str {
        self.path.rsplit_once("::").map_or(self.path, |(_, name)| name)
    }
}

/// A line for each target: its function, and its dictionary in brackets.
macro_rules! targets {
    ($($path:path $([$dictionary:literal])?;)*) => {
        /// Every target.
        pub(crate) const TARGETS: &[Target] = &[$(Target {
            path: stringify!($path),
            dictionary: [$(Some($dictionary),)? None][0],
            run: $path,
        },)*];
    };
}

// A target stands here, in fuzz/Cargo.toml and as a file of fuzz/fuzz_targets; a test compares the
// three with the code.
targets! {
    weir_media::fuzz::fuzz_movie ["mp4"];
    weir_media::fuzz::fuzz_mp4 ["mp4"];
    weir_media::fuzz::fuzz_flv;
    weir_media::fuzz::fuzz_ts;
    weir_media::fuzz::fuzz_mjpeg;
    weir_codec::fuzz::fuzz_timecode;
    weir_codec::fuzz::fuzz_jpeg_decode;
    weir_codec::fuzz::fuzz_h264_decode;
    weir_media::fuzz::fuzz_avcc;
    weir_media::fuzz::fuzz_asc;
    weir_media::fuzz::fuzz_sps;
    weir_media::fuzz::fuzz_hvcc;
    weir_media::fuzz::fuzz_nal_h265 ["h264"];
    weir_media::fuzz::fuzz_vpx_av1;
    weir_media::fuzz::fuzz_jpeg;
    weir_media::fuzz::fuzz_opus;
    weir_media::fuzz::fuzz_nal ["h264"];
    weir_link::fuzz::fuzz_trace ["link"];
    weir_link::fuzz::fuzz_link_text ["link"];
    weir_record::fuzz::fuzz_reader ["records"];
    weir_proto::rtp::fuzz::fuzz_rtp_packet;
    weir_proto::rtp::fuzz::fuzz_h264_depack ["h264"];
    weir_proto::rtp::fuzz::fuzz_h265_depack ["h264"];
    weir_proto::rtp::fuzz::fuzz_vpx_av1_depack;
    weir_proto::rtp::fuzz::fuzz_aac_depack ["sdp"];
    weir_proto::rtp::fuzz::fuzz_jpeg_depack;
    weir_proto::rtp::fuzz::fuzz_sound_depack;
    weir_proto::rtp::fuzz::fuzz_jpeg_pack;
    weir_proto::rtp::fuzz::fuzz_reorder;
    weir_proto::rtcp::fuzz::fuzz_rtcp;
    weir_proto::rtsp::fuzz::fuzz_message ["rtsp"];
    weir_proto::rtsp::fuzz::fuzz_server_connection ["rtsp"];
    weir_proto::rtsp::fuzz::fuzz_client_connection ["rtsp"];
    weir_proto::rtsp::fuzz::fuzz_transport_header ["rtsp"];
    weir_proto::rtsp::fuzz::fuzz_rtsp_relay ["rtsp"];
    weir_proto::rtsp::fuzz::fuzz_range ["rtsp"];
    weir_proto::rtsp::fuzz::fuzz_url ["rtsp"];
    weir_proto::classroom::fuzz::fuzz_looks_classroom ["rtsp"];
    weir_proto::classroom::fuzz::fuzz_classroom_message ["rtsp"];
    weir_proto::classroom::fuzz::fuzz_classroom_server ["rtsp"];
    weir_proto::classroom::fuzz::fuzz_classroom_client ["rtsp"];
    weir_proto::http::fuzz::fuzz_http_request ["http"];
    weir_proto::http::fuzz::fuzz_http_chunked;
    weir_proto::http::fuzz::fuzz_http_range ["http"];
    weir_proto::http::receive::fuzz_http_response ["http"];
    weir_proto::hls::read::fuzz_hls_playlist ["playlists"];
    weir_proto::dash::read::fuzz_dash_mpd ["playlists"];
    weir_proto::sdp::fuzz::fuzz_sdp ["sdp"];
    weir_proto::amf::fuzz::fuzz_amf0 ["rtmp"];
    weir_proto::amf::fuzz::fuzz_amf3;
    weir_proto::rtmp::fuzz::fuzz_rtmp_chunks;
    weir_proto::rtmp::fuzz::fuzz_rtmp_server ["rtmp"];
    weir_proto::rtmp::fuzz::fuzz_rtmp_client ["rtmp"];
    weir_proto::rtmp::fuzz::fuzz_rtmp_url;
    weir_proto::tcp::fuzz::fuzz_segments;
    weir_player::fuzz::fuzz_measure;
    weir_emulator::fuzz::fuzz_capture;
    weir_emulator::fuzz::fuzz_control_line ["control"];
    weir_emulator::namespace::fuzz::fuzz_topology;
    weir_emulator::namespace::fuzz::fuzz_super_packet;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_last_part_of_the_path_and_unique() {
        let mut names: Vec<_> = TARGETS.iter().map(Target::name).collect();
        assert!(names.iter().all(|name| name.starts_with("fuzz_")));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TARGETS.len());
    }
}
