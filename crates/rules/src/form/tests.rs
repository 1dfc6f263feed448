//! Templates and workspaces -> forms; what a form leaves alone (tests).

use api::Workspace;
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::random as objects;

use super::*;

fn settings() -> Settings {
    Settings::parse("{defaultImage: d:1, imageAliases: {uv: r/jupyter:1}}").unwrap()
}

fn form_of(template: &Value, workspace: Option<&Workspace>) -> Form {
    let (template, settings) = (objects::template(template), settings());
    let offer = Offer {
        template: Some(&template),
        settings: &settings,
        options: &BTreeMap::new(),
    };
    form(&offer, workspace)
}

fn workspace_of(spec: Value) -> Workspace {
    let mut object = json!({"metadata": {"name": "demo"}, "spec": {"displayName": "d", "templateRef": "t"}});
    for (name, value) in spec.as_object().unwrap() {
        object["spec"][name] = value.clone();
    }
    serde_json::from_value(object).unwrap()
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
    } = filled(&form, &values, &Workspace::default());
    let lines: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "spec.resources.limits.cpu: \"2x\" has an unknown suffix: known are n u m k M G T P E, Ki Mi Gi Ti Pi Ei, and an exponent such as e3",
            "spec.idleShutdown.enabled: \"yes\" is not offered: choose one of true, false",
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
}

#[test]
fn minutes_of_an_open_page_have_the_template_s_bounds_and_may_be_fixed() {
    const PATH: &str = "spec.idleShutdown.openTabMinutes";
    let field = |overrides: &Value, default: &Value| {
        let template = json!({
            "displayName": "t", "defaultImage": "uv", "idleShutdownOverrides": overrides, "defaultIdleShutdown": default,
        });
        let form = form_of(&template, None);
        let field = form.field(PATH).unwrap();
        let Kind::Number { min, max, .. } = field.kind else {
            unreachable!()
        };
        let is_fixed = matches!(field.change, Change::Refused(_));
        (min, max, field.default.clone(), is_fixed)
    };
    let minutes = |minutes: i32| Some(minutes.to_string());
    assert_eq!(
        field(&Value::Null, &Value::Null),
        (0, 525_600, minutes(240), false)
    );
    let most = json!({"allow": true, "maxOpenTabMinutes": 90});
    assert_eq!(field(&most, &Value::Null), (0, 90, minutes(90), false));
    assert_eq!(
        field(&most, &json!({"openTabMinutes": 30})),
        (0, 90, minutes(30), false)
    );
    let closed = json!({"allow": false});
    assert_eq!(
        field(&closed, &json!({"openTabMinutes": 30})),
        (30, 30, minutes(30), true)
    );
    let form = form_of(&json!({"displayName": "t", "defaultImage": "uv"}), None);
    let Filled {
        workspace, errors, ..
    } = filled(&form, &sent(&[(PATH, "0")]), &Workspace::default());
    assert_eq!(errors, []);
    assert_eq!(workspace.spec.idle_shutdown.unwrap().open_tab_minutes, Some(0));
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
        "displayName": "t", "defaultImage": "uv", "resourceBounds": {"cpu": {"max": "2"}, "memory": {"min": "1Gi", "max": "64Gi"}, "gpu": {"max": 1},
            "resources": {"example.org/none": {"max": 0}}},
    });
    let form = form_of(&template, None);
    let kind = |path: &str| match form.field(path).map(|field| field.kind.clone()) {
        Some(Kind::Quantity { min, max, scale }) => {
            ([min, max].map(|bound| bound.map(|it| it.to_string())), scale)
        }
        other => panic!("{path}: {other:?}"),
    };
    let scale = |unit, min, max, step| Some(Scale { unit, min, max, step });
    let bound = |text: &str| Some(text.to_owned());
    assert_eq!(
        kind("spec.resources.limits.cpu"),
        ([None, bound("2")], scale("m", 100, 2000, 100))
    );
    assert_eq!(
        kind("spec.resources.limits.memory"),
        ([bound("1Gi"), bound("64Gi")], scale("Gi", 4, 64, 4))
    );
    assert_eq!(
        kind("spec.resources.limits[nvidia.com/gpu]"),
        ([None, bound("1")], scale("", 0, 1, 1))
    );
    assert_eq!(form.field("spec.resources.limits[example.org/none]"), None);
    assert_eq!(
        kind("spec.storage.size").1,
        None,
        "no slider without a largest size"
    );
    assert_eq!(form.field("spec.storage.size").unwrap().default, None, "no disk");
}

#[test]
fn a_change_counts_now_at_the_next_start_by_a_restart_or_never() {
    let template = json!({
        "displayName": "t", "defaultImage": "uv", "primaryStorage": {"defaultSize": "1Gi"}, "idleShutdownOverrides": {"allow": false},
    });
    let change = |desired: &str, policy: &str, started: bool, path: &str| {
        let mut workspace = workspace_of(json!({"desiredStatus": desired, "updatePolicy": policy}));
        let status = json!({"startedAt": started.then_some("2026-01-01T00:00:00Z")});
        workspace.status = serde_json::from_value(status).unwrap();
        form_of(&template, Some(&workspace))
            .field(path)
            .unwrap()
            .change
            .clone()
    };
    let image = |desired, policy, started| change(desired, policy, started, "spec.image");
    assert_eq!(image("Running", "OnStop", true), Change::NextStart);
    assert_eq!(image("Running", "OnStop", false), Change::Now);
    assert_eq!(image("Running", "Always", true), Change::RestartsNow);
    assert_eq!(image("Stopped", "Always", true), Change::NextStart);
    for path in ["spec.displayName", "spec.storage.size", "spec.accessType"] {
        assert_eq!(change("Running", "Always", true, path), Change::Now, "{path}");
    }
    for path in ["metadata.name", "spec.idleShutdown.enabled"] {
        let change = change("Running", "OnStop", true, path);
        assert!(matches!(change, Change::Refused(_)), "{path}");
    }
    let claim = workspace_of(json!({"storage": {"claimName": "own"}}));
    assert_eq!(form_of(&template, Some(&claim)).field("spec.storage.size"), None);
}

#[test]
fn what_the_template_requires_has_a_field_and_what_it_gives_has_none() {
    let template = json!({
        "displayName": "t", "defaultImage": "uv",
        "labelRequirements": [{"name": "tier", "required": true}, {"name": "given", "required": true}, {"name": "free"}],
        "baseLabels": [{"name": "given", "value": "x"}],
        "envRequirements": [{"name": "COURSE", "required": true, "regex": "[a-z]+"}],
        "environmentVariables": [{"name": "ROOM", "value": "{lab.room}"}],
    });
    let form = form_of(&template, None);
    let asked = form
        .fields
        .iter()
        .filter(|field| field.section.starts_with("Asked"));
    let asked: Vec<_> = asked.map(|field| field.path.as_str()).collect();
    assert_eq!(
        asked,
        [
            "metadata.labels[tier]",
            "spec.env[COURSE]",
            "spec.variables[lab.room]"
        ]
    );
    let base = workspace_of(json!({"env": [{"name": "A", "value": "1"}]}));
    let values = sent(&[(asked[0], "gold"), (asked[1], "ml"), (asked[2], "7")]);
    let filled_ = filled(&form, &values, &base);
    assert_eq!(filled_.errors, []);
    let workspace = filled_.workspace;
    let env = serde_json::to_value(&workspace.spec.env).unwrap();
    assert_eq!(
        env,
        json!([{"name": "A", "value": "1"}, {"name": "COURSE", "value": "ml"}])
    );
    assert_eq!(workspace.metadata.labels.as_ref().unwrap()["tier"], "gold");
    assert_eq!(workspace.spec.variables["lab.room"], "7");
    assert_eq!(
        super::values(&form, &workspace).get("spec.env[COURSE]"),
        Some("ml")
    );
    assert_eq!(not_shown(&form, &workspace), ["spec.env"]);
    let emptied = filled(&form, &sent(&[(asked[1], "")]), &workspace).workspace;
    assert_eq!(emptied.spec.env, base.spec.env);
}

/// Texts that a page, a control or the encoding of a form may change.
fn text() -> impl Strategy<Value = String> {
    const PARTS: [&str; 14] = [
        "a", "7", " ", "\t", "\n", "\r", "\r\n", "\0", "\u{b}", "\u{85}", "e\u{301}", "<", "&amp;", "\"",
    ];
    prop::collection::vec(prop::sample::select(&PARTS[..]), 0..8).prop_map(|parts| parts.concat())
}

/// A stored workspace with a text in each place that a control shows, and with what has no control.
fn workspace() -> impl Strategy<Value = Workspace> {
    prop::collection::vec(text(), 16).prop_map(|texts| {
        let mut texts = texts.into_iter();
        let mut text = || texts.next().unwrap_or_default();
        let mut workspace = workspace_of(json!({
            "displayName": text(), "image": text(), "shmSize": text(), "port": 9000,
            "resources": {"limits": {"cpu": text(), "memory": text(), "example.org/fpga": text()}, "requests": {"cpu": text()}},
            "storage": {"size": text(), "mountPath": text(), "retain": "Retain"},
            "env": [{"name": "COURSE", "value": text()}, {"name": "F", "valueFrom": {"fieldRef": {"fieldPath": text()}}}],
            "variables": {"course": text(), "lab.room": text()},
            "idleShutdown": {"enabled": true, "idleTimeoutInMinutes": 30},
            "executionProfileRef": text(), "accessType": "Public",
        }));
        workspace.metadata.labels = Some([("tier".to_owned(), text()), ("own".to_owned(), text())].into());
        workspace
    })
}

/// What a browser sends of an open form that shows `workspace`.
fn untouched(form: &Form, workspace: &Workspace) -> Values {
    let shown = values(form, workspace);
    let of_input = |value: &str| value.replace(['\r', '\n'], "").replace('\0', "\u{fffd}");
    let fields = form
        .fields
        .iter()
        .filter(|field| !matches!(field.change, Change::Refused(_)));
    Values(
        fields
            .map(|field| {
                (
                    field.path.clone(),
                    of_input(shown.get(&field.path).unwrap_or_default()),
                )
            })
            .collect(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_form_changes_what_its_user_touched_and_no_other_byte(workspace in workspace()) {
        let form = form_of(&json!({
            "displayName": "t", "defaultImage": "uv", "allowCustomImages": true, "primaryStorage": {"defaultSize": "1Gi"},
            "labelRequirements": [{"name": "tier", "required": true}], "envRequirements": [{"name": "COURSE", "required": true}],
            "environmentVariables": [{"name": "ROOM", "value": "{lab.room}"}],
        }), Some(&workspace));
        let sent = untouched(&form, &workspace);
        prop_assert!(sent.0.len() > 10, "{:?}", sent);
        let back = filled(&form, &sent, &workspace);
        prop_assert_eq!(&back.errors, &[]);
        prop_assert_eq!(&back.workspace, &workspace);
        for field in form.fields.iter().filter(|field| sent.get(&field.path).is_some()) {
            let another = match &field.kind {
                Kind::Choice(choices) | Kind::Option(choices) => choices.last().map_or("", |choice| &choice.value),
                Kind::Quantity { .. } | Kind::Number { .. } => "3",
                Kind::Text { .. } | Kind::Image { .. } => "typed",
            };
            let mut sent = sent.clone();
            sent.0.insert(field.path.clone(), another.to_owned());
            let changed = filled(&form, &sent, &workspace);
            prop_assert_eq!(&changed.errors, &[], "{}", field.path);
            let now = values(&form, &changed.workspace);
            prop_assert_eq!(now.get(&field.path).unwrap_or_default(), another);
            prop_assert_eq!(not_shown(&form, &changed.workspace), not_shown(&form, &workspace));
        }
    }
}
