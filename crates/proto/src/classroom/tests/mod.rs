mod client;
mod looks;
mod messages;
mod server;

use super::{Method, Spelling, request::Request};
use proptest::prelude::*;

pub(super) const SETUP: &str =
    "SETUP movie.Mjpeg RTSP/1.0\nCSeq: 1\nTransport: RTP/UDP; client_port= 25000";

/// A request as some client of the dialect may send it.
pub(super) fn request(method: Method, spelling: Spelling, cseq: u32) -> Request {
    let is_setup = method == Method::Setup;
    Request {
        method,
        cseq,
        spelling,
        name: match (spelling, method) {
            (Spelling::Student, Method::Play | Method::Pause | Method::Teardown) => String::new(),
            _ => "movie.Mjpeg".to_owned(),
        },
        session: (spelling == Spelling::Handout && !is_setup).then_some(123_456),
        port: is_setup.then_some(25_000),
    }
}

pub(super) fn spelling() -> impl Strategy<Value = Spelling> {
    prop_oneof![Just(Spelling::Handout), Just(Spelling::Student)]
}

pub(super) fn method() -> impl Strategy<Value = Method> {
    proptest::sample::select(Method::ALL.to_vec())
}
