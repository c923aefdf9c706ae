//! The server's own requests (RFC 2326 section 10, direction S to C).

use super::connection::Connection;
use super::{Event, Output};
use crate::rtsp::Status;
use crate::rtsp::message::{Method, Request, Response};

const METHODS: &str = "OPTIONS, GET_PARAMETER, SET_PARAMETER";

impl Connection {
    pub(super) fn take_request(&mut self, request: &Request) {
        let mut response = Response::new(judge(request));
        for name in ["CSeq", "Session", "Timestamp"] {
            if let Some(value) = request.fields.get(name) {
                response.fields.push(name, value);
            }
        }
        if request.method == Method::Options {
            response.fields.push("Public", METHODS);
        }
        if response.status == Status::METHOD_NOT_ALLOWED {
            response.fields.push("Allow", METHODS);
        }
        response.fields.push("User-Agent", &self.config.user_agent);
        self.emit(Output::Send(response.encode()));
        self.event(Event::Asked {
            method: request.method.clone(),
            url: request.uri.clone(),
            status: response.status,
        });
    }
}

fn judge(request: &Request) -> Status {
    if request.fields.get("CSeq").is_none() {
        return Status::BAD_REQUEST;
    }
    match &request.method {
        Method::Options => Status::OK,
        Method::GetParameter | Method::SetParameter if request.body.trim_ascii().is_empty() => {
            Status::OK
        }
        Method::GetParameter | Method::SetParameter => Status::PARAMETER_NOT_UNDERSTOOD,
        Method::Other(_) => Status::NOT_IMPLEMENTED,
        _ => Status::METHOD_NOT_ALLOWED,
    }
}
