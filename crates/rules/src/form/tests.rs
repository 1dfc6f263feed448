//! Generated templates and workspaces -> forms that offer what the rules admit (tests).

use api::{Workspace, WorkspaceTemplate};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::admission::property_tests::objects;
use crate::quantity::Quantity;
use crate::{References, judge, validate};

/// Values of template fields that decide about the form, beside those of the other properties.
fn form_fields() -> impl Strategy<Value = Value> {
    let optional = |values: Vec<Value>| prop::option::of(prop::sample::select(values));
    (
        optional(vec![
            json!({"cpu": {"min": "250m", "max": "8"}, "memory": {"min": "256Mi", "max": "64Gi"}, "gpu": {"max": 2}}),
            json!({"cpu": {"max": "1500m"}, "gpu": {"max": 0}, "resources": {"ephemeral-storage": {"max": "4Gi"}}}),
            json!({"memory": {"min": "1Gi", "max": "1536Mi"}, "resources": {"example.org/fpga": {"min": 0, "max": 3}, "amd.com/gpu": {"max": 100}}}),
        ]),
        optional(vec![
            json!({"minSize": "1Gi", "defaultSize": "2Gi", "maxSize": "100Gi", "retain": "Retain"}),
            json!({"maxSize": "20Gi", "defaultStorageClassName": "fast"}),
        ]),
        optional(vec![
            json!({"allow": true, "minIdleTimeoutInMinutes": 10, "maxIdleTimeoutInMinutes": 90}),
            json!({"allow": false}),
        ]),
        optional(vec![json!(["uv", "r/code:1"]), json!(["r/jupyter:1", "uv", "r/other:2"])]),
        optional(vec![json!("128Mi"), json!("1Gi")]),
        any::<(bool, bool, bool)>(),
    )
        .prop_map(|(bounds, storage, idle, images, shm, (custom, volumes, minutes))| {
            let mut fields = json!({
                "allowCustomImages": custom,
                "allowSecondaryStorages": volumes,
                "presentation": {"icon": "python", "images": [{"image": "uv", "displayName": "JupyterLab", "icon": "jupyterlab"}]},
            });
            let given = [
                ("resourceBounds", bounds),
                ("primaryStorage", storage),
                ("idleShutdownOverrides", idle),
                ("allowedImages", images),
                ("defaultShmSize", shm),
            ];
            for (name, value) in given {
                if let Some(value) = value {
                    fields[name] = value;
                }
            }
            if minutes {
                fields["defaultIdleShutdown"] = json!({"idleTimeoutInMinutes": 45});
            }
            fields
        })
}

fn template_of(mut spec: Value, fields: &Value) -> WorkspaceTemplate {
    for (name, value) in fields.as_object().unwrap() {
        spec[name] = value.clone();
    }
    objects::template(&spec)
}

/// The fields of the violations of a workspace with these values.
fn fields_of(offer: &Offer<'_>, form: &Form, values: &[(&str, &str)]) -> (Vec<String>, Workspace) {
    let mut all = Values::default();
    for (name, value) in [
        ("metadata.name", "demo"),
        ("spec.displayName", "d"),
        ("metadata.labels[tier]", "gold"),
    ] {
        all.0.insert(name.to_owned(), value.to_owned());
    }
    for field in form.fields.iter().filter(|field| field.is_required) {
        if let Kind::Quantity { min, .. } = &field.kind {
            all.0.insert(field.path.clone(), min.value.to_string());
        }
    }
    for (name, value) in values {
        all.0.insert((*name).to_owned(), (*value).to_owned());
    }
    let Filled {
        mut workspace,
        errors,
        ..
    } = filled(form, &all, None);
    workspace.metadata.namespace = Some("team".to_owned());
    workspace.metadata.uid = Some("u".to_owned());
    let owner = (api::names::CREATED_BY.to_owned(), "alice".to_owned());
    workspace.metadata.annotations = Some([owner].into());
    let manager = objects::manager();
    let profile = offer
        .profiles
        .iter()
        .find(|it| it.metadata.name == workspace.spec.execution_profile_ref);
    let references = References::managed_by([&manager])
        .with_template(offer.template)
        .with_profile(profile.copied());
    let found = judge(&workspace, &references, offer.settings).violations;
    let found = found.iter().flat_map(crate::Violations::iter);
    (
        errors.iter().chain(found).map(|it| it.field.clone()).collect(),
        workspace,
    )
}

/// Values that a field offers, and values one step beyond, each with another field at which it may be refused.
fn samples(field: &Field) -> (Vec<String>, Vec<(String, Option<String>)>) {
    let other = |bound: &Bound| match &bound.by {
        By::Field(path) => Some(path.clone()),
        By::Template | By::Nature => None,
    };
    let mut offered: Vec<String> = field.default.iter().cloned().collect();
    let mut beyond = Vec::new();
    match &field.kind {
        Kind::Quantity {
            min,
            max,
            step,
            scale,
        } => {
            offered.extend([min.value.to_string(), max.value.to_string()]);
            if let Some(scale) = scale {
                let middle = scale.min + (scale.max - scale.min) / scale.step / 2 * scale.step;
                offered.extend([scale.min, middle, scale.max].map(|number| scale.text(number)));
            }
            beyond.push((min.value.minus(*step).to_string(), other(min)));
            beyond.push((max.value.plus(*step).to_string(), other(max)));
        }
        Kind::Number { min, max, .. } => {
            offered.extend([min.to_string(), max.to_string()]);
            // The API server refuses what is beyond the bounds of the definition.
            let bounded = [min - 1, max + 1]
                .into_iter()
                .filter(|value| (1..=525_600).contains(value));
            beyond.extend(bounded.map(|value| (value.to_string(), None)));
        }
        Kind::Choice(choices) => {
            offered.extend(choices.iter().map(|choice| choice.value.clone()));
            beyond.push(("None of them".to_owned(), None));
        }
        Kind::Toggle { values } => {
            offered.extend(values.iter().map(ToString::to_string));
            beyond.extend((values == &[true]).then(|| ("false".to_owned(), None)));
        }
        Kind::Image { choices, custom } => {
            offered.extend(choices.iter().map(|choice| choice.image.clone()));
            beyond.push((if *custom { "a b" } else { "evil:1" }.to_owned(), None));
        }
        Kind::Text { .. } | Kind::Env { .. } | Kind::Volumes { .. } => {}
    }
    (offered, beyond)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_offered_value_is_admitted_and_one_step_beyond_is_refused_at_that_field(
        of_template in objects::template_spec(false), fields in form_fields()
    ) {
        let (template, settings, profile) = (template_of(of_template, &fields), objects::settings(), objects::profile());
        prop_assume!(validate::template(&template.spec, &settings).is_empty());
        prop_assert_eq!(validate::presentation(&template.spec, &settings).len(), usize::from(
            !choices_name(&template, "uv") && !template.spec.allow_custom_images
        ));
        let profiles = [&profile];
        let offer = Offer { template: Some(&template), profiles: &profiles, settings: &settings };
        let form = form(&offer, None);
        let (found, _) = fields_of(&offer, &form, &[]);
        prop_assert_eq!(found, Vec::<String>::new(), "only what is required: {:?}", form);
        for field in &form.fields {
            let path = field.path.as_str();
            let (offered, beyond) = samples(field);
            if let Change::Refused(_) = field.change {
                let (found, _) = fields_of(&offer, &form, &[(path, "1")]);
                prop_assert_eq!(found, vec![path.to_owned()]);
                continue;
            }
            // A path of a template with variables is text for people.
            for value in offered.iter().filter(|value| !value.contains('{')) {
                let (found, _) = fields_of(&offer, &form, &[(path, value)]);
                prop_assert_eq!(found, Vec::<String>::new(), "{} = {} of {:?}", path, value, field);
            }
            for (value, other) in beyond {
                let (found, workspace) = fields_of(&offer, &form, &[(path, &value)]);
                let is_refused = found.iter().any(|it| it == path || Some(it) == other.as_ref());
                prop_assert!(is_refused, "{path} = {value} is refused at {found:?}, not there: {:?}", workspace.spec);
            }
        }
    }

    #[test]
    fn values_that_are_sent_back_change_nothing(
        spec in objects::workspace_spec(true), of_template in objects::template_spec(true), refers: bool
    ) {
        let (workspace, template, settings) = (objects::workspace(spec, refers), objects::template(&of_template), objects::settings());
        let has_request_of_device = workspace.spec.resources.iter().any(|it| it.requests.keys().any(|key| key.contains('/')));
        prop_assume!(!has_request_of_device);
        let offer = Offer { template: refers.then_some(&template), profiles: &[], settings: &settings };
        let form = form(&offer, Some(&workspace));
        let sent = values(&form, &workspace);
        let back = filled(&form, &sent, Some(&workspace));
        let is_unread = |error: &Violation| error.message.contains("quantity");
        prop_assert!(back.errors.iter().all(is_unread), "{:?}", back.errors);
        prop_assert_eq!(&back.workspace, &workspace);
        // What the form has no control for is exactly what a new workspace of the same values lacks.
        // What this form refuses to change is not written into a new workspace either.
        let Filled { workspace: lost, errors: refused, .. } = filled(&form, &sent, None);
        let hidden = not_shown(&form, &workspace);
        let fields = |workspace: &Workspace| serde_json::to_value(&workspace.spec).unwrap().as_object().unwrap().clone();
        let (before, after) = (fields(&workspace), fields(&lost));
        if back.errors.is_empty() {
            // Without fields, both forms of an object mean the same.
            for (name, value) in before.iter().filter(|(_, value)| **value != json!({})) {
                if refused.iter().any(|error| error.field.starts_with(&format!("spec.{name}"))) {
                    continue;
                }
                let is_hidden = hidden.iter().any(|path| path.strip_prefix("spec.").is_some_and(|it| it.split(['.', '[']).next() == Some(name)));
                let is_same = after.get(name) == Some(value);
                prop_assert_eq!(is_same, !is_hidden || name == "desiredStatus" && is_same, "{} of {:?}, hidden {:?}", name, before, hidden);
            }
        }
    }
}

fn choices_name(template: &WorkspaceTemplate, image: &str) -> bool {
    let settings = objects::settings();
    let resolved = settings.resolve_image(image).to_owned();
    validate::allowed_images(&template.spec).any(|it| settings.resolve_image(it) == resolved)
}

fn settings() -> Settings {
    Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1}}").unwrap()
}

fn form_of(template: &Value, workspace: Option<Value>) -> Form {
    let template = objects::template(template);
    let workspace: Option<Workspace> = workspace.map(|it| serde_json::from_value(it).unwrap());
    let settings = settings();
    let offer = Offer {
        template: Some(&template),
        profiles: &[],
        settings: &settings,
    };
    form(&offer, workspace.as_ref())
}

fn sent(pairs: &[(&str, &str)]) -> Values {
    Values(
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

#[test]
fn values_that_cannot_be_read_are_reported_at_their_fields_and_the_rest_is_taken() {
    let form = form_of(&json!({"displayName": "t", "defaultImage": "uv"}), None);
    let values = sent(&[
        ("metadata.name", "demo"),
        ("spec.displayName", " Demo "),
        ("spec.resources.limits.cpu", "2x"),
        ("spec.resources.limits.memory", "2Gi"),
        ("spec.idleShutdown.enabled", "yes"),
        ("spec.idleShutdown.idleTimeoutInMinutes", "1.5"),
        ("spec.accessType", "Everybody"),
        ("spec.storage.size", ""),
    ]);
    let Filled {
        workspace, errors, ..
    } = filled(&form, &values, None);
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "spec.resources.limits.cpu: \"2x\" has an unknown suffix: known are n u m k M G T P E, Ki Mi Gi Ti Pi Ei, and an exponent such as e3",
            "spec.idleShutdown.enabled: \"yes\" is neither true nor false: choose one, or leave it empty for the default",
            "spec.idleShutdown.idleTimeoutInMinutes: \"1.5\" is not a whole number of minutes: write digits only, a number from 1 to 525600",
            "spec.accessType: \"Everybody\" is not offered: choose one of OwnerOnly, Public",
        ]
    );
    assert_eq!(workspace.spec.display_name, "Demo");
    assert_eq!(workspace.spec.resources.unwrap().limits["memory"].0, "2Gi");
    assert_eq!(
        (workspace.spec.storage, workspace.spec.idle_shutdown),
        (None, None)
    );
    assert_eq!(workspace.spec.template_ref.as_deref(), Some("t"));
}

#[test]
fn images_are_offered_by_their_presentation_and_each_once() {
    let template = json!({
        "displayName": "t", "defaultImage": "uv", "allowedImages": ["r/a/code:2@sha256:00", "r/jupyter:1", "uv", "r/b:1"],
        "presentation": {"icon": "gpu", "images": [
            {"image": "r/b:1", "displayName": "B", "description": "For b.", "icon": "r"},
            {"image": "uv", "displayName": "Lab"},
            {"image": "gone:1", "displayName": "Not allowed"},
        ]},
    });
    let form = form_of(&template, None);
    let Kind::Image { choices, custom } = &form.field("spec.image").unwrap().kind else {
        unreachable!()
    };
    let shown: Vec<_> = choices
        .iter()
        .map(|it| (it.image.as_str(), it.display_name.as_str(), it.is_default))
        .collect();
    assert_eq!(shown, [("r/b:1", "B", false), ("uv", "Lab", true)]);
    assert!(!custom);
    assert_eq!(
        (choices[0].icon, choices[1].icon),
        (api::template::Icon::R, api::template::Icon::Gpu)
    );
}

#[test]
fn a_quantity_has_the_template_s_bounds_and_a_slider() {
    let template = json!({
        "displayName": "t", "defaultImage": "uv", "resourceBounds": {"cpu": {"max": "2"}, "memory": {"min": "1Gi", "max": "64Gi"}, "gpu": {"max": 1}},
    });
    let form = form_of(&template, None);
    let kind = |path: &str| match form.field(path).map(|field| field.kind.clone()) {
        Some(Kind::Quantity { min, max, scale, .. }) => (min.value.to_string(), max.value.to_string(), scale),
        other => panic!("{path}: {other:?}"),
    };
    let scale = |unit, min, max, step| Some(Scale { unit, min, max, step });
    assert_eq!(
        kind("spec.resources.limits.cpu"),
        ("1m".into(), "2".into(), scale("m", 100, 2000, 100))
    );
    assert_eq!(
        kind("spec.resources.limits.memory"),
        ("1Gi".into(), "64Gi".into(), scale("Gi", 4, 64, 4))
    );
    assert_eq!(
        kind("spec.resources.limits[nvidia.com/gpu]"),
        ("0".into(), "1".into(), scale("", 0, 1, 1))
    );
    assert_eq!(
        kind("spec.storage.size").2,
        None,
        "no slider without a largest size"
    );
    assert_eq!(form.field("spec.storage.size").unwrap().default, None, "no disk");
}

#[test]
fn a_change_counts_now_at_the_next_start_by_a_restart_or_never() {
    let template =
        json!({"displayName": "t", "defaultImage": "uv", "primaryStorage": {"defaultSize": "1Gi"}});
    let of = |desired: &str, policy: &str, started: bool, path: &str| {
        let started = if started {
            json!("2026-01-01T00:00:00Z")
        } else {
            Value::Null
        };
        let workspace = json!({
            "metadata": {"name": "demo"}, "status": {"startedAt": started, "disk": {"claimUID": "c", "size": "4Gi"}},
            "spec": {"displayName": "d", "templateRef": "t", "desiredStatus": desired, "updatePolicy": policy, "storage": {"size": "5Gi"}},
        });
        form_of(&template, Some(workspace)).field(path).unwrap().clone()
    };
    let change = |desired, policy, started| of(desired, policy, started, "spec.image").change;
    assert_eq!(change("Running", "OnStop", true), Change::NextStart);
    assert_eq!(change("Running", "OnStop", false), Change::Now);
    assert_eq!(change("Running", "Always", true), Change::RestartsNow);
    assert_eq!(change("Stopped", "Always", true), Change::NextStart);
    for path in [
        "spec.displayName",
        "spec.storage.size",
        "spec.idleShutdown.enabled",
        "spec.accessType",
    ] {
        assert_eq!(of("Running", "Always", true, path).change, Change::Now, "{path}");
    }
    for path in [
        "metadata.name",
        "spec.storage.claimName",
        "spec.storage.storageClassName",
    ] {
        assert!(
            matches!(of("Running", "OnStop", true, path).change, Change::Refused(_)),
            "{path}"
        );
    }
    let Kind::Quantity { min, .. } = of("Running", "OnStop", true, "spec.storage.size").kind else {
        unreachable!()
    };
    let has = Bound {
        value: Quantity::binary(4, 30),
        by: By::Field("status.disk.size".to_owned()),
    };
    assert_eq!(min, has, "it cannot shrink below what it has");
    let without_disk = json!({
        "metadata": {"name": "demo"}, "spec": {"displayName": "d", "templateRef": "t", "storage": {"size": "5Gi"}},
    });
    let form = form_of(&template, Some(without_disk));
    let Kind::Quantity { min, .. } = &form.field("spec.storage.size").unwrap().kind else {
        unreachable!()
    };
    assert_ne!(
        min.by,
        By::Field("status.disk.size".to_owned()),
        "there is no disk yet"
    );
}

#[test]
fn rows_are_renumbered_and_keep_what_a_row_cannot_hold() {
    let workspace = json!({
        "metadata": {"name": "demo"},
        "spec": {"displayName": "d", "templateRef": "t", "env": [
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": true}}},
            {"name": "GONE", "value": "x"},
        ]},
    });
    let base: Workspace = serde_json::from_value(workspace.clone()).unwrap();
    let form = form_of(
        &json!({"displayName": "t", "defaultImage": "uv"}),
        Some(workspace),
    );
    assert_eq!(
        not_shown(&form, &base),
        ["spec.env[0].valueFrom", "spec.env[1].valueFrom"],
        "a field of the pod, and that the Secret may be missing"
    );
    let values = sent(&[
        ("spec.env", ""),
        ("spec.env[0].name", "NODE"),
        ("spec.env[1].name", "TOKEN"),
        ("spec.env[1].value", ""),
        ("spec.env[1].valueFrom.secretKeyRef.name", "s"),
        ("spec.env[1].valueFrom.secretKeyRef.key", "other"),
        ("spec.env[7].name", ""),
        ("spec.env[7].value", ""),
        ("spec.env[12].name", "NEW"),
        ("spec.env[12].value", "v"),
    ]);
    let env = serde_json::to_value(filled(&form, &values, Some(&base)).workspace.spec.env).unwrap();
    assert_eq!(
        env,
        json!([
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "other", "optional": true}}},
            {"name": "NEW", "value": "v"},
        ])
    );
    let none = filled(&form, &sent(&[("spec.env", "")]), Some(&base)).workspace;
    assert!(none.spec.env.is_empty());
    assert_eq!(
        form.field_of("spec.env[2].value").map(|it| it.path.as_str()),
        Some("spec.env")
    );
}
