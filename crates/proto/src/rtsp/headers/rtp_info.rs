//! RTP-Info (RFC 2326 section 12.33).

use super::{split_outside_quotes, unquote};

/// Where one track's packets begin after a PLAY.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RtpInfo {
    /// The track's address, as SETUP named it.
    pub url: String,
    /// The sequence number of the first packet.
    pub seq: Option<u16>,
    /// The RTP time stamp that stands for the start of the response's Range.
    pub rtptime: Option<u32>,
}

impl RtpInfo {
    /// Reads a header value. Addresses may hold commas and semicolons and may be quoted;
    /// parameters that cannot be read count as absent.
    pub fn parse_list(value: &str) -> Vec<RtpInfo> {
        let mut list: Vec<String> = Vec::new();
        for part in split_outside_quotes(value, ',').take(ENTRIES_MAX) {
            match list.last_mut() {
                // The rest of an address that holds a comma.
                Some(last) if !is_url(part) => {
                    last.push(',');
                    last.push_str(part);
                }
                _ => list.push(part.to_owned()),
            }
        }
        list.iter().filter_map(|entry| RtpInfo::parse(entry)).collect()
    }

    fn parse(entry: &str) -> Option<RtpInfo> {
        let mut info = RtpInfo { url: String::new(), seq: None, rtptime: None };
        let mut rest = entry.trim().trim_end_matches(';');
        // From the end, since an address may hold semicolons.
        while let Some((before, last)) = rest.rsplit_once(';') {
            let (name, value) = last.split_once('=').unwrap_or((last, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "seq" => info.seq = value.trim().parse().ok(),
                "rtptime" => info.rtptime = value.trim().parse().ok(),
                "ssrc" => {}
                _ => break,
            }
            rest = before;
        }
        let (_, url) = rest.split_once('=').filter(|_| is_url(rest))?;
        info.url = unquote(url.trim()).to_owned();
        Some(info)
    }

    /// Writes a header value.
    pub fn format_list(list: &[RtpInfo]) -> String {
        let entries: Vec<String> = list.iter().map(RtpInfo::format).collect();
        entries.join(",")
    }

    fn format(&self) -> String {
        let mut text = format!("url={}", self.url);
        if let Some(seq) = self.seq {
            text.push_str(&format!(";seq={seq}"));
        }
        if let Some(rtptime) = self.rtptime {
            text.push_str(&format!(";rtptime={rtptime}"));
        }
        text
    }
}

const ENTRIES_MAX: usize = 64;

fn is_url(part: &str) -> bool {
    part.get(..3).is_some_and(|name| name.eq_ignore_ascii_case("url")) && part.contains('=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(url: &str, seq: Option<u16>, rtptime: Option<u32>) -> RtpInfo {
        RtpInfo { url: url.to_owned(), seq, rtptime }
    }

    #[test]
    fn entries_come_back() {
        let list = [
            info("rtsp://h/a/trackID=0", Some(65535), Some(u32::MAX)),
            info("rtsp://h/a/trackID=1", Some(0), None),
        ];
        let value = RtpInfo::format_list(&list);
        let expected =
            "url=rtsp://h/a/trackID=0;seq=65535;rtptime=4294967295,url=rtsp://h/a/trackID=1;seq=0";
        assert_eq!(value, expected);
        assert_eq!(RtpInfo::parse_list(&value), list);
    }

    #[test]
    fn addresses_may_hold_separators() {
        let value = "url=rtsp://h/a,b;c/t=1;seq=1;rtptime=2, url=\"rtsp://h/x,y\";seq=3";
        let list =
            [info("rtsp://h/a,b;c/t=1", Some(1), Some(2)), info("rtsp://h/x,y", Some(3), None)];
        assert_eq!(RtpInfo::parse_list(value), list);
    }

    #[test]
    fn what_servers_get_wrong_counts_as_absent() {
        let value = "url=trackID=0;seq=70000;rtptime=-1;ssrc=1F";
        assert_eq!(RtpInfo::parse_list(value), [info("trackID=0", None, None)]);
        assert_eq!(RtpInfo::parse_list("seq=1;rtptime=2"), []);
        assert_eq!(RtpInfo::parse_list(""), []);
    }
}
