//! What the pages are made of.

/// A file that is part of the program.
pub(crate) struct Asset {
    pub(crate) content_type: &'static str,
    pub(crate) bytes: &'static [u8],
    /// Its entity tag, with quotes.
    pub(crate) etag: &'static str,
}

/// The asset at a path, such as `index.html`.
pub(crate) fn asset(path: &str) -> Option<Asset> {
    let bytes: &[u8] = match path {
        "index.html" => INDEX.as_bytes(),
        "player.html" => PLAYER.as_bytes(),
        _ => return None,
    };
    Some(Asset { content_type: "text/html; charset=utf-8", bytes, etag: "\"0\"" })
}

const INDEX: &str = "<!doctype html>\n<html lang=en><meta charset=utf-8><title>weir</title>\
                     <p>The streams: <a href=/api/v1/streams>as JSON</a>.\n";
const PLAYER: &str = "<!doctype html>\n<html lang=en><meta charset=utf-8><title>weir</title>\
                      <p>There is no player here yet.\n";
