//! Idle shutdown of a workspace or template, and the template's bounds -> violations (pure).

use api::template::{IdleShutdownOverrides, MinutesRange};
use api::workspace::{IdleDetection, IdleShutdown};
use api::{WorkspaceSpec, WorkspaceTemplateSpec};

use super::minutes;
use crate::checks;
use crate::effective::idle::{self, STATUS_PAGE, by_default, fields, is_on, is_timeout_fixed};
use crate::violation::Violation;

const FIELD: &str = "spec.idleShutdown";

/// Checks the workspace's own values.
pub(super) fn given(spec: &WorkspaceSpec) -> Vec<Violation> {
    let given = spec.idle_shutdown.as_ref();
    given.map_or_else(Vec::new, |given| shape(FIELD, given))
}

/// Checks the effective values against the template.
pub(super) fn within(
    spec: &WorkspaceSpec,
    effective: Option<&IdleShutdown>,
    template: &WorkspaceTemplateSpec,
) -> Vec<Violation> {
    let nothing = IdleShutdownOverrides::default();
    let bounds = template.idle_shutdown_overrides.as_ref().unwrap_or(&nothing);
    let given = spec.idle_shutdown.as_ref();
    let own = given.and_then(|given| given.idle_timeout_in_minutes);
    let value = own.or_else(|| effective.filter(|_| is_on(effective))?.idle_timeout_in_minutes);
    let outside = value
        .and_then(|value| minutes::within(minutes_of(FIELD), value, own.is_some(), idle::bounds(template)));
    if !bounds.allow {
        let is_fixed = is_timeout_fixed(template);
        let outside = outside.map(|outside| {
            if is_fixed {
                of_template("idleTimeoutInMinutes", outside.value)
            } else {
                outside
            }
        });
        return kept(given, effective, template)
            .into_iter()
            .chain(outside)
            .collect();
    }
    let mut found = Vec::from_iter(outside);
    let never = given.is_some_and(|given| given.enabled == Some(false));
    if let Some(max) = bounds.max_idle_timeout_in_minutes
        && never
        && is_on(by_default(template).as_ref())
    {
        let rule = format!(
            "never stops it, and the template's maximum is {0}: leave it out, and choose at most {0}",
            minutes::count(max)
        );
        found.push(Violation::new(format!("{FIELD}.enabled"), "false", rule));
    }
    found
}

/// Whether the template lets a workspace disable its idle shutdown.
pub fn may_switch_idle_off(template: &WorkspaceTemplateSpec) -> bool {
    let nothing = IdleShutdownOverrides::default();
    let bounds = template.idle_shutdown_overrides.as_ref().unwrap_or(&nothing);
    let is_bounded = !bounds.allow || bounds.max_idle_timeout_in_minutes.is_some();
    !(is_bounded && is_on(by_default(template).as_ref()))
}

/// Reports fields that only the template may set, besides the timeout. A value that equals the template's is always allowed.
fn kept(
    given: Option<&IdleShutdown>,
    effective: Option<&IdleShutdown>,
    template: &WorkspaceTemplateSpec,
) -> Vec<Violation> {
    let (theirs, default) = (effective.cloned().unwrap_or_default(), by_default(template));
    let default = default.unwrap_or_default();
    let on = |idle: &IdleShutdown| idle.enabled.unwrap_or_default();
    let mut found = Vec::new();
    if on(&theirs) != on(&default) {
        found.push(if given.is_none_or(|given| given.enabled.is_none()) {
            // The user did not write that field. The block itself enables idle shutdown.
            let rule = "enables idle shutdown, which only the template may do (idleShutdownOverrides.allow is false): \
                        leave it out";
            Violation::new(FIELD, "", rule)
        } else {
            of_template("enabled", on(&theirs).to_string())
        });
    }
    if theirs.detection != default.detection {
        found.push(of_template("detection", String::new()));
    }
    found
}

fn of_template(field: &str, value: String) -> Violation {
    let rule = "is the template's to decide (idleShutdownOverrides.allow is false): leave it out";
    Violation::new(format!("{FIELD}.{field}"), value, rule)
}

/// Reports contradictions in a template.
pub(super) fn template(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    const DEFAULT: &str = "spec.defaultIdleShutdown";
    const BOUNDS: &str = "spec.idleShutdownOverrides";
    let default = spec.default_idle_shutdown.as_ref();
    let mut found = default.map_or_else(Vec::new, |default| shape(DEFAULT, default));
    let Some(bounds) = &spec.idle_shutdown_overrides else {
        return found;
    };
    if !bounds.allow && default.is_none() {
        let rule = "is false, so spec.defaultIdleShutdown has to say when workspaces are stopped for idleness: add it, or set true";
        found.push(Violation::new(format!("{BOUNDS}.allow"), "", rule));
    }
    let ends = ["minIdleTimeoutInMinutes", "maxIdleTimeoutInMinutes"].map(|end| format!("{BOUNDS}.{end}"));
    let range = MinutesRange {
        min: bounds.min_idle_timeout_in_minutes,
        max: bounds.max_idle_timeout_in_minutes,
    };
    let value = default.and_then(|default| default.idle_timeout_in_minutes);
    let value = value.map(|value| (minutes_of(DEFAULT), value));
    found.extend(minutes::template(ends, range, value));
    found
}

fn minutes_of(field: &str) -> String {
    format!("{field}.idleTimeoutInMinutes")
}

/// Checks an idle shutdown of workspace or template. The schema has the same rules.
fn shape(field: &str, idle: &IdleShutdown) -> Vec<Violation> {
    let minutes = idle.idle_timeout_in_minutes;
    let mut found: Vec<_> = minutes
        .and_then(|minutes| minutes::range(minutes_of(field), minutes))
        .into_iter()
        .collect();
    if let Some(detection) = &idle.detection {
        found.extend(detected(&format!("{field}.detection"), detection));
    }
    found
}

fn detected(field: &str, detection: &IdleDetection) -> Vec<Violation> {
    let mut found = Vec::new();
    let get = detection.http_get.as_ref();
    if let Some(path) = get.and_then(|get| get.path.as_deref()) {
        let legal = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@%/?".contains(c);
        let rule = if !path.starts_with('/') || path.len() > 1024 || !path.chars().all(legal) {
            Some(
                "is no path: begin with '/', and write other than letters, digits and -._~!$&'()*+,;=:@%/? in percent signs",
            )
        } else if detection.last_activity_timestamp.is_none() && !path.ends_with(STATUS_PAGE) {
            Some("is not Jupyter's /api/status: say in lastActivityTimestamp where in the answer the time is")
        } else {
            None
        };
        found.extend(rule.map(|rule| Violation::new(format!("{field}.httpGet.path"), path, rule)));
    }
    let port = get.and_then(|get| get.port);
    found.extend(port.and_then(|port| checks::port(&format!("{field}.httpGet.port"), port)));
    let time = detection.last_activity_timestamp.as_ref();
    if let Some(path) = time.and_then(|time| time.response_body_path.as_deref()) {
        let legal = |name: &String| {
            let mut characters = name.chars();
            !name.is_empty() && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        if path.len() > 253 || !fields(path).iter().all(legal) {
            let rule = "is no path into a JSON object: write names of fields joined by dots, such as server.lastActivity";
            let field = format!("{field}.lastActivityTimestamp.responseBodyPath");
            found.push(Violation::new(field, path, rule));
        }
    }
    found
}

#[cfg(test)]
mod tests;
