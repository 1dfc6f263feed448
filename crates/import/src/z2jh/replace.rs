//! Homes of a hub that goes -> stopped Workspaces of their users (pure).

use std::collections::BTreeSet;

use serde_json::json;

use super::homes::{Home, SERVER, USER, scheme_of_folder, users};
use super::make::{Made, PREFIX};
use super::names::{Scheme, expand};
use super::steps::Database;
use super::{Source, finish, steps};
use crate::assemble::{Assembled, Candidate, named, settle, unique};
use crate::draft::{Draft, Target};
use crate::judge::Judge;
use crate::ledger::{Fate, Ledger, Outcome};
use crate::path::Path;
use crate::read::Object;
use crate::templates::Style;
use crate::{Error, Import, Options, names};

/// How objects are called.
const STYLE: Style = Style {
    prefix: PREFIX,
    title: "JupyterHub",
    no_owner: "annotate its claim",
};

const COMMON: &str = "each user's workspace is on the one claim";
const NO_CLAIM: &str = "no claim with the annotation hub.jupyter.org/username is in the input, so no workspace comes out: give also what kubectl get pvc -A -o json prints";

/// All files.
pub(super) fn files(
    source: &Source<'_>,
    made: Vec<Made>,
    options: &Options,
    judge: &Judge,
    mut ledger: Ledger,
) -> Result<Import, Error> {
    let mut assembled = Assembled::default();
    assembled.miss(source.homes.missing.iter().cloned());
    let chart = source.chart;
    let at = chart.at("singleuser.storage.dynamic.pvcNameTemplate");
    let stays = Fate::new(Outcome::Stays, "claims keep their names");
    ledger.tell(source.number, &at, &stays);
    let of_claim: Object;
    let mut candidates = Vec::new();
    let mut taken = BTreeSet::new();
    for home in &source.homes.all {
        candidates.push(of_home(home, options, &mut taken, judge));
    }
    if chart.text("singleuser.storage.type").as_deref() == Some("static") {
        let at = chart.at("singleuser.storage.static");
        let fate = Fate::new(Outcome::Stays, COMMON);
        ledger.tell(source.number, &at, &fate);
        let claim = chart
            .text("singleuser.storage.static.pvcName")
            .unwrap_or_default();
        let known = source.homes.others.get(claim.as_str());
        of_claim = synthetic(source, &claim, known.map(|(_, object)| *object), options)?;
        let all = users(chart.value, chart.root);
        if all.is_empty() {
            assembled.miss(["who has a folder of the common claim is not known: give a further values file with the users, in hub.config.Authenticator.allowed_users, and import again".to_owned()]);
        }
        for (user, from) in all {
            candidates.push(of_user(source, &of_claim, (&user, &from), options, judge)?);
        }
    } else if source.homes.all.is_empty() {
        assembled.miss([NO_CLAIM.to_owned()]);
    }
    unique(&candidates)?;
    let default = made.iter().find(|made| made.is_default).or_else(|| made.first());
    let Some(default) = default else {
        return Err(Error::Bug("there is no template".to_owned()));
    };
    for candidate in &mut candidates {
        settle(candidate, judge)?;
        assembled.add(candidate, &default.template, &STYLE, judge, &mut ledger)?;
    }
    let mut namespaces: BTreeSet<&str> = candidates
        .iter()
        .map(|candidate| candidate.object.namespace.as_str())
        .collect();
    if namespaces.is_empty() {
        namespaces.extend(options.hub_namespace.as_deref());
    }
    for (name, spec) in made.iter().filter_map(|made| made.profile.as_ref()) {
        for namespace in &namespaces {
            let profile = json!({
                "apiVersion": format!("{}/{}", api::names::GROUP, api::names::VERSION),
                "kind": "WorkspaceExecutionProfile",
                "metadata": {"name": name, "namespace": namespace}, "spec": spec,
            });
            assembled.add_profile(namespace, name, profile);
        }
    }
    finish(source, &mut ledger);
    let secrets = source.secrets.commands(namespaces.iter().copied());
    let hub = options.hub_namespace.as_deref();
    let hub = hub
        .or_else(|| namespaces.first().copied())
        .unwrap_or("jhub")
        .to_owned();
    let files = source.secrets.copy_files(&hub, namespaces.iter().copied());
    let database = match source.chart.text("hub.db.type").as_deref() {
        None | Some("sqlite-pvc") => Database::File,
        Some(_) => Database::Other,
    };
    let mut seen = BTreeSet::new();
    let templates = made.into_iter().map(|made| made.template);
    let templates = templates.filter(|template| seen.insert(template.name().to_owned()));
    let notes = assembled.notes(options);
    assembled.finish(
        templates.collect(),
        ledger,
        notes,
        |imported, has_profiles, missing| {
            steps::replace(
                (&hub, database),
                imported,
                (&secrets, &files),
                has_profiles,
                missing,
            )
        },
    )
}

/// The workspace of a claim.
fn of_home<'a>(
    home: &Home<'a>,
    options: &Options,
    taken: &mut BTreeSet<(String, String)>,
    judge: &Judge,
) -> Candidate<'a> {
    let object = home.object;
    let short = object.name.strip_prefix("claim-").unwrap_or(&object.name);
    let mut name = names::workspace(short);
    if !taken.insert((object.namespace.clone(), name.clone())) {
        name = names::workspace(&object.name);
    }
    let owner = names::owner(options.user_prefix.as_deref(), &home.user);
    let annotation = |name: &str| {
        let at = Path::of("metadata.annotations").key(name);
        let is_there = !at.get(&object.value).is_null();
        is_there.then_some((home.number, at))
    };
    let of = |field: &str| (home.number, Path::of(field));
    let mut draft = Draft::default();
    let from: Vec<_> = [Some(of("metadata.name")), annotation(SERVER)]
        .into_iter()
        .flatten()
        .collect();
    draft.put(from, Target::Workspace, Path::of("metadata.name"), name.as_str());
    draft.put(
        [of("metadata.namespace")],
        Target::Workspace,
        Path::of("metadata.namespace"),
        object.namespace.as_str(),
    );
    draft.put(
        annotation(USER),
        Target::Workspace,
        Path::of("metadata.annotations").key(api::names::CREATED_BY),
        owner.as_str(),
    );
    draft.put(
        [of("metadata.name")],
        Target::Workspace,
        Path::of("spec.storage.claimName"),
        object.name.as_str(),
    );
    let title = if home.server.is_empty() {
        &home.user
    } else {
        &home.server
    };
    own(title, &name, judge, &mut draft);
    Candidate {
        object,
        draft,
        old: format!("persistentvolumeclaims/{}", object.name),
        name,
        owner: Some(owner),
    }
}

/// The workspace of a user, in a folder of the common claim.
fn of_user<'a>(
    source: &Source<'_>,
    claim: &'a Object,
    (user, from): (&str, &[Path]),
    options: &Options,
    judge: &Judge,
) -> Result<Candidate<'a>, Error> {
    let chart = source.chart;
    let name = names::workspace(&expand("{username}", user, "", Scheme::Safe));
    let owner = names::owner(options.user_prefix.as_deref(), user);
    let from: Vec<_> = from.iter().map(|path| (source.number, path.clone())).collect();
    let of = |field: &str| {
        let at = chart.at(&format!("singleuser.storage.static.{field}"));
        let is_there = !at.get(chart.value).is_null();
        is_there.then_some((source.number, at))
    };
    let folder = chart.text("singleuser.storage.static.subPath");
    let folder = folder.as_deref().unwrap_or("{username}");
    let scheme = scheme_of_folder(source, options, folder, (user, ""))?;
    let folder = expand(folder, user, "", scheme);
    let mut draft = Draft::default();
    for (leaves, field, value) in [
        (from.clone(), "metadata.name", name.as_str()),
        (Vec::new(), "metadata.namespace", claim.namespace.as_str()),
        (
            of("pvcName").into_iter().collect(),
            "spec.storage.claimName",
            claim.name.as_str(),
        ),
        (
            of("subPath").into_iter().collect(),
            "spec.storage.subPath",
            folder.as_str(),
        ),
    ] {
        draft.put(leaves, Target::Workspace, Path::of(field), value);
    }
    let at = Path::of("metadata.annotations").key(api::names::CREATED_BY);
    draft.put(from, Target::Workspace, at, owner.as_str());
    own(user, &name, judge, &mut draft);
    Ok(Candidate {
        object: claim,
        draft,
        old: format!("persistentvolumeclaims/{}", claim.name),
        name,
        owner: Some(owner),
    })
}

/// What every imported workspace has. `title`: its displayed name, if it can be one.
fn own(title: &str, name: &str, judge: &Judge, draft: &mut Draft) {
    let spec = json!({"displayName": title, "defaultImage": "one"});
    let fits = judge.template(&named(&json!({"spec": spec}))).is_empty();
    let title = if fits { title } else { name };
    draft.put([], Target::Workspace, Path::of("spec.displayName"), title);
    draft.put([], Target::Workspace, Path::of("spec.desiredStatus"), "Stopped");
}

/// The common claim, as far as it is known.
fn synthetic(
    source: &Source<'_>,
    claim: &str,
    known: Option<&Object>,
    options: &Options,
) -> Result<Object, Error> {
    let field = "singleuser.storage.static.pvcName";
    if !rules::names::is_dns_1123_subdomain(claim) {
        return Err(source.object.error(field, "must be the name of the common claim"));
    }
    let namespace = known
        .map(|object| object.namespace.clone())
        .or_else(|| options.hub_namespace.clone());
    let Some(namespace) = namespace else {
        let rule = "names a claim that is not in the input: give also what kubectl get pvc -A -o json prints, or --hub-namespace";
        return Err(source.object.error(field, rule));
    };
    Ok(Object {
        origin: source.object.origin.clone(),
        value: json!({"metadata": {"name": claim, "namespace": namespace}}),
        group: String::new(),
        kind: "PersistentVolumeClaim".to_owned(),
        namespace,
        name: claim.to_owned(),
    })
}
