//! Templates of a hub that stays -> manager, rights and the lines for its values (pure).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::account::{ACCOUNT, Namespaces};
use super::homes::{Homes, scheme, scheme_of_folder};
use super::make::{MANAGER, Made, distinct};
use super::names::{Scheme, expand};
use super::{Source, finish, lines, steps};
use crate::ledger::{Fate, Ledger, Outcome};
use crate::rights::{Imported, RBAC};
use crate::{Error, Import, Options, output};

/// The chart's names of claims since its version 4.
const CLAIMS: &str = "claim-{user_server}";
const BRACE: &str = "our spawner replaces not all of {…} in it";

/// All files.
pub(super) fn files(
    source: &Source<'_>,
    made: &[Made],
    options: &Options,
    mut ledger: Ledger,
) -> Result<Import, Error> {
    let namespaces = Namespaces::new(source, options)?;
    let mut missing = source.homes.missing.clone();
    let homes = homes(source, options, &mut ledger, &mut missing)?;
    let mut seen = BTreeSet::new();
    for title in made.iter().filter_map(|made| made.title.as_ref()) {
        if !seen.insert(title) {
            missing.push("two profiles have one display_name, by which hub-values.yaml finds them: rename one, and import again".to_owned());
            break;
        }
    }
    finish(source, &mut ledger);
    let templates = distinct(made);
    let mut profiles: Vec<Value> = Vec::new();
    for (name, spec) in made.iter().filter_map(|made| made.profile.as_ref()) {
        let profile = json!({
            "apiVersion": version(), "kind": "WorkspaceExecutionProfile",
            "metadata": {"name": name, "namespace": namespaces.servers}, "spec": spec,
        });
        if !profiles.contains(&profile) {
            profiles.push(profile);
        }
    }
    let names: Vec<_> = templates.iter().map(|made| made.template.name()).collect();
    let mut files = Vec::new();
    let values: Vec<_> = templates.iter().map(|made| made.template.value.clone()).collect();
    for (name, objects) in [
        ("templates.yaml", values),
        ("manager.yaml", vec![manager(&namespaces)]),
        ("profiles.yaml", profiles),
        ("rights.yaml", rights(source, &namespaces, &names)),
    ] {
        files.extend(output::file(name, &objects)?);
    }
    files.push(output::File {
        name: "hub-values.yaml",
        text: lines::text(
            source,
            made,
            (&namespaces.hub, &namespaces.servers),
            homes.as_ref(),
        ),
    });
    let of_homes = imported(&source.homes);
    files.push(output::File {
        name: "disks",
        text: crate::steps::list(&of_homes),
    });
    files.push(output::File {
        name: "steps.md",
        text: steps::keep(
            (&namespaces.hub, &namespaces.servers),
            homes.as_ref().map(|(name, _)| name.as_str()),
            &of_homes,
            &source.secrets,
            !source.chart.root.0.is_empty(),
            &missing,
        ),
    });
    Ok(Import {
        files,
        entries: ledger.entries(),
        missing,
        notes: Vec::new(),
    })
}

fn version() -> String {
    format!("{}/{}", api::names::GROUP, api::names::VERSION)
}

/// Name and folder of the homes that servers keep, as settings of our spawner.
fn homes(
    source: &Source<'_>,
    options: &Options,
    ledger: &mut Ledger,
    missing: &mut Vec<String>,
) -> Result<Option<(String, Option<String>)>, Error> {
    let chart = source.chart;
    let mut tell = |field: &str, outcome: Outcome, text: &str| {
        let at = chart.at(&format!("singleuser.storage.{field}"));
        ledger.tell(source.number, &at, &Fate::new(outcome, text));
    };
    if chart.text("singleuser.storage.type").as_deref() == Some("static") {
        tell(
            "static.pvcName",
            Outcome::Became,
            "hub-values.yaml c.WorkspaceSpawner.pvc_name_template",
        );
        tell(
            "static.subPath",
            Outcome::Became,
            "hub-values.yaml c.WorkspaceSpawner.storage_sub_path",
        );
        let Some(name) = chart.text("singleuser.storage.static.pvcName") else {
            missing.push("singleuser.storage.static.pvcName: the common claim has no name: set c.WorkspaceSpawner.pvc_name_template in hub-values.yaml".to_owned());
            return Ok(None);
        };
        let folder = chart.text("singleuser.storage.static.subPath");
        let folder = folder.unwrap_or_else(|| "{username}".to_owned());
        let both = format!("{name}/{folder}");
        // Our spawner knows the user's number, too.
        if expand(&both.replace("{userid}", ""), "a", "", Scheme::Safe).contains(['{', '}']) {
            tell("static", Outcome::Lost, BRACE);
            missing.push(format!("singleuser.storage.static: {BRACE}, so servers get new, empty disks: set c.WorkspaceSpawner.pvc_name_template and storage_sub_path in hub-values.yaml"));
            return Ok(None);
        }
        // Users of any name may come.
        let scheme = scheme_of_folder(source, options, &both, ("A", "B"))?;
        let [name, folder] = [name, folder].map(|text| in_fields(text, scheme));
        return Ok(Some((name, Some(folder))));
    }
    let field = "dynamic.pvcNameTemplate";
    if source.homes.all.is_empty() {
        let why = "names the old homes: with their claims in the input, servers keep them";
        tell(field, Outcome::Stays, why);
        missing.push("no claim with the annotation hub.jupyter.org/username is in the input: servers get new, empty disks; give also what kubectl get pvc -A -o json prints to keep the homes".to_owned());
        return Ok(None);
    }
    tell(
        field,
        Outcome::Became,
        "hub-values.yaml c.WorkspaceSpawner.pvc_name_template",
    );
    let given = chart.text("singleuser.storage.dynamic.pvcNameTemplate");
    let template = given.unwrap_or_else(|| CLAIMS.to_owned());
    let scheme = scheme(&template, &source.homes.all);
    let name = in_fields(template, scheme);
    let is_other = |home: &&super::homes::Home<'_>| {
        expand(&name, &home.user, &home.server, Scheme::Safe) != home.object.name
    };
    for home in source.homes.all.iter().filter(is_other) {
        missing.push(format!(
            "{}: its name is not the one that pvc_name_template in hub-values.yaml gives its server: that server does not find its home",
            home.object.title()
        ));
    }
    Ok(Some((name, None)))
}

/// The same names by fields of our spawner, which are safe. A server's escaped name brought its dashes along.
fn in_fields(template: String, scheme: Scheme) -> String {
    if scheme == Scheme::Safe {
        return template;
    }
    template
        .replace("{user_server}", "{username}--{servername}")
        .replace("}{servername}", "}--{servername}")
        .replace("{username}", "{escaped_username}")
        .replace("{servername}", "{escaped_servername}")
}

/// The homes, as the steps list them.
fn imported(homes: &Homes<'_>) -> Vec<Imported> {
    let claims = homes.all.iter().map(|home| Imported {
        namespace: home.object.namespace.clone(),
        name: "-".to_owned(),
        old: format!("persistentvolumeclaims/{}", home.object.name),
        uid: None,
        owner: None,
        home: Some(home.object.name.clone()),
        claims: BTreeMap::new(),
        template: String::new(),
        profile: None,
    });
    claims.collect()
}

/// Servers get no route of this product, and hub and proxy alone connect to them.
fn manager(namespaces: &Namespaces) -> Value {
    json!({
        "apiVersion": version(), "kind": "WorkspaceManager", "metadata": {"name": MANAGER},
        "spec": {
            "routing": {"external": {}},
            "authentication": {"application": {}},
            "networkPolicy": {"ingressFrom": [{
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespaces.hub}},
                "podSelector": {"matchExpressions": [{"key": "component", "operator": "In", "values": ["hub", "proxy"]}]},
            }]},
        },
    })
}

/// All that the hub may do, and the account of the servers, which may do nothing.
fn rights(source: &Source<'_>, namespaces: &Namespaces, templates: &[&str]) -> Vec<Value> {
    let group = api::names::GROUP;
    let metadata = |name: &str| json!({"name": name, "namespace": namespaces.servers});
    let mut rules = vec![
        json!({"apiGroups": [group], "resources": ["workspaces"], "verbs": ["get", "list", "watch", "create", "patch", "delete"]}),
        json!({"apiGroups": [group], "resources": ["workspacetemplates"], "resourceNames": templates, "verbs": ["use"]}),
    ];
    let claims: Vec<String> = if source.chart.text("singleuser.storage.type").as_deref() == Some("static") {
        source
            .chart
            .text("singleuser.storage.static.pvcName")
            .into_iter()
            .collect()
    } else {
        let homes = source.homes.all.iter();
        homes.map(|home| home.object.name.clone()).collect()
    };
    if !claims.is_empty() {
        rules.push(json!({"apiGroups": [""], "resources": ["persistentvolumeclaims"], "resourceNames": claims, "verbs": ["use"]}));
    }
    let version = format!("{RBAC}/v1");
    vec![
        json!({"apiVersion": version, "kind": "Role", "metadata": metadata("hub-workspaces"), "rules": rules}),
        json!({
            "apiVersion": version, "kind": "RoleBinding", "metadata": metadata("hub-workspaces"),
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": "hub-workspaces"},
            "subjects": [{"kind": "ServiceAccount", "name": "hub", "namespace": namespaces.hub}],
        }),
        json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(ACCOUNT),
            "automountServiceAccountToken": false,
        }),
    ]
}
