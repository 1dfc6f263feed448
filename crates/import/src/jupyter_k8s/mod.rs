//! Workspaces, templates, strategies, claims of jupyter-k8s -> objects, steps, ledger (pure).
//!
//! Its API group was `workspaces.jupyter.org`, as this product's is, and is `workspace.jupyter.org` now.
//!
//! - `steps`: what to run, in order
//! - `workspace`: one Workspace -> parts of our objects
//! - `template`: one template -> a template
//! - `strategy`: an access strategy -> what it adds to the pods of a template
//! - `metadata`: labels and references of both
//! - `table`: leaf -> what becomes of it

mod metadata;
mod steps;
mod strategy;
mod table;
mod template;
mod workspace;

use std::collections::BTreeSet;

use self::strategy::Strategy;
use crate::assemble::{Assembled, Candidate, Template, settle, settle_template, unique};
use crate::draft::{Draft, Target};
use crate::judge::Judge;
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::read::Object;
use crate::secrets::Secrets;
use crate::table::{self as tables, CLAIM, NOT_READ, Place, Table, apply, rest};
use crate::templates::{Style, group};
use crate::{Error, Import, Options};

/// The API groups, the present one first.
const GROUPS: [&str; 2] = ["workspace.jupyter.org", api::names::GROUP];
const TOO_MANY: &str = "it has no template, and its image and rights are unlike those of the 20 templates that most such Workspaces have: convert such Workspaces in a run of their own";
const STYLE: Style = Style {
    prefix: "jupyter-k8s",
    title: "Without a template",
    no_owner: "write the annotation workspace.jupyter.org/created-by in the export",
};

/// Objects by kind, each with its number in the ledger.
#[derive(Default)]
struct Sorted<'a> {
    workspaces: Vec<(usize, &'a Object)>,
    templates: Vec<(usize, &'a Object)>,
    /// Those of which every leaf is told by a table alone.
    others: Vec<(usize, &'a Object, &'static Table)>,
    strategies: Vec<Strategy<'a>>,
    claims: BTreeSet<(&'a str, &'a str)>,
}

/// Converts all Workspaces and templates.
pub(crate) fn convert(objects: &[Object], options: &Options) -> Result<Import, Error> {
    let mut ledger = Ledger::default();
    let sorted = sort(objects, &mut ledger)?;
    if sorted.workspaces.is_empty() && sorted.templates.is_empty() {
        let words = "the input holds no Workspace and no WorkspaceTemplate of workspace.jupyter.org or workspaces.jupyter.org: give what kubectl \
                     get workspaces.workspace.jupyter.org,workspacetemplates.workspace.jupyter.org,workspaceaccessstrategies.workspace.jupyter.org,pvc \
                     -A -o json prints";
        return Err(Error::Unreadable(words.to_owned()));
    }
    let judge = Judge::get()?;
    let mut secrets = Secrets::default();
    let of_workspace = sorted.workspaces.iter();
    let of_workspace: Vec<_> = of_workspace
        .map(|(_, workspace)| template::find(&sorted.templates, workspace))
        .collect();
    let of_template = strategies(&sorted, &of_workspace, &mut secrets);
    let mut templates = templates(
        &sorted,
        (&of_workspace, &of_template),
        judge,
        &mut secrets,
        &mut ledger,
    )?;
    let context = workspace::Context {
        options,
        strategies: &sorted.strategies,
        claims: &sorted.claims,
    };
    let mut candidates = Vec::new();
    for ((number, object), template) in sorted.workspaces.iter().zip(&of_workspace) {
        let own = template.map(|template| (sorted.templates[template].1, of_template[template]));
        let mut candidate = workspace::draft(*number, object, own, &context, &mut secrets, &mut ledger);
        if let Some(template) = template {
            refer(*number, object, &templates[*template], &mut candidate);
        }
        settle(&mut candidate, judge)?;
        if candidate.draft.has(Target::Template, "spec") {
            settle_template(&mut candidate, judge)?;
        }
        candidates.push(candidate);
    }
    unique(&candidates)?;
    let of_workspace = without(&candidates, of_workspace, &mut templates, judge)?;
    let mut assembled = Assembled::default();
    for (mut candidate, template) in candidates.into_iter().zip(of_workspace) {
        if let Some(template) = template {
            assembled.add(&mut candidate, &templates[template], &STYLE, judge, &mut ledger)?;
        } else {
            candidate.draft.lose(TOO_MANY);
            candidate.draft.tell(&mut ledger, |_| String::new());
        }
    }
    finish(&sorted, &mut ledger);
    let commands = secrets.commands();
    let finalizers = finalizers(&sorted);
    // The old product had the names of the API server.
    assembled.finish(templates, ledger, Vec::new(), |kept, has_profiles, missing| {
        steps::text(kept, &commands, has_profiles, missing, &finalizers)
    })
}

/// Takes every object into the ledger.
fn sort<'a>(objects: &'a [Object], ledger: &mut Ledger) -> Result<Sorted<'a>, Error> {
    let mut sorted = Sorted::default();
    for object in objects {
        if object.is("", "PersistentVolumeClaim") {
            ledger.stays(object, CLAIM);
            sorted.claims.insert((&object.namespace, &object.name));
            continue;
        }
        if !GROUPS.contains(&object.group.as_str()) {
            ledger.whole(object, Fate::new(Outcome::Stays, NOT_READ));
            continue;
        }
        match object.kind.as_str() {
            "Workspace" => {
                check(object)?;
                sorted.workspaces.push((ledger.open(object), object));
            }
            "WorkspaceTemplate" => {
                is_old(object)?;
                sorted.templates.push((ledger.open(object), object));
            }
            "WorkspaceAccessStrategy" => {
                let number = ledger.open(object);
                sorted.strategies.push((number, object));
                sorted.others.push((number, object, table::STRATEGY));
            }
            "WorkspaceIntegrationTemplate" => {
                let number = ledger.open(object);
                sorted.others.push((number, object, table::INTEGRATION));
            }
            _ => ledger.whole(object, Fate::new(Outcome::Stays, NOT_READ)),
        }
    }
    Ok(sorted)
}

/// A Workspace that the steps can find again.
fn check(object: &Object) -> Result<(), Error> {
    if object.namespace.is_empty() {
        return Err(object.error("metadata.namespace", "must be set: give what kubectl get prints"));
    }
    is_old(object)?;
    if object.group == api::names::GROUP && object.uid().is_none() {
        let rule = "must be set: the steps tell the old object by it from the new one, which has its name and group; give what kubectl get prints";
        return Err(object.error("metadata.uid", rule));
    }
    Ok(())
}

/// The object is not this product's.
fn is_old(object: &Object) -> Result<(), Error> {
    let ours = [api::names::CLEANUP_FINALIZER, api::names::IN_USE_FINALIZER];
    let finalizers = object.value["metadata"]["finalizers"].as_array();
    let mut finalizers = finalizers.into_iter().flatten().filter_map(|it| it.as_str());
    if object.group == api::names::GROUP && finalizers.any(|it| ours.contains(&it)) {
        let rule = "must not be this product's: it belongs to the present installation; leave it out, and give those of the old product";
        return Err(object.error("metadata.finalizers", rule));
    }
    Ok(())
}

/// For each template the index of its access strategy: its own, else the one that all its Workspaces have.
fn strategies(
    sorted: &Sorted<'_>,
    of_workspace: &[Option<usize>],
    secrets: &mut Secrets,
) -> Vec<Option<usize>> {
    let all = &sorted.strategies;
    let users = |template: usize| {
        let users = sorted.workspaces.iter().zip(of_workspace);
        users.filter(move |(_, own)| **own == Some(template))
    };
    let templates = sorted.templates.iter().enumerate();
    let of_template: Vec<_> = templates
        .map(|(index, (_, template))| {
            if metadata::reference(template, "spec.defaultAccessStrategy").is_some() {
                return strategy::find(all, template, "spec.defaultAccessStrategy");
            }
            let users = users(index).map(|((_, it), _)| strategy::find(all, it, workspace::ACCESS));
            let found: BTreeSet<_> = users.collect();
            found.first().copied().flatten().filter(|_| found.len() == 1)
        })
        .collect();
    for (index, strategy) in all.iter().enumerate() {
        let into = sorted.workspaces.iter().zip(of_workspace);
        let into = into.filter(|((_, workspace), template)| match template {
            Some(template) => of_template[*template] == Some(index),
            None => strategy::find(all, workspace, workspace::ACCESS) == Some(index),
        });
        let into: BTreeSet<&str> = into.map(|((_, it), _)| it.namespace.as_str()).collect();
        strategy::name_secret(strategy, &into, secrets);
    }
    of_template
}

/// All templates. Of each Workspace the index of its template, of each template that of its access strategy.
fn templates(
    sorted: &Sorted<'_>,
    (of_workspace, of_template): (&[Option<usize>], &[Option<usize>]),
    judge: &'static Judge,
    secrets: &mut Secrets,
    ledger: &mut Ledger,
) -> Result<Vec<Template>, Error> {
    let mut templates = Vec::new();
    let names = template::names(&sorted.templates);
    for (index, ((number, object), name)) in sorted.templates.iter().zip(names).enumerate() {
        let users = sorted.workspaces.iter().zip(of_workspace);
        let users = users.filter(|(_, template)| **template == Some(index));
        let into = users.map(|((_, workspace), _)| workspace.namespace.as_str());
        let into: BTreeSet<&str> = into.collect();
        let context = template::Context {
            strategy: of_template[index].map(|index| &sorted.strategies[index]),
            judge,
        };
        templates.push(template::convert(
            *number, object, &name, &into, &context, secrets, ledger,
        )?);
    }
    Ok(templates)
}

/// The reference to a template of the input.
fn refer(number: usize, object: &Object, template: &Template, candidate: &mut Candidate<'_>) {
    let at = Path::of("spec.templateRef");
    let from: Vec<_> = match at.get(&object.value).as_object() {
        Some(fields) => fields.keys().map(|field| (number, at.key(field))).collect(),
        None => vec![(number, at.clone())],
    };
    candidate.draft.put(from, Target::Workspace, at, template.name());
}

/// Templates of those Workspaces that have none. Without one, a namespace's default template would judge them.
fn without(
    candidates: &[Candidate<'_>],
    of_workspace: Vec<Option<usize>>,
    templates: &mut Vec<Template>,
    judge: &Judge,
) -> Result<Vec<Option<usize>>, Error> {
    let lone = candidates.iter().zip(&of_workspace);
    let lone = lone.filter(|(_, template)| template.is_none());
    let needs: Vec<_> = lone.map(|(candidate, _)| workspace::need(candidate)).collect();
    let (made, of_lone) = group(&needs, &STYLE);
    let first = templates.len();
    for template in made {
        templates.push(Template::new(template, judge)?);
    }
    let mut of_lone = of_lone.into_iter();
    let index = |own: Option<usize>| own.or_else(|| of_lone.next().flatten().map(|index| first + index));
    Ok(of_workspace.into_iter().map(index).collect())
}

/// Says what became of the leaves that no part is made of.
fn finish(sorted: &Sorted<'_>, ledger: &mut Ledger) {
    for (number, object, table) in &sorted.others {
        let place = Place::whole(*number, &object.value);
        apply(&[tables::COMMON, *table], &place, ledger, &mut Draft::default());
        ledger.tell_rest(*number, rest(&object.value, table::REASONS));
    }
    for (number, object) in sorted.workspaces.iter().chain(&sorted.templates) {
        ledger.tell_rest(*number, rest(&object.value, table::REASONS));
    }
}

/// Finalizers of the Workspaces, as far as they are written as finalizers are.
fn finalizers<'a>(sorted: &Sorted<'a>) -> BTreeSet<&'a str> {
    let lists = sorted.workspaces.iter();
    let lists = lists.filter_map(|(_, object)| object.value["metadata"]["finalizers"].as_array());
    let is_plain = |name: &&str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-./".contains(&byte))
    };
    lists
        .flatten()
        .filter_map(|name| name.as_str())
        .filter(is_plain)
        .collect()
}
