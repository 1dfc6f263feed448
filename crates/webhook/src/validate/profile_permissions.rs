//! What a profile newly gives pods -> what its author may not have (IO).
//!
//! Users of the profile see the content of its Secrets and ConfigMaps, and act as its service accounts with their tokens.
//! Its author must have the same permissions.

use std::collections::BTreeMap;

use api::WorkspaceExecutionProfile;
use kube::api::DynamicObject;
use rules::Violation;
use rules::validate::{Part, Resource, named_in_variables};

use super::references;
use crate::lookups::{LookupError, Lookups, Right};
use crate::review::Request;

const SECRETS: &str = "secrets";
const CONFIG_MAPS: &str = "configmaps";
/// The permission to create accounts. An annotation of an account can bind an identity of the cloud to it.
const ACCOUNTS: &str = "serviceaccounts";
/// The permission to create a token of an account, which lets a user act as it.
/// Clouds identify pods by their account. So each named account needs this permission, with or without a token.
const TOKENS: &str = "serviceaccounts/token";

/// How pods get an object that a profile names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Exposure {
    /// Pods see the whole object.
    Mount,
    /// Pods see one key.
    Key(String),
    /// Nodes pull images with it. No pod sees it.
    Pull,
    /// Pods run as it.
    Account,
    /// The account of each pod has this annotation.
    Annotation(String, String),
    /// Pods have its token for this audience; the API server's without one.
    Token(Option<String>),
}

impl Exposure {
    /// Whether a permission for this includes the other.
    fn covers(&self, other: &Self) -> bool {
        *self == Self::Mount || self == other
    }
}

/// Resource, name and exposure -> the first field that names it.
type Targets = BTreeMap<(&'static str, String, Exposure), String>;

/// References that the user has no permission for.
pub(super) async fn forbidden(request: &Request, lookups: &Lookups) -> Result<Vec<Violation>, LookupError> {
    // A stored object that cannot be parsed attests nothing.
    let known = request.old.as_ref().and_then(read).unwrap_or_default();
    let new = read(&request.object).unwrap_or_default();
    let asked: Vec<(Right, String)> = references::newly_named(new, &known, Exposure::covers)
        .into_iter()
        .map(|((resource, name), field)| (right(request, resource, name), field))
        .collect();
    references::without_right(request, asked, lookups).await
}

fn right(request: &Request, resource: &str, name: String) -> Right {
    Right {
        verb: if matches!(resource, ACCOUNTS | TOKENS) {
            "create"
        } else {
            "get"
        },
        group: "",
        version: "v1",
        resource: resource.to_owned(),
        namespace: request.namespace.clone(),
        name,
    }
}

fn read(object: &DynamicObject) -> Option<Targets> {
    let profile: WorkspaceExecutionProfile = object.clone().try_parse().ok()?;
    Some(targets(&profile))
}

/// Objects that pods with this profile can see.
fn targets(profile: &WorkspaceExecutionProfile) -> Targets {
    let mut found = Targets::new();
    let mut add = |resource, name: &str, exposure: Exposure, field: String| {
        found
            .entry((resource, name.to_owned(), exposure))
            .or_insert(field);
    };
    let account = profile.spec.service_account.as_ref();
    let name = account.and_then(|account| account.name.as_deref());
    if let Some(name) = name {
        let field = "spec.serviceAccount.name".to_owned();
        add(TOKENS, name, Exposure::Account, field);
    }
    if let Some(own) = account.and_then(|account| account.per_workspace.as_ref()) {
        let field = "spec.serviceAccount.perWorkspace";
        add(ACCOUNTS, "", Exposure::Account, field.to_owned());
        for (key, value) in &own.annotations {
            let exposure = Exposure::Annotation(key.clone(), value.clone());
            add(ACCOUNTS, "", exposure, format!("{field}.annotations[{key}]"));
        }
    }
    // Accounts that the operator makes have no name yet: their author needs the permission for all.
    let tokens = name.unwrap_or_default();
    if profile.spec.automount_token {
        let field = "spec.automountToken".to_owned();
        add(TOKENS, tokens, Exposure::Token(None), field);
    }
    for (index, token) in profile.spec.projected_tokens.iter().enumerate() {
        let exposure = Exposure::Token(Some(token.audience.clone()));
        add(TOKENS, tokens, exposure, format!("spec.projectedTokens[{index}]"));
    }
    for (index, mount) in profile.spec.secret_mounts.iter().enumerate() {
        add(
            SECRETS,
            &mount.secret_name,
            Exposure::Mount,
            format!("spec.secretMounts[{index}].secretName"),
        );
    }
    // Nodes read these Secrets, and a pull shows whether they are valid. So the author needs the permission to read them.
    for (index, secret) in profile.spec.image_pull_secrets.iter().enumerate() {
        add(
            SECRETS,
            &secret.name,
            Exposure::Pull,
            format!("spec.imagePullSecrets[{index}].name"),
        );
    }
    for named in named_in_variables("spec.env", &profile.spec.env) {
        let resource = match named.resource {
            Resource::Secret => SECRETS,
            Resource::ConfigMap | Resource::Claim => CONFIG_MAPS,
        };
        if let Part::Key(key) = named.part {
            add(resource, &named.name, Exposure::Key(key), named.field);
        }
    }
    found
}
