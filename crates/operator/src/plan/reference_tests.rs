//! Workspaces of one template -> what one alone mounts by choice was asked about (pure).
//!
//! What a pod reads is taken from the finished objects, by the names of Kubernetes' fields: no list of the product's own fields.

use std::collections::BTreeSet;

use api::{
    Workspace, WorkspaceTemplate,
    names::{ATTESTED_TEMPLATE, CREATED_BY},
};
use kube::ResourceExt;
use proptest::{prelude::*, sample::select, strategy::ValueTree as _, test_runner::TestRunner};
use rules::{
    References, Settings,
    validate::{Part, ReferenceAuthor, Resource, named_by_author},
};
use serde_json::{Value, json};
use testkit::random;

use crate::{plan, testing};

/// An object that a pod reads, or that its disk is a copy of: kind, name, and key, which is empty for the whole object.
type Read = (Resource, String, String);

/// Names that a template's author writes.
const NAMES: [&str; 11] = [
    "fixed",
    "of-{course}",
    "{kind}",
    "{kind}-{course}",
    "{workspace.name}-creds",
    "{service.name}",
    "port-{service.port}",
    "{workspace.namespace}.{workspace.uid}",
    "{owner.slug}",
    "{workspace.host}",
    "{routing.baseDomain}",
];

fn reads(value: &Value, found: &mut BTreeSet<Read>) {
    let read = |resource, name: &Value, key: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        name.as_str().map(|name| (resource, name.to_owned(), text(key)))
    };
    for (field, inner) in value.as_object().into_iter().flatten() {
        found.extend(match field.as_str() {
            "secretName" => read(Resource::Secret, inner, &Value::Null),
            "secret" | "secretRef" | "nodePublishSecretRef" | "secretKeyRef" => {
                read(Resource::Secret, &inner["name"], &inner["key"])
            }
            "configMap" | "configMapRef" | "configMapKeyRef" => {
                read(Resource::ConfigMap, &inner["name"], &inner["key"])
            }
            "claimName" => read(Resource::Claim, inner, &Value::Null),
            "dataSource" | "dataSourceRef" => read(Resource::Claim, &inner["name"], &Value::Null),
            _ => None,
        });
        reads(inner, found);
    }
    value
        .as_array()
        .into_iter()
        .flatten()
        .for_each(|item| reads(item, found));
}

/// Templates that name objects in every place where they can.
fn template_spec() -> impl Strategy<Value = Value> {
    let names = prop::collection::vec(select(NAMES.to_vec()), 11);
    (random::template_spec(false), names).prop_map(|(mut spec, names)| {
        // Where texts of a template are fixed, and in a claim of a further disk.
        let fixed = |name: &str| if name.contains('{') { "of-template".to_owned() } else { name.to_owned() };
        let key = |kind: &str, name: &str, key: &str| json!({"valueFrom": {kind: {"name": name, "key": key}}, "name": "X"});
        let variable = |name: &str, mut variable: Value| {
            variable["name"] = json!(name);
            variable
        };
        let choice = |name: &str, reference: &str, variables: Value| {
            let env = json!([variable("C", key("secretKeyRef", reference, "k"))]);
            json!({"name": name, "default": name == "small", "set": {"variables": variables, "env": env}})
        };
        let amounts = json!({"limits": {"cpu": "10m", "memory": "16Mi"}});
        let fields = json!({
            "environmentVariables": [
                variable("A", key("secretKeyRef", names[0], names[1])), variable("B", key("configMapKeyRef", names[2], "k")),
            ],
            "defaultInitContainers": [{
                "name": "first", "image": "i:1", "resources": amounts,
                "env": [variable("D", key("secretKeyRef", names[3], "k"))],
                "envFrom": [{"secretRef": {"name": names[4]}}, {"configMapRef": {"name": names[5]}}],
            }],
            "defaultVolumes": [{"name": "data", "persistentVolumeClaimName": names[6], "mountPath": "/data"}],
            "options": [{"name": "kind", "choices": [
                choice("small", names[7], json!({"kind": "small"})),
                choice("large", names[8], json!({"kind": "large", "course": "of-large"})),
            ]}],
            "volumeClaims": [{"name": "db", "when": {"kind": ["large"]}, "mountPath": "/db", "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}},
                "dataSourceRef": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": fixed(names[9])},
            }}],
            "podTemplate": {"spec": {"volumes": [
                {"name": "files", "secret": {"secretName": fixed(names[10])}}, {"name": "b", "configMap": {"name": fixed(names[10])}},
                {"name": "d", "projected": {"sources": [{"secret": {"name": fixed(names[10])}}]}},
                {"name": "e", "persistentVolumeClaim": {"claimName": fixed(names[10])}},
            ]}},
        });
        json_patch::merge(&mut spec, &fields);
        spec
    })
}

/// What a person chooses, besides options.
fn workspace_spec() -> impl Strategy<Value = Value> {
    let one_of = |values: Vec<Value>| select(values);
    let fields = (
        one_of(vec![
            json!({}),
            json!({"course": "ml"}),
            json!({"course": "db"}),
            json!({"kind": "mine", "course": "x"}),
        ]),
        one_of(vec![json!(null), json!(9001), json!(9002)]),
        one_of(vec![
            json!(null),
            json!({"size": "1Gi"}),
            json!({"claimName": "hers"}),
            json!({"claimName": "his", "subPath": "a"}),
        ]),
        one_of(vec![json!(null), json!("own-a"), json!("own-b")]),
        one_of(vec![json!(null), json!("env-a"), json!("env-b")]),
    );
    fields.prop_map(|(variables, port, storage, volume, secret)| {
        let mut spec = json!({"displayName": "d", "variables": variables, "port": port, "storage": storage});
        if volume.is_string() {
            spec["volumes"] =
                json!([{"name": "own", "persistentVolumeClaimName": volume, "mountPath": "/own"}]);
        }
        if secret.is_string() {
            spec["env"] = json!([{"name": "E", "valueFrom": {"secretKeyRef": {"name": secret, "key": "k"}}}]);
            spec["initContainers"] =
                json!([{"name": "own", "image": "i:1", "envFrom": [{"configMapRef": {"name": secret}}]}]);
        }
        spec
    })
}

struct Installed {
    template: WorkspaceTemplate,
    settings: Settings,
}

impl Installed {
    /// What the workspace's pod reads and its disks are copies of, without its own disks; nothing, if it is refused.
    fn reads(&self, workspace: &Workspace) -> Option<BTreeSet<Read>> {
        let manager = random::manager();
        let references = References::managed_by([&manager]).with_template(Some(&self.template));
        let valid = rules::admit(workspace, &references, &self.settings).ok()?;
        let lasting = plan::lasting(&valid);
        let own: BTreeSet<_> = lasting
            .claim
            .iter()
            .chain(&lasting.further_claims)
            .map(ResourceExt::name_any)
            .collect();
        let mut found = BTreeSet::new();
        reads(
            &json!(plan::run(&valid, &testing::installation(), "run1").spec),
            &mut found,
        );
        reads(&json!(lasting.further_claims), &mut found);
        found.retain(|(resource, name, _)| *resource != Resource::Claim || !own.contains(name));
        Some(found)
    }

    /// What `requester` is asked about; nothing, if that is refused.
    fn asked(
        &self,
        requester: ReferenceAuthor,
        workspace: &Workspace,
    ) -> Option<Vec<(Resource, String, Part)>> {
        let manager = random::manager();
        let found = named_by_author(
            requester,
            workspace,
            Some(&self.template),
            Some(&manager),
            &self.settings,
        )
        .ok()?;
        Some(
            found
                .into_iter()
                .map(|it| (it.resource, it.name, it.part))
                .collect(),
        )
    }
}

fn is_asked(asked: &[(Resource, String, Part)], (resource, name, key): &Read) -> bool {
    asked.iter().any(|(of, named, part)| {
        let has_part = match part {
            Part::Key(part) => part == key,
            Part::All | Part::Folder { .. } => true,
        };
        of == resource && named == name && has_part
    })
}

/// A workspace with this name and owner.
fn workspace(name: &str, owner: &str, options: &Value, spec: &Value) -> Workspace {
    let mut spec = spec.clone();
    spec["options"] = options.clone();
    let mut workspace = random::workspace(spec, true);
    workspace.metadata.name = Some(name.to_owned());
    // The webhook records both when the workspace is created.
    let recorded = [(CREATED_BY, owner), (ATTESTED_TEMPLATE, "t-1")];
    let recorded = recorded.map(|(key, value)| (key.to_owned(), value.to_owned()));
    workspace.annotations_mut().extend(recorded);
    workspace
}

#[test]
fn what_a_workspace_mounts_because_of_what_its_author_chose_was_asked_about() {
    let strategy = (
        template_spec(),
        workspace_spec(),
        workspace_spec(),
        select(vec!["small", "large"]),
        any::<bool>(),
    );
    let mut runner = TestRunner::deterministic();
    let mut counts = (0, 0);
    for _ in 0..400 {
        let (template, one, other, choice, by_another) = strategy.new_tree(&mut runner).unwrap().current();
        let installed = Installed {
            template: random::template(&template),
            settings: Settings::parse(random::SETTINGS).unwrap(),
        };
        let options = json!({"kind": choice});
        // Who assigns the owner chooses that name, too.
        let (requester, other_owner, third_owner) = if by_another {
            (ReferenceAuthor::Other, "bob", "carol")
        } else {
            (ReferenceAuthor::Owner, "alice", "alice")
        };
        let one = workspace("one", "alice", &options, &one);
        let other = workspace("other", other_owner, &options, &other);
        let plain = workspace("third", third_owner, &options, &json!({"displayName": "d"}));
        let (Some(of_one), Some(of_other)) = (installed.reads(&one), installed.reads(&other)) else {
            continue;
        };
        let Some(asked) = installed.asked(requester, &one) else {
            continue;
        };
        // What the template gives to whoever chooses these options and nothing else, its author chose.
        let Some(given) = installed.reads(&plain) else {
            continue;
        };
        counts.0 += 1;
        for read in of_one.difference(&of_other).filter(|read| !given.contains(*read)) {
            assert!(
                is_asked(&asked, read),
                "{read:?} of {} with {template}",
                json!(one.spec)
            );
            counts.1 += 1;
        }
    }
    assert!(counts.0 > 50 && counts.1 > 50, "{counts:?}");
}
