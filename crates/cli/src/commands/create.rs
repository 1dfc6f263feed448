//! Flags or a manifest -> the created workspace, and output as by kubectl (IO).

use api::Workspace;
use serde::Serialize;
use serde_json::Value;

use crate::args::Format;
use crate::args::{CreateFlags, DryRun};
use crate::cluster::Cluster;
use crate::cluster::wait::{self, Deadline, Goal};
use crate::commands::identity::own;
use crate::commands::targets::{parse, read};
use crate::console::Console;
use crate::failure::Failure;
use crate::manifest::Manifest;
use crate::{object, output};

/// What is sent.
struct Wanted {
    object: Value,
    /// The manifest that it was read from.
    manifest: Option<Manifest>,
}

impl Wanted {
    /// What flags or manifest say.
    fn from_args(args: &CreateFlags, namespace: Option<&str>) -> Result<Self, Failure> {
        if args.wait && args.dry_run != DryRun::None {
            return Err(Failure::Usage(
                "--wait cannot be used with --dry-run: no workspace would become available".into(),
            ));
        }
        if let Some(file) = &args.filename {
            let manifest = Manifest::read(&file.display().to_string(), &read(file)?)?;
            manifest.check_namespace(namespace)?;
            return Ok(Self {
                object: manifest.object(),
                manifest: Some(manifest),
            });
        }
        Ok(Self {
            object: object::manifest(args, namespace)?,
            manifest: None,
        })
    }
}

/// Creates the workspace. The result goes to `out`, as kubectl prints it. Warnings and progress go to `err`.
pub(crate) async fn run(
    cluster: Result<&Cluster, Failure>,
    args: &CreateFlags,
    namespace: Option<&str>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let wanted = Wanted::from_args(args, namespace)?;
    let cluster = cluster?;
    let deadline = Deadline::after(args.timeout);
    let namespace = wanted.object["metadata"]["namespace"]
        .as_str()
        .unwrap_or_else(|| cluster.namespace());
    let is_dry_run = args.dry_run == DryRun::Server;
    let mut object = wanted.object.clone();
    own(cluster, &mut object).await?;
    let sent = cluster.create::<Workspace>(Some(namespace), &object, is_dry_run);
    let outcome = sent.await;
    cluster.show_notes(&mut console.err)?;
    let created = outcome.map_err(|failure| match &wanted.manifest {
        None => failure,
        Some(manifest) => manifest.place_refusal(failure),
    });
    let created = parse(created?)?;
    if !args.wait {
        return print(&created, args, console);
    }
    // A full object is printed once, in its final state.
    if matches!(args.output, None | Some(Format::Name)) {
        print(&created, args, console)?;
        console.out.flush()?;
    }
    let available = wait::until(
        cluster.client(),
        &created,
        &Goal::AVAILABLE,
        deadline,
        &mut console.err,
    )
    .await?;
    match &args.output {
        None => {
            if let Some(url) = available.status.and_then(|status| status.url) {
                writeln!(console.out, "{url}")?;
            }
        }
        Some(Format::Name) => {}
        Some(_) => print(&available, args, console)?,
    }
    Ok(())
}

/// Prints what would be created, without a cluster.
pub(crate) fn print_manifest(
    args: &CreateFlags,
    namespace: Option<&str>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    print(&Wanted::from_args(args, namespace)?.object, args, console)
}

fn print(object: &impl Serialize, args: &CreateFlags, console: &mut Console<'_>) -> Result<(), Failure> {
    let object = &serde_json::to_value(object)?;
    match &args.output {
        None => writeln!(console.out, "{}", output::sentence(object, args.dry_run))?,
        Some(format) => console.out.data(&output::object(object, format)?)?,
    }
    Ok(())
}
