//! Idle shutdown of a workspace and the template's bounds -> violations (pure).

use api::template::IdleShutdownOverrides;
use api::workspace::IdleShutdown;
use api::{WorkspaceSpec, WorkspaceTemplateSpec};

use super::minutes;
use crate::effective::idle::{self, by_default, is_on};
use crate::violation::Violation;

const FIELD: &str = "spec.idleShutdown";

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
    let open_tab = open_tab(given, effective, template);
    if !bounds.allow {
        let is_fixed = idle::is_fixed(template, idle::bounds(template));
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
            .chain(open_tab)
            .collect();
    }
    let mut found: Vec<_> = outside.into_iter().chain(open_tab).collect();
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

/// Reports minutes of an open page outside of the template's bounds.
fn open_tab(
    given: Option<&IdleShutdown>,
    effective: Option<&IdleShutdown>,
    template: &WorkspaceTemplateSpec,
) -> Option<Violation> {
    let own = given.and_then(|given| given.open_tab_minutes);
    let value = own.or_else(|| effective.filter(|_| is_on(effective))?.open_tab_minutes)?;
    let bounds = idle::open_tab_bounds(template);
    let field = format!("{FIELD}.openTabMinutes");
    let outside = minutes::within(field, value, own.is_some(), bounds)?;
    let is_fixed = bounds.min.is_some() && bounds.min == bounds.max;
    Some(if is_fixed {
        of_template("openTabMinutes", outside.value)
    } else {
        outside
    })
}

/// Whether the template lets a workspace disable its idle shutdown.
pub(crate) fn may_switch_idle_off(template: &WorkspaceTemplateSpec) -> bool {
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

fn minutes_of(field: &str) -> String {
    format!("{field}.idleTimeoutInMinutes")
}

#[cfg(test)]
mod tests;
