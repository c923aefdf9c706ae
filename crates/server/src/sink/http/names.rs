//! From the path of a request to what it names: a file, a page, a part of a stream.

use std::rc::Rc;
use std::sync::Arc;

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, USER_AGENT};
use http::{Method, StatusCode};
use weir_media::movie::Format;
use weir_proto::http::{Condition, HttpDate, RequestHead, ResponseHead, Validators, decode_path};
use weir_proto::rtsp::url::encode_path;
use weir_record::event;

use super::answer::{Answer, Body};
use super::assets::{Asset, asset};
use super::connection::Request;
use super::sessions::{Asking, SessionId, token};
use super::{file, routes};
use crate::Error;
use crate::access::{Action, Credentials};
use crate::hub::Stream;
use crate::package;
use crate::shard::Shard;

/// First parts of paths that are no names of streams.
const RESERVED: [&str; 5] = ["api", "assets", "favicon.ico", "healthz", "metrics"];
/// Methods that apply to everything below the name of a stream.
const METHODS: &str = "GET, HEAD, OPTIONS";
/// More parts than any name and anything below it have.
const PARTS_MAX: usize = 32;
/// Between two looks for sessions that are over.
const SWEEP_INTERVAL: std::time::Duration = std::time::Duration::from_secs(1);

/// Answers a request.
pub(super) async fn answer(shard: &Rc<Shard>, request: &Request) -> Answer {
    let head = &request.head;
    if head.target.as_str() == "*" {
        return Answer::options(METHODS);
    }
    let path = match decode_path(head.target.path()) {
        Ok(path) => path,
        Err(refusal) => return Answer::error(head, refusal.status, refusal.why, ""),
    };
    let first = path.split('/').next().unwrap_or_default();
    if path.is_empty() || RESERVED.contains(&first) {
        return routes::answer(shard, request).await;
    }
    match head.method {
        Method::GET | Method::HEAD => {}
        Method::OPTIONS => return Answer::options(METHODS),
        _ => return Answer::not_allowed(head, METHODS).shared(),
    }
    match named(shard, request, &path).await {
        Ok(answer) => answer,
        Err(error) => {
            let (status, words) = public(&error);
            if status.is_server_error() {
                tracing::error!("{}: {path:?}: {error}", request.peer);
            }
            Answer::error(head, status, &words, SEE_STREAMS).shared()
        }
    }
}

const SEE_STREAMS: &str = "The list of all streams and movies is at /api/v1/streams";

/// What stands below the names of streams. The longest name wins.
async fn named(shard: &Rc<Shard>, request: &Request, path: &str) -> Result<Answer, Error> {
    if path.split('/').count() > PARTS_MAX {
        return Ok(nothing(&request.head, path));
    }
    if let Some((stem, formats)) = file_name(path) {
        for name in [stem, path] {
            if let Some(found) = file::find(shard, name, formats).await? {
                return Ok(match authorize(shard, Action::Play, name, request) {
                    Ok(()) => {
                        let session = session(shard, request, name, Some("progressive"));
                        file::answer(shard, request, found).with_session(session)
                    }
                    Err(denied) => *denied,
                });
            }
        }
    }
    let hub = &shard.context.hub;
    if hub.knows(&shard.host, path).await {
        let query = request.head.query().map(|query| format!("?{query}")).unwrap_or_default();
        return Ok(Answer::moved(&format!("/{}/{query}", encode_path(path))));
    }
    for (at, _) in path.rmatch_indices('/') {
        let (name, below) = (&path[..at], &path[at + 1..]);
        if hub.knows(&shard.host, name).await || hub.ended(name).is_some() {
            return Ok(match below {
                "" => page(shard, request, name),
                _ => resource(shard, request, name, below).await?,
            });
        }
    }
    Ok(nothing(&request.head, path))
}

fn nothing(head: &RequestHead, path: &str) -> Answer {
    let error = format!("there is no stream and no movie {path:?}");
    Answer::error(head, StatusCode::NOT_FOUND, &error, SEE_STREAMS).shared()
}

/// The name and the containers that a path with a file's ending asks for.
fn file_name(path: &str) -> Option<(&str, &'static [Format])> {
    let (stem, ending) = path.rsplit_once('.')?;
    let formats: &[Format] = match ending.to_ascii_lowercase().as_str() {
        "mp4" => &[Format::Mp4],
        "flv" => &[Format::Flv],
        "ts" => &[Format::Ts],
        "mjpeg" => &[Format::Jpegs, Format::ClassroomMjpeg],
        _ => return None,
    };
    Some((stem, formats))
}

/// The player page of a stream.
fn page(shard: &Rc<Shard>, request: &Request, name: &str) -> Answer {
    if let Err(denied) = authorize(shard, Action::Describe, name, request) {
        return *denied;
    }
    match asset("player.html") {
        Some(page) => asset_answer(shard, &request.head, page),
        None => nothing(&request.head, name),
    }
}

/// Something that is part of the program.
pub(super) fn asset_answer(shard: &Shard, head: &RequestHead, asset: Asset) -> Answer {
    let etag = Some(asset.etag.to_string());
    let validators = Validators { etag, modified: None };
    let answer = match Condition::of(head, &validators, HttpDate::of(shard.host.utc())) {
        Condition::NotModified => Answer::empty(StatusCode::NOT_MODIFIED),
        Condition::Failed => Answer::empty(StatusCode::PRECONDITION_FAILED),
        Condition::Met { .. } => {
            let head = ResponseHead::new(StatusCode::OK).with(CONTENT_TYPE, asset.content_type);
            Answer::new(head, asset.bytes)
        }
    };
    // Asked for anew each time: a newer program has newer pages.
    answer.with(CACHE_CONTROL, "no-cache").validated(&validators)
}

/// What the packager makes of a stream.
async fn resource(
    shard: &Rc<Shard>,
    request: &Request,
    name: &str,
    below: &str,
) -> Result<Answer, Error> {
    if let Err(denied) = authorize(shard, Action::Play, name, request) {
        return Ok(*denied);
    }
    let (head, hub) = (&request.head, &shard.context.hub);
    let stream = match hub.find(&shard.host, name).await {
        // Who watches in segments learns from the playlist that it has ended.
        Err(Error::NotFound { stream }) => match hub.ended(name) {
            Some(live) => Stream::Live(live),
            None => return Err(Error::NotFound { stream }),
        },
        found => found?,
    };
    let made = package::resource(hub, &shard.host, &stream, below, head.query()).await;
    let resource = match made {
        Ok(resource) => resource,
        Err(package::Refusal::NotFound) => {
            return Ok(nothing(head, &format!("{name}/{below}")));
        }
        Err(package::Refusal::NotCarried(why)) => {
            let hint = "Other addresses of this stream may work: see /api/v1/streams";
            return Ok(Answer::error(head, StatusCode::NOT_FOUND, &why, hint).shared());
        }
        Err(package::Refusal::Failed(error)) => return Err(error),
    };
    let session = session(shard, request, name, protocol(below));
    let validators = Validators { etag: resource.etag, modified: None };
    let answer = match Condition::of(head, &validators, HttpDate::of(shard.host.utc())) {
        Condition::NotModified => Answer::empty(StatusCode::NOT_MODIFIED),
        Condition::Failed => Answer::empty(StatusCode::PRECONDITION_FAILED),
        Condition::Met { .. } => {
            let head = ResponseHead::new(StatusCode::OK).with(CONTENT_TYPE, resource.content_type);
            let mut answer = Answer::new(head, "");
            answer.body = Body::Pieces(resource.body.into());
            answer
        }
    };
    let caching = match resource.max_age_s {
        Some(seconds) => format!("max-age={seconds}"),
        None => "no-cache".to_owned(),
    };
    let answer = answer.with(CACHE_CONTROL, &caching).validated(&validators).shared();
    Ok(answer.with_session(session))
}

/// The protocol that something below a name belongs to, if to one alone.
fn protocol(below: &str) -> Option<&'static str> {
    match below.rsplit_once('.')?.1 {
        "m3u8" => Some("hls"),
        "mpd" => Some("dash"),
        _ => None,
    }
}

/// The session that a request belongs to; whoever asks for a head alone does not watch.
fn session(
    shard: &Rc<Shard>,
    request: &Request,
    name: &str,
    protocol: Option<&'static str>,
) -> Option<SessionId> {
    let head = &request.head;
    if head.method != Method::GET {
        return None;
    }
    let asking = Asking {
        stream: Arc::from(name),
        token: token(head.query()).map(str::to_owned),
        protocol,
        peer: request.peer,
        agent: head.text(&USER_AGENT).map(str::to_owned),
    };
    let (http, records) = (&shard.context.http, &shard.context.records);
    let mut sessions = http.sessions();
    let id = sessions.ask(asking, shard.host.now(), records);
    if sessions.wants_sweeper() {
        let shard = Rc::clone(shard);
        shard.host.clone().spawn(async move {
            loop {
                shard.host.sleep(SWEEP_INTERVAL).await;
                let now = shard.host.now();
                let context = &shard.context;
                if !context.http.sessions().sweep(now, &context.records) {
                    return;
                }
            }
        });
    }
    Some(id)
}

/// Asks the hub whether a peer may do something; if not, the answer that says so.
pub(super) fn authorize(
    shard: &Shard,
    action: Action,
    path: &str,
    request: &Request,
) -> Result<(), Box<Answer>> {
    let head = &request.head;
    let credentials = Credentials {
        authorization: head.text(&AUTHORIZATION).map(str::to_owned),
        query: head.query().map(str::to_owned),
    };
    let allowed = shard.context.hub.authorize(action, path, &credentials, request.peer.ip());
    allowed.map_err(|denied| {
        tracing::warn!("{}: {action} {path:?} refused: {}", request.peer, denied.why);
        let refused = event::Refused {
            peer: request.peer.to_string().into(),
            action: action.to_string().into(),
            path: path.into(),
            why: denied.why.into(),
        };
        shard.context.records.emit(shard.host.now(), refused);
        Box::new(Answer::error(head, StatusCode::FORBIDDEN, denied.why, ""))
    })
}

/// The status of an error, and what a peer is told of it: not where files lie.
pub(super) fn public(error: &Error) -> (StatusCode, String) {
    let words = match error {
        Error::NotFound { .. } | Error::Ambiguous { .. } => {
            return (StatusCode::NOT_FOUND, error.to_string());
        }
        // Where the link leads is nobody's business.
        Error::Outside { .. } => {
            return (StatusCode::NOT_FOUND, "there is no such movie".to_owned());
        }
        Error::Unreadable { .. } => "nothing of the movie can be read".to_owned(),
        Error::Movie { source, .. } => format!("the movie cannot be read: {source}"),
        Error::CutOff { .. } => "the movie is cut off".to_owned(),
        Error::File { source, .. } => format!("the movie cannot be read: {}", source.kind()),
        Error::Empty { .. } => "the movie has no frames".to_owned(),
        other => other.to_string(),
    };
    (StatusCode::INTERNAL_SERVER_ERROR, words)
}
