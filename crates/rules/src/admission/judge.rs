//! Workspace, template, managers and settings -> valid workspace, or all reasons against it (pure).

use std::borrow::Cow;
use std::collections::BTreeMap;

use api::{Workspace, WorkspaceManager, WorkspaceTemplate};

use super::managers;
use super::references::References;
use super::rejection::{MissingReference, Rejection};
use super::valid::{Choices, ValidWorkspace, resolve};
use crate::effective::expand::with_variables;
use crate::effective::options::{Resolution, laid};
use crate::effective::{Effective, effective, profile};
use crate::objects::{Objects, render_template};
use crate::settings::Settings;
use crate::violation::Violations;
use crate::{checks, routes, validate};

/// The complete validation result of a workspace.
#[derive(Debug, Clone, PartialEq)]
pub struct ValidationResult {
    /// The effective values. While the template is missing, they are computed without it.
    pub effective: Effective,
    /// All violations. While the template is missing, only those of rules that need no template.
    pub violations: Option<Violations>,
    /// The first missing object.
    pub missing_reference: Option<MissingReference>,
}

/// Validates the effective workspace.
pub fn judge(workspace: &Workspace, references: &References<'_>, settings: &Settings) -> ValidationResult {
    resolve_and_judge(workspace, references, settings).validation
}

struct Judged<'w, 'a> {
    validation: ValidationResult,
    manager: Option<&'a WorkspaceManager>,
    template: Option<Cow<'a, WorkspaceTemplate>>,
    /// The workspace with the variables of its choices.
    workspace: Cow<'w, Workspace>,
    /// Option -> choice.
    options: BTreeMap<String, String>,
    objects: Objects,
}

fn resolve_and_judge<'w, 'a>(
    workspace: &'w Workspace,
    references: &References<'a>,
    settings: &Settings,
) -> Judged<'w, 'a> {
    let spec = &workspace.spec;
    let raw = references.template;
    let manager_ref = spec
        .manager_ref
        .as_deref()
        .or_else(|| raw?.spec.manager_ref.as_deref())
        .or(settings.default_manager.as_deref());
    let (manager, missing_manager) = match managers::choose(manager_ref, references.managers.iter().copied())
    {
        Ok(manager) => (Some(manager), None),
        Err(missing_reference) => (None, Some(missing_reference)),
    };
    let mut violations = checks::name(workspace.metadata.name.as_deref().unwrap_or_default());
    violations.extend(validate::without_template(workspace, settings));
    let (chosen, template, options) = match raw.map(|raw| laid(workspace, raw)) {
        Some(laid) => (laid.workspace, Some(laid.template), laid.resolution),
        None => (Cow::Borrowed(workspace), None, Resolution::default()),
    };
    violations.extend(options.violations.iter().cloned());
    let mut is_expanded = true;
    let template = raw.zip(template);
    let template =
        template.map(
            |(raw, template)| match with_variables(&chosen, template, manager, settings) {
                Ok(template) => template,
                Err(faults) => {
                    is_expanded = false;
                    violations.extend(validate::expansion_violation(raw, faults));
                    laid(workspace, raw).template
                }
            },
        );
    let effective = effective(spec, template.as_ref().map(|template| &template.spec), settings);
    violations.extend(validate::workspace(&validate::Case {
        workspace,
        effective: &effective,
        template: template.as_deref(),
        raw_template: raw,
        profile: references.profile,
        settings,
    }));
    let bounds = template.as_ref().map(|template| &template.spec);
    violations.extend(validate::recovery(spec, &effective, bounds, manager, settings));
    if is_expanded {
        violations.extend(validate::unattested(workspace, raw, manager, settings));
    }
    // A workspace that is being created has no UID yet. Its variables have sample values of the same format.
    let of_profile = references
        .profile
        .and_then(|found| profile::resolve(workspace, found).err());
    violations.extend(of_profile.into_iter().flatten());
    let of_routes = manager.and_then(|manager| routes::render(&chosen, &effective, manager, settings).err());
    violations.extend(of_routes.into_iter().flatten());
    let objects = raw.map_or_else(
        || Ok(Objects::none()),
        |raw| render_template(workspace, raw, &options, settings),
    );
    let objects = objects.unwrap_or_else(|violation| {
        violations.push(violation);
        Objects::none()
    });
    let missing_template = match (&spec.template_ref, raw) {
        (Some(name), None) => Some(MissingReference::TemplateNotFound { name: name.clone() }),
        _ => None,
    };
    let missing_profile = match (&effective.profile_ref, references.profile) {
        // In recovery the pod has no profile.
        (Some(name), None) if !spec.recovery_mode => {
            Some(MissingReference::ExecutionProfileNotFound { name: name.clone() })
        }
        _ => None,
    };
    Judged {
        validation: ValidationResult {
            effective,
            violations: Violations::from_list(violations),
            missing_reference: missing_template.or(missing_manager).or(missing_profile),
        },
        manager,
        template,
        workspace: chosen,
        options: options.names(),
        objects,
    }
}

/// Validates a stored workspace and resolves it for planning.
/// Violations come before missing objects, because the workspace's author can fix violations.
pub fn admit(
    workspace: &Workspace,
    references: &References<'_>,
    settings: &Settings,
) -> Result<ValidWorkspace, Rejection> {
    let Judged {
        validation,
        manager,
        template,
        workspace,
        options,
        objects,
    } = resolve_and_judge(workspace, references, settings);
    if let Some(violations) = validation.violations {
        return Err(Rejection::Violations(violations));
    }
    if let Some(missing_reference) = validation.missing_reference {
        return Err(Rejection::MissingReference(missing_reference));
    }
    let manager = manager.ok_or(Rejection::MissingReference(MissingReference::NoDefaultManager))?;
    let choices = Choices { options, objects };
    resolve(
        &workspace,
        choices,
        validation.effective,
        references,
        template.as_deref().map(|template| &template.spec),
        manager,
        settings,
    )
    .map_err(|violation| Rejection::Violations(violation.into()))
}

#[cfg(test)]
mod tests {
    use api::condition::reason;

    use serde_json::{Value, json};

    use super::*;

    fn settings() -> Settings {
        Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap()
    }

    fn workspace(spec: Value) -> Workspace {
        let mut spec = spec;
        spec["displayName"] = json!("Demo");
        serde_json::from_value(json!({
            "metadata": {
                "name": "demo", "namespace": "team-demo", "uid": "u-1",
                "annotations": {api::names::CREATED_BY: "alice"},
            },
            "spec": spec,
        }))
        .unwrap()
    }

    fn manager(default: bool) -> WorkspaceManager {
        serde_json::from_value(json!({
            "metadata": {"name": "main", "annotations": {api::names::IS_DEFAULT: default.to_string()}},
            "spec": {
                "routing": {"baseDomain": "workspaces.localhost", "port": 8443, "traefik": {}},
                "authentication": {"gateway": {}},
            },
        }))
        .unwrap()
    }

    fn template() -> WorkspaceTemplate {
        serde_json::from_value(json!({
            "metadata": {"name": "prod", "uid": "t-1"},
            "spec": {
                "displayName": "Production",
                "defaultImage": "uv",
                "resourceBounds": {"cpu": {"max": "2"}},
                "primaryStorage": {"defaultSize": "2048Mi"},
            },
        }))
        .unwrap()
    }

    #[test]
    fn a_valid_workspace_has_everything_resolved() {
        let workspace = workspace(json!({"templateRef": "prod", "resources": {"limits": {"cpu": "1000m"}}}));
        let valid = admit(
            &workspace,
            &References::managed_by([&manager(true)]).with_template(Some(&template())),
            &settings(),
        )
        .unwrap();
        assert_eq!(valid.image, "r/jupyter:1");
        assert_eq!(valid.child_name(), "workspace-demo");
        assert_eq!(valid.resources.limits["cpu"].0, "1");
        assert_eq!(valid.port, 8888);
        let url = valid.url.as_deref().unwrap();
        assert!(
            url.starts_with("https://demo-") && url.ends_with(".workspaces.localhost:8443/"),
            "{url}"
        );
        let resolved = valid.resolved();
        assert_eq!(resolved.template_uid.as_deref(), Some("t-1"));
        assert_eq!(resolved.manager.as_deref(), Some("main"));
        assert_eq!(resolved.storage.unwrap().size.unwrap().0, "2Gi");
        assert_eq!(valid.container_resources().limits.unwrap()["memory"].0, "1Gi");
    }

    #[test]
    fn only_the_gateway_signs_assertions() {
        let of = |way: &str| {
            let mut manager = serde_json::to_value(manager(true)).unwrap();
            manager["spec"]["routing"] = json!({"baseDomain": "b.org", "custom": {"resources": []}});
            manager["spec"]["authentication"] = json!({way: {}});
            let manager = serde_json::from_value(manager).unwrap();
            let workspace = workspace(json!({}));
            let valid = admit(&workspace, &References::managed_by([&manager]), &settings());
            valid.unwrap().has_assertions
        };
        assert!(of("gateway"));
        assert!(!of("application") && !of("none"));
    }

    #[test]
    fn a_template_that_names_the_service_has_one() {
        let has_service = |value: &str| {
            let mut template = template();
            let env = json!([{"name": "ADDRESS", "value": value}]);
            template.spec.environment_variables = serde_json::from_value(env).unwrap();
            let manager = manager(true);
            let references = References::managed_by([&manager]).with_template(Some(&template));
            let workspace = workspace(json!({"templateRef": "prod"}));
            admit(&workspace, &references, &settings()).unwrap().has_service
        };
        assert!(has_service("http://{service.name}"));
        assert!(!has_service("http://{workspace.name}"));
    }

    #[test]
    fn the_manager_of_the_settings_comes_before_those_that_are_annotated_as_the_default() {
        let named = |name: &str| {
            let mut manager = manager(name == "elsewhere");
            manager.metadata.name = Some(name.to_owned());
            manager
        };
        let managers = [named("main"), named("elsewhere"), named("third")];
        let ours = Settings {
            default_manager: Some("main".to_owned()),
            ..settings()
        };
        let mut template = template();
        let chosen = |spec: Value, template: &WorkspaceTemplate| {
            let references = References::managed_by(&managers).with_template(Some(template));
            let valid = admit(&workspace(spec), &references, &ours).unwrap();
            valid.resolved().manager
        };
        let spec = || json!({"templateRef": "prod"});
        assert_eq!(chosen(spec(), &template).as_deref(), Some("main"));
        template.spec.manager_ref = Some("elsewhere".to_owned());
        assert_eq!(chosen(spec(), &template).as_deref(), Some("elsewhere"));
        let own = json!({"templateRef": "prod", "managerRef": "third"});
        assert_eq!(chosen(own, &template).as_deref(), Some("third"));
        let gone = admit(
            &workspace(json!({})),
            &References::managed_by([&managers[1]]),
            &ours,
        )
        .unwrap_err();
        assert_eq!(
            gone,
            Rejection::MissingReference(MissingReference::ManagerNotFound { name: "main".into() })
        );
    }

    #[test]
    fn a_missing_template_is_not_a_violation() {
        let rejection = admit(
            &workspace(json!({"templateRef": "prod"})),
            &References::managed_by([&manager(true)]),
            &settings(),
        )
        .unwrap_err();
        assert_eq!(
            rejection,
            Rejection::MissingReference(MissingReference::TemplateNotFound { name: "prod".into() })
        );
        assert_eq!(rejection.reason(), reason::TEMPLATE_NOT_FOUND);
    }

    #[test]
    fn a_required_template_applies_its_bounds_to_every_workspace() {
        let managers = [manager(true)];
        let none = References::managed_by(&managers);
        let free = workspace(json!({"image": "evil:1", "resources": {"limits": {"cpu": "64"}}}));
        assert!(admit(&free, &none, &settings()).is_ok());
        let strict = Settings {
            require_template: true,
            ..settings()
        };
        let refused = admit(&free, &none, &strict).unwrap_err();
        assert_eq!(refused.reason(), reason::RULES_VIOLATED);
        assert!(
            refused.to_string().contains("spec.templateRef: is missing"),
            "{refused}"
        );
        let template = template();
        let bounded = workspace(json!({"templateRef": "prod"}));
        assert!(admit(&bounded, &none.with_template(Some(&template)), &strict).is_ok());
    }

    #[test]
    fn a_missing_manager_is_not_a_violation() {
        let rejection = admit(
            &workspace(json!({})),
            &References::managed_by([&manager(false)]),
            &settings(),
        )
        .unwrap_err();
        assert_eq!(rejection.reason(), reason::MANAGER_NOT_FOUND);
    }

    #[test]
    fn broken_rules_come_before_missing_objects() {
        let workspace = workspace(json!({"templateRef": "prod", "resources": {"limits": {"cpu": "-1"}}}));
        let rejection = admit(&workspace, &References::managed_by([]), &settings()).unwrap_err();
        assert_eq!(rejection.reason(), reason::RULES_VIOLATED);
        let validation = judge(&workspace, &References::managed_by([]), &settings());
        assert!(validation.violations.is_some() && validation.missing_reference.is_some());
    }

    #[test]
    fn every_broken_rule_is_in_one_message() {
        let mut workspace = workspace(json!({
            "templateRef": "prod",
            "image": "evil:1",
            "port": 80,
            "resources": {"requests": {"cpu": "8"}, "limits": {"cpu": "4"}},
            "storage": {"mountPath": "here"},
        }));
        workspace.metadata.name = Some("Not-a-name".into());
        let message = admit(
            &workspace,
            &References::managed_by([&manager(true)]).with_template(Some(&template())),
            &settings(),
        )
        .unwrap_err()
        .to_string();
        for field in [
            "metadata.name",
            "spec.image",
            "spec.resources.requests.cpu",
            "spec.resources.limits.cpu",
            "spec.storage.mountPath",
            "spec.port",
        ] {
            assert!(
                message.contains(&format!("{field}: ")),
                "{field} is missing in: {message}"
            );
        }
    }

    #[test]
    fn a_contradictory_template_admits_no_workspace() {
        let mut template = template();
        template.spec.default_image = "x:y:z".into();
        let message = admit(
            &workspace(json!({"templateRef": "prod"})),
            &References::managed_by([&manager(true)]).with_template(Some(&template)),
            &settings(),
        )
        .unwrap_err()
        .to_string();
        assert!(
            message.starts_with(r#"spec.templateRef: "prod" contradicts itself"#),
            "{message}"
        );
    }

    #[test]
    fn an_object_that_was_never_stored_cannot_be_planned() {
        let mut workspace = workspace(json!({}));
        workspace.metadata.uid = None;
        let message = admit(&workspace, &References::managed_by([&manager(true)]), &settings())
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("metadata.uid: "), "{message}");
    }
}
