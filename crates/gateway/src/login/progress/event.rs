//! progress of a start -> a server-sent event with its identifier (pure).
//!
//! Replicas store nothing about sent events. The identifier names the run, the percentage and a hash of the content, so any
//! replica can continue a stream.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::pages::{End, Progress};

/// Sets the browser's reconnect delay after a broken stream, in milliseconds.
pub(super) const BEGIN: &[u8] = b"retry: 1000\n\n";
/// A comment line that keeps proxies and NAT devices from closing an idle connection.
pub(super) const IDLE: &[u8] = b":\n\n";

/// One event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// The browser sends this back when it reconnects.
    pub(super) id: String,
    pub(super) bytes: Bytes,
}

impl Event {
    /// `run`: the run that is started; empty before there is one. `percent`: replaces the percentage of `progress`.
    pub(super) fn of(run: &str, progress: &Progress, percent: u8) -> Self {
        let kind = match progress.end {
            None => "progress",
            Some(End::Ready) => "ready",
            Some(End::Failed) => "failed",
            Some(End::Stopped) => "stopped",
        };
        let mut data = json!({
            "percent": percent,
            "step": progress.step,
            "reason": progress.reason,
            "message": progress.message,
        });
        if let Some(page) = &progress.page {
            data["page"] = Value::clone(page);
        }
        let data = data.to_string();
        let digest = Sha256::new()
            .chain_update(kind)
            .chain_update([0])
            .chain_update(&data)
            .finalize();
        let tag = URL_SAFE_NO_PAD.encode(&digest[..9]);
        let id = format!("{}.{percent}.{tag}", plain(run));
        let bytes = format!("id: {id}\nevent: {kind}\ndata: {data}\n\n").into();
        Self { id, bytes }
    }
}

/// The percentage of `run` in this identifier; `None` for another run, or an identifier that the gateway did not make.
pub(super) fn reached(id: &str, run: &str) -> Option<u8> {
    let mut parts = id.rsplitn(3, '.');
    let (_, percent, of) = (parts.next()?, parts.next()?, parts.next()?);
    let percent = percent.parse().ok().filter(|percent| *percent <= 100)?;
    (of == plain(run)).then_some(percent)
}

/// The text without line breaks.
fn plain(run: &str) -> String {
    let kept = run
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-');
    kept.take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress() -> Progress {
        Progress {
            percent: 20,
            step: "preparing",
            reason: "Starting".into(),
            message: "one\nline: \u{2028} and\r\n\ndata: another".into(),
            end: None,
            page: None,
        }
    }

    #[test]
    fn an_event_always_has_three_lines() {
        let event = Event::of("run\n1", &progress(), 20);
        let text = String::from_utf8(event.bytes.to_vec()).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(!text.contains('\r'), "{text}");
        assert_eq!(lines[0], format!("id: {}", event.id));
        assert_eq!(lines[1], "event: progress");
        let data: Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data["message"], progress().message);
        assert_eq!(&lines[3..], ["", ""]);
    }

    #[test]
    fn an_event_id_holds_the_progress_of_its_own_run() {
        let id = Event::of("r-1", &progress(), 40).id;
        assert_eq!(reached(&id, "r-1"), Some(40));
        assert_eq!(reached(&id, "r-2"), None);
        assert_eq!(reached(&Event::of("", &progress(), 5).id, ""), Some(5));
        for odd in [
            "",
            ".",
            "..",
            "r-1",
            "r-1.40",
            "r-1.101.x",
            "r-1.-1.x",
            "r-1.4e1.x",
            "x.r-1.40.y",
        ] {
            assert_eq!(reached(odd, "r-1"), None, "{odd}");
        }
    }

    #[test]
    fn different_events_have_different_ids() {
        let event = Event::of("r", &progress(), 20);
        let ended = Progress {
            end: Some(End::Failed),
            ..progress()
        };
        let other = Progress {
            reason: "Unschedulable".into(),
            ..progress()
        };
        assert_ne!(Event::of("r", &ended, 20).id, event.id);
        assert_ne!(Event::of("r", &other, 20).id, event.id);
        assert_eq!(Event::of("r", &progress(), 20), event);
    }
}
