//! Idle settings of workspace and template -> timeout and request that detects activity (pure).

use std::time::Duration;

use api::WorkspaceTemplateSpec;
use api::template::MinutesRange;
use api::workspace::{IdleDetection, IdleScheme, IdleShutdown, TimestampFormat};

use super::limits::span;

/// Default timeout in minutes, where idle shutdown is enabled without one.
const BUILT_IN_MINUTES: i32 = 60;
/// Default minutes for which an open page counts as use.
const BUILT_IN_OPEN_TAB: i32 = 240;
/// Status endpoint of Jupyter. The other endpoints that are read are next to it.
pub(crate) const STATUS_PAGE: &str = "/api/status";
/// Field of the status that holds the time of the last activity.
const LAST_ACTIVITY: &str = "last_activity";

/// When an unused workspace is stopped, and how its activity is detected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// Minutes without activity, at least 1.
    pub minutes: i32,
    /// Minutes for which an open page counts as use after a user's last act.
    pub open_tab_minutes: i32,
    /// The request to the pod.
    pub question: Question,
}

impl Idle {
    /// The time without activity.
    pub fn timeout(&self) -> Duration {
        span(self.minutes)
    }
}

/// An HTTP request to the pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Whether the request uses TLS.
    pub tls: bool,
    /// Port; `None`: the application's port.
    pub port: Option<u16>,
    /// Path and query.
    pub path: String,
    /// How the response is parsed.
    pub answer: IdleAnswer,
    /// Whether workspace or template name it. Else it is Jupyter's, which an application behind a door need not have.
    pub is_given: bool,
}

impl Default for Question {
    /// Jupyter's own, which nobody names.
    fn default() -> Self {
        Self {
            is_given: false,
            ..question(&IdleDetection::default())
        }
    }
}

impl Question {
    /// The request for an application whose base path is `to`, not `from`. Neither ends with `/`.
    /// A request with its own port has no base path and stays as it is.
    #[must_use]
    pub fn rebase(mut self, from: &str, to: &str) -> Self {
        if self.port.is_some() {
            return self;
        }
        let base = match &mut self.answer {
            IdleAnswer::Jupyter { base } => Some(base),
            IdleAnswer::Timestamp { .. } => None,
        };
        for path in [Some(&mut self.path), base].into_iter().flatten() {
            if let Some(rest) = path.strip_prefix(from) {
                *path = format!("{to}{rest}");
            }
        }
        self
    }
}

/// How a response is parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdleAnswer {
    /// Jupyter's status. Kernels and terminals are requested, too, below `base`, which ends with `/api`.
    Jupyter {
        /// Path of Jupyter's API.
        base: String,
    },
    /// An object that contains a time.
    Timestamp {
        /// Names of the fields that lead to the time.
        path: Vec<String>,
        /// Format of the time.
        format: TimestampFormat,
    },
}

/// The effective values, with every field set except the detection; `None` where neither workspace nor template sets any.
pub(crate) fn effective(
    given: Option<&IdleShutdown>,
    template: Option<&WorkspaceTemplateSpec>,
) -> Option<IdleShutdown> {
    let nothing = IdleShutdown::default();
    let default = template.and_then(|template| template.default_idle_shutdown.as_ref());
    given.or(default)?;
    let (given, default) = (given.unwrap_or(&nothing), default.unwrap_or(&nothing));
    let minutes = given.idle_timeout_in_minutes.or(default.idle_timeout_in_minutes);
    let open_tab = given.open_tab_minutes.or(default.open_tab_minutes);
    Some(IdleShutdown {
        enabled: Some(given.enabled.or(default.enabled).unwrap_or(true)),
        idle_timeout_in_minutes: Some(minutes.unwrap_or_else(|| default_minutes(template))),
        open_tab_minutes: Some(open_tab.unwrap_or_else(|| default_open_tab(template))),
        detection: given.detection.as_ref().or(default.detection.as_ref()).cloned(),
    })
}

/// The built-in timeout, or the nearest value within the template's bounds.
fn default_minutes(template: Option<&WorkspaceTemplateSpec>) -> i32 {
    let bounds = template.and_then(|template| template.idle_shutdown_overrides.as_ref());
    let end = |end: fn(&api::template::IdleShutdownOverrides) -> Option<i32>| bounds.and_then(end);
    let at_least = end(|bounds| bounds.min_idle_timeout_in_minutes).unwrap_or(i32::MIN);
    let at_most = end(|bounds| bounds.max_idle_timeout_in_minutes).unwrap_or(i32::MAX);
    BUILT_IN_MINUTES.max(at_least).min(at_most)
}

/// The built-in minutes of an open page, at most the template's.
fn default_open_tab(template: Option<&WorkspaceTemplateSpec>) -> i32 {
    let most = template.and_then(|template| template.idle_shutdown_overrides.as_ref()?.max_open_tab_minutes);
    BUILT_IN_OPEN_TAB.min(most.unwrap_or(i32::MAX))
}

/// Whether the effective values enable idle shutdown.
pub(crate) fn is_on(effective: Option<&IdleShutdown>) -> bool {
    effective.is_some_and(|idle| idle.enabled == Some(true))
}

/// What the operator does for effective values that break no rule; `None`: nothing.
pub(crate) fn resolve(effective: Option<&IdleShutdown>) -> Option<Idle> {
    let idle = effective.filter(|idle| is_on(Some(idle)))?;
    Some(Idle {
        minutes: idle.idle_timeout_in_minutes.unwrap_or(BUILT_IN_MINUTES),
        open_tab_minutes: idle.open_tab_minutes.unwrap_or(BUILT_IN_OPEN_TAB),
        question: idle.detection.as_ref().map(question).unwrap_or_default(),
    })
}

/// The request that workspace or template name.
fn question(detection: &IdleDetection) -> Question {
    let get = detection.http_get.as_ref();
    let path = get.and_then(|get| get.path.as_deref()).unwrap_or(STATUS_PAGE);
    let answer = match &detection.last_activity_timestamp {
        None => IdleAnswer::Jupyter {
            base: path.strip_suffix("/status").unwrap_or(path).to_owned(),
        },
        Some(time) => IdleAnswer::Timestamp {
            path: fields(time.response_body_path.as_deref().unwrap_or(LAST_ACTIVITY)),
            format: time.format.unwrap_or_default(),
        },
    };
    Question {
        tls: get.and_then(|get| get.scheme) == Some(IdleScheme::Https),
        port: get
            .and_then(|get| get.port)
            .and_then(|port| u16::try_from(port).ok()),
        path: path.to_owned(),
        answer,
        is_given: true,
    }
}

/// Splits `$.a.b`, `.a.b` or `a.b` into `a` and `b`.
pub(crate) fn fields(path: &str) -> Vec<String> {
    let names = path.strip_prefix("$.").or_else(|| path.strip_prefix('.'));
    names.unwrap_or(path).split('.').map(str::to_owned).collect()
}

/// The timeouts that workspaces may set. Where the template allows no overrides, an end that it does not set is its default.
pub(crate) fn bounds(template: &WorkspaceTemplateSpec) -> MinutesRange {
    let Some(set) = &template.idle_shutdown_overrides else {
        return MinutesRange::default();
    };
    let default = by_default(template).filter(|_| !set.allow);
    let default = default.and_then(|default| default.idle_timeout_in_minutes);
    MinutesRange {
        min: set.min_idle_timeout_in_minutes.or(default),
        max: set.max_idle_timeout_in_minutes.or(default),
    }
}

/// The minutes of an open page that workspaces may set. Where the template allows no overrides, an end that it does not set is its default.
pub(crate) fn open_tab_bounds(template: &WorkspaceTemplateSpec) -> MinutesRange {
    let Some(set) = &template.idle_shutdown_overrides else {
        return MinutesRange::default();
    };
    let default = by_default(template).filter(|_| !set.allow);
    let default = default.and_then(|default| default.open_tab_minutes);
    MinutesRange {
        min: default,
        max: set.max_open_tab_minutes.or(default),
    }
}

/// Whether every workspace has the template's minutes, or none. `range`: those that workspaces may set.
pub(crate) fn is_fixed(template: &WorkspaceTemplateSpec, range: MinutesRange) -> bool {
    let is_closed = template
        .idle_shutdown_overrides
        .as_ref()
        .is_some_and(|set| !set.allow);
    is_closed && (range.min == range.max || template.default_idle_shutdown.is_none())
}

/// The effective values for a workspace that sets nothing itself.
pub(crate) fn by_default(template: &WorkspaceTemplateSpec) -> Option<IdleShutdown> {
    effective(None, Some(template))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn template(more: Value) -> WorkspaceTemplateSpec {
        let mut spec = more;
        spec["displayName"] = json!("t");
        spec["defaultImage"] = json!("i");
        serde_json::from_value(spec).unwrap()
    }

    fn idle(given: Value, default: Value, bounds: Value) -> Option<Idle> {
        let mut spec = json!({});
        for (field, value) in [
            ("defaultIdleShutdown", default),
            ("idleShutdownOverrides", bounds),
        ] {
            if !value.is_null() {
                spec[field] = value;
            }
        }
        let given: Option<IdleShutdown> = serde_json::from_value(given).unwrap();
        resolve(effective(given.as_ref(), Some(&template(spec))).as_ref())
    }

    #[test]
    fn idle_shutdown_is_off_unless_workspace_or_template_enables_it() {
        assert_eq!(idle(json!(null), json!(null), json!({"allow": true})), None);
        assert_eq!(idle(json!({"enabled": false}), json!(null), json!(null)), None);
        assert_eq!(
            idle(
                json!(null),
                json!({"enabled": false, "idleTimeoutInMinutes": 5}),
                json!(null)
            ),
            None
        );
        assert!(idle(json!({}), json!(null), json!(null)).is_some());
        assert!(idle(json!(null), json!({"idleTimeoutInMinutes": 5}), json!(null)).is_some());
    }

    #[test]
    fn each_idle_field_comes_from_workspace_then_template_then_built_in() {
        let minutes = |given, default, bounds| idle(given, default, bounds).unwrap().minutes;
        let default = json!({"idleTimeoutInMinutes": 30, "detection": {"httpGet": {"port": 9000}}});
        assert_eq!(
            minutes(json!({"idleTimeoutInMinutes": 5}), default.clone(), json!(null)),
            5
        );
        assert_eq!(
            minutes(json!({"enabled": true}), default.clone(), json!(null)),
            30
        );
        assert_eq!(minutes(json!({}), json!(null), json!(null)), 60);
        assert_eq!(
            minutes(json!({}), json!(null), json!({"maxIdleTimeoutInMinutes": 20})),
            20
        );
        assert_eq!(
            minutes(json!({}), json!(null), json!({"minIdleTimeoutInMinutes": 90})),
            90
        );
        let mixed = idle(json!({"idleTimeoutInMinutes": 5}), default, json!(null)).unwrap();
        assert_eq!(mixed.question.port, Some(9000));
        assert_eq!(mixed.timeout(), Duration::from_mins(5));
    }

    #[test]
    fn minutes_of_an_open_page_come_from_workspace_then_template_then_built_in_within_the_maximum() {
        let minutes = |given, default, bounds| idle(given, default, bounds).unwrap().open_tab_minutes;
        let default = json!({"openTabMinutes": 30});
        assert_eq!(
            minutes(json!({"openTabMinutes": 0}), default.clone(), json!(null)),
            0
        );
        assert_eq!(minutes(json!({}), default, json!(null)), 30);
        assert_eq!(minutes(json!({}), json!(null), json!(null)), 240);
        assert_eq!(
            minutes(json!({}), json!(null), json!({"maxOpenTabMinutes": 60})),
            60
        );
        assert_eq!(
            minutes(json!({}), json!(null), json!({"maxOpenTabMinutes": 600})),
            240
        );
    }

    #[test]
    fn detection_is_taken_as_a_whole() {
        let default = json!({"detection": {
            "httpGet": {"path": "/healthz"}, "lastActivityTimestamp": {"responseBodyPath": "lastHeartbeat", "format": "unix"},
        }});
        let theirs = idle(json!(null), default.clone(), json!(null)).unwrap().question;
        let path = vec!["lastHeartbeat".to_owned()];
        let format = TimestampFormat::Unix;
        assert_eq!(theirs.answer, IdleAnswer::Timestamp { path, format });
        assert!(theirs.is_given);
        let own = json!({"detection": {"httpGet": {"path": "/lab/api/status", "scheme": "HTTPS"}}});
        let own = idle(own, default, json!(null)).unwrap().question;
        assert!(own.tls);
        let base = "/lab/api".to_owned();
        assert_eq!(own.answer, IdleAnswer::Jupyter { base });
    }

    #[test]
    fn a_stock_jupyterlab_needs_no_settings() {
        let question = idle(json!({}), json!(null), json!(null)).unwrap().question;
        let base = "/api".to_owned();
        assert_eq!(
            question,
            Question {
                tls: false,
                port: None,
                path: "/api/status".to_owned(),
                answer: IdleAnswer::Jupyter { base },
                is_given: false,
            }
        );
        assert_eq!(question, Question::default());
    }

    #[test]
    fn kernels_are_requested_in_the_folder_of_the_server_and_back_on_its_own_host() {
        let (folder, stock) = ("/workspaces/team/demo", idle(json!({}), json!(null), json!(null)));
        let stock = stock.unwrap().question;
        let inside = stock.clone().rebase("", folder);
        assert_eq!(inside.path, format!("{folder}/api/status"));
        let base = format!("{folder}/api");
        assert_eq!(inside.answer, IdleAnswer::Jupyter { base });
        assert_eq!(inside.rebase(folder, ""), stock);
        let other_manager = Question {
            port: Some(9000),
            ..stock
        };
        assert_eq!(other_manager.clone().rebase("", folder), other_manager);
    }

    #[test]
    fn a_path_into_the_answer_may_begin_as_a_json_path() {
        for path in ["$.a.b", ".a.b", "a.b"] {
            assert_eq!(fields(path), ["a", "b"], "{path}");
        }
    }
}
