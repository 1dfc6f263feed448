//! A file of cases -> whether a template does what they expect (IO).

use std::path::Path;

use anyhow::{Context as _, anyhow};
use api::WorkspaceTemplate;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::super::lint::settings;
use super::super::targets::{documents, named_error, read};
use crate::args::{TemplateTest, TestFormat};
use crate::console::Console;
use crate::failure::Failure;
use crate::lint::junit;
use crate::output;
use crate::template::cases::{self, File, Report};

/// Runs the cases of each file.
pub(crate) fn run(args: &TemplateTest, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut reports = Vec::new();
    for path in &args.files {
        let report = of_file(path, args).map_err(|failure| match failure {
            Failure::Other(error) => Failure::Other(error.context(path.display().to_string())),
            failure => failure,
        })?;
        reports.push((path.display().to_string(), report));
    }
    match args.output {
        TestFormat::Text => text(&reports, console)?,
        TestFormat::Junit => {
            let cases = reports.iter().flat_map(|(file, report)| {
                report.cases.iter().map(|outcome| junit::Case {
                    class: file.clone(),
                    name: outcome.name.clone(),
                    failures: outcome.problems.clone(),
                })
            });
            let cases: Vec<_> = cases.collect();
            console
                .out
                .data(&junit::render("kubectl workspace template test", &cases))?;
        }
        TestFormat::Json | TestFormat::Yaml => {
            let files: Vec<_> = reports
                .iter()
                .map(|(file, report)| json!({"file": file, "cases": report.cases, "unnoticed": report.unnoticed}))
                .collect();
            let object = json!({
                "apiVersion": format!("cli.{}/v1alpha1", api::names::GROUP), "kind": "TemplateTestReport", "files": files,
            });
            console
                .out
                .data(&output::object(&object, &args.output.as_object())?)?;
        }
    }
    let mut outcomes = reports.iter().flat_map(|(_, report)| &report.cases);
    if outcomes.any(|outcome| !outcome.problems.is_empty()) {
        return Err(Failure::Explained);
    }
    Ok(())
}

fn text(reports: &[(String, Report)], console: &mut Console<'_>) -> std::io::Result<()> {
    for (file, report) in reports {
        for outcome in &report.cases {
            let result = if outcome.problems.is_empty() {
                "ok  "
            } else {
                "FAIL"
            };
            writeln!(console.out, "{result}  {}", outcome.name)?;
            for problem in &outcome.problems {
                writeln!(console.out, "      {problem}")?;
            }
        }
        let failed = report.cases.iter().filter(|outcome| !outcome.problems.is_empty());
        writeln!(
            console.err,
            "{file}: {} cases, {} failed.",
            report.cases.len(),
            failed.count()
        )?;
        for field in &report.unnoticed {
            writeln!(
                console.err,
                "No case notices {field}: none would fail without it."
            )?;
        }
    }
    Ok(())
}

fn of_file(path: &Path, args: &TemplateTest) -> Result<Report, Failure> {
    let file: File = parsed(&read(path)?)?;
    if let Some(fault) = file.fault() {
        return Err(Failure::Usage(format!("{}: {fault}", path.display())));
    }
    let folder = if path == Path::new("-") {
        None
    } else {
        path.parent()
    };
    let folder = folder.unwrap_or_else(|| Path::new(""));
    let own = file.settings.as_ref().map(|file| folder.join(file));
    let settings = settings(args.settings.as_deref().or(own.as_deref()))?;
    let path = folder.join(&file.template);
    let manifest = manifest(&path)?;
    let template = parsed_template(&path, manifest.clone())?;
    let broken = rules::validate::template(&template.spec, &settings);
    if let Some(violations) = rules::Violations::of(broken) {
        return Err(Failure::Other(anyhow!(
            "{}: the template breaks rules itself: {}. To see all: kubectl workspace lint {}",
            file.template.display(),
            violations.in_order(),
            path.display()
        )));
    }
    let report = cases::run(&manifest, &file.cases, &settings);
    report.map_err(|error| Failure::Other(error.into()))
}

/// The one template of a file.
pub(super) fn template(file: &Path) -> Result<WorkspaceTemplate, Failure> {
    parsed_template(file, manifest(file)?)
}

fn parsed_template(file: &Path, manifest: Value) -> Result<WorkspaceTemplate, Failure> {
    serde_json::from_value(manifest)
        .with_context(|| format!("{} cannot be read as a WorkspaceTemplate", file.display()))
        .map_err(Failure::Other)
}

fn manifest(file: &Path) -> Result<Value, Failure> {
    let found = documents(&read(file)?).map_err(|error| named_error(file, &error))?;
    let mut templates = found
        .into_iter()
        .filter(|object| object["kind"] == "WorkspaceTemplate");
    match (templates.next(), templates.next()) {
        (Some(template), None) => Ok(template),
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

fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_saphyr::from_str(text)
        .context("it is no file of cases")
        .map_err(Failure::Other)
}
