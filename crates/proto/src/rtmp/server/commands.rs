//! The rules: what a command asks for, what is answered at once, and what is asked of the driver.

use super::connection::Connection;
use super::{Client, EndReason, Event, Role, Start};
use crate::amf::amf0::Value;
use crate::rtmp::command::{Command, Status};
use crate::rtmp::message::StreamId;
use crate::rtmp::url::Target;

/// A question that the driver is asked, with what the answer needs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Question {
    Connect { transaction: f64, object_encoding: f64, client: Client },
    Publish { stream: StreamId },
    Play { stream: StreamId, reset: bool },
}

/// Takes a command that came on a message stream.
pub(super) fn take(connection: &mut Connection, command: &Command, on: StreamId) {
    if connection.refused_at.is_some() {
        return;
    }
    if command.name == "connect" {
        return connect(connection, command);
    }
    if connection.client.is_none() {
        let detail = "it came before the command connect was accepted".to_owned();
        connection.refuse(&shown(&command.name), detail);
        return call_failed(connection, command, "connect first");
    }
    match command.name.as_str() {
        "createStream" => create_stream(connection, command),
        "publish" => publish(connection, command, on),
        "play" => play(connection, command, on),
        "deleteStream" => delete_stream(connection, command),
        "closeStream" => close_stream(connection, on),
        "FCUnpublish" | "releaseStream" | "FCPublish" | "FCSubscribe" | "FCUnsubscribe" => {
            flash_command(connection, command);
        }
        "pause" | "pauseRaw" => pause(connection, command, on),
        "seek" => seek(connection, command, on),
        "receiveAudio" => receive(connection, command, on, weir_media::Kind::Audio),
        "receiveVideo" => receive(connection, command, on, weir_media::Kind::Video),
        // A live stream has no length: 0 is what players take for it.
        "getStreamLength" => result(connection, command, [Value::Null, Value::Number(0.0)]),
        "_checkbw" | "checkBandwidth" => result(connection, command, [Value::Null]),
        // Answers to what was never asked.
        "_result" | "_error" | "onStatus" | "onBWDone" => {}
        _ => call_failed(connection, command, "this command is not known here"),
    }
}

fn connect(connection: &mut Connection, command: &Command) {
    if connection.client.is_some() {
        return call_failed(connection, command, "connected already");
    }
    let object = command.object();
    let text = |name| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = object.get("objectEncoding").and_then(Value::as_number);
    let client = Client {
        app: text("app"),
        tc_url: text("tcUrl"),
        software: text("flashVer"),
        page_url: text("pageUrl"),
        codecs: codecs(object),
    };
    let question = Question::Connect {
        transaction: command.transaction,
        object_encoding: number.filter(|n| *n == 3.0).unwrap_or(0.0),
        client: client.clone(),
    };
    connection.ask(question, |token| Event::Connect { token, client });
}

/// The codecs that connect names (Enhanced RTMP, section "Enhancing NetConnection connect").
fn codecs(object: &Value) -> Vec<String> {
    let mut codecs = Vec::new();
    let mut add = |name: &str| {
        if codecs.len() < CODECS_MAX && !codecs.iter().any(|known| known == name) {
            codecs.push(name.to_owned());
        }
    };
    if let Some(Value::StrictArray(list)) = object.get("fourCcList") {
        list.iter().filter_map(Value::as_str).for_each(&mut add);
    }
    for map in ["videoFourCcInfoMap", "audioFourCcInfoMap"] {
        let map = object.get(map).map(Value::properties).unwrap_or_default();
        map.iter().for_each(|(name, _)| add(name));
    }
    codecs
}

fn create_stream(connection: &mut Connection, command: &Command) {
    match connection.streams.make() {
        Some(stream) => {
            result(connection, command, [Value::Null, Value::Number(stream.0.into())]);
        }
        None => call_failed(connection, command, "too many streams on one connection"),
    }
}

fn publish(connection: &mut Connection, command: &Command, on: StreamId) {
    let stream = connection.streams.meant(on);
    // "publish" with false ends it, in old players.
    if *command.argument(1) == Value::Boolean(false) {
        return close_stream(connection, stream);
    }
    connection.end_role(stream, EndReason::Replaced);
    let target = target(connection, command);
    let kind = command.argument(2).as_str().unwrap_or("live").to_owned();
    let event = |token| Event::Publish { token, stream, target, kind };
    connection.ask(Question::Publish { stream }, event);
}

fn play(connection: &mut Connection, command: &Command, on: StreamId) {
    let stream = connection.streams.meant(on);
    if *command.argument(1) == Value::Boolean(false) {
        return close_stream(connection, stream);
    }
    if stream != StreamId::FIRST {
        let detail = "streams are played on message stream 1, one for each connection";
        connection.refuse("play", detail.to_owned());
        return connection.status(&Status::error(super::Code::PLAY_FAILED.0, detail), stream);
    }
    connection.end_role(stream, EndReason::Replaced);
    let target = target(connection, command);
    let start = match command.argument(2).as_number() {
        Some(-1.0 | -1000.0) => Start::Live,
        // In seconds by the specification, in milliseconds by ffmpeg, librtmp and Flash Player.
        // librtmp sends 0 where nothing was asked for, so 0 is any start.
        Some(number) if number > 0.0 => Start::Recorded { from_ms: number as u64 },
        _ => Start::Any,
    };
    let reset = command.argument(4).as_bool().unwrap_or(true);
    let event = |token| Event::Play { token, stream, target, start };
    connection.ask(Question::Play { stream, reset }, event);
}

fn target(connection: &Connection, command: &Command) -> Target {
    let name = command.argument(1).as_str().unwrap_or_default();
    let (app, tc_url) = match &connection.client {
        Some(client) => (client.app.as_str(), client.tc_url.as_str()),
        None => ("", ""),
    };
    Target::new(app, tc_url, name)
}

fn delete_stream(connection: &mut Connection, command: &Command) {
    let number = command.argument(1).as_number().unwrap_or(1.0);
    let stream = StreamId(number as u32);
    close_stream(connection, stream);
    connection.streams.delete(stream);
    // Section 7.2.2.3: no answer. Those who give it a number wait for one all the same.
    if command.transaction != 0.0 {
        result(connection, command, [Value::Null]);
    }
}

/// Ends what a stream is used for, and says so.
fn close_stream(connection: &mut Connection, stream: StreamId) {
    let status = match connection.streams.role(stream) {
        Some(Role::Publisher) => Status::new("NetStream.Unpublish.Success", "no longer published"),
        Some(Role::Player) => Status::new("NetStream.Play.Stop", "no longer played"),
        None => return,
    };
    connection.end_role(stream, EndReason::Asked);
    connection.status(&status, stream);
}

/// What encoders send for the sake of old servers. They wait for these answers.
fn flash_command(connection: &mut Connection, command: &Command) {
    let name = command.argument(1).as_str().unwrap_or_default().to_owned();
    result(connection, command, [Value::Null, Value::Undefined]);
    let (answer, code) = match command.name.as_str() {
        "FCPublish" => ("onFCPublish", "NetStream.Publish.Start"),
        "FCUnpublish" => {
            // The stream is over, whether or not deleteStream follows.
            let published = connection.streams.published(StreamId::FIRST);
            if let Some(stream) = published {
                close_stream(connection, stream);
            }
            ("onFCUnpublish", "NetStream.Unpublish.Success")
        }
        "FCSubscribe" => ("onFCSubscribe", "NetStream.Play.Start"),
        "FCUnsubscribe" => ("onFCUnsubscribe", "NetStream.Play.Stop"),
        _ => return,
    };
    let status = Status::new(code, &name).value();
    connection.send(&Command::new(answer, 0.0, [status]), StreamId::CONNECTION);
}

fn pause(connection: &mut Connection, command: &Command, on: StreamId) {
    let stream = connection.streams.meant(on);
    if connection.streams.role(stream) != Some(Role::Player) {
        return;
    }
    let paused = command.argument(1).as_bool().unwrap_or(true);
    let at_ms = command.argument(2).as_number().unwrap_or(0.0) as u32;
    let status = match paused {
        true => Status::new("NetStream.Pause.Notify", "paused"),
        false => Status::new("NetStream.Unpause.Notify", "playing"),
    };
    connection.status(&status, stream);
    connection.event(Event::Pause { stream, paused, at_ms });
}

/// There is no other place in a live stream. It is no error, at which ffmpeg would give up.
fn seek(connection: &mut Connection, _: &Command, on: StreamId) {
    let stream = connection.streams.meant(on);
    let status = Status::new("NetStream.Seek.Failed", "a live stream has no other place");
    connection.status(&status, stream);
}

fn receive(connection: &mut Connection, command: &Command, on: StreamId, kind: weir_media::Kind) {
    let stream = connection.streams.meant(on);
    if connection.streams.role(stream) == Some(Role::Player) {
        let wanted = command.argument(1).as_bool().unwrap_or(true);
        connection.event(Event::Receive { stream, kind, wanted });
    }
}

/// Answers a command, if it wants an answer.
fn result<const N: usize>(connection: &mut Connection, command: &Command, values: [Value; N]) {
    if command.transaction != 0.0 {
        let (name, transaction) = ("_result".to_owned(), command.transaction);
        let answer = Command { name, transaction, arguments: values.into() };
        connection.send(&answer, StreamId::CONNECTION);
    }
}

fn call_failed(connection: &mut Connection, command: &Command, why: &str) {
    if command.transaction != 0.0 {
        let description = format!("{}: {why}", shown(&command.name));
        let status = Status::error("NetConnection.Call.Failed", &description).value();
        let answer = Command::new("_error", command.transaction, [status]);
        connection.send(&answer, StreamId::CONNECTION);
    }
}

/// A name that a peer sent, as it goes into logs and answers.
fn shown(name: &str) -> String {
    name.chars().take(NAME_SHOWN_MAX).collect::<String>().escape_debug().to_string()
}

const CODECS_MAX: usize = 32;
const NAME_SHOWN_MAX: usize = 40;
