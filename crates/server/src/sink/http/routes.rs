//! Fixed addresses: pages, the API, metrics.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::BytesMut;
use http::header::ALLOW;
use http::{Method, StatusCode, Uri};
use http_body_util::BodyExt;
use tower_service::Service;
use weir_proto::http::ResponseHead;

use super::answer::{Answer, Body};
use super::assets::asset;
use super::connection::Request;
use super::desk::Desk;
use super::names::{asset_answer, authorize};
use super::{api, events, metrics};
use crate::access::Action;
use crate::shard::Shard;

type Asked = Extension<Arc<Request>>;

/// The routes of one shard.
pub(super) fn router(desk: Desk) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/favicon.ico", get(favicon))
        .route("/assets/{*path}", get(part_of_page))
        .route("/api/v1/streams", get(streams))
        .route("/api/v1/streams/{*name}", get(stream))
        .route("/api/v1/sessions", get(sessions))
        .route("/api/v1/sessions/{token}/events", post(session_events))
        .route("/api/v1/time", get(time))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .fallback(nothing)
        .method_not_allowed_fallback(not_allowed)
        .with_state(desk)
}

/// Has a request answered by the routes.
pub(super) async fn answer(shard: &Rc<Shard>, request: &Request) -> Answer {
    let Some(mut router) = shard.http.router.borrow().clone() else {
        return Answer::empty(StatusCode::SERVICE_UNAVAILABLE);
    };
    let mut routed = http::Request::new(axum::body::Body::from(request.body.clone()));
    // Whoever sends leaves the body out for HEAD.
    *routed.method_mut() = match &request.head.method {
        &Method::HEAD => Method::GET,
        other => other.clone(),
    };
    *routed.uri_mut() = Uri::from(request.head.target.clone());
    *routed.headers_mut() = request.head.headers.clone();
    routed.extensions_mut().insert(Arc::new(request.clone()));
    let Ok(response) = router.call(routed).await;
    let (parts, body) = response.into_parts();
    let head = ResponseHead { status: parts.status, headers: parts.headers };
    match body.collect().await {
        Ok(body) => Answer::new(head, body.to_bytes()),
        Err(error) => {
            tracing::error!("{}: {}: {error}", request.peer, request.head.target);
            Answer::empty(StatusCode::INTERNAL_SERVER_ERROR)
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let body = match self.body {
            Body::Pieces(pieces) => joined(pieces),
            Body::File(_) => unreachable!("files are sent by their names, and not by routes"),
        };
        let mut response = Response::new(axum::body::Body::from(body));
        *response.status_mut() = self.head.status;
        *response.headers_mut() = self.head.headers;
        response
    }
}

fn joined(mut pieces: VecDeque<bytes::Bytes>) -> bytes::Bytes {
    if pieces.len() <= 1 {
        return pieces.pop_front().unwrap_or_default();
    }
    let mut all = BytesMut::new();
    pieces.iter().for_each(|piece| all.extend_from_slice(piece));
    all.freeze()
}

/// Asks the hub, and then does it on the shard.
macro_rules! on_shard {
    ($desk:ident, $request:ident, $action:expr, $path:expr, |$shard:ident| $work:expr) => {
        $desk
            .call(move |$shard| async move {
                if let Err(denied) = authorize(&$shard, $action, $path, &$request) {
                    return *denied;
                }
                $work
            })
            .await
    };
}

async fn index(State(desk): State<Desk>, Extension(request): Asked) -> Answer {
    on_shard!(desk, request, Action::Describe, "", |shard| page(&shard, &request, "index.html"))
}

async fn favicon(State(desk): State<Desk>, Extension(request): Asked) -> Answer {
    on_shard!(desk, request, Action::Describe, "", |shard| page(&shard, &request, "favicon.ico"))
}

async fn part_of_page(
    State(desk): State<Desk>,
    Extension(request): Asked,
    Path(path): Path<String>,
) -> Answer {
    on_shard!(desk, request, Action::Describe, "", |shard| page(&shard, &request, &path))
}

fn page(shard: &Shard, request: &Request, path: &str) -> Answer {
    match asset(path) {
        Some(asset) => asset_answer(shard, &request.head, asset),
        None => unknown(request),
    }
}

async fn streams(State(desk): State<Desk>, Extension(request): Asked) -> Answer {
    on_shard!(desk, request, Action::Describe, "", |shard| api::streams(&shard, &request).await)
}

async fn stream(
    State(desk): State<Desk>,
    Extension(request): Asked,
    Path(name): Path<String>,
) -> Answer {
    on_shard!(desk, request, Action::Describe, &name, |shard| {
        api::stream(&shard, &request, &name).await
    })
}

async fn sessions(State(desk): State<Desk>, Extension(request): Asked) -> Answer {
    on_shard!(desk, request, Action::Administer, "sessions", |shard| api::sessions(&shard).await)
}

async fn session_events(
    State(desk): State<Desk>,
    Extension(request): Asked,
    Path(token): Path<String>,
) -> Answer {
    on_shard!(desk, request, Action::Play, "", |shard| events::take(&shard, &request, &token).await)
}

async fn time(State(desk): State<Desk>, Extension(request): Asked) -> Answer {
    on_shard!(desk, request, Action::Describe, "", |shard| api::time(&shard))
}

async fn metrics(State(desk): State<Desk>, Extension(request): Asked) -> Answer {
    on_shard!(desk, request, Action::Describe, "", |shard| metrics::page(&shard).await)
}

async fn healthz() -> Answer {
    let head = ResponseHead::new(StatusCode::OK)
        .with(http::header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .with(http::header::CACHE_CONTROL, "no-store");
    Answer::new(head, "ok\n")
}

async fn nothing(Extension(request): Asked) -> Answer {
    unknown(&request)
}

async fn not_allowed(Extension(request): Asked) -> Answer {
    // Which methods apply, the routes say themselves.
    let mut answer = Answer::not_allowed(&request.head, "see the Allow field");
    answer.head.headers.remove(ALLOW);
    answer
}

fn unknown(request: &Request) -> Answer {
    let error = format!("there is nothing at {}", request.head.target.path());
    let hint = "The API begins at /api/v1/streams";
    Answer::error(&request.head, StatusCode::NOT_FOUND, &error, hint)
}
