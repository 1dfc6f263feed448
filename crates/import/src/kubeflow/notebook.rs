//! A Notebook, the `PodDefaults` of its pod and its Profile -> parts of our objects (pure).

use serde_json::json;

use super::source::Source;
use super::{Sorted, pod, table};
use crate::assemble::{self, Candidate};
use crate::draft::{Draft, Target};
use crate::judge::Judge;
use crate::ledger::Ledger;
use crate::path::Path;
use crate::pod_template::POD;
use crate::read::Object;
use crate::secrets::{Owner, Secrets};
use crate::table::{COMMON, Place, apply};
use crate::{Error, Options, names};

/// The parts of one Notebook and of the `PodDefaults` of its pod.
pub(super) fn draft<'a>(
    number: usize,
    object: &'a Object,
    pod_defaults: &[&(usize, &'a Object)],
    sorted: &Sorted<'a>,
    options: &Options,
    secrets: &mut Secrets,
    ledger: &mut Ledger,
) -> Result<Candidate<'a>, Error> {
    let containers = Path::of("spec.template.spec.containers");
    if !containers.get(&object.value)[0].is_object() {
        return Err(object.error(
            "spec.template.spec.containers",
            "must hold a container, and holds none",
        ));
    }
    let mut draft = Draft::default();
    let place = Place::whole(number, &object.value);
    apply(&[COMMON, table::NOTEBOOK], &place, ledger, &mut draft);
    let name = names::workspace(&object.name);
    let old = format!("notebooks.kubeflow.org/{}", object.name);
    let owner = |secret: String, old: &str, of: &Object| Owner {
        old: old.to_owned(),
        uid: of.uid().map(str::to_owned),
        namespace: object.namespace.clone(),
        secret,
        into: vec![object.namespace.clone()],
    };
    secrets.name(number, owner(format!("imported-{name}"), &old, object));
    let mut sources = vec![Source {
        object: number,
        value: &object.value,
        order: 0,
        main: containers.index(0),
        pod: Path::of("spec.template.spec"),
        sidecars: (containers, 1),
        env: (Target::Workspace, "spec.env"),
    }];
    let spec = Path::of("spec");
    for (order, (number, pod_default)) in pod_defaults.iter().enumerate() {
        let old = format!("poddefaults.kubeflow.org/{}", pod_default.name);
        let secret = format!("imported-poddefault-{}", pod_default.name);
        secrets.name(*number, owner(secret, &old, pod_default));
        sources.push(Source {
            object: *number,
            value: &pod_default.value,
            order: order + 1,
            main: spec.clone(),
            pod: spec.clone(),
            sidecars: (spec.key("sidecars"), 0),
            env: (Target::Template, "spec.environmentVariables"),
        });
    }
    let prefix = format!("/notebook/{}/{}", object.namespace, object.name);
    pod::take(&sources, &prefix, secrets, ledger, &mut draft);
    pod::metadata(&sources, ledger, &mut draft);
    let owner = identify(number, object, &name, sorted, options, &mut draft);
    own(object, &mut draft);
    draft.change(Target::Template, |at, value| {
        // A tag with a digest looks like a user with a password.
        if at.ends_with("image") {
            Ok(None)
        } else {
            pod::text(value, &prefix, at.below(&Path::of(POD)).is_some())
        }
    });
    Ok(Candidate {
        object,
        draft,
        name,
        old,
        owner,
    })
}

/// Name, owner and kind of application.
fn identify(
    number: usize,
    object: &Object,
    name: &str,
    sorted: &Sorted<'_>,
    options: &Options,
    draft: &mut Draft,
) -> Option<String> {
    let from = |path: &str| [(number, Path::of(path))];
    let metadata = Path::of("metadata");
    draft.put(
        from("metadata.name"),
        Target::Workspace,
        metadata.key("name"),
        name,
    );
    let namespace = object.namespace.as_str();
    draft.put(
        from("metadata.namespace"),
        Target::Workspace,
        metadata.key("namespace"),
        namespace,
    );
    let annotation = |name: &str| Path::of("metadata.annotations").key(name);
    let server = annotation(table::SERVER_TYPE);
    let application = match server.get(&object.value).as_str() {
        Some("jupyter") => Some("jupyterlab"),
        Some("group-one") => Some("code-editor"),
        Some("group-two") => Some("rstudio"),
        _ => None,
    };
    if let Some(application) = application {
        draft.put(
            [(number, server)],
            Target::Template,
            Path::of("spec.appType"),
            application,
        );
    }
    let creator = annotation(table::CREATOR);
    let of_profile = sorted
        .profiles
        .get(namespace)
        .map(|(number, profile)| (*number, &profile.value["spec"]["owner"]));
    let of_profile = of_profile.filter(|(_, owner)| owner["kind"].as_str().is_none_or(|kind| kind == "User"));
    let of_profile =
        of_profile.map(|(number, owner)| (number, Path::of("spec.owner.name"), owner["name"].as_str()));
    let known = [
        Some((number, creator.clone(), creator.get(&object.value).as_str())),
        of_profile,
    ];
    let known = known
        .into_iter()
        .flatten()
        .find_map(|(number, leaf, user)| Some((number, leaf, user?)));
    let (number, leaf, user) = known.filter(|(.., user)| !user.is_empty())?;
    let owner = names::owner(options.user_prefix.as_deref(), user);
    draft.put(
        [(number, leaf)],
        Target::Workspace,
        annotation(api::names::CREATED_BY),
        owner.as_str(),
    );
    Some(owner)
}

/// What Kubeflow does without a field, and what every imported workspace has.
fn own(object: &Object, draft: &mut Draft) {
    draft.put(
        [],
        Target::Workspace,
        Path::of("spec.displayName"),
        object.name.as_str(),
    );
    draft.put([], Target::Workspace, Path::of("spec.desiredStatus"), "Stopped");
    let prefix = json!({"name": "NB_PREFIX", "value": "{workspace.basePath}"});
    draft.put(
        [],
        Target::Template,
        Path::of("spec.environmentVariables[0]"),
        prefix,
    );
    if !draft.has(Target::Template, "spec.defaultPodSecurityContext") {
        // Kubeflow's controller adds this group, by which the files on the disks are written.
        draft.put(
            [],
            Target::Template,
            Path::of("spec.defaultPodSecurityContext.fsGroup"),
            100,
        );
    }
}

/// Drops what breaks a rule in the Workspace, the template or the profile alone.
pub(super) fn settle(notebook: &mut Candidate<'_>, judge: &Judge) -> Result<(), Error> {
    let image = notebook.draft.has(Target::Workspace, "spec.image");
    assemble::settle(notebook, judge)?;
    assemble::settle_template(notebook, judge)?;
    let object = notebook.object;
    let draft = &mut notebook.draft;
    if image && draft.has(Target::Workspace, "spec.image") {
        return Ok(());
    }
    let rule = "must be the name of an image, such as registry.example.org/jupyter:1.0";
    Err(object.error("spec.template.spec.containers[0].image", rule))
}
