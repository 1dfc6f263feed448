//! Two templates -> their differences, and the workspaces that the second would refuse (IO).

use std::path::Path;

use anyhow::Context as _;
use api::{Workspace, WorkspaceExecutionProfile, WorkspaceManager, WorkspaceTemplate};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::lint::settings;
use super::super::targets::{documents, error_in_file, is_kind, read};
use crate::args::TemplateCompare;
use crate::cluster::Cluster;
use crate::comparison::{Comparison, differences, refusals};
use crate::console::Console;
use crate::failure::Failure;
use crate::lint::Catalog;
use crate::output;

/// Whether both templates are files, so that no cluster is asked.
pub(crate) fn is_offline(args: &TemplateCompare) -> bool {
    is_file(&args.old) && is_file(&args.new)
}

/// Without a connection: the words that are no files need one.
pub(super) fn explain_missing_connection(args: &TemplateCompare, failure: Failure) -> Failure {
    let Failure::Other(error) = failure else {
        return failure;
    };
    let names = [&args.old, &args.new].into_iter().filter(|word| !is_file(word));
    let names: Vec<_> = names.map(|word| format!("{word:?}")).collect();
    Failure::Other(error.context(format!(
        "no file is called {}, so the cluster is asked for a template of that name",
        names.join(" or ")
    )))
}

/// Compares; without a cluster, only the templates.
pub(crate) async fn run(
    cluster: Option<&Cluster>,
    args: &TemplateCompare,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let settings = settings(args.settings.as_deref())?;
    let (old, new) = futures::try_join!(find(cluster, &args.old), find(cluster, &args.new))?;
    let mut comparison = Comparison {
        differences: differences(&serde_json::to_value(&old)?, &serde_json::to_value(&new)?),
        workspaces: None,
        refused: Vec::new(),
    };
    if let Some(cluster) = cluster.filter(|_| !is_file(&args.old)) {
        let of_old = format!("spec.templateRef={}", args.old);
        let (workspaces, managers, profiles) = futures::join!(
            cluster.list::<Workspace>(None, None, Some(&of_old)),
            cluster.list::<WorkspaceManager>(None, None, None),
            cluster.list::<WorkspaceExecutionProfile>(None, None, None),
        );
        let workspaces = match workspaces {
            Err(Failure::Refused(status)) if status.code == 403 => {
                let namespace = cluster.namespace();
                writeln!(
                    console.err,
                    "Only workspaces of namespace {namespace}: you may not list all."
                )?;
                cluster
                    .list::<Workspace>(Some(namespace), None, Some(&of_old))
                    .await?
            }
            workspaces => workspaces?,
        };
        let users: Vec<_> = parse_all::<Workspace>(workspaces)
            .into_iter()
            .filter(|workspace| workspace.spec.template_ref.as_deref() == Some(args.old.as_str()))
            .collect();
        let catalog = Catalog {
            managers: parse_all(managers.unwrap_or_default()),
            profiles: parse_all(profiles.unwrap_or_default()),
            ..Catalog::default()
        };
        comparison.workspaces = Some(users.len());
        comparison.refused = refusals(&users, &old, &new, &catalog, &settings);
    }
    show(args, &comparison, console)?;
    if comparison.refused.is_empty() {
        return Ok(());
    }
    Err(Failure::Explained)
}

fn show(args: &TemplateCompare, comparison: &Comparison, console: &mut Console<'_>) -> Result<(), Failure> {
    if let Some(format) = &args.output {
        let report = output::report("TemplateComparison", comparison, format)?;
        return Ok(console.out.data(&report)?);
    }
    for difference in &comparison.differences {
        writeln!(console.out, "{} {}", difference.field, difference.what)?;
    }
    if comparison.differences.is_empty() {
        writeln!(console.out, "Nothing differs.")?;
    }
    for workspace in &comparison.refused {
        writeln!(
            console.out,
            "{} would refuse workspace {} of namespace {}:",
            args.new, workspace.name, workspace.namespace
        )?;
        for violation in &workspace.violations {
            writeln!(console.out, "  {violation}")?;
        }
    }
    match comparison.workspaces {
        None => writeln!(
            console.err,
            "No workspaces were judged: for those of a template in the cluster, give its name as OLD."
        )?,
        Some(all) => writeln!(
            console.err,
            "{} of {all} workspaces of {} would be refused.",
            comparison.refused.len(),
            args.old
        )?,
    }
    Ok(())
}

/// A path has a slash, a dot or a file; names of templates may have dots, so an existing file decides there.
fn is_file(word: &str) -> bool {
    let path = Path::new(word);
    let has_extension = path
        .extension()
        .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
    word == "-" || word.contains('/') || has_extension || path.is_file()
}

async fn find(cluster: Option<&Cluster>, word: &str) -> Result<WorkspaceTemplate, Failure> {
    let Some(cluster) = cluster.filter(|_| !is_file(word)) else {
        return of_file(Path::new(word));
    };
    Ok(serde_json::from_value(super::find(cluster, word).await?)?)
}

/// The one template of a file.
fn of_file(file: &Path) -> Result<WorkspaceTemplate, Failure> {
    let found = documents(&read(file)?).map_err(|error| error_in_file(file, &error))?;
    let mut templates = found
        .into_iter()
        .filter(|object| is_kind(object, "WorkspaceTemplate"));
    match (templates.next(), templates.next()) {
        (Some(template), None) => serde_json::from_value(template)
            .with_context(|| format!("{} cannot be read as a WorkspaceTemplate", file.display()))
            .map_err(Failure::from),
        (None, _) => Err(Failure::Usage(format!(
            "{} holds no WorkspaceTemplate",
            file.display()
        ))),
        (Some(_), Some(_)) => Err(Failure::Usage(format!(
            "{} holds several WorkspaceTemplates: name a file with one",
            file.display()
        ))),
    }
}

/// Objects without those that this version cannot parse.
fn parse_all<K: DeserializeOwned>(objects: Vec<Value>) -> Vec<K> {
    let objects = objects.into_iter().map(serde_json::from_value);
    objects.filter_map(Result::ok).collect()
}
