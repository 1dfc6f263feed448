//! A Workspace of the earlier jupyter-k8s -> parts of ours (pure).

use std::collections::BTreeSet;

use serde_json::json;

use super::strategy::{self, Strategy};
use super::{metadata, table, template};
use crate::assemble::Candidate;
use crate::container::{Out, resources, variables};
use crate::draft::{Draft, Target};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::read::Object;
use crate::secrets::{Owner, Secrets};
use crate::table::{COMMON, Place, apply};
use crate::templates::Need;
use crate::{Options, names};

/// The reference to an access strategy.
pub(super) const ACCESS: &str = "spec.accessStrategy";

/// What is known beside the Workspaces.
pub(super) struct Context<'c> {
    pub(super) options: &'c Options,
    pub(super) strategies: &'c [Strategy<'c>],
    /// Namespaces and names of claims. Empty: the input has none, and says nothing of them.
    pub(super) claims: &'c BTreeSet<(&'c str, &'c str)>,
}

/// The parts of one Workspace, which has this template, and the template this access strategy.
pub(super) fn draft<'a>(
    number: usize,
    object: &'a Object,
    template: Option<(&Object, Option<usize>)>,
    context: &Context<'_>,
    secrets: &mut Secrets,
    ledger: &mut Ledger,
) -> Candidate<'a> {
    let mut draft = Draft::default();
    let name = names::workspace(&object.name);
    let old = format!("workspaces.{}/{}", object.group, object.name);
    own(object, &mut draft);
    let place = Place::whole(number, &object.value);
    apply(
        &[COMMON, table::IDLE, table::WORKSPACE],
        &place,
        ledger,
        &mut draft,
    );
    secrets.name(
        number,
        Owner {
            old: old.clone(),
            uid: object.uid().map(str::to_owned),
            namespace: object.namespace.clone(),
            secret: format!("imported-{name}"),
            into: vec![object.namespace.clone()],
        },
    );
    let owner = identify(number, object, &name, context.options, &mut draft);
    metadata::maps(number, object, Target::Workspace, ledger, &mut draft);
    let strategy = strategy::find(context.strategies, object, ACCESS);
    if let Some(found) = strategy {
        let is_taken = template.is_none_or(|(_, of_template)| of_template == strategy);
        let changes_pods = strategy::changes_pods(context.strategies[found].1);
        metadata::strategy(number, ACCESS, is_taken || !changes_pods, ledger);
    }
    metadata::last_use(object, "spec.idleShutdown", Target::Workspace, &mut draft);
    home(&place, object, context, ledger, &mut draft);
    shared_memory(&place, &mut draft);
    account(&place, &mut draft);
    let amounts = Path::of("spec.resources");
    resources(&place.at(&amounts), Target::Workspace, &amounts, &mut draft);
    let is_copied = copied(&place, template.map(|(template, _)| template), ledger);
    let mut out = Out {
        secrets,
        ledger,
        draft: &mut draft,
    };
    let list = Path::of("spec.env");
    variables(&place.at(&list), (Target::Workspace, &list), &[], &mut out);
    if !is_copied {
        template::containers(&place, "spec.initContainers", Target::Workspace, &mut out);
    }
    if let Some(strategy) = strategy.filter(|_| template.is_none()) {
        strategy::take(&context.strategies[strategy], &mut out);
    }
    metadata::adapt(Target::Workspace, &mut draft);
    metadata::adapt(Target::Template, &mut draft);
    Candidate {
        object,
        draft,
        name,
        old,
        owner,
    }
}

/// What the old product does without a field. What the source says comes later, and counts.
fn own(object: &Object, draft: &mut Draft) {
    let shown: String = object.name.chars().take(100).collect();
    for (field, value) in [
        ("spec.displayName", shown.as_str()),
        ("spec.desiredStatus", "Stopped"),
        ("spec.accessType", "Public"),
        ("spec.ownershipType", "Public"),
    ] {
        draft.put([], Target::Workspace, Path::of(field), value);
    }
}

/// Name and owner.
fn identify(
    number: usize,
    object: &Object,
    name: &str,
    options: &Options,
    draft: &mut Draft,
) -> Option<String> {
    for (field, value) in [("name", name), ("namespace", object.namespace.as_str())] {
        let at = Path::of("metadata").key(field);
        draft.put([(number, at.clone())], Target::Workspace, at, value);
    }
    let annotations = Path::of("metadata.annotations");
    let creator = annotations.key(table::CREATED_BY);
    let user = creator
        .get(&object.value)
        .as_str()
        .filter(|user| !user.is_empty())?;
    let owner = names::owner(options.user_prefix.as_deref(), user);
    let at = annotations.key(api::names::CREATED_BY);
    draft.put([(number, creator)], Target::Workspace, at, owner.as_str());
    Some(owner)
}

/// The disk: the claim that the old operator made, or a new disk where that one never was.
fn home(place: &Place<'_>, object: &Object, context: &Context<'_>, ledger: &mut Ledger, draft: &mut Draft) {
    let storage = Path::of("spec.storage");
    if !storage.get(place.value).is_object() {
        return;
    }
    // The second is the first's name in old versions.
    let claims = ["workspace", "jupyter"].map(|start| format!("{start}-{}-pvc", object.name));
    let is_there = |claim: &&String| {
        let key = (object.namespace.as_str(), claim.as_str());
        context.claims.is_empty() || context.claims.contains(&key)
    };
    let claim = claims.iter().find(is_there);
    let mut from = Vec::new();
    for leaf in ledger.leaves(place.object, &storage) {
        let value = leaf.get(place.value);
        if leaf == storage || ["size", "storageClassName"].iter().any(|it| leaf.ends_with(it)) {
            from.push((place.object, leaf.clone()));
            if claim.is_none() && !value.is_null() {
                let from = [(place.object, leaf.clone())];
                draft.put(from, Target::Workspace, leaf, value.clone());
            }
        } else if leaf.ends_with("mountPath") && !value.is_null() {
            let from = [(place.object, leaf.clone())];
            draft.put(from, Target::Workspace, leaf, value.clone());
        }
    }
    if let Some(claim) = claim {
        draft.put(from, Target::Workspace, storage.key("claimName"), claim.as_str());
    } else {
        let why = "the input holds no claim of it: a new disk is made";
        let fate = Fate::new(Outcome::Became, why);
        for (number, leaf) in from {
            ledger.tell(number, &leaf, &fate);
        }
    }
}

/// The old operator's `/dev/shm` is as large as the memory.
fn shared_memory(place: &Place<'_>, draft: &mut Draft) {
    let at = Path::of("spec.sharedMemory");
    let value = at.get(place.value);
    if !value.is_object() || value["enabled"] == false {
        return;
    }
    let resources = &place.value["spec"]["resources"];
    let amount = ["limits", "requests"].map(|map| &resources[map]["memory"]);
    if let Some(amount) = amount.into_iter().find(|amount| amount.is_string()) {
        let leaf = if value["enabled"] == true {
            at.key("enabled")
        } else {
            at
        };
        draft.put(
            [(place.object, leaf)],
            Target::Workspace,
            Path::of("spec.shmSize"),
            amount.clone(),
        );
    }
}

/// Whether the init containers are those of the template, from which the old webhook copied them. Templates here need not allow these.
fn copied(place: &Place<'_>, template: Option<&Object>, ledger: &mut Ledger) -> bool {
    let at = Path::of("spec.initContainers");
    let own = at.get(place.value);
    let is_copied =
        own.is_array() && template.is_some_and(|it| it.value["spec"]["defaultInitContainers"] == *own);
    if is_copied {
        let fate = Fate::new(Outcome::SameByDefault, "the template has the same");
        ledger.tell(place.object, &at, &fate);
    }
    is_copied
}

/// Kubernetes gives a pod the token of its account.
fn account(place: &Place<'_>, draft: &mut Draft) {
    let at = Path::of("spec.serviceAccountName");
    if at
        .get(place.value)
        .as_str()
        .is_some_and(|account| !account.is_empty())
    {
        let to = Path::of("spec.automountToken");
        draft.put([(place.object, at)], Target::Profile, to, true);
    }
}

/// What a Workspace without a template needs of one.
pub(super) fn need(candidate: &Candidate<'_>) -> Need {
    let workspace = candidate.draft.build(Target::Workspace);
    let spec = &workspace["spec"];
    let of_strategy = candidate.draft.build(Target::Template);
    let mut needed = json!({"defaultAccessType": "Public", "defaultOwnershipType": "Public"});
    for (field, value) in of_strategy["spec"].as_object().into_iter().flatten() {
        needed[field] = value.clone();
    }
    for (field, allows) in [
        ("nodeSelector", "allowCustomScheduling"),
        ("affinity", "allowCustomScheduling"),
        ("tolerations", "allowCustomScheduling"),
        ("podSecurityContext", "allowCustomSecurityContext"),
        ("containerSecurityContext", "allowCustomSecurityContext"),
        ("initContainers", "allowCustomInitContainers"),
    ] {
        if !spec[field].is_null() {
            needed[allows] = true.into();
        }
    }
    Need {
        spec: needed,
        // Without one it is the installation's own.
        image: spec["image"].as_str().unwrap_or("uv").to_owned(),
        resources: spec["resources"].clone(),
    }
}
