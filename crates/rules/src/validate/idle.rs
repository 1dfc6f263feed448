//! Idle shutdown of a workspace, or of a template, and the template's bounds on it -> violations (pure).

use api::template::IdleShutdownOverrides;
use api::workspace::{IdleDetection, IdleShutdown};
use api::{WorkspaceSpec, WorkspaceTemplateSpec};

use crate::checks;
use crate::idle::{STATUS_PAGE, by_default, fields, is_on};
use crate::violation::Violation;

const FIELD: &str = "spec.idleShutdown";
/// A year.
const MOST_MINUTES: i32 = 525_600;

/// What is wrong with what a workspace says, by itself.
pub(super) fn given(spec: &WorkspaceSpec) -> Vec<Violation> {
    let given = spec.idle_shutdown.as_ref();
    given.map_or_else(Vec::new, |given| shape(FIELD, given))
}

/// What of the effective values its template does not allow.
pub(super) fn within(
    spec: &WorkspaceSpec,
    effective: Option<&IdleShutdown>,
    template: &WorkspaceTemplateSpec,
) -> Vec<Violation> {
    let nothing = IdleShutdownOverrides::default();
    let bounds = template.idle_shutdown_overrides.as_ref().unwrap_or(&nothing);
    if !bounds.allow {
        return kept(spec.idle_shutdown.as_ref(), effective, template);
    }
    let given = spec.idle_shutdown.as_ref();
    let minutes = given.and_then(|given| given.idle_timeout_in_minutes);
    let mut found = Vec::new();
    if let Some(value) = minutes.or_else(|| effective.filter(|_| is_on(effective))?.idle_timeout_in_minutes) {
        let filled = if minutes.is_some() {
            ""
        } else {
            "(filled in, since unset) "
        };
        let rule = match (
            bounds.min_idle_timeout_in_minutes,
            bounds.max_idle_timeout_in_minutes,
        ) {
            (Some(min), _) if value < min => Some(format!(
                "{filled}is less than the template's minimum {min}: choose at least {min} minutes"
            )),
            (_, Some(max)) if value > max => Some(format!(
                "{filled}is more than the template's maximum {max}: choose at most {max} minutes"
            )),
            _ => None,
        };
        found.extend(rule.map(|rule| Violation::new(minutes_of(FIELD), value.to_string(), rule)));
    }
    let never = given.is_some_and(|given| given.enabled == Some(false));
    if let Some(max) = bounds.max_idle_timeout_in_minutes
        && never
        && is_on(by_default(template).as_ref())
    {
        let rule = format!(
            "never stops it, and the template's maximum is {max} minutes: leave it out, and choose at most {max} minutes"
        );
        found.push(Violation::new(format!("{FIELD}.enabled"), "false", rule));
    }
    found
}

/// Fields that differ from those of a template that keeps them to itself. Writing down what it says anyway is no choice of one's own.
fn kept(
    given: Option<&IdleShutdown>,
    effective: Option<&IdleShutdown>,
    template: &WorkspaceTemplateSpec,
) -> Vec<Violation> {
    let (theirs, default) = (effective.cloned().unwrap_or_default(), by_default(template));
    let default = default.unwrap_or_else(|| IdleShutdown {
        idle_timeout_in_minutes: theirs.idle_timeout_in_minutes,
        ..IdleShutdown::default()
    });
    let on = |idle: &IdleShutdown| idle.enabled.unwrap_or_default();
    let minutes = theirs.idle_timeout_in_minutes.unwrap_or_default();
    [
        ("enabled", on(&theirs) != on(&default), on(&theirs).to_string()),
        (
            "idleTimeoutInMinutes",
            theirs.idle_timeout_in_minutes != default.idle_timeout_in_minutes,
            minutes.to_string(),
        ),
        ("detection", theirs.detection != default.detection, String::new()),
    ]
    .into_iter()
    .filter(|(_, differs, _)| *differs)
    .map(|(field, _, value)| {
        if field == "enabled" && given.is_none_or(|given| given.enabled.is_none()) {
            // Nobody wrote that field: that there is a block is what switches it on.
            let rule = "has workspaces stopped that nobody uses, which is the template's to decide (idleShutdownOverrides.allow is \
                        false): leave it out";
            return Violation::new(FIELD, "", rule);
        }
        let rule = "is the template's to decide (idleShutdownOverrides.allow is false): leave it out";
        Violation::new(format!("{FIELD}.{field}"), value, rule)
    })
    .collect()
}

/// What contradicts itself in a template.
pub(super) fn template(spec: &WorkspaceTemplateSpec) -> Vec<Violation> {
    const DEFAULT: &str = "spec.defaultIdleShutdown";
    const BOUNDS: &str = "spec.idleShutdownOverrides";
    let default = spec.default_idle_shutdown.as_ref();
    let mut found = default.map_or_else(Vec::new, |default| shape(DEFAULT, default));
    let Some(bounds) = &spec.idle_shutdown_overrides else {
        return found;
    };
    let (min, max) = (
        bounds.min_idle_timeout_in_minutes,
        bounds.max_idle_timeout_in_minutes,
    );
    for (end, value) in [("minIdleTimeoutInMinutes", min), ("maxIdleTimeoutInMinutes", max)] {
        found.extend(value.and_then(|value| range(format!("{BOUNDS}.{end}"), value)));
    }
    if let (Some(min), Some(max)) = (min, max)
        && min > max
    {
        let rule = format!("is more than maxIdleTimeoutInMinutes {max}: nothing can be between them");
        found.push(Violation::new(
            format!("{BOUNDS}.minIdleTimeoutInMinutes"),
            min.to_string(),
            rule,
        ));
    }
    if let Some(value) = default.and_then(|default| default.idle_timeout_in_minutes) {
        let rule = match (min, max) {
            (Some(min), _) if value < min => Some(format!("is less than the template's own minimum {min}")),
            (_, Some(max)) if value > max => Some(format!("is more than the template's own maximum {max}")),
            _ => None,
        };
        found.extend(rule.map(|rule| Violation::new(minutes_of(DEFAULT), value.to_string(), rule)));
    }
    found
}

fn minutes_of(field: &str) -> String {
    format!("{field}.idleTimeoutInMinutes")
}

fn range(field: String, minutes: i32) -> Option<Violation> {
    let rule = format!("is no timeout: choose 1 to {MOST_MINUTES} minutes");
    (!(1..=MOST_MINUTES).contains(&minutes)).then(|| Violation::new(field, minutes.to_string(), rule))
}

/// What is wrong with it whoever says it. The schema says the same.
fn shape(field: &str, idle: &IdleShutdown) -> Vec<Violation> {
    let minutes = idle.idle_timeout_in_minutes;
    let mut found: Vec<_> = minutes
        .and_then(|minutes| range(minutes_of(field), minutes))
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
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::idle::{effective, resolve};

    fn spec(idle: &Value) -> WorkspaceSpec {
        serde_json::from_value(json!({"displayName": "d", "idleShutdown": idle})).unwrap()
    }

    fn of_template(default: &Value, bounds: &Value) -> WorkspaceTemplateSpec {
        let mut spec = json!({"displayName": "t", "defaultImage": "i"});
        for (field, value) in [
            ("defaultIdleShutdown", default),
            ("idleShutdownOverrides", bounds),
        ] {
            if !value.is_null() {
                spec[field] = value.clone();
            }
        }
        serde_json::from_value(spec).unwrap()
    }

    fn lines(idle: Value, default: Value, bounds: Value) -> Vec<String> {
        let (spec, template) = (spec(&idle), of_template(&default, &bounds));
        let effective = effective(spec.idle_shutdown.as_ref(), Some(&template));
        let mut found = given(&spec);
        found.extend(within(&spec, effective.as_ref(), &template));
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_timeout_outside_of_the_bounds_is_refused_with_value_and_bound_and_equal_passes() {
        let bounds = json!({"minIdleTimeoutInMinutes": 10, "maxIdleTimeoutInMinutes": 120});
        let of = |minutes: i32| {
            lines(
                json!({"idleTimeoutInMinutes": minutes}),
                json!(null),
                bounds.clone(),
            )
        };
        assert_eq!(
            of(9),
            [
                r#"spec.idleShutdown.idleTimeoutInMinutes: "9" is less than the template's minimum 10: choose at least 10 minutes"#
            ]
        );
        assert_eq!(
            of(121),
            [
                r#"spec.idleShutdown.idleTimeoutInMinutes: "121" is more than the template's maximum 120: choose at most 120 minutes"#
            ]
        );
        assert!(of(10).is_empty() && of(120).is_empty());
        assert!(lines(json!({}), json!(null), bounds).is_empty());
    }

    #[test]
    fn a_bound_holds_also_of_a_timeout_that_is_written_down_for_later() {
        let off = json!({"enabled": false, "idleTimeoutInMinutes": 9});
        assert_eq!(
            lines(off, json!(null), json!({"minIdleTimeoutInMinutes": 10})).len(),
            1
        );
    }

    #[test]
    fn who_may_stay_for_a_while_at_most_may_not_stay_for_ever() {
        let off = json!({"enabled": false});
        let most = json!({"maxIdleTimeoutInMinutes": 120});
        let found = lines(off.clone(), json!({"idleTimeoutInMinutes": 60}), most.clone());
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with(r#"spec.idleShutdown.enabled: "false" never stops it"#),
            "{found:?}"
        );
        assert!(found[0].contains("120"), "{found:?}");
        // Where nobody is stopped anyway, nothing is switched off.
        assert!(lines(off.clone(), json!(null), most).is_empty());
        assert!(
            lines(
                off,
                json!({"idleTimeoutInMinutes": 60}),
                json!({"minIdleTimeoutInMinutes": 5})
            )
            .is_empty()
        );
    }

    #[test]
    fn a_template_that_allows_nothing_refuses_each_field_that_differs() {
        let default = json!({"idleTimeoutInMinutes": 60});
        let closed = json!({"allow": false});
        let own =
            json!({"enabled": false, "idleTimeoutInMinutes": 61, "detection": {"httpGet": {"port": 9000}}});
        let found = lines(own, default.clone(), closed.clone());
        assert_eq!(found.len(), 3, "{found:?}");
        for (line, field) in found.iter().zip(["enabled", "idleTimeoutInMinutes", "detection"]) {
            assert!(
                line.starts_with(&format!("spec.idleShutdown.{field}: ")),
                "{line}"
            );
            assert!(line.contains("idleShutdownOverrides.allow"), "{line}");
        }
        let same = json!({"enabled": true, "idleTimeoutInMinutes": 60});
        assert!(lines(same, default.clone(), closed.clone()).is_empty());
        assert!(lines(json!(null), default, closed.clone()).is_empty());
        // Nor may it be switched on.
        let on = lines(json!({"idleTimeoutInMinutes": 5}), json!(null), closed.clone());
        assert_eq!(on.len(), 1);
        assert!(
            on[0].starts_with("spec.idleShutdown: has workspaces stopped"),
            "{on:?}"
        );
        let on = lines(json!({"enabled": true}), json!(null), closed.clone());
        assert!(on[0].starts_with("spec.idleShutdown.enabled: \"true\""), "{on:?}");
        assert!(lines(json!({"enabled": false}), json!(null), closed).is_empty());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let wrong = |idle: Value, field: &str| {
            let found = lines(idle, json!(null), json!(null));
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].starts_with(&format!("spec.idleShutdown.{field}: ")),
                "{found:?}"
            );
        };
        wrong(json!({"idleTimeoutInMinutes": 0}), "idleTimeoutInMinutes");
        let get = |get: Value| json!({"detection": {"httpGet": get}});
        wrong(get(json!({"path": "/healthz"})), "detection.httpGet.path");
        wrong(
            get(json!({"path": "http://evil/api/status"})),
            "detection.httpGet.path",
        );
        wrong(get(json!({"path": "/a b/api/status"})), "detection.httpGet.path");
        wrong(get(json!({"port": 22})), "detection.httpGet.port");
        for path in ["", "a..b", "$a", "a[0]", "a b"] {
            wrong(
                json!({"detection": {"lastActivityTimestamp": {"responseBodyPath": path}}}),
                "detection.lastActivityTimestamp.responseBodyPath",
            );
        }
        for path in ["a", "$.a.b", ".a-b"] {
            let time = json!({"detection": {"lastActivityTimestamp": {"responseBodyPath": path}}});
            assert!(lines(time, json!(null), json!(null)).is_empty(), "{path}");
        }
    }

    #[test]
    fn a_template_that_contradicts_itself_is_told_all_of_it() {
        let of = |default: Value, bounds: Value| -> Vec<String> {
            let found = template(&of_template(&default, &bounds));
            found.iter().map(ToString::to_string).collect()
        };
        let crossed = json!({"minIdleTimeoutInMinutes": 20, "maxIdleTimeoutInMinutes": 10});
        let found = of(json!({"idleTimeoutInMinutes": 15}), crossed);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("spec.idleShutdownOverrides.minIdleTimeoutInMinutes: "));
        assert!(found[1].starts_with("spec.defaultIdleShutdown.idleTimeoutInMinutes: "));
        let equal = json!({"minIdleTimeoutInMinutes": 15, "maxIdleTimeoutInMinutes": 15});
        assert!(of(json!({"idleTimeoutInMinutes": 15}), equal).is_empty());
        assert_eq!(
            of(json!({"detection": {"httpGet": {"path": "/x"}}}), json!(null)).len(),
            1
        );
    }

    fn minutes() -> impl Strategy<Value = Value> {
        prop_oneof![Just(json!(null)), (1..50).prop_map(Value::from)]
    }

    fn object(fields: Vec<(&str, Value)>) -> Value {
        let set = fields.into_iter().filter(|(_, value)| !value.is_null());
        set.map(|(name, value)| (name.to_owned(), value)).collect()
    }

    proptest! {
        /// Whoever passes the rules of a template without fault is stopped within its bounds, or is not stopped at all, which only
        /// happens to those whose template stops nobody, or sets no maximum.
        #[test]
        fn what_is_admitted_is_within_the_bounds(
            (given, default, min, max) in (minutes(), minutes(), minutes(), minutes()),
            (on, default_on) in (any::<Option<bool>>(), any::<Option<bool>>()),
            (says, says_default, allow) in (any::<bool>(), any::<bool>(), any::<bool>()),
        ) {
            let idle = |says: bool, on: Option<bool>, minutes: Value| if says {
                object(vec![("enabled", json!(on)), ("idleTimeoutInMinutes", minutes)])
            } else {
                json!(null)
            };
            let (own, theirs) = (idle(says, on, given), idle(says_default, default_on, default));
            let bounds = object(vec![
                ("allow", json!(allow)), ("minIdleTimeoutInMinutes", min), ("maxIdleTimeoutInMinutes", max),
            ]);
            let template_spec = of_template(&theirs, &bounds);
            prop_assume!(template(&template_spec).is_empty());
            prop_assume!(lines(own.clone(), theirs, bounds).is_empty());
            let own = spec(&own);
            let resolved = resolve(effective(own.idle_shutdown.as_ref(), Some(&template_spec)).as_ref());
            let default = resolve(by_default(&template_spec).as_ref());
            let bounds = template_spec.idle_shutdown_overrides.unwrap();
            match &resolved {
                Some(idle) => {
                    prop_assert!(bounds.min_idle_timeout_in_minutes.is_none_or(|min| min <= idle.minutes));
                    prop_assert!(bounds.max_idle_timeout_in_minutes.is_none_or(|max| idle.minutes <= max));
                }
                None => prop_assert!(default.is_none() || bounds.max_idle_timeout_in_minutes.is_none()),
            }
            if !bounds.allow {
                prop_assert_eq!(resolved, default);
            }
        }
    }
}
