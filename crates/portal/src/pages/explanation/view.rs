//! State of a workspace -> its explanation: causes, remedies, steps of a start, events (pure).

use askama::Template;
use serde::Serialize;

use crate::views::{Action, Moment, Tone, filters, part};

/// Why a workspace is as it is (`id="explanation"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/explanation/parts.html", block = "explanation")]
pub struct Explanation {
    /// The most important first. Empty: the part is empty but there, so that a stream can fill it.
    pub findings: Vec<Finding>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
}

/// One thing that is so.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Its colour and sign.
    pub tone: Tone,
    /// What is so; text between two backticks is shown as code.
    pub what: String,
    /// The reason of the contract, such as `ImagePullFailed`. Empty: none.
    pub reason: String,
    /// Since when.
    pub since: Option<Moment>,
    /// What shows it.
    pub causes: Vec<Cause>,
    /// What to do.
    pub remedies: Vec<Remedy>,
}

/// A field that shows something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// Kind and name, such as `Pod workspace-demo`.
    pub object: String,
    /// Path in the object.
    pub field: String,
    /// Its value.
    pub value: String,
    /// Since when, or when.
    pub time: Option<Moment>,
}

/// What to do, and who can.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// Such as `You` or `An administrator`.
    pub who: String,
    /// What to do; text between two backticks is shown as code.
    pub what: String,
    /// Buttons that do it, for a user who may.
    pub actions: Vec<Action>,
    /// Text to send to an administrator. Empty: none.
    pub send: String,
}

/// Steps of a start (`id="progress"`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Template)]
#[template(path = "pages/explanation/parts.html", block = "progress")]
pub struct Progress {
    /// In order. Empty: it does not start.
    pub steps: Vec<Step>,
    /// 0 to 100.
    pub percent: u8,
    /// When the start began.
    pub since: Option<Moment>,
}

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Such as `Pulling image`.
    pub what: String,
    /// How far it is.
    pub state: StepState,
    /// When it started, if it is in progress or blocked.
    pub since: Option<Moment>,
}

/// How far a step is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StepState {
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
    pub fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Now => "now",
            Self::Stuck => "stuck",
            Self::Next => "next",
        }
    }

    /// For screen readers, the words of the gateway's page.
    pub fn words(self) -> &'static str {
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
pub struct Events {
    /// Grouped.
    pub events: Vec<Event>,
    /// Why there are none. Empty: there are, or nothing happened.
    pub absent: String,
}

/// One group of events.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its colour and sign.
    pub tone: Tone,
    /// A sentence for users. Empty: the reason is not known to the portal.
    pub sentence: String,
    /// Such as `FailedScheduling`.
    pub reason: String,
    /// In the words of who wrote it.
    pub message: String,
    /// Kind and name.
    pub object: String,
    /// The last time.
    pub last: Moment,
    /// How often.
    pub count: u32,
}

part!(Explanation, Progress, Events);
