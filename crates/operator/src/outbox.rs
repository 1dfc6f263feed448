//! Events to be told -> Events in the cluster, written beside the passes (IO).
//!
//! An Event costs the API server as much as a small write, and nobody waits for it: it must not hold up a pass, nor compete with one
//! where many workspaces are on their way.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::StreamExt as _;
use kube::runtime::events::Event;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{context::Context, publish, world::Identity};

/// Transitions that may wait to be told. Beyond it they are lost: the status says the same.
const MOST: usize = 4096;
/// Transitions told at a time.
const AT_ONCE: usize = 2;
/// How long what is left may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Events of one transition, and of which workspace.
struct Letter {
    about: Identity,
    events: Vec<Event>,
}

/// Where passes leave Events. Until somebody carries them, everybody writes its own.
#[derive(Default)]
pub struct Outbox {
    sender: OnceLock<mpsc::Sender<Letter>>,
}

/// What became of Events that were left.
pub enum Left {
    /// They will be written.
    Taken,
    /// Too many wait.
    Lost,
    /// Nobody carries them.
    Back(Vec<Event>),
}

impl Outbox {
    /// Leaves the Events of one transition.
    pub fn leave(&self, about: &Identity, events: Vec<Event>) -> Left {
        let Some(sender) = self.sender.get() else {
            return Left::Back(events);
        };
        let letter = Letter {
            about: about.clone(),
            events,
        };
        match sender.try_send(letter) {
            Ok(()) => Left::Taken,
            Err(_) => Left::Lost,
        }
    }
}

/// Writes what is left in the outbox of this context, a few at a time, until `end`; then what waits, if that takes no longer
/// than a moment.
pub async fn carry(context: &Arc<Context>, end: &CancellationToken) {
    let (sender, receiver) = mpsc::channel(MOST);
    if context.outbox.sender.set(sender).is_err() {
        return;
    }
    let letters = futures::stream::unfold(receiver, |mut receiver| async move {
        let letter = tokio::select! {
            biased;
            letter = receiver.recv() => letter,
            () = end.cancelled() => receiver.try_recv().ok(),
        };
        letter.map(|letter| (letter, receiver))
    });
    let told = letters.for_each_concurrent(AT_ONCE, |Letter { about, events }| async move {
        for event in &events {
            publish::write(context, &about, event).await;
        }
    });
    let late = async {
        end.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        () = told => {}
        () = late => {}
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::events::EventType;

    use super::*;
    use crate::fixtures;

    fn event(reason: &str) -> Event {
        Event {
            type_: EventType::Normal,
            reason: reason.to_owned(),
            note: None,
            action: "Start".to_owned(),
            secondary: None,
        }
    }

    #[test]
    fn without_a_carrier_events_come_back_and_with_a_full_box_they_are_lost() {
        let outbox = Outbox::default();
        let about = fixtures::world().identity;
        assert!(matches!(outbox.leave(&about, vec![event("A")]), Left::Back(events) if events.len() == 1));
        let (sender, mut receiver) = mpsc::channel(1);
        outbox.sender.set(sender).unwrap();
        assert!(matches!(outbox.leave(&about, vec![event("A")]), Left::Taken));
        assert!(matches!(outbox.leave(&about, vec![event("B")]), Left::Lost));
        assert_eq!(receiver.try_recv().unwrap().events[0].reason, "A");
    }
}
