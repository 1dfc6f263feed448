//! Files and folders -> the rules that their manifests break (IO).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rules::Settings;
use serde_json::json;

use super::targets::{documents, named_error, read};
use crate::args::Lint;
use crate::failure::Failure;
use crate::judge::SETTINGS;
use crate::lint::{Document, Problem, lint};
use crate::output;
use crate::run::Console;

/// Checks the manifests without a cluster.
pub(crate) fn run(args: &Lint, console: &mut Console<'_>) -> Result<(), Failure> {
    let settings = match &args.settings {
        None => SETTINGS.to_owned(),
        Some(file) => read(file)?,
    };
    let settings = Settings::parse(&settings)
        .context("--settings")
        .map_err(Failure::Other)?;
    let mut all = Vec::new();
    for path in &args.paths {
        for file in files(path)? {
            let found = documents(&read(&file)?).map_err(|error| named_error(&file, error))?;
            all.extend(found.into_iter().enumerate().map(|(index, object)| Document {
                file: file.display().to_string(),
                number: index + 1,
                object,
            }));
        }
    }
    let report = lint(&all, &settings);
    if let Some(format) = args.output {
        let mut object = serde_json::to_value(&report).map_err(|error| Failure::Other(error.into()))?;
        object["apiVersion"] = json!(format!("cli.{}/v1alpha1", api::names::GROUP));
        object["kind"] = json!("LintReport");
        write!(console.out, "{}", output::shaped(&object, format)?)?;
    } else {
        for Problem {
            file,
            document,
            object,
            field,
            message,
            ..
        } in &report.problems
        {
            let line = format!("{file} (object {document}, {object}): {field}: {message}");
            writeln!(console.out, "{}", output::plain(&line))?;
        }
        writeln!(
            console.err,
            "{} objects checked, {} of other kinds skipped, {} problems.",
            report.checked,
            report.skipped,
            report.problems.len()
        )?;
        for line in &report.not_judged {
            writeln!(console.err, "Not judged: {line}.")?;
        }
    }
    if report.problems.is_empty() {
        return Ok(());
    }
    Err(Failure::Explained)
}

/// The file, or the YAML and JSON files below the folder, in order.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("{} cannot be read", path.display()))
        .map_err(Failure::Other)?;
    let mut paths: Vec<_> = entries.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() || matches!(extension, Some("yaml" | "yml" | "json")) {
            found.extend(files(&path)?);
        }
    }
    Ok(found)
}
