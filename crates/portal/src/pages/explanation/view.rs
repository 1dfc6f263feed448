//! State of a workspace -> its explanation: causes, remedies, steps of a start, events (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Action, Moment, Tone, filters, part};

/// Why a workspace is as it is (`id="explanation"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/explanation/parts.html", block = "explanation")]
pub(crate) struct Explanation {
    /// The most important first. Empty: the part is empty but there, so that a stream can fill it.
    pub(crate) findings: Vec<Finding>,
    /// What could not be read, and why.
    pub(crate) unread: Vec<String>,
}

/// One thing that is so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// Its colour and sign.
    pub(crate) tone: Tone,
    /// What is so; text between two backticks is shown as code.
    pub(crate) what: String,
    /// The reason of the contract, such as `ImagePullFailed`. Empty: none.
    pub(crate) reason: String,
    /// Since when.
    pub(crate) since: Option<Moment>,
    /// What shows it.
    pub(crate) causes: Vec<Cause>,
    /// What to do.
    pub(crate) remedies: Vec<Remedy>,
}

/// A field that shows something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Cause {
    /// Kind and name, such as `Pod workspace-demo`.
    pub(crate) object: String,
    /// Path in the object.
    pub(crate) field: String,
    /// Its value.
    pub(crate) value: String,
    /// Since when, or when.
    pub(crate) time: Option<Moment>,
}

/// What to do, and who can.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Remedy {
    /// Such as `You` or `An administrator`.
    pub(crate) who: String,
    /// What to do; text between two backticks is shown as code.
    pub(crate) what: String,
    /// Buttons that do it, for a user who may.
    pub(crate) actions: Vec<Action>,
    /// Text to send to an administrator. Empty: none.
    pub(crate) send: String,
}

/// Steps of a start (`id="progress"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/explanation/parts.html", block = "progress")]
pub(crate) struct Progress {
    /// In order. Empty: it does not start.
    pub(crate) steps: Vec<Step>,
    /// 0 to 100.
    pub(crate) percent: u8,
    /// When the start began.
    pub(crate) since: Option<Moment>,
}

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    /// Such as `Pulling image`.
    pub(crate) what: String,
    /// How far it is.
    pub(crate) state: StepState,
    /// When it started, if it is in progress or blocked.
    pub(crate) since: Option<Moment>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum StepState {
    /// Done.
    Done,
    /// Under way.
    Now,
    /// Blocked.
    Stuck,
    /// Not started.
    #[default]
    Next,
}

impl StepState {
    /// The class in the style sheet.
    pub(crate) fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Stuck => "stuck",
            Self::Next => "next",
        }
    }

    /// For screen readers, the words of the gateway's page.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Done => " (done)",
            Self::Now => " (under way)",
            Self::Stuck => " (blocked)",
            Self::Next => "",
        }
    }
}

/// What happened, newest first (`id="events"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/explanation/parts.html", block = "events")]
pub(crate) struct Events {
    /// Grouped.
    pub(crate) events: Vec<Event>,
    /// Why there are none. Empty: there are, or nothing happened.
    pub(crate) absent: String,
}

/// One group of events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Event {
    /// Its colour and sign.
    pub(crate) tone: Tone,
    /// A sentence for users. Empty: the reason is not known to the portal.
    pub(crate) sentence: String,
    /// Such as `FailedScheduling`.
    pub(crate) reason: String,
    /// In the words of who wrote it.
    pub(crate) message: String,
    /// Kind and name.
    pub(crate) object: String,
    /// The last time.
    pub(crate) last: Moment,
    /// How often.
    pub(crate) count: u32,
}

part!(Explanation, Progress, Events);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_how_far_it_is() {
        let step = |state| Step {
            what: "Pulling image".to_owned(),
            state,
            since: None,
        };
        let progress = Progress {
            steps: vec![step(StepState::Stuck), step(StepState::Next)],
            ..Progress::default()
        };
        let html = progress.render().unwrap();
        assert!(
            html.contains("Pulling image<span class=\"aside\"> (blocked)</span>"),
            "{html}"
        );
        assert!(
            html.contains("Pulling image<span class=\"aside\"></span>"),
            "{html}"
        );
    }
}
