//! Arguments -> a running operator (IO). It is the only place that uses every module.

use std::{sync::Arc, time::Duration};

use anyhow::Context as _;
use api::names;
use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::api::coordination::v1::Lease;
use kit::{lease, process, readiness::Gate, readiness::Readiness, scope::Scope};
use kube::{
    Api,
    runtime::{
        controller::{self, applier},
        reflector::ObjectRef,
    },
};
use prometheus_client::registry::Registry;
use rules::Settings;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use crate::{
    args::Args,
    cache::{
        stores::{Stores, Writers},
        watch::{self, Trigger},
    },
    context::Context,
    controllers::{self, assertion_keys, definitions, objects},
    plan::Installation,
    reconcile::{error_policy, reconcile_when_filled},
    status::events,
    support::tasks,
};

/// Triggers that are buffered between the watches and the reconciles.
const TRIGGER_BUFFER: usize = 1024;
/// Fewest concurrent requests, however few workspaces are reconciled: other controllers send requests as well.
const MIN_CONCURRENCY: usize = 16;
/// Longest time to release the lease.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(5);

/// Runs until the process receives a shutdown signal.
///
/// # Errors
/// Settings are wrong ([`process::InvalidSetting`]), or a listener cannot be opened.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        namespace,
        watch_namespace,
        pod_name,
        release_name,
        images,
        settings_file,
        admin_address,
        concurrency,
        watch_page_size,
        workspace_metrics,
        debounce_milliseconds: _,
    } = args;
    // Without a debounce, which would delay each step: a change starts a reconcile at once, and all changes during one start one more.
    let pace = controller::Config::default().concurrency(concurrency);
    let settings = process::file("settings-file", &settings_file, Settings::parse)?;
    let shutdown = kit::shutdown::on_signal()?;
    let at_a_time = usize::from(concurrency).max(MIN_CONCURRENCY);
    let client =
        api::response::readable(kit::client::with_concurrency_limit(names::OPERATOR, at_a_time).await?);
    let scope = Scope::from_namespace(watch_namespace);
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        namespace,
        pod = pod_name,
        watches = %scope,
        "the operator starts"
    );

    let mut installation = Installation::new(namespace.clone(), release_name.clone(), &settings);
    installation.scope = scope.clone();
    installation.images = images.namespace(&release_name, &settings);
    let writers = Writers::default();
    let context = Context::new(
        client.clone(),
        writers.stores(),
        settings,
        installation,
        pod_name.clone(),
    );
    let context = Arc::new(context);
    let audit = context.audit.open(std::io::stdout(), context.metrics.audit());
    let objects = objects::start(&client, &scope, &context.settings, &context.stores);
    let declared = with_other_definitions(&context);
    let others = stream::select_all([objects.boxed(), context.idle.triggers().boxed(), declared.boxed()]);
    let triggers = watch::start(
        &client,
        &scope,
        writers,
        context.pending_writes.clone(),
        watch_page_size,
    );
    let triggers = stream::select(triggers, others.map(Ok));
    let triggers = tasks::ahead(triggers, TRIGGER_BUFFER);

    let readiness = Readiness::default();
    let caches =
        readiness.gate("the watches of workspaces and their children (are the CRDs and the RBAC there?)");
    let mut registry = Registry::default();
    let workspaces = context.stores.workspaces.clone();
    context
        .metrics
        .register(&mut registry, workspaces, workspace_metrics);
    let problems = readiness.clone();
    let admin = kit::admin::serve(admin_address, readiness, Arc::new(registry), shutdown.clone());

    // The lease is released only after the last reconcile has ended.
    let election = CancellationToken::new();
    let candidate = lease::Candidate::new(format!("{release_name}-operator"), pod_name, names::OPERATOR);
    let leases: Api<Lease> = Api::namespaced(client, &namespace);
    let leading = lease::campaign(leases, candidate, election.clone());
    let mut ended = leading.clone();

    let reconciled = CancellationToken::new();
    let work = async {
        tokio::join!(
            report_filled(&context.stores, &caches),
            events::run(&context, &reconciled),
            reconciled.run_until_cancelled(assertion_keys::maintain(&context)),
            reconciled.run_until_cancelled(async {
                // An operator of one namespace has no right to read CRDs.
                if scope.is_cluster() {
                    definitions::watch(&context, &problems).await;
                }
            }),
            async {
                work(&context, triggers, &pace, leading, &shutdown).await;
                reconciled.cancel();
            }
        );
        election.cancel();
        Ok::<_, anyhow::Error>(())
    };
    let admin = async {
        admin
            .await
            .with_context(|| format!("--admin-address {admin_address}"))
    };
    tokio::try_join!(work, admin)?;
    // The election drops its sender once the lease is released.
    let released = async { while ended.changed().await.is_ok() {} };
    let _ = tokio::time::timeout(SHUTDOWN_LIMIT, released).await;
    tokio::task::spawn_blocking(|| drop(audit)).await?;
    Ok(())
}

/// Triggers every workspace when the CRDs declare other fields than before: its status may have more fields now.
fn with_other_definitions(context: &Arc<Context>) -> impl Stream<Item = Trigger> + Send + use<> {
    let stores = context.stores.clone();
    let changes = stream::unfold(context.definitions.changes(), |mut changes| async move {
        changes.changed().await.ok()?;
        Some(((), changes))
    });
    changes.flat_map(move |()| {
        stores.changes.send_replace(());
        stream::iter(watch::all_workspaces(&stores))
    })
}

/// Opens the gate when every cache has been filled once.
async fn report_filled(stores: &Stores, gate: &Gate) {
    if stores.until_filled().await.is_ok() {
        tracing::info!(workspaces = stores.workspaces.len(), "the caches are filled");
        gate.open();
    }
}

/// Stands by with warm caches until it leads, reconciles while it leads, and repeats.
async fn work(
    context: &Arc<Context>,
    mut triggers: impl Stream<Item = Result<Trigger, std::convert::Infallible>> + Send + Unpin,
    pace: &controller::Config,
    mut leading: Receiver<bool>,
    shutdown: &CancellationToken,
) {
    loop {
        let mut elected = leading.clone();
        tokio::select! {
            () = shutdown.cancelled() => return,
            // A replica that does not lead keeps its caches warm and does nothing else.
            () = async { while triggers.next().await.is_some() {} } => return,
            changed = elected.wait_for(|leads| *leads) => if changed.is_err() { return },
        }
        context.metrics.leading(true);
        let lost = async {
            // An error means that the election has ended.
            let _ = leading.wait_for(|leads| !*leads).await;
        };
        tokio::select! {
            () = lead(context, &mut triggers, pace.clone(), shutdown) => return,
            // The controllers end only at shutdown. Then the last reconciles still have to finish.
            () = async { controllers::run(context, shutdown).await; std::future::pending().await } => {}
            // Another replica may lead by now: what is in progress is dropped, not finished.
            () = lost => {}
        }
        context.metrics.leading(false);
        context.end_term();
    }
}

/// Reconciles every triggered workspace until shutdown. Reconciles in progress are finished.
async fn lead(
    context: &Arc<Context>,
    triggers: impl Stream<Item = Result<Trigger, std::convert::Infallible>> + Send + Unpin,
    pace: controller::Config,
    shutdown: &CancellationToken,
) {
    let all = stream::iter(watch::all_workspaces(&context.stores)).map(Ok);
    let queue = all.chain(triggers).take_until(shutdown.clone().cancelled_owned());
    let reconcile = |object, context| Box::pin(tasks::apart(reconcile_when_filled(object, context)));
    let reconciles = applier(
        reconcile,
        error_policy,
        context.clone(),
        context.stores.workspaces.clone(),
        queue,
        pace,
    );
    reconciles
        .for_each(|outcome| async {
            match outcome {
                Ok((workspace, _)) => tracing::debug!(%workspace, "reconciled"),
                Err(controller::Error::ObjectNotFound(workspace)) => forget(context, &workspace),
                // `error_policy` logs and counts it, and decides when to try again.
                Err(controller::Error::ReconcilerFailed(..)) => {}
                Err(error) => tracing::error!(%error, "the queue failed"),
            }
        })
        .await;
}

/// Drops all state of a workspace that is gone.
fn forget(context: &Context, workspace: &ObjectRef<kube::api::DynamicObject>) {
    let key = format!(
        "{}/{}",
        workspace.namespace.as_deref().unwrap_or_default(),
        workspace.name
    );
    context.backoff.reset(&key);
    context.pending_writes.forget(&key);
    context.contests.forget(&key);
    context.idle.forget(&key);
    context.audit.forget(&key);
}
