//! Examples of idle settings in workspaces and templates -> violations (tests).

use serde_json::{Value, json};

use super::*;
use crate::effective::idle::effective;

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
    let found = within(&spec, effective.as_ref(), &template);
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
    let one = json!({"maxIdleTimeoutInMinutes": 1});
    let found = lines(json!({"idleTimeoutInMinutes": 2}), json!(null), one);
    assert!(found[0].ends_with("choose at most 1 minute"), "{found:?}");
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
fn idle_shutdown_cannot_be_disabled_under_a_maximum_timeout() {
    let off = json!({"enabled": false});
    let most = json!({"maxIdleTimeoutInMinutes": 120});
    let found = lines(off.clone(), json!({"idleTimeoutInMinutes": 60}), most.clone());
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with(r#"spec.idleShutdown.enabled: "false" never stops it"#),
        "{found:?}"
    );
    assert!(found[0].contains("120"), "{found:?}");
    // If no workspace is stopped anyway, nothing is disabled.
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
fn may_switch_idle_off_agrees_with_the_rules() {
    let off = json!({"enabled": false});
    for default in [json!(null), json!({"idleTimeoutInMinutes": 60}), off.clone()] {
        for bounds in [
            json!(null),
            json!({"minIdleTimeoutInMinutes": 5}),
            json!({"maxIdleTimeoutInMinutes": 120}),
            json!({"allow": false}),
        ] {
            assert_eq!(
                may_switch_idle_off(&of_template(&default, &bounds)),
                lines(off.clone(), default.clone(), bounds.clone()).is_empty(),
                "{default} {bounds}"
            );
        }
    }
}

#[test]
fn without_overrides_each_differing_idle_field_is_refused() {
    let default = json!({"idleTimeoutInMinutes": 60});
    let closed = json!({"allow": false});
    let own = json!({"enabled": false, "idleTimeoutInMinutes": 61, "detection": {"httpGet": {"port": 9000}}});
    let found = lines(own, default.clone(), closed.clone());
    assert_eq!(found.len(), 3, "{found:?}");
    for (line, field) in found.iter().zip(["enabled", "detection", "idleTimeoutInMinutes"]) {
        assert!(
            line.starts_with(&format!("spec.idleShutdown.{field}: ")),
            "{line}"
        );
        assert!(line.contains("idleShutdownOverrides.allow"), "{line}");
    }
    let same = json!({"enabled": true, "idleTimeoutInMinutes": 60});
    assert!(lines(same, default.clone(), closed.clone()).is_empty());
    assert!(lines(json!(null), default, closed.clone()).is_empty());
    // The workspace may not enable it either.
    let on = lines(json!({"idleTimeoutInMinutes": 5}), json!(null), closed.clone());
    assert_eq!(on.len(), 1);
    assert!(
        on[0].starts_with("spec.idleShutdown: enables idle shutdown"),
        "{on:?}"
    );
    let on = lines(json!({"enabled": true}), json!(null), closed.clone());
    assert!(on[0].starts_with("spec.idleShutdown.enabled: \"true\""), "{on:?}");
    assert!(lines(json!({"enabled": false}), json!(null), closed).is_empty());
}

#[test]
fn without_overrides_the_timeout_may_differ_within_bounds_and_an_unset_end_is_the_default() {
    let default = json!({"idleTimeoutInMinutes": 30, "detection": {"httpGet": {"port": 9000}}});
    let of = |own: Value, bounds: Value| {
        let mut bounds = bounds;
        bounds["allow"] = json!(false);
        lines(own, default.clone(), bounds)
    };
    let minutes = |minutes: i32| json!({"idleTimeoutInMinutes": minutes});
    let both = json!({"minIdleTimeoutInMinutes": 15, "maxIdleTimeoutInMinutes": 60});
    for fine in [15, 30, 60] {
        assert_eq!(of(minutes(fine), both.clone()), [""; 0], "{fine}");
    }
    for (bounds, outside, expected) in [
        (both.clone(), 14, "less than the template's minimum 15"),
        (both.clone(), 61, "more than the template's maximum 60"),
        (
            json!({"maxIdleTimeoutInMinutes": 60}),
            29,
            "less than the template's minimum 30",
        ),
        (
            json!({"minIdleTimeoutInMinutes": 15}),
            31,
            "more than the template's maximum 30",
        ),
        (json!({}), 31, "is the template's to decide"),
    ] {
        let found = of(minutes(outside), bounds);
        assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
    }
    for other in [
        json!({"enabled": false}),
        json!({"detection": {"httpGet": {"port": 9001}}}),
    ] {
        let found = of(other.clone(), both.clone());
        assert!(
            found.len() == 1 && found[0].contains("is the template's to decide"),
            "{other}: {found:?}"
        );
    }
}

#[test]
fn minutes_of_an_open_page_are_at_most_the_template_s_and_fixed_where_it_allows_nothing_else() {
    let of = |minutes: i32, bounds: Value| {
        let default = json!({"idleTimeoutInMinutes": 60, "openTabMinutes": 30});
        lines(json!({"openTabMinutes": minutes}), default, bounds)
    };
    let most = json!({"maxOpenTabMinutes": 60});
    assert!(of(0, most.clone()).is_empty() && of(60, most.clone()).is_empty());
    assert_eq!(
        of(61, most),
        [
            r#"spec.idleShutdown.openTabMinutes: "61" is more than the template's maximum 60: choose at most 60 minutes"#
        ]
    );
    assert!(of(525_600, json!(null)).is_empty());
    let closed = json!({"allow": false});
    assert!(of(30, closed.clone()).is_empty());
    for other in [0, 29, 31] {
        let found = of(other, closed.clone());
        assert!(
            found.len() == 1
                && found[0].starts_with("spec.idleShutdown.openTabMinutes")
                && found[0].contains("is the template's to decide"),
            "{found:?}"
        );
    }
    let within = json!({"allow": false, "maxOpenTabMinutes": 60});
    assert!(of(60, within.clone()).is_empty());
    assert!(of(61, within)[0].contains("maximum 60"));
    // What is filled in is within a maximum that is shorter than the built-in time.
    let short = json!({"maxOpenTabMinutes": 0});
    assert_eq!(lines(json!({}), json!(null), short), [""; 0]);
}
