//! The events of a start, read as they arrive.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use serde_json::Value;
use tokio::time::timeout;

/// Long enough for anything that comes at once.
const TIMEOUT: Duration = Duration::from_secs(5);

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) data: Value,
}

impl Event {
    pub(crate) fn percent(&self) -> u64 {
        self.data["percent"].as_u64().unwrap()
    }

    pub(crate) fn step(&self) -> &str {
        self.data["step"].as_str().unwrap()
    }
}

/// A stream under way.
pub(crate) struct Events<B> {
    body: B,
    text: String,
    /// Lines without content.
    pub(crate) idle: usize,
}

impl<B> Events<B>
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    pub(crate) fn new(body: B) -> Self {
        Self {
            body,
            text: String::new(),
            idle: 0,
        }
    }

    /// The next event, which must come soon; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        timeout(TIMEOUT, self.awaited()).await.unwrap()
    }

    /// The next event, however long it takes.
    pub(crate) async fn awaited(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                self.idle += usize::from(block == ":\n\n");
                let event = parsed(&block);
                if event.is_some() {
                    return event;
                }
            }
            let frame = self.body.frame().await?.unwrap();
            self.text
                .push_str(std::str::from_utf8(&frame.into_data().unwrap()).unwrap());
        }
    }

    /// All events until the end, which must come soon.
    pub(crate) async fn rest(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }
}

fn parsed(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let mut lines = block
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let value = lines.next();
        assert!(lines.next().is_none(), "{name} twice: {block}");
        value
    };
    let (id, kind, data) = (field("id")?, field("event").unwrap(), field("data").unwrap());
    Some(Event {
        id: id.to_owned(),
        kind: kind.to_owned(),
        data: serde_json::from_str(data).unwrap(),
    })
}
