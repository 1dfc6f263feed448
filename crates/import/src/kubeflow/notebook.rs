//! A Notebook, the `PodDefaults` of its pod and its Profile -> parts of our objects (pure).

use std::collections::BTreeMap;

use rules::Violation;
use serde_json::{Value, json};

use super::source::Source;
use super::{Sorted, pod, secrets, table};
use crate::draft::{Draft, Target};
use crate::judge::Judge;
use crate::ledger::Ledger;
use crate::path::Path;
use crate::read::Object;
use crate::table::{Place, apply};
use crate::{Error, Options, names};

/// A Notebook on its way.
pub(super) struct Notebook<'a> {
    pub(super) object: &'a Object,
    pub(super) draft: Draft,
    pub(super) name: String,
    pub(super) owner: Option<String>,
}

/// The parts of one Notebook and of the `PodDefaults` of its pod.
pub(super) fn draft<'a>(
    number: usize,
    object: &'a Object,
    pod_defaults: &[&(usize, &'a Object)],
    sorted: &Sorted<'a>,
    options: &Options,
    secrets: &mut secrets::Secrets,
    ledger: &mut Ledger,
) -> Result<Notebook<'a>, Error> {
    let containers = Path::of("spec.template.spec.containers");
    if !containers.get(&object.value)[0].is_object() {
        return Err(object.error(
            "spec.template.spec.containers",
            "must hold a container, and holds none",
        ));
    }
    let mut draft = Draft::default();
    let root = Path::default();
    let place = Place {
        object: number,
        value: &object.value,
        root: &root,
        offset: 0,
    };
    apply(&[table::COMMON, table::NOTEBOOK], &place, ledger, &mut draft);
    let name = names::workspace(&object.name);
    secrets.name(
        number,
        &object.namespace,
        format!("imported-{name}"),
        format!("notebooks.kubeflow.org {}", object.name),
    );
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
        let old = format!("poddefaults.kubeflow.org {}", pod_default.name);
        secrets.name(
            *number,
            &pod_default.namespace,
            format!("imported-poddefault-{}", pod_default.name),
            old,
        );
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
    pod::take(&sources, secrets, ledger, &mut draft);
    for source in &sources {
        let at = if source.order == 0 {
            Path::of("spec.template.metadata")
        } else {
            spec.clone()
        };
        pod::metadata(source.object, source.value, &at, source.offset(), &mut draft);
    }
    let owner = identify(number, object, &name, sorted, options, &mut draft);
    own(object, &mut draft);
    let prefix = format!("/notebook/{}/{}", object.namespace, object.name);
    draft.change(Target::Template, |value| pod::text(value, &prefix));
    Ok(Notebook {
        object,
        draft,
        name,
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
    let owner = format!("{}{user}", options.user_prefix);
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
pub(super) fn settle(notebook: &mut Notebook<'_>, judge: &Judge) -> Result<(), Error> {
    let draft = &mut notebook.draft;
    let broken = |violation: Violation| {
        notebook.object.error(
            &violation.field,
            &format!(
                "{} (a rule of the result, which nothing of the Notebook explains)",
                violation.message
            ),
        )
    };
    let image = draft.has(Target::Workspace, "spec.image");
    draft
        .settle(Target::Workspace, |it| judge.workspace(it, None, None))
        .map_err(broken)?;
    draft
        .settle(Target::Template, |it| judge.template(&solo(it)))
        .map_err(broken)?;
    if draft.has(Target::Profile, "spec") {
        draft
            .settle(Target::Profile, |it| judge.profile(&named(it)))
            .map_err(broken)?;
    }
    if image && draft.has(Target::Workspace, "spec.image") {
        return Ok(());
    }
    let rule = "must be the name of an image, such as registry.example.org/jupyter:1.0";
    Err(notebook
        .object
        .error("spec.template.spec.containers[0].image", rule))
}

/// The template of one Notebook alone, with what those of several have.
fn solo(template: &Value) -> Value {
    let mut template = named(template);
    template["spec"]["displayName"] = json!("one");
    template["spec"]["defaultImage"] = json!("one");
    template
}

/// The object with a name, which it gets by its content, and with a spec, of which everything may be dropped.
fn named(object: &Value) -> Value {
    let mut object = object.clone();
    object["metadata"] = json!({"name": "one"});
    if object["spec"].is_null() {
        object["spec"] = json!({});
    }
    object
}

/// No two workspaces have one name.
pub(super) fn unique(notebooks: &[Notebook<'_>]) -> Result<(), Error> {
    let mut seen = BTreeMap::new();
    for notebook in notebooks {
        let key = (&notebook.object.namespace, &notebook.name);
        if let Some(first) = seen.insert(key, notebook.object) {
            let rule = format!(
                "becomes {} here, as that of {} ({}): rename one of them, or convert them in two runs into two namespaces",
                notebook.name,
                first.title(),
                first.origin
            );
            return Err(notebook.object.error("metadata.name", &rule));
        }
    }
    Ok(())
}
