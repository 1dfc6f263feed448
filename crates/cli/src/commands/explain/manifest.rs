//! Manifests -> why they would be refused: by the rules, then by a server dry run (IO).

use api::Workspace;
use serde_json::{Value, json};

use super::super::targets::{documents, named_error, read};
use crate::args::Explain;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::judge;
use crate::output;

/// Checks each workspace by the rules and then by the server, which keeps nothing.
pub(super) async fn run(cluster: &Cluster, args: &Explain, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut found = Vec::new();
    for manifest in workspaces(args)? {
        let name = manifest["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let namespace = manifest["metadata"]["namespace"].as_str();
        let namespace = namespace.unwrap_or_else(|| cluster.namespace()).to_owned();
        if let Some(problem) = by_rules(&manifest) {
            found.push(Checked::new(&name, Some(problem), "rules"));
            continue;
        }
        let outcome = cluster
            .dry_run_apply::<Workspace>(&namespace, &name, &manifest)
            .await;
        cluster.show_notes(&mut console.err)?;
        match outcome {
            Ok(()) => found.push(Checked::new(&name, None, "server")),
            Err(failure @ Failure::Refused(_)) => {
                found.push(Checked::new(&name, Some(failure.to_string()), "server"));
            }
            Err(failure) => return Err(failure),
        }
    }
    report(args, &found, "", console)
}

/// Checks each workspace by the rules alone.
pub(crate) fn offline(args: &Explain, console: &mut Console<'_>) -> Result<(), Failure> {
    if let (Some(name), true) = (&args.name, args.filename.is_empty()) {
        return Err(Failure::Usage(format!(
            "--offline needs -f FILE: without a cluster only manifests can be explained, not {name:?}. Add -f FILE in its place, or \
             leave out --offline"
        )));
    }
    let mut found = Vec::new();
    for manifest in workspaces(args)? {
        let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
        found.push(Checked::new(name, by_rules(&manifest), "rules"));
    }
    let not_judged = "Not judged without a cluster: the template's bounds, your rights, whether what it names exists, \
                      admission by other products, quotas and LimitRanges.\n";
    report(args, &found, not_judged, console)
}

/// What the check of one manifest found.
struct Checked {
    name: String,
    problem: Option<String>,
    by: &'static str,
}

impl Checked {
    fn new(name: &str, problem: Option<String>, by: &'static str) -> Self {
        Self {
            name: name.to_owned(),
            problem,
            by,
        }
    }
}

fn by_rules(manifest: &Value) -> Option<String> {
    let violations = judge::violations_of_manifest(manifest)?;
    Some(Failure::Invalid(violations).to_string())
}

fn workspaces(args: &Explain) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for file in &args.filename {
        let all = documents(&read(file)?).map_err(|error| named_error(file, &error))?;
        found.extend(all.into_iter().filter(|document| document["kind"] == "Workspace"));
    }
    if found.is_empty() {
        return Err(Failure::Usage("the files hold no Workspace".to_owned()));
    }
    Ok(found)
}

fn report(args: &Explain, found: &[Checked], note: &str, console: &mut Console<'_>) -> Result<(), Failure> {
    if let Some(format) = &args.output {
        let items: Vec<_> = found
            .iter()
            .map(|it| json!({"name": it.name, "refused": it.problem, "by": it.by}))
            .collect();
        let object = json!({
            "apiVersion": format!("cli.{}/v1alpha1", api::names::GROUP), "kind": "ManifestExplanation", "manifests": items,
        });
        console.out.data(&output::object(&object, format)?)?;
    } else {
        for Checked { name, problem, by } in found {
            match problem {
                Some(problem) => console.out.block(&format!("{name}: {problem}"))?,
                None => writeln!(console.out, "{name}: nothing found (by {by})")?,
            }
        }
    }
    console.err.block(note)?;
    if found.iter().any(|it| it.problem.is_some()) {
        return Err(Failure::Explained);
    }
    Ok(())
}
