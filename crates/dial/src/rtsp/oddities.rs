//! What servers do wrong, and what this client makes of it. Each is told once.

use weir_proto::rtsp::client::Oddity;
use weir_proto::rtsp::headers::{RtpInfo, Transport as Header};
use weir_proto::rtsp::message::Method;
use weir_proto::rtsp::url::Url;
use weir_proto::sdp::SessionDescription;

use super::Lower;
use super::client::{Client, Way};

impl Client {
    /// Tells of a response. Numbers differ from one response to the next: the first one stands
    /// for all of its kind.
    pub(super) fn say_odd_response(&mut self, method: &Method, oddity: &Oddity) {
        let kind = std::mem::discriminant(oddity);
        if !self.odd_responses.contains(&kind) {
            self.odd_responses.push(kind);
            self.say_odd(format!("{method}: {oddity}"));
        }
    }

    /// Looks at the description, and at the address that it is relative to.
    pub(super) fn check_description(&mut self, description: &SessionDescription, base: &str) {
        if description.skipped_lines > 0 {
            let count = description.skipped_lines;
            self.say_odd(format!("{count} lines of the description cannot be read"));
        }
        let media = &description.media;
        let is_alone = media.len() == 1 && description.control.is_some();
        for (number, _) in
            media.iter().enumerate().filter(|(_, media)| media.control.is_none() && !is_alone)
        {
            self.say_odd(format!(
                "the description gives track {number} no address (a=control): it is set up at the \
                 stream's own"
            ));
        }
        let named = match Url::parse(base) {
            Ok(named) => named,
            Err(error) => return self.say_odd(format!("Content-Base {base:?}: {error}")),
        };
        if !named.host.eq_ignore_ascii_case(&self.url.host) {
            let (named, host) = (&named.host, &self.url.host);
            let text = format!("Content-Base names the host {named}; {host} was asked");
            self.say_odd(text);
        }
        let is_given = base != self.url.without_userinfo().to_string();
        let is_relative = |control: &str| !control.contains("://") && control != "*";
        let mut controls = media.iter().filter_map(|media| media.control.as_deref());
        if is_given && !base.ends_with('/') && controls.any(is_relative) {
            self.say_odd(format!(
                "Content-Base {base} has no slash at its end: the tracks' addresses would take the \
                 place of its last part (RFC 3986 section 5.2.3); they are put behind it"
            ));
        }
    }

    /// Looks at the transport of the track that was set up last.
    pub(super) fn check_transport(&mut self, transport: &Header) {
        let Some(track) = self.tracks.last() else {
            return;
        };
        let number = track.number;
        let ours = match &track.way {
            Way::Udp { ports, .. } => Some(ports.rtp.local_address().port()),
            Way::Tcp { .. } => None,
        };
        if self.lower == Lower::Udp && transport.server_port.is_none() {
            self.say_odd(format!(
                "track {number}: the answer to SETUP names no server_port: the server gets no \
                 receiver reports"
            ));
        }
        let theirs = transport.client_port.map(|pair| pair.rtp);
        if let (Some(ours), Some(theirs)) = (ours, theirs)
            && ours != theirs
        {
            self.say_odd(format!(
                "track {number}: the answer to SETUP names the client_port {theirs}; {ours} was \
                 asked for"
            ));
        }
    }

    /// Looks at what a PLAY was answered with (RFC 2326 section 12.33).
    pub(super) fn check_rtp_info(&mut self, list: &[RtpInfo]) {
        if list.is_empty() {
            return self.say_odd(
                "the answer to PLAY has no RTP-Info: packets lost at the start are not seen, nor \
                 places in the movie"
                    .to_owned(),
            );
        }
        let count = self.tracks.len();
        if list.len() < count {
            let said = list.len();
            self.say_odd(format!("RTP-Info tells of {said} tracks; {count} are played"));
        }
        for (what, is_missing) in [
            ("seq", list.iter().any(|info| info.seq.is_none())),
            ("rtptime", list.iter().any(|info| info.rtptime.is_none())),
        ] {
            if is_missing {
                self.say_odd(format!("RTP-Info has no {what}"));
            }
        }
    }
}
