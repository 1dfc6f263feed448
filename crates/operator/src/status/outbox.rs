//! Events to be told -> Events in the cluster, written beside the passes (IO).
//!
//! An Event costs the API server as much as a small write, and nobody waits for it: it must not hold up a pass, nor compete with one
//! where many workspaces are on their way. Events of one workspace are written one after the other, and say when they were left.

use std::{
    hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher},
    sync::{Arc, OnceLock},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use kube::runtime::events::Event;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio_util::sync::CancellationToken;

use crate::{
    cache::observed::Identity,
    context::Context,
    status::{events::Mark, publish},
};

/// Transitions that may wait to be told. Beyond it they are lost: the status says the same.
const MOST: usize = 4096;
/// Transitions told at a time, each of another workspace.
const AT_ONCE: usize = 2;
/// How long what is left may take at the end.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// An Event, and since when it is true.
pub struct Stamped {
    /// What is told.
    pub event: Event,
    /// Since when.
    pub at: Timestamp,
    /// By what a status tells it; nothing where none does.
    pub mark: Option<Mark>,
}

/// An Event and its mark.
pub type Marked = (Event, Option<Mark>);

/// Events of one transition, and of which workspace.
struct Letter {
    about: Identity,
    events: Vec<Stamped>,
}

/// Where passes leave Events. Until somebody carries them, everybody writes its own.
#[derive(Default)]
pub struct Outbox {
    lanes: OnceLock<Vec<Sender<Letter>>>,
}

/// What became of Events that were left.
pub enum Left {
    /// They will be written.
    Taken,
    /// Too many wait.
    Lost,
    /// Nobody carries them.
    Back(Vec<Stamped>),
}

impl Outbox {
    /// Leaves the Events of one transition.
    pub fn leave(&self, about: &Identity, events: Vec<Marked>) -> Left {
        let events = stamped(events, Timestamp::now());
        let Some(lane) = self.lanes.get().and_then(|lanes| lane(lanes, about)) else {
            return Left::Back(events);
        };
        let letter = Letter {
            about: about.clone(),
            events,
        };
        match lane.try_send(letter) {
            Ok(()) => Left::Taken,
            Err(_) => Left::Lost,
        }
    }
}

/// Every workspace has one lane, so that its Events stay in order.
fn lane<'a>(lanes: &'a [Sender<Letter>], about: &Identity) -> Option<&'a Sender<Letter>> {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(about.key());
    let number = hash % u64::try_from(lanes.len()).ok()?.max(1);
    lanes.get(usize::try_from(number).ok()?)
}

/// Each a microsecond after the one before it: whoever sorts them by time has them in order.
fn stamped(events: Vec<Marked>, now: Timestamp) -> Vec<Stamped> {
    let mut at = now;
    let stamp = |(event, mark)| {
        let stamped = Stamped { event, at, mark };
        at += SignedDuration::from_micros(1);
        stamped
    };
    events.into_iter().map(stamp).collect()
}

/// Writes what is left in the outbox of this context, a few at a time, until `end`; then what waits, if that takes no longer
/// than a moment.
pub async fn carry(context: &Arc<Context>, end: &CancellationToken) {
    let lanes = (0..AT_ONCE).map(|_| mpsc::channel(MOST / AT_ONCE));
    let (senders, receivers): (Vec<_>, Vec<_>) = lanes.unzip();
    if context.outbox.lanes.set(senders).is_err() {
        return;
    }
    let told = receivers
        .into_iter()
        .map(|receiver| deliver(context, receiver, end));
    let late = async {
        end.cancelled().await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        _ = futures::future::join_all(told) => {}
        () = late => {}
    }
}

/// Writes what comes along one lane.
async fn deliver(context: &Context, mut lane: Receiver<Letter>, end: &CancellationToken) {
    loop {
        let letter = tokio::select! {
            biased;
            letter = lane.recv() => letter,
            () = end.cancelled() => lane.try_recv().ok(),
        };
        let Some(Letter { about, events }) = letter else {
            return;
        };
        for stamped in &events {
            publish::write(context, &about, stamped).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::events::EventType;

    use super::*;
    use crate::testing;

    fn event(reason: &str) -> Marked {
        let event = Event {
            type_: EventType::Normal,
            reason: reason.to_owned(),
            note: None,
            action: "Start".to_owned(),
            secondary: None,
        };
        (event, None)
    }

    #[test]
    fn without_a_carrier_events_come_back_and_with_a_full_box_they_are_lost() {
        let outbox = Outbox::default();
        let about = testing::world().identity;
        assert!(matches!(outbox.leave(&about, vec![event("A")]), Left::Back(events) if events.len() == 1));
        let (sender, mut receiver) = mpsc::channel(1);
        outbox.lanes.set(vec![sender]).unwrap();
        assert!(matches!(outbox.leave(&about, vec![event("A")]), Left::Taken));
        assert!(matches!(outbox.leave(&about, vec![event("B")]), Left::Lost));
        assert_eq!(receiver.try_recv().unwrap().events[0].event.reason, "A");
    }

    #[test]
    fn a_workspace_keeps_its_lane_and_others_have_others() {
        let (lanes, _receivers): (Vec<_>, Vec<_>) = (0..AT_ONCE).map(|_| mpsc::channel(1)).unzip();
        let mut used = [0; AT_ONCE];
        for number in 0..50 {
            let mut about = testing::world().identity;
            about.name = format!("demo-{number}");
            let first = lane(&lanes, &about).unwrap();
            assert!(lane(&lanes, &about).unwrap().same_channel(first));
            let at = lanes.iter().position(|lane| lane.same_channel(first)).unwrap();
            used[at] += 1;
        }
        assert!(used.iter().all(|count| *count > 5), "{used:?}");
    }

    #[test]
    fn events_of_one_transition_have_times_in_their_order() {
        let now = Timestamp::from_second(7).unwrap();
        let times: Vec<_> = stamped(vec![event("A"), event("B")], now)
            .iter()
            .map(|stamped| stamped.at.as_microsecond())
            .collect();
        assert_eq!(times, [7_000_000, 7_000_001]);
    }
}
