//! The client of the crate rust_socketio: interop URL TRANSPORT TOKEN

use std::{env, sync::mpsc, time::Duration};

use rust_socketio::{ClientBuilder, Payload, RawClient, TransportType};
use serde_json::{json, Value};

// How long it waits for an answer to what it asks.
const ANSWER: Duration = Duration::from_secs(10);

fn main() {
    let [_, url, transport, token] = <[String; 4]>::try_from(env::args().collect::<Vec<_>>()).expect("URL TRANSPORT TOKEN");
    let transport = match transport.as_str() {
        "websocket" => TransportType::Websocket,
        "polling" => TransportType::Polling,
        _ => TransportType::WebsocketUpgrade,
    };
    let (leave, left) = mpsc::channel();
    let client = ClientBuilder::new(url)
        .transport_type(transport)
        .auth(json!({ "token": token }))
        .reconnect_delay(50, 500)
        .on("echo", |args, socket| emit(&socket, "echoed", args))
        .on("call me", |args, socket: RawClient| {
            let asked = socket.emit_with_ack("question", args, ANSWER, |answer, socket| emit(&socket, "answer", unwrapped(answer)));
            asked.expect("question");
        })
        .on("bye", move |_, _| leave.send(()).expect("bye"))
        .on("error", |why, _| println!("refused: {why:?}"))
        .connect()
        .expect("connect");
    // Not in the handler: while one runs, the crate's disconnect waits for it.
    left.recv().expect("bye");
    client.disconnect().expect("disconnect");
}

fn emit(socket: &RawClient, event: &str, args: Payload) {
    socket.emit(event, args).expect(event);
}

// The crate hands over an answer's arguments as one array in a list.
fn unwrapped(answer: Payload) -> Payload {
    match answer {
        Payload::Text(mut values) => match values.pop() {
            Some(Value::Array(args)) => Payload::Text(args),
            other => Payload::Text(other.into_iter().collect()),
        },
        other => other,
    }
}
