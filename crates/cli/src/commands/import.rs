//! Export of another system -> files of ours, and what became of each field (IO).

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::Path;

use ::import::{Entry, Error, File, Hub, Input, Options, Outcome, Source, convert};
use anyhow::{Context as _, anyhow};
use serde::Serialize;

use super::targets;
use crate::args::{Import, ImportHub, ImportSource};
use crate::console::Console;
use crate::failure::Failure;
use crate::{output, system};

/// All outcomes, in the order of the summary.
const OUTCOMES: [Outcome; 5] = [
    Outcome::Became,
    Outcome::Template,
    Outcome::SameByDefault,
    Outcome::Stays,
    Outcome::Lost,
];

/// What `-o` prints.
#[derive(Serialize)]
struct Report<'a> {
    files: Vec<&'static str>,
    missing: &'a [String],
    notes: &'a [String],
    entries: &'a [Entry],
}

pub(super) fn run(args: &Import, console: &mut Console<'_>) -> Result<(), Failure> {
    if args.hub.is_some() && args.source != ImportSource::Z2jh {
        let words = "--hub is for the source z2jh: other sources have no hub";
        return Err(Failure::Usage(words.to_owned()));
    }
    let is_new = check(&args.dir)?;
    let mut inputs = Vec::new();
    for file in &args.filename {
        let is_stdin = file.as_os_str() == "-";
        let name = if is_stdin {
            "standard input".to_owned()
        } else {
            file.display().to_string()
        };
        inputs.push(Input {
            name,
            text: targets::read(file)?,
        });
    }
    let source = match args.source {
        ImportSource::Kubeflow => Source::Kubeflow,
        ImportSource::JupyterK8s => Source::JupyterK8s,
        ImportSource::Z2jh => Source::Z2jh,
    };
    let options = Options {
        user_prefix: args.user_prefix.clone(),
        hub: args.hub.map(|hub| match hub {
            ImportHub::Keep => Hub::Keep,
            ImportHub::Replace => Hub::Replace,
        }),
        hub_namespace: args.hub_namespace.clone(),
        slug_scheme: args.slug_scheme.clone(),
    };
    let import = convert(source, &inputs, &options).map_err(|error| match error {
        Error::Usage(words) => Failure::Usage(words),
        error => Failure::Other(anyhow!(error)),
    })?;
    write(&args.dir, is_new, &import.files)
        .with_context(|| format!("{} cannot be written, and nothing is", args.dir.display()))?;
    let report = Report {
        files: import.files.iter().map(|file| file.name).collect(),
        missing: &import.missing,
        notes: &import.notes,
        entries: &import.entries,
    };
    match &args.output {
        Some(format) => console.out.data(&output::report("Import", &report, format)?)?,
        None => console.out.data(&table(&import.entries))?,
    }
    for line in import.missing.iter().chain(&import.notes) {
        writeln!(console.err, "Warning: {line}")?;
    }
    let counts = OUTCOMES.map(|outcome| {
        let count = import
            .entries
            .iter()
            .filter(|entry| entry.outcome == outcome)
            .count();
        format!("{count} {}", outcome.words())
    });
    writeln!(
        console.err,
        "{}: {}. Fields: {}. Next: read {}",
        args.dir.display(),
        report.files.join(", "),
        counts.join(", "),
        args.dir.join("steps.md").display()
    )?;
    if import.is_lossy() {
        Err(Failure::Explained)
    } else {
        Ok(())
    }
}

/// Whether the folder is to be made. Others must be empty.
fn check(dir: &Path) -> Result<bool, Failure> {
    let wrong = |what: &str| Err(Failure::Usage(format!("--dir {}: {what}", dir.display())));
    // A slash at the end would follow a link.
    let plain: std::path::PathBuf = dir.components().collect();
    match fs::symlink_metadata(&plain) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => wrong(&format!("cannot be read: {error}")),
        Ok(found) if found.is_symlink() => wrong("is a link: name the folder that it leads to"),
        Ok(found) if !found.is_dir() => wrong("must be a folder: name another"),
        Ok(_) => match fs::read_dir(dir).and_then(|mut files| files.next().transpose()) {
            Err(error) => wrong(&format!("cannot be read: {error}")),
            Ok(Some(_)) => wrong("is not empty: name a new folder, or empty it"),
            Ok(None) => Ok(false),
        },
    }
}

/// Writes all files, which only the user can read, or none.
fn write(dir: &Path, is_new: bool, files: &[File]) -> io::Result<()> {
    if is_new {
        fs::create_dir(dir)?;
    }
    let mut written = Vec::new();
    let outcome = files.iter().try_for_each(|file| {
        let path = dir.join(file.name);
        let mut open = system::make_private_file(&path)?;
        written.push(path);
        open.write_all(file.text.as_bytes())
    });
    if outcome.is_err() {
        for path in written {
            let _ = fs::remove_file(path);
        }
        if is_new {
            let _ = fs::remove_dir(dir);
        }
    }
    outcome
}

fn table(entries: &[Entry]) -> String {
    let mut rows = vec![output::heads(
        false,
        &["OBJECT", "FIELD", "OUTCOME", "WHERE OR WHY"],
        &[],
    )];
    rows.extend(entries.iter().map(|entry| {
        let path = if entry.path.is_empty() {
            "(all)"
        } else {
            &entry.path
        };
        vec![
            entry.object.clone(),
            path.to_owned(),
            entry.outcome.words().to_owned(),
            entry.text.clone(),
        ]
    }));
    output::table(&rows)
}
