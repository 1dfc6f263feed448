//! Kubeflow's Notebooks, `PodDefaults`, Profiles, claims -> objects, steps, ledger (pure).
//!
//! - `steps`: what to run, in order
//! - `assemble`: templates, profiles and Workspaces of all Notebooks
//! - `templates`: Notebooks whose pods are equal -> one template
//! - `notebook`: one Notebook -> parts of our objects
//! - `pod`: its pod
//! - `volumes`: what its pod mounts
//! - `source`: an object that says something about a pod
//! - `pod_default`: which Notebooks a `PodDefault` selects
//! - `secrets`: credentials in variables -> Secrets
//! - `table`: leaf -> what becomes of it

mod assemble;
mod notebook;
mod pod;
mod pod_default;
mod secrets;
mod source;
mod steps;
mod table;
mod templates;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use self::notebook::Notebook;
use crate::draft::{Draft, Target};
use crate::judge::Judge;
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::read::Object;
use crate::rights::{Imported, of_all};
use crate::table::{Place, apply, rest};
use crate::{Error, Import, Options, output};

const GROUP: &str = "kubeflow.org";
const NOT_READ: &str = "objects of this kind are not read";
const CONTRIBUTOR: &str =
    "contributors have no Role here: share the workspace with them, by kubectl workspace share";
/// Kinds by which Kubeflow lets contributors in.
const CONTRIBUTORS: [&str; 2] = ["RoleBinding", "AuthorizationPolicy"];

/// Objects by kind, each with its number in the ledger.
#[derive(Default)]
struct Sorted<'a> {
    notebooks: Vec<(usize, &'a Object)>,
    pod_defaults: Vec<(usize, &'a Object)>,
    profiles: BTreeMap<&'a str, (usize, &'a Object)>,
}

/// Converts all Notebooks.
pub(crate) fn convert(objects: &[Object], options: &Options) -> Result<Import, Error> {
    let mut ledger = Ledger::default();
    let sorted = sort(objects, &mut ledger)?;
    if sorted.notebooks.is_empty() {
        let words = "the input holds no Notebook of kubeflow.org: give what kubectl get notebooks,poddefaults,profiles,pvc -A -o json prints";
        return Err(Error::Unreadable(words.to_owned()));
    }
    let judge = Judge::get()?;
    let mut secrets = secrets::Secrets::default();
    let mut selected = BTreeSet::new();
    let mut notebooks = Vec::new();
    for (number, object) in &sorted.notebooks {
        let of_pod: Vec<_> = sorted
            .pod_defaults
            .iter()
            .filter(|(_, it)| it.namespace == object.namespace && pod_default::chooses(it, object))
            .collect();
        selected.extend(of_pod.iter().map(|(number, _)| *number));
        let mut notebook = notebook::draft(
            *number,
            object,
            &of_pod,
            &sorted,
            options,
            &mut secrets,
            &mut ledger,
        )?;
        notebook::settle(&mut notebook, judge)?;
        notebooks.push(notebook);
    }
    notebook::unique(&notebooks)?;
    let (templates, profiles, imported) = assemble::assemble(&mut notebooks, judge)?;
    let mut missing = Vec::new();
    let mut workspaces = Vec::new();
    let mut kept = Vec::new();
    for (notebook, imported) in notebooks.iter().zip(imported) {
        tell(notebook, imported.as_ref(), &mut ledger);
        let Some(it) = imported else { continue };
        if it.owner.is_none() {
            missing.push(format!(
                "{}: no owner is known: whoever applies it owns it; give its Profile in the input, or set {} in workspaces.yaml",
                notebook.object.title(),
                api::names::CREATED_BY
            ));
        }
        workspaces.push(notebook.draft.build(Target::Workspace));
        kept.push(it);
    }
    finish(&sorted, &selected, &mut ledger);
    let rights = of_all(&kept);
    let mut files = Vec::new();
    for (name, objects) in [
        ("templates.yaml", &templates),
        ("profiles.yaml", &profiles),
        ("rights.yaml", &rights),
        ("workspaces.yaml", &workspaces),
    ] {
        files.extend(output::file(name, objects)?);
    }
    let text = steps::text(&kept, &secrets.commands(), !profiles.is_empty(), &missing);
    files.push(output::File {
        name: "disks",
        text: steps::list(&kept),
    });
    files.push(output::File {
        name: "steps.md",
        text,
    });
    Ok(Import {
        files,
        entries: ledger.entries(),
        missing,
    })
}

/// Takes every object into the ledger.
fn sort<'a>(objects: &'a [Object], ledger: &mut Ledger) -> Result<Sorted<'a>, Error> {
    let mut sorted = Sorted::default();
    for object in objects {
        let is_notebook = object.is(GROUP, "Notebook");
        let is_pod_default = object.is(GROUP, "PodDefault");
        if (is_notebook || is_pod_default) && object.namespace.is_empty() {
            return Err(object.error("metadata.namespace", "must be set: give what kubectl get prints"));
        }
        if is_notebook {
            sorted.notebooks.push((ledger.open(object), object));
        } else if is_pod_default {
            sorted.pod_defaults.push((ledger.open(object), object));
        } else if object.is(GROUP, "Profile") {
            sorted
                .profiles
                .insert(&object.name, (ledger.open(object), object));
        } else if object.is("", "PersistentVolumeClaim") {
            let number = ledger.open(object);
            let stays = Fate::new(Outcome::Stays, "the claim stays as it is");
            ledger.tell(number, &Path::default(), &stays);
        } else {
            let fate = if CONTRIBUTORS.contains(&object.kind.as_str()) {
                Fate::new(Outcome::Lost, CONTRIBUTOR)
            } else {
                Fate::new(Outcome::Stays, NOT_READ)
            };
            ledger.whole(object, fate);
        }
    }
    Ok(sorted)
}

/// Says where a Notebook's parts are.
fn tell(notebook: &Notebook<'_>, imported: Option<&Imported>, ledger: &mut Ledger) {
    let name = |target| match (imported, target) {
        (Some(it), Target::Template) => format!("WorkspaceTemplate {}", it.template),
        (Some(it), Target::Profile) => {
            let profile = it.profile.as_deref().unwrap_or_default();
            format!("WorkspaceExecutionProfile {}/{profile}", it.namespace)
        }
        _ => format!("Workspace {}/{}", notebook.object.namespace, notebook.name),
    };
    notebook.draft.tell(ledger, name);
}

/// Says what became of the leaves that no Notebook's parts are made of.
fn finish(sorted: &Sorted<'_>, selected: &BTreeSet<usize>, ledger: &mut Ledger) {
    for (number, notebook) in &sorted.notebooks {
        ledger.tell_rest(*number, rest(&notebook.value, table::REASONS));
    }
    let mut tables = |number: usize, object: &Object, table: &crate::table::Table| {
        let place = Place {
            object: number,
            value: &object.value,
            root: &Path::default(),
            offset: 0,
        };
        apply(&[table::COMMON, table], &place, ledger, &mut Draft::default());
    };
    for (number, object) in &sorted.pod_defaults {
        tables(*number, object, table::POD_DEFAULT);
    }
    for (number, object) in sorted.profiles.values() {
        tables(*number, object, table::PROFILE);
    }
    for (number, object) in &sorted.pod_defaults {
        if !selected.contains(number) {
            let why =
                "no Notebook has the labels that it selects: write it into a template when it is needed";
            ledger.tell_rest(*number, |_| Fate::new(Outcome::Lost, why));
        }
        ledger.tell_rest(*number, rest(&object.value, table::REASONS));
    }
    for (number, object) in sorted.profiles.values() {
        let why = "each Notebook of it names its creator";
        ledger.tell_rest(*number, |path| {
            if *path == Path::of("spec.owner.name") {
                Fate::new(Outcome::Stays, why)
            } else {
                rest(&object.value, table::REASONS)(path)
            }
        });
    }
}
