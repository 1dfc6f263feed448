//! Watch requests and changes -> events on open connections (in memory).

use std::convert::Infallible;

use bytes::Bytes;
use futures::{StreamExt as _, channel::mpsc};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use serde_json::Value;

use super::store::{Change, Store};

/// The event for a watch that begins before the recorded history.
const EXPIRED: &str = concat!(
    r#"{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","#,
    r#""message":"too old resource version","reason":"Expired","code":410}}"#,
    "\n"
);

/// The key of a label and its requested values; empty: any value.
type Term = (String, Vec<String>);

/// A parameter of a query.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

/// Parameters of a watch.
#[derive(Debug)]
pub(super) struct Watch {
    collection: String,
    selector: Vec<Term>,
    since: u64,
}

impl Watch {
    /// The watch that a request starts, if it is a watch request.
    pub(super) fn requested(path: &str, query: &str) -> Option<Self> {
        let wanted = parameter(query, "watch").is_some_and(|watch| watch != "false" && watch != "0");
        wanted.then(|| Self {
            collection: path.to_owned(),
            selector: selector(query),
            since: parameter(query, "resourceVersion")
                .and_then(|version| version.parse().ok())
                .unwrap_or(0),
        })
    }

    /// The event about `change`, if the watch selects it.
    fn event(&self, change: &Change) -> Option<Bytes> {
        if !Store::is_in(&change.path, &self.collection) {
            return None;
        }
        let was = change
            .before
            .as_ref()
            .is_some_and(|before| selects(&self.selector, before));
        let is = change.type_ != "DELETED" && selects(&self.selector, &change.object);
        let type_ = match (was, is) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        // Like in API servers, the type comes first, so that readers know what follows.
        Some(Bytes::from(format!(
            "{{\"type\":\"{type_}\",\"object\":{}}}\n",
            change.object
        )))
    }
}

struct Open {
    watch: Watch,
    sender: mpsc::UnboundedSender<Bytes>,
}

/// The open watches.
#[derive(Default)]
pub(super) struct Watches {
    open: Vec<Open>,
    /// The oldest version at which a watch can begin.
    oldest: u64,
}

impl Watches {
    /// Starts a watch. If it begins before the recorded history, it gets the error 410 (`Expired`) and ends.
    pub(super) fn open(&mut self, watch: Watch, store: &Store) -> UnsyncBoxBody<Bytes, Infallible> {
        let (sender, receiver) = mpsc::unbounded();
        if watch.since < self.oldest {
            let _ = sender.unbounded_send(Bytes::from_static(EXPIRED.as_bytes()));
        } else {
            self.open.push(Open { watch, sender });
            self.notify(store);
        }
        let frames = receiver.map(|line| Ok::<_, Infallible>(Frame::data(line)));
        StreamBody::new(frames).boxed_unsync()
    }

    /// Sends all changes since the last event of each watch.
    pub(super) fn notify(&mut self, store: &Store) {
        self.open.retain_mut(|open| {
            for change in store.changes_since(open.watch.since) {
                if let Some(event) = open.watch.event(change)
                    && open.sender.unbounded_send(event).is_err()
                {
                    return false;
                }
            }
            open.watch.since = store.version();
            true
        });
    }

    /// Ends all watches.
    pub(super) fn cut(&mut self) {
        self.open.clear();
    }

    /// Ends all watches. No watch can begin before `version` any more.
    pub(super) fn expire(&mut self, version: u64) {
        self.cut();
        self.oldest = version;
    }
}

/// The label selector of a query.
pub(super) fn selector(query: &str) -> Vec<Term> {
    let selector = form_urlencoded::parse(query.as_bytes())
        .find(|(key, _)| key == "labelSelector")
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default();
    // One term is enough, because clients request no more in this way.
    if let Some((key, values)) = selector.split_once(" in (") {
        let values = values.trim_end_matches(')').split(',');
        return vec![(key.to_owned(), values.map(str::to_owned).collect())];
    }
    selector
        .split(',')
        .filter(|term| !term.is_empty())
        .map(|term| match term.split_once('=') {
            Some((key, value)) => (key.to_owned(), vec![value.trim_start_matches('=').to_owned()]),
            None => (term.to_owned(), Vec::new()),
        })
        .collect()
}

/// Whether an object has the labels.
pub(super) fn selects(selector: &[Term], object: &Value) -> bool {
    let labels = &object["metadata"]["labels"];
    selector.iter().all(|(key, wanted)| {
        if let Some(absent) = key.strip_prefix('!') {
            return labels[absent].is_null();
        }
        let value = labels[key].as_str();
        value.is_some_and(|value| wanted.is_empty() || wanted.iter().any(|it| it == value))
    })
}
