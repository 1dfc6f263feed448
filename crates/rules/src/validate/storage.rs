//! Effective home and the template's bounds on disks -> violations (pure).

use api::{WorkspaceSpec, WorkspaceTemplateSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as RawQuantity;

use crate::checks::{mount_path, size as size_of_disk};
use crate::effective::Home;
use crate::quantity::Quantity;
use crate::violation::Violation;

const SIZE: &str = "spec.storage.size";

pub(super) fn workspace(
    given: &WorkspaceSpec,
    home: &Home,
    template: Option<&WorkspaceTemplateSpec>,
) -> Vec<Violation> {
    let mut found = Vec::new();
    // The size of an ephemeral home comes from the settings, which are validated when they are read.
    if !matches!(home, Home::Ephemeral { .. }) {
        found.extend(mount_path("spec.storage.mountPath", home.mount_path()));
    }
    let Home::Disk { size, .. } = home else {
        return found;
    };
    let filled = if given
        .storage
        .as_ref()
        .is_some_and(|storage| storage.size.is_some())
    {
        ""
    } else {
        "(filled in, since unset) "
    };
    let unusable = size_of_disk(SIZE, size);
    let bounds = template.and_then(|template| template.primary_storage.as_ref());
    if let (None, Some(bounds), Ok(amount)) = (&unusable, bounds, Quantity::try_from(size)) {
        let end = |raw: &Option<RawQuantity>| raw.as_ref().and_then(|raw| Quantity::try_from(raw).ok());
        if let Some(min) = end(&bounds.min_size)
            && amount < min
        {
            let rule = format!("{filled}is less than the template's minimum {min}: ask for at least {min}");
            found.push(Violation::new(SIZE, &size.0, rule));
        }
        if let Some(max) = end(&bounds.max_size)
            && amount > max
        {
            let rule = format!("{filled}is more than the template's maximum {max}: ask for at most {max}");
            found.push(Violation::new(SIZE, &size.0, rule));
        }
    }
    found.extend(unusable);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Settings, effective};

    fn lines(storage: Value, bounds: Value) -> Vec<String> {
        let settings = Settings::parse("defaultImage: d:1").unwrap();
        let spec = WorkspaceSpec {
            storage: serde_json::from_value(storage).unwrap(),
            ..Default::default()
        };
        let template = WorkspaceTemplateSpec {
            primary_storage: serde_json::from_value(bounds).unwrap(),
            ..Default::default()
        };
        let effective = effective(&spec, Some(&template), &settings);
        workspace(&spec, &effective.home, Some(&template))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn sizes_pass_up_to_and_including_the_bounds() {
        let bounds = json!({"minSize": "1Gi", "maxSize": "10Gi"});
        for size in ["1Gi", "1073741824", "10Gi", "10240Mi"] {
            assert!(lines(json!({"size": size}), bounds.clone()).is_empty(), "{size}");
        }
        assert_eq!(
            lines(json!({"size": "1073741823"}), bounds.clone()),
            [
                r#"spec.storage.size: "1073741823" is less than the template's minimum 1Gi: ask for at least 1Gi"#
            ]
        );
        assert_eq!(
            lines(json!({"size": "10737418241"}), bounds),
            [
                r#"spec.storage.size: "10737418241" is more than the template's maximum 10Gi: ask for at most 10Gi"#
            ]
        );
    }

    #[test]
    fn a_size_that_was_filled_in_is_checked_too() {
        let found = lines(json!(null), json!({"maxSize": "5Gi"}));
        assert_eq!(
            found,
            [
                r#"spec.storage.size: "10Gi" (filled in, since unset) is more than the template's maximum 5Gi: ask for at most 5Gi"#
            ]
        );
    }

    #[test]
    fn every_fault_of_a_disk_is_named_at_once() {
        let found = lines(
            json!({"size": "0", "mountPath": "/a/../etc"}),
            json!({"maxSize": "1Gi"}),
        );
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("spec.storage.mountPath: "));
        assert!(found[1].starts_with("spec.storage.size: "));
    }
}
