//! Arguments -> all requests and output of the command (IO).

use std::io::Write;

use kube::Client;
use serde::Serialize;
use serde_json::Value;

use crate::args::{Args, DryRun, Format};
use crate::failure::Failure;
use crate::{connect, create, judge, object, output, wait};

/// Runs the command. The result goes to `out`, as kubectl prints it. Warnings and progress go to `err`.
pub async fn run(args: &Args, out: &mut impl Write, err: &mut impl Write) -> Result<(), Failure> {
    check(args)?;
    if args.dry_run == DryRun::Client {
        return print(&manifest(args)?, args, out);
    }
    let cluster = connect::connect(args).await.map_err(Failure::Other)?;
    run_with(cluster.client, &cluster.namespace, args, out, err)
        .await
        .map_err(|failure| failure.of_server(&cluster.server))
}

/// The part of [`run`] that talks to a cluster.
pub async fn run_with(
    client: Client,
    namespace: &str,
    args: &Args,
    out: &mut impl Write,
    err: &mut impl Write,
) -> Result<(), Failure> {
    let wanted = manifest(args)?;
    let (warnings, outcome) =
        create::create(&client, namespace, &wanted, args.dry_run == DryRun::Server).await;
    for warning in warnings {
        writeln!(err, "Warning: {warning}")?;
    }
    let created = outcome?;
    if !args.wait {
        return print(&created, args, out);
    }
    // A full object is printed once, in its final state.
    if matches!(args.output, None | Some(Format::Name)) {
        print(&created, args, out)?;
        out.flush()?;
    }
    let mut seen = wait::LastState::default();
    let waiting = wait::until_available(client, &created, err, &mut seen);
    let available = match tokio::time::timeout(args.timeout, waiting).await {
        Ok(outcome) => outcome?,
        Err(_) => {
            return Err(Failure::TimedOut {
                name: args.name.clone(),
                after: format!("{:?}", args.timeout),
                last: seen.to_string(),
            });
        }
    };
    match args.output {
        None => writeln!(
            out,
            "{}",
            available.status.and_then(|status| status.url).unwrap_or_default()
        )?,
        Some(Format::Name) => {}
        Some(_) => print(&available, args, out)?,
    }
    Ok(())
}

fn check(args: &Args) -> Result<(), Failure> {
    if args.wait && args.dry_run != DryRun::None {
        return Err(Failure::Usage(
            "--wait makes no sense with --dry-run: nothing would ever be available".into(),
        ));
    }
    match judge::violations(&manifest(args)?) {
        Some(violations) => Err(Failure::Invalid(violations)),
        None => Ok(()),
    }
}

fn manifest(args: &Args) -> Result<Value, Failure> {
    object::manifest(args).map_err(|error| Failure::Other(error.into()))
}

fn print(object: &impl Serialize, args: &Args, out: &mut impl Write) -> Result<(), Failure> {
    let object = &serde_json::to_value(object).map_err(|error| Failure::Other(error.into()))?;
    let text = match args.output {
        None => output::sentence(object, args.dry_run),
        Some(format) => output::object(object, format)?,
    };
    Ok(writeln!(out, "{text}")?)
}
