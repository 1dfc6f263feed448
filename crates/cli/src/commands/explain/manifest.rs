//! Manifests -> why they would be refused, by a server dry run (IO).

use api::Workspace;
use serde::Serialize;
use serde_json::json;

use super::super::targets::{Target, in_manifest, workspaces};
use crate::args::Explain;
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::output;

/// Has the server check each workspace. It keeps nothing.
pub(super) async fn run(cluster: &Cluster, args: &Explain, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut found = Vec::new();
    for manifest in workspaces(&args.filename)? {
        let Target { name, namespace, .. } = match in_manifest(&manifest, cluster.namespace()) {
            Ok(target) => target,
            Err(violation) => {
                let name = manifest["metadata"]["name"].as_str().unwrap_or_default();
                found.push(Checked {
                    name: name.to_owned(),
                    problem: Some(violation.to_string()),
                });
                continue;
            }
        };
        let outcome = cluster
            .dry_run_apply::<Workspace>(&namespace, &name, &manifest)
            .await;
        cluster.show_notes(&mut console.err)?;
        let problem = match outcome {
            Ok(()) => None,
            Err(failure @ Failure::Refused(_)) => Some(failure.to_string()),
            Err(failure) => return Err(failure),
        };
        found.push(Checked { name, problem });
    }
    report(args, &found, console)
}

/// What the check of one manifest found.
#[derive(Serialize)]
struct Checked {
    name: String,
    #[serde(rename = "refused")]
    problem: Option<String>,
}

fn report(args: &Explain, found: &[Checked], console: &mut Console<'_>) -> Result<(), Failure> {
    if let Some(format) = &args.output {
        let report = output::report("ManifestExplanation", &json!({"manifests": found}), format)?;
        console.out.data(&report)?;
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
