//! Manifests -> why they would be refused, by a server dry run (IO).

use api::Workspace;
use serde_json::{Value, json};

use super::super::targets::{documents, is_workspace, named_error, read};
use crate::args::Explain;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::output;

/// Has the server check each workspace. It keeps nothing.
pub(super) async fn run(cluster: &Cluster, args: &Explain, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut found = Vec::new();
    for manifest in workspaces(args)? {
        let name = manifest["metadata"]["name"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let namespace = manifest["metadata"]["namespace"].as_str();
        let namespace = namespace.unwrap_or_else(|| cluster.namespace()).to_owned();
        // They are parts of the request's address.
        let mut wrong = rules::checks::name(&name);
        wrong.extend(rules::checks::namespace("metadata.namespace", &namespace));
        if let Some(violation) = wrong.first() {
            let problem = Some(violation.to_string());
            found.push(Checked { name, problem });
            continue;
        }
        let outcome = cluster
            .dry_run_apply::<Workspace>(&namespace, &name, &manifest)
            .await;
        cluster.show_notes(&mut console.err)?;
        match outcome {
            Ok(()) => found.push(Checked { name, problem: None }),
            Err(failure @ Failure::Refused(_)) => {
                let problem = Some(failure.to_string());
                found.push(Checked { name, problem });
            }
            Err(failure) => return Err(failure),
        }
    }
    report(args, &found, console)
}

/// What the check of one manifest found.
struct Checked {
    name: String,
    problem: Option<String>,
}

fn workspaces(args: &Explain) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::new();
    for file in &args.filename {
        let all = documents(&read(file)?).map_err(|error| named_error(file, &error))?;
        found.extend(all.into_iter().filter(is_workspace));
    }
    if found.is_empty() {
        return Err(Failure::Usage("the files hold no Workspace".to_owned()));
    }
    Ok(found)
}

fn report(args: &Explain, found: &[Checked], console: &mut Console<'_>) -> Result<(), Failure> {
    if let Some(format) = &args.output {
        let items: Vec<_> = found
            .iter()
            .map(|it| json!({"name": it.name, "refused": it.problem}))
            .collect();
        let object = json!({
            "apiVersion": format!("cli.{}/v1alpha1", api::names::GROUP), "kind": "ManifestExplanation", "manifests": items,
        });
        console.out.data(&output::object(&object, format)?)?;
    } else {
        for Checked { name, problem } in found {
            match problem {
                Some(problem) => console.out.block(&format!("{name}: {problem}"))?,
                None => writeln!(console.out, "{name}: nothing found")?,
            }
        }
    }
    if found.iter().any(|it| it.problem.is_some()) {
        return Err(Failure::Explained);
    }
    Ok(())
}
