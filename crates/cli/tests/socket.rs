//! Requests of the program -> answers that a test gives (IO: a local socket).

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

/// A request without its body.
pub(crate) struct Request {
    /// Path and query.
    pub(crate) target: String,
}

impl Request {
    fn read(connection: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(connection).lines();
        let first = lines.next()?.ok()?;
        let target = first.split(' ').nth(1)?.to_owned();
        let head = lines.map_while(Result::ok);
        // The rest of the head, so that closing does not reset the connection.
        head.take_while(|line| !line.trim().is_empty()).for_each(drop);
        Some(Self { target })
    }
}

pub(crate) enum Reply {
    /// An object; a `Status` with a code answers with that code.
    Object(Value),
    /// Texts as they come, until their sender is dropped.
    Texts(Receiver<String>),
}

/// The address of a server that lives as long as this process.
pub(crate) fn serve(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", server.local_addr().unwrap());
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for connection in server.incoming().flatten() {
            let answer = answer.clone();
            thread::spawn(move || {
                let request = Request::read(&connection)?;
                respond(&connection, answer(&request)).ok()
            });
        }
    });
    address
}

fn respond(mut connection: &TcpStream, answer: Reply) -> std::io::Result<()> {
    let head = |code: u64| {
        format!("HTTP/1.1 {code} -\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n")
    };
    match answer {
        Reply::Object(object) => {
            let code = object["code"].as_u64().unwrap_or(200);
            connection.write_all((head(code) + &object.to_string()).as_bytes())
        }
        Reply::Texts(texts) => {
            connection.write_all(head(200).as_bytes())?;
            texts
                .iter()
                .try_for_each(|text| connection.write_all(text.as_bytes()))
        }
    }
}

/// Each value once, in this order, for requests of several connections.
pub(crate) struct Queue<T>(Mutex<std::vec::IntoIter<T>>);

impl<T> Queue<T> {
    pub(crate) fn new(values: Vec<T>) -> Self {
        Self(Mutex::new(values.into_iter()))
    }

    pub(crate) fn next(&self) -> Option<T> {
        self.0.lock().unwrap().next()
    }
}
