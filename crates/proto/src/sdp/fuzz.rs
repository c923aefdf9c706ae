//! An entry for fuzzing.

use super::SessionDescription;

/// Reads a description.
pub fn fuzz_sdp(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(description) = SessionDescription::parse(&text) {
        for media in &description.media {
            for &payload_type in &media.payload_types {
                let _ = media.rtpmap(payload_type);
                let _ = media.fmtp(payload_type).and_then(|fmtp| fmtp.get("config"));
            }
        }
    }
}
