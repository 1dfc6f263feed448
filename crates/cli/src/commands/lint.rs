//! Files and folders -> the rules that their manifests break (IO).

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rules::Settings;
use rules::manifest::documents;

use super::targets::read;
use crate::args::Lint;
use crate::console::Console;
use crate::failure::Failure;
use crate::lint::{Document, Problem, Report, SETTINGS, lint};
use crate::output;

/// Checks manifests of all our kinds without a cluster.
pub(crate) fn run(args: &Lint, console: &mut Console<'_>) -> Result<(), Failure> {
    let settings = settings(args.settings.as_deref())?;
    let mut unread = Vec::new();
    let documents = all(&args.paths, &mut unread)?;
    let references = all(args.template.iter().chain(&args.manager), &mut unread)?;
    let mut report = lint(&documents, &references, &settings);
    report.problems.extend(unread);
    report.sort();
    match &args.output {
        None => text(&report, console)?,
        Some(format) => {
            console
                .out
                .data(&output::report("LintReport", &report, format)?)?;
        }
    }
    if report.problems.is_empty() {
        return Ok(());
    }
    Err(Failure::Explained)
}

fn text(report: &Report, console: &mut Console<'_>) -> std::io::Result<()> {
    for problem in &report.problems {
        writeln!(
            console.out,
            "{}:{}:{}: {}",
            problem.file,
            problem.line,
            problem.column,
            problem.text()
        )?;
    }
    writeln!(
        console.err,
        "{} checked, {} of other kinds skipped, {}.",
        plural(report.checked, "object"),
        report.skipped,
        plural(report.problems.len(), "problem")
    )?;
    for line in &report.not_judged {
        writeln!(console.err, "Not judged: {line}.")?;
    }
    Ok(())
}

fn plural(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// The installation's settings, or built-in values with a placeholder image.
pub(super) fn settings(file: Option<&Path>) -> Result<Settings, Failure> {
    let text = match file {
        None => SETTINGS.to_owned(),
        Some(file) => read(file)?,
    };
    let settings = Settings::parse(&text).context("--settings")?;
    // Only the cluster's webhook attests references.
    Ok(Settings {
        allow_unattested_references: true,
        ..settings
    })
}

/// The objects of these files and folders, and the texts that cannot be read.
fn all<'a>(
    paths: impl IntoIterator<Item = &'a PathBuf>,
    unread: &mut Vec<Problem>,
) -> Result<Vec<Document>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        let mut holds_any = false;
        for file in files(path)? {
            let name = file.display().to_string();
            match documents(&read(&file)?) {
                Ok(parsed) => {
                    holds_any |= parsed.iter().any(|document| document.value.is_object());
                    all.extend(Document::from_parsed(&name, parsed));
                }
                Err(finding) => {
                    holds_any = true;
                    unread.push(Problem::of_text(&name, finding));
                }
            }
        }
        if !holds_any {
            unread.push(Problem::of_nothing(&path.display().to_string()));
        }
    }
    Ok(all)
}

/// The file, or the YAML and JSON files below the folder, in order.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("{} cannot be read", path.display()))?;
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
