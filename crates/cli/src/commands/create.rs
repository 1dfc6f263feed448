//! Flags -> the created workspace, and output as by kubectl (IO).

use api::Workspace;
use serde::Serialize;
use serde_json::Value;

use crate::args::Format;
use crate::args::create::{DryRun, Flags};
use crate::cluster::Cluster;
use crate::cluster::wait::{self, Deadline, Goal};
use crate::commands::targets::parse;
use crate::failure::Failure;
use crate::run::Console;
use crate::{judge, object, output};

/// Creates the workspace. The result goes to `out`, as kubectl prints it. Warnings and progress go to `err`.
pub(crate) async fn run(
    cluster: &Cluster,
    args: &Flags,
    namespace: Option<&str>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let deadline = Deadline::after(args.timeout);
    let wanted = manifest(args, namespace)?;
    let sent =
        cluster.create::<Workspace>(Some(cluster.namespace()), &wanted, args.dry_run == DryRun::Server);
    let outcome = sent.await;
    cluster.show_notes(console.err)?;
    let created = parse(outcome?)?;
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
        console.err,
    )
    .await?;
    match &args.output {
        None => writeln!(
            console.out,
            "{}",
            available.status.and_then(|status| status.url).unwrap_or_default()
        )?,
        Some(Format::Name) => {}
        Some(_) => print(&available, args, console)?,
    }
    Ok(())
}

/// Prints what would be created, without a cluster.
pub(crate) fn print_manifest(
    args: &Flags,
    namespace: Option<&str>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    print(&manifest(args, namespace)?, args, console)
}

/// Checks the flags by the rules that hold in every cluster.
pub(crate) fn check(args: &Flags, namespace: Option<&str>) -> Result<(), Failure> {
    if args.wait && args.dry_run != DryRun::None {
        return Err(Failure::Usage(
            "--wait makes no sense with --dry-run: nothing would ever be available".into(),
        ));
    }
    match judge::violations(&manifest(args, namespace)?) {
        Some(violations) => Err(Failure::Invalid(violations)),
        None => Ok(()),
    }
}

fn manifest(args: &Flags, namespace: Option<&str>) -> Result<Value, Failure> {
    object::manifest(args, namespace).map_err(|error| Failure::Other(error.into()))
}

fn print(object: &impl Serialize, args: &Flags, console: &mut Console<'_>) -> Result<(), Failure> {
    let object = &serde_json::to_value(object).map_err(|error| Failure::Other(error.into()))?;
    let text = match &args.output {
        None => output::sentence(object, args.dry_run) + "\n",
        Some(format) => output::object(object, format)?,
    };
    Ok(write!(console.out, "{text}")?)
}
