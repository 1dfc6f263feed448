//! Workspaces -> a table, or the objects, and then each change (IO).

use api::condition::{ACTIVE, holds};
use api::names::CREATED_BY;
use api::{Workspace, WorkspaceShare};
use futures::TryStreamExt as _;
use k8s_openapi::api::authentication::v1::UserInfo;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use rules::access::{self, Decision, Facts, Policy, Requester, Right, Shared};
use serde::Deserialize as _;
use serde_json::Value;

use super::identity::current_user;
use super::targets::Target;
use crate::args::{Format, List, ListFormat};
use crate::cluster::Cluster;
use crate::cluster::wait;
use crate::console::Console;
use crate::failure::Failure;
use crate::output;

/// Which of the listed workspaces are shown.
type Filter = Box<dyn Fn(&Value) -> bool>;

/// Lists workspaces.
pub(crate) async fn run(cluster: &Cluster, args: &List, console: &mut Console<'_>) -> Result<(), Failure> {
    let namespace = (!args.all_namespaces).then(|| cluster.namespace());
    let listing = cluster.list::<Workspace>(namespace, args.selector.as_deref(), None);
    let (mut found, filter) = futures::try_join!(listing, filter(cluster, args, namespace))?;
    cluster.show_notes(&mut console.err)?;
    found.retain(|object| is_named(args, object) && filter(object));
    for name in &args.names {
        if found
            .iter()
            .all(|object| object["metadata"]["name"] != name.as_str())
        {
            // The reason why it is not among them.
            Target::new(cluster, name).read(cluster).await?;
        }
    }
    let format = ListFormat::objects(args.output.as_ref());
    if args.watch {
        return watch(cluster, args, namespace, &filter, format, console).await;
    }
    if let Some(format) = format {
        return Ok(console.out.data(&output::list(&found, format)?)?);
    }
    if found.is_empty() {
        let place = namespace.map(|namespace| format!(" in namespace {namespace}"));
        writeln!(console.err, "No workspaces found{}.", place.unwrap_or_default())?;
        return Ok(());
    }
    let now = Timestamp::now();
    let rows = found.iter().map(|object| row(object, args, now));
    let rows: Vec<_> = std::iter::once(header(args)).chain(rows).collect();
    Ok(console.out.block(&output::table(&rows))?)
}

fn is_named(args: &List, object: &Value) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    args.names.is_empty() || args.names.iter().any(|one| one == name)
}

async fn filter(cluster: &Cluster, args: &List, namespace: Option<&str>) -> Result<Filter, Failure> {
    if args.mine {
        let owner = current_user(cluster).await?.username.unwrap_or_default();
        return Ok(Box::new(move |object| {
            object["metadata"]["annotations"][CREATED_BY] == owner.as_str()
        }));
    }
    if args.shared {
        let shares = cluster.list::<WorkspaceShare>(namespace, None, None);
        let (user, shares) = futures::try_join!(current_user(cluster), shares)?;
        let uids = shared_with(&user, shares);
        return Ok(Box::new(move |object| {
            uids.iter().any(|uid| object["metadata"]["uid"] == uid.as_str())
        }));
    }
    Ok(Box::new(|_| true))
}

/// UIDs of the workspaces that active shares open to the user.
fn shared_with(user: &UserInfo, shares: Vec<Value>) -> Vec<String> {
    let groups = user.groups.clone().unwrap_or_default();
    let requester = Requester {
        user: user.username.as_deref().unwrap_or_default(),
        groups: &groups,
    };
    let now = Timestamp::now().as_second();
    let opens = |share: WorkspaceShare| {
        let status = share.status.clone().unwrap_or_default();
        let mut subjects = Shared::default();
        for subject in &share.spec.subjects {
            subjects.add(subject, rules::shares::end(&share).map(Timestamp::as_second));
        }
        let facts = Facts {
            owner: "",
            access: api::workspace::AccessType::OwnerOnly,
            shared: &subjects,
        };
        let decision = access::connect(requester, facts, &Policy::default(), || Right::Missing, now);
        let counts = holds(&status.conditions, ACTIVE) && matches!(decision, Decision::Allow(_));
        counts
            .then(|| rules::shares::bound(&share).map(str::to_owned))
            .flatten()
    };
    let shares = shares.into_iter();
    shares
        .filter_map(|share| serde_json::from_value(share).ok())
        .filter_map(opens)
        .collect()
}

/// Shows the present state and then each change, until the user interrupts.
async fn watch(
    cluster: &Cluster,
    args: &List,
    namespace: Option<&str>,
    filter: &Filter,
    format: Option<&Format>,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let client = cluster.client();
    let workspaces: Api<Workspace> = match namespace {
        Some(namespace) => Api::namespaced(client, namespace),
        None => Api::all(client),
    };
    let config = watcher::Config {
        label_selector: args.selector.clone(),
        ..watcher::Config::default()
    };
    let mut changes = std::pin::pin!(watcher(workspaces, config).default_backoff());
    if format.is_none() {
        console.out.block(&output::table(&[header(args)]))?;
    }
    loop {
        let event = match changes.try_next().await {
            Ok(None) => return Ok(()),
            Ok(Some(event)) => event,
            Err(error) => {
                writeln!(console.err, "Warning: {}", wait::retry_reason(error)?)?;
                continue;
            }
        };
        let (watcher::Event::InitApply(workspace) | watcher::Event::Apply(workspace)) = event else {
            continue;
        };
        let object = serde_json::to_value(workspace)?;
        if !is_named(args, &object) || !filter(&object) {
            continue;
        }
        match format {
            Some(format) => console.out.data(&output::object(&object, format)?)?,
            None => console
                .out
                .block(&output::table(&[row(&object, args, Timestamp::now())]))?,
        }
        console.out.flush()?;
    }
}

fn header(args: &List) -> Vec<String> {
    let wide: &[&str] = match args.output {
        Some(ListFormat::Wide) => &["TEMPLATE", "OWNER", "MESSAGE"],
        _ => &[],
    };
    let names = ["NAME", "STATE", "REASON", "URL", "STOPS AT", "AGE"];
    output::heads(args.all_namespaces, &names, wide)
}

/// The cells are read from the object as it is, so that an object that is not readable in full is listed, too.
fn row(object: &Value, args: &List, now: Timestamp) -> Vec<String> {
    let text = |path: &str| {
        let value = object.pointer(path).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let state = match text("/status/phase") {
        empty if empty.is_empty() => "Pending".to_owned(),
        phase => phase,
    };
    let runs = ["Starting", "Running", "Failed"].contains(&state.as_str());
    let in_recovery = runs && Workspace::deserialize(object).is_ok_and(|it| it.is_in_recovery());
    // A reason that equals the state is shown once.
    let reason = Some(text("/status/reason")).filter(|reason| *reason != state);
    let created = text("/metadata/creationTimestamp");
    let mut row = vec![
        text("/metadata/name"),
        state + if in_recovery { ",Recovery" } else { "" },
        reason.unwrap_or_default(),
        text("/status/url"),
        text("/status/stopsAt"),
        output::age(Some(&created), now),
    ];
    if args.all_namespaces {
        row.insert(0, text("/metadata/namespace"));
    }
    if args.output == Some(ListFormat::Wide) {
        row.extend([
            text("/spec/templateRef"),
            text("/status/owner"),
            text("/status/message"),
        ]);
    }
    row
}
