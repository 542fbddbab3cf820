// socketioxide with the handlers that the benchmark needs: see ../socketio.mjs.
//
//   peer PORT

use axum::{Router, extract::Query, http::StatusCode, routing::post};
use serde::Deserialize;
use socketioxide::{
    SocketIo,
    extract::{AckSender, Data, SocketRef},
};

#[derive(Deserialize)]
struct Emit {
    n: usize,
    #[serde(default)]
    rooms: usize,
    #[serde(default)]
    start: usize,
}

#[tokio::main]
async fn main() {
    let port = std::env::args().nth(1).expect("usage: peer PORT");
    // What does not fit into a client's queue is dropped without a word, so that it must fit.
    let (layer, io) = SocketIo::builder().max_buffer_size(1 << 20).build_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.join("bench");
        let query = socket.req_parts().uri.query().unwrap_or_default();
        if let Some(room) = query.split('&').find_map(|p| p.strip_prefix("room=")) {
            socket.join(room.to_owned());
        }
        socket.on("echo", async |Data::<String>(value), answer: AckSender| {
            answer.send(&value).ok();
        });
    });
    let emit = async move |Query(q): Query<Emit>, body: String| {
        for i in 0..q.n {
            let room = match q.rooms {
                0 => "bench".to_owned(),
                n => format!("r{}", (q.start + i) % n),
            };
            if io.to(room).emit("m", &body).await.is_err() {
                return StatusCode::INSUFFICIENT_STORAGE;
            }
        }
        StatusCode::OK
    };
    let app = Router::new().route("/emit", post(emit)).layer(layer);
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}"))
        .await
        .expect("listening");
    axum::serve(listener, app).await.expect("serving");
}
