//! Changed field -> what a form says of it and what the record shows agree (tests).

use api::Workspace;
use rules::form::{Change, Field, Kind, Offer, Values, filled, form};
use rules::{References, ValidWorkspace};
use serde_json::json;
use testkit::objects;

use super::{of, pending};
use crate::testing;

fn admit(workspace: &Workspace) -> ValidWorkspace {
    let manager = objects::manager("main");
    rules::admit(
        workspace,
        &References::managed_by([&manager]),
        &testing::settings(),
    )
    .unwrap()
}

/// Names of controls and other values for a field; `None`: it has none here.
fn another(field: &Field) -> Option<Vec<(String, &'static str)>> {
    let one = |value| Some(vec![(field.path.clone(), value)]);
    let row = |parts: [(&str, &'static str); 2]| {
        let names = parts.map(|(name, value)| (format!("{}[0].{name}", field.path), value));
        Some(names.to_vec())
    };
    match (&field.kind, field.path.as_str()) {
        (_, "spec.resources.limits.cpu") => one("3"),
        (_, "spec.resources.requests.cpu") => one("150m"),
        (_, "spec.resources.limits.memory") => one("3Gi"),
        (_, "spec.resources.requests.memory") => one("200Mi"),
        (_, "spec.storage.size") => one("8Gi"),
        (_, "spec.storage.mountPath") => one("/work"),
        (_, "spec.storage.subPath") => one("data"),
        (Kind::Quantity { .. }, _) => one("64Mi"),
        (Kind::Number { .. }, _) => one("3333"),
        (Kind::Toggle { .. }, _) => one("true"),
        (Kind::Image { .. }, _) => one("r.example.org/other:1"),
        (Kind::Choice(_), "spec.storage.retain") => one("Retain"),
        (Kind::Choice(_), "spec.updatePolicy") => one("Always"),
        (Kind::Choice(_), "spec.accessType" | "spec.ownershipType") => one("Public"),
        (Kind::Env { .. }, _) => row([("name", "A"), ("value", "b")]),
        (Kind::Volumes { .. }, _) => {
            let mut names = row([("name", "data"), ("mountPath", "/data")])?;
            names.push(("spec.volumes[0].persistentVolumeClaimName".to_owned(), "data"));
            Some(names)
        }
        (Kind::Text { .. }, "spec.displayName") => one("Other"),
        (Kind::Text { .. } | Kind::Choice(_), _) => None,
    }
}

#[test]
fn a_form_says_next_start_of_exactly_the_fields_whose_change_the_record_shows() {
    let mut base = serde_json::to_value(objects::workspace("demo")).unwrap();
    base["spec"]["storage"] = json!({"size": "5Gi"});
    base["status"] = json!({"startedAt": "2026-01-01T00:00:00Z"});
    let base: Workspace = serde_json::from_value(base).unwrap();
    let settings = testing::settings();
    let offer = Offer {
        template: None,
        profiles: &[],
        settings: &settings,
    };
    let form = form(&offer, Some(&base));
    let recorded = of(&admit(&base));
    let mut compared = 0;
    for field in &form.fields {
        let is_pending = match field.change {
            Change::NextStart => true,
            Change::Now => false,
            Change::Refused(_) => continue,
            Change::New | Change::RestartsNow => unreachable!("{field:?}"),
        };
        let values = another(field).unwrap_or_else(|| unreachable!("a value for {field:?}"));
        let values = Values(
            values
                .into_iter()
                .map(|(name, value)| (name, value.to_owned()))
                .collect(),
        );
        let changed = filled(&form, &values, Some(&base));
        assert_eq!(changed.errors, Vec::new());
        assert_ne!(changed.workspace.spec, base.spec, "{}", field.path);
        let found = pending(&recorded, &admit(&changed.workspace));
        assert_eq!(!found.is_empty(), is_pending, "{}: {found:?}", field.path);
        compared += 1;
    }
    assert!(compared > 15, "{compared} fields");
}
