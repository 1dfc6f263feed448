//! Requests, limits and bounds -> violations (tests).

use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use serde_json::{Value, json};

use super::*;
use crate::{Settings, effective};

/// The violations of a workspace whose template has `bounds`, one line each.
fn lines(given: Value, bounds: Value) -> Vec<String> {
    let settings = Settings::parse("defaultImage: d:1").unwrap();
    let spec = WorkspaceSpec {
        resources: serde_json::from_value(given).unwrap(),
        ..Default::default()
    };
    let template = WorkspaceTemplateSpec {
        resource_bounds: serde_json::from_value(bounds).unwrap(),
        ..Default::default()
    };
    let effective = effective(&spec, Some(&template), &settings);
    workspace(
        spec.resources.as_ref(),
        &effective.resources,
        template.resource_bounds.as_ref(),
    )
    .iter()
    .map(ToString::to_string)
    .collect()
}

#[test]
fn amounts_that_overflow_the_sums_of_the_scheduler_are_refused() {
    for (name, value) in [
        ("cpu", "100001"),
        ("cpu", "9300000000000000"),
        ("memory", "2Pi"),
        ("x.org/y", "9e18"),
    ] {
        let found = lines(
            json!({"requests": {name: value}, "limits": {name: value}}),
            json!({}),
        );
        assert!(
            found.iter().any(|line| line.contains("more than any node has")),
            "{name} {value}: {found:?}"
        );
    }
}

#[test]
fn an_invalid_amount_is_reported_once_at_its_field() {
    let bounds = json!({"memory": {"min": "128Mi"}});
    for (given, map) in [
        (json!({"limits": {"memory": "-1"}}), "limits"),
        (json!({"limits": {"memory": "0"}}), "limits"),
        (json!({"limits": {"memory": "lots"}}), "limits"),
        (json!({"requests": {"memory": "9Pi"}}), "requests"),
    ] {
        let found = lines(given.clone(), bounds.clone());
        let field = format!("spec.resources.{map}.memory: ");
        assert!(!found.is_empty(), "{given}");
        assert!(
            found.iter().all(|line| line.starts_with(&field)),
            "{given}: {found:?}"
        );
    }
}

#[test]
fn amounts_that_forgot_their_unit_or_got_the_wrong_one_are_refused() {
    for (given, part) in [
        (json!({"limits": {"memory": "1"}}), "mind the unit"),
        (json!({"limits": {"memory": "512"}}), "at least 4Mi"),
        (json!({"limits": {"memory": "500m"}}), "m means thousandths"),
        (json!({"requests": {"memory": "500m"}}), "m means thousandths"),
        (
            json!({"requests": {"ephemeral-storage": "100m"}}),
            "m means thousandths",
        ),
        (json!({"requests": {"cpu": "1u"}}), "finer than 1m"),
    ] {
        let found = lines(given.clone(), json!({}));
        assert!(found.iter().any(|line| line.contains(part)), "{given}: {found:?}");
    }
    for fine in [
        json!({"limits": {"memory": "4Mi"}}),
        json!({"requests": {"memory": "0"}}),
        json!({"limits": {"memory": "1.3Gi", "cpu": "0.001"}}),
    ] {
        assert_eq!(lines(fine.clone(), json!({})), [""; 0], "{fine}");
    }
}

#[test]
fn a_limit_of_zero_is_refused_because_it_would_be_none() {
    for bounds in [
        json!({}),
        json!({"cpu": {"max": "200m"}, "memory": {"max": "1Gi"}}),
    ] {
        let found = lines(json!({"limits": {"cpu": "0", "memory": "0Mi"}}), bounds);
        for field in ["spec.resources.limits.cpu", "spec.resources.limits.memory"] {
            assert!(
                found
                    .iter()
                    .any(|line| line.starts_with(field) && line.contains("no limit at all")),
                "{found:?}"
            );
        }
    }
    assert_eq!(
        lines(json!({"limits": {"nvidia.com/gpu": 0}}), json!({})),
        [""; 0]
    );
}

#[test]
fn both_ends_of_a_bound_pass_and_one_beyond_does_not() {
    let bounds = json!({"cpu": {"min": "200m", "max": "2"}, "memory": {"min": "128Mi", "max": "1Gi"}});
    let within = json!({"requests": {"cpu": "0.2"}, "limits": {"cpu": 2, "memory": "1024Mi"}});
    assert_eq!(lines(within, bounds.clone()), Vec::<String>::new());
    let beyond = json!({"requests": {"cpu": "199m"}, "limits": {"cpu": "2001m", "memory": "1073741825"}});
    assert_eq!(
        lines(beyond, bounds),
        [
            r#"spec.resources.requests.cpu: "199m" is less than the template's minimum 200m: ask for at least 200m"#,
            r#"spec.resources.limits.cpu: "2001m" is more than the template's maximum 2: ask for at most 2"#,
            r#"spec.resources.limits.memory: "1073741825" is more than the template's maximum 1Gi: ask for at most 1Gi"#,
        ]
    );
}

#[test]
fn a_filled_value_is_checked_and_called_so() {
    assert_eq!(
        lines(json!({}), json!({"cpu": {"min": "500m"}})),
        [
            r#"spec.resources.requests.cpu: "100m" (filled in, since unset) is less than the template's minimum 500m: ask for at least 500m"#
        ]
    );
}

#[test]
fn a_request_over_the_bound_is_reported_once() {
    let over = lines(json!({"requests": {"cpu": "8"}}), json!({"cpu": {"max": "4"}}));
    assert_eq!(
        over,
        [r#"spec.resources.requests.cpu: "8" is more than the template's maximum 4: ask for at most 4"#]
    );
}

#[test]
fn a_request_over_its_own_limit_is_refused_and_an_equal_one_passes() {
    let bad = lines(
        json!({"requests": {"memory": "2Gi"}, "limits": {"memory": "2G"}}),
        json!({}),
    );
    assert_eq!(
        bad,
        [
            r#"spec.resources.requests.memory: "2Gi" is more than the limit 2G: lower the request, or raise spec.resources.limits.memory"#
        ]
    );
    let equal = json!({"requests": {"memory": "1024Mi"}, "limits": {"memory": "1Gi"}});
    assert!(lines(equal, json!({})).is_empty());
}

#[test]
fn a_gpu_bound_holds_for_every_kind_of_gpu() {
    let bounds = json!({"gpu": {"min": 0, "max": 1}});
    for name in ["nvidia.com/gpu", "nvidia.com/mig-1g.5gb"] {
        assert!(lines(json!({"limits": {name: 1}}), bounds.clone()).is_empty());
        let over = lines(json!({"limits": {name: 2}}), bounds.clone());
        assert_eq!(
            over,
            [format!(
                r#"spec.resources.limits[{name}]: "2" is more than the template's maximum 1: ask for at most 1"#
            )]
        );
    }
}

#[test]
fn an_absent_gpu_counts_as_none() {
    assert!(lines(json!({}), json!({"gpu": {"min": 0, "max": 0}})).is_empty());
    let missing = lines(json!({}), json!({"gpu": {"min": 1}}));
    assert!(
        missing[0].starts_with(
            "spec.resources.limits[nvidia.com/gpu]: is missing and counts as 0, which is less than"
        ),
        "{missing:?}"
    );
    assert!(
        lines(
            json!({"limits": {"nvidia.com/mig-1g.5gb": 1}}),
            json!({"gpu": {"min": 1}})
        )
        .is_empty()
    );
}

#[test]
fn resources_that_no_container_can_have_are_refused() {
    for (given, part) in [
        (json!({"limits": {"cpu": "a lot"}}), "must be a quantity"),
        (json!({"limits": {"cpu": "1Q"}}), "unknown suffix"),
        (json!({"requests": {"cpu": "-1"}}), "must be 0 or more"),
        (
            json!({"limits": {"nvidia.com/gpu": "500m"}}),
            "must be a whole number",
        ),
        (
            json!({"requests": {"nvidia.com/gpu": 1}, "limits": {"nvidia.com/gpu": 2}}),
            "needs both to be the same",
        ),
        (json!({"limits": {"pods": 1}}), "must be cpu, memory"),
        (json!({"limits": {"gpu": 1}}), "must be cpu, memory"),
        (json!({"limits": {"kubernetes.io/x": 1}}), "must be cpu, memory"),
        (json!({"limits": {"a.org/": 1}}), "must be cpu, memory"),
        (json!({"limits": {"a\nb": 1}}), "limits[a\\nb]"),
    ] {
        let found = lines(given.clone(), json!({}));
        assert!(found.iter().any(|line| line.contains(part)), "{given}: {found:?}");
    }
}

#[test]
fn known_resources_pass() {
    let given = json!({"limits": {
        "cpu": "1", "memory": "1Gi", "ephemeral-storage": "1Gi", "hugepages-2Mi": "4Mi", "amd.com/gpu": "1"
    }});
    assert_eq!(lines(given, json!({})), Vec::<String>::new());
}
