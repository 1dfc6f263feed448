//! Manifest -> violations of rules that need no template, in the webhook's words (pure).

use api::Workspace;
use kube::CustomResourceExt as _;
use rules::schema::Schema;
use rules::{References, Settings, Violations};
use serde_json::Value;

use crate::failure::flag_of;

/// Settings with placeholders for the image and the gateway's address where the cluster would choose them, which the client does not
/// know. References to Secrets, `ConfigMaps` and claims are the cluster's to judge.
pub(crate) const SETTINGS: &str = "{defaultImage: registry.example/image:1, gatewayAddress: 'https://gateway.example/verify', \
                                   allowUnvouchedReferences: true}";

/// All violations of what the flags say; `None`: there are none.
pub(crate) fn violations(manifest: &Value) -> Option<Violations> {
    // The other violations are about values that the cluster fills in.
    of(manifest, |field| flag_of(field).is_some())
}

/// All violations of a manifest that hold whatever the cluster fills in: without a template, of all fields; with one, of those that
/// flags set, too.
pub(crate) fn violations_of_manifest(manifest: &Value) -> Option<Violations> {
    let has_template = manifest["spec"]["templateRef"].is_string();
    of(manifest, |field| !has_template || flag_of(field).is_some())
}

fn of(manifest: &Value, counts: impl Fn(&str) -> bool) -> Option<Violations> {
    let faults = Schema::of(&Workspace::crd()).faults(&manifest["spec"], None);
    let mut found: Vec<_> = faults.violations().cloned().collect();
    // What cannot be parsed is replaced, so that the other rules are checked, too.
    let mut readable = manifest.clone();
    faults.make_readable(&mut readable["spec"]);
    let workspace: Option<Workspace> = serde_json::from_value(readable).ok();
    if let (Some(workspace), Ok(settings)) = (workspace, Settings::parse(SETTINGS)) {
        let judged = rules::judge(&workspace, &References::managed_by([]), &settings).violations;
        let judged = judged.iter().flat_map(Violations::iter);
        let combined = judged.filter(|it| counts(&it.field) && !faults.covers(it));
        found.extend(combined.cloned());
    }
    Violations::of(found).map(Violations::in_order)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::CreateArgs;
    use crate::object::manifest;

    fn combined(flags: &[&str]) -> Vec<String> {
        let args = CreateArgs::parse_from(["x", "demo"].iter().chain(flags));
        let found = violations(&manifest(&args.flags, None).unwrap());
        found
            .iter()
            .flat_map(Violations::iter)
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn each_flag_is_judged_by_the_rules_of_its_field() {
        for (flags, expected) in [
            (
                ["--display-name", "a\nb"],
                r#"spec.displayName: "a\nb" is no line of plain text: "#,
            ),
            (["--display-name", "a\u{202e}b"], "spec.displayName: "),
            (["--display-name", "\u{1b}[31mred"], "spec.displayName: "),
            (
                ["--template", "My Template"],
                r#"spec.templateRef: "My Template" is no name of an object: "#,
            ),
            (
                ["--template", "a\nb"],
                r#"spec.templateRef: "a\nb" is no name of an object: "#,
            ),
            (
                ["--storage", "10"],
                r#"spec.storage.size: "10" is smaller than any disk: ask for at least 1Mi, and mind the unit"#,
            ),
            (["--memory", "1"], r#"spec.resources.limits.memory: "1" "#),
            (["--cpu", "1000000"], r#"spec.resources.limits.cpu: "1000000" "#),
        ] {
            let found = combined(&flags);
            assert!(
                found.iter().any(|line| line.starts_with(expected)),
                "{flags:?}: {found:?}"
            );
        }
        let long = "x".repeat(101);
        let found = combined(&["--display-name", &long]);
        assert!(found[0].contains("more than the maximum 100"), "{found:?}");
    }

    #[test]
    fn all_violations_are_reported_at_once() {
        let found = combined(&["--display-name", "a\tb", "--template", "T", "--storage", "1"]);
        assert_eq!(found.len(), 3, "{found:?}");
    }

    #[test]
    fn values_that_only_the_cluster_knows_are_not_checked() {
        for flags in [
            &[][..],
            &["--image", "an-alias-of-theirs"],
            &[
                "--template",
                "any",
                "--cpu",
                "50m",
                "--memory",
                "8Mi",
                "--storage",
                "100Ti",
            ],
            &[
                "--cpu",
                "96",
                "--memory",
                "700Gi",
                "--display-name",
                "Übung 1 – 東京",
            ],
        ] {
            assert_eq!(combined(flags), [""; 0], "{flags:?}");
        }
    }
}
