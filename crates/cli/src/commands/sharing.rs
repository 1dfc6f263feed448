//! A workspace and subjects -> shares made, ended and listed (IO).

use api::share::{Subject, SubjectKind};
use api::{WorkspaceShare, WorkspaceShareSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::api::ObjectMeta;
use serde_json::{Value, json};

use super::identity::own;
use super::targets::Target;
use crate::args::{ListFormat, Share, Shares, Subjects, Unshare};
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::output;

/// Shares a workspace. What its manager allows is the API server's to judge.
pub(crate) async fn share(cluster: &Cluster, args: &Share, console: &mut Console<'_>) -> Result<(), Failure> {
    let subjects = subjects(&args.subjects);
    let now = Timestamp::now();
    let end = end(args, now)?;
    let namespace = cluster.namespace();
    let workspace = Target::new(cluster, &args.name).read(cluster).await?;
    let share = WorkspaceShare {
        metadata: ObjectMeta {
            name: Some(rules::names::share(&args.name, now)),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        spec: WorkspaceShareSpec {
            workspace_ref: args.name.clone(),
            workspace_uid: workspace.metadata.uid.clone(),
            subjects,
            role: api::share::ShareRole::default(),
            expires_at: end.map(Time),
            reason: args.reason.clone(),
        },
        status: None,
    };
    let mut object = serde_json::to_value(&share)?;
    own(cluster, &mut object).await?;
    let made = cluster
        .create::<WorkspaceShare>(Some(namespace), &object, false)
        .await?;
    match &args.output {
        None => writeln!(console.out, "{} created", output::name(&made))?,
        Some(format) => console.out.data(&output::object(&made, format)?)?,
    }
    let until = end.map_or_else(|| "it is deleted".to_owned(), |end| end.to_string());
    writeln!(
        console.err,
        "It lasts until {until}. To end it: kubectl delete {} -n {namespace}",
        output::name(&made)
    )?;
    Ok(())
}

/// When the share ends, to the second as Kubernetes keeps it.
fn end(args: &Share, now: Timestamp) -> Result<Option<Timestamp>, Failure> {
    let lasts = args.lasts.and_then(|lasts| SignedDuration::try_from(lasts).ok());
    let end = args
        .until
        .or_else(|| lasts.and_then(|lasts| now.checked_add(lasts).ok()));
    let end = end.and_then(|end| Timestamp::from_second(end.as_second()).ok());
    match end {
        Some(end) if end <= now => Err(Failure::Usage(format!("--until {end} is in the past"))),
        end => Ok(end),
    }
}

fn subjects(flags: &Subjects) -> Vec<Subject> {
    let named = |kind, name: &String| Subject {
        kind,
        name: name.clone(),
        ..Subject::default()
    };
    let users = flags.user.iter().map(|name| named(SubjectKind::User, name));
    let groups = flags.group.iter().map(|name| named(SubjectKind::Group, name));
    let accounts = flags.serviceaccount.iter().map(|(namespace, name)| Subject {
        namespace: Some(namespace.clone()),
        ..named(SubjectKind::ServiceAccount, name)
    });
    users.chain(groups).chain(accounts).collect()
}

/// Ends shares: of all, or takes the subjects out of the shares that name them.
pub(crate) async fn unshare(
    cluster: &Cluster,
    args: &Unshare,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let ending = subjects(&args.subjects);
    if ending.is_empty() && !args.all {
        return Err(Failure::Usage(
            "unshare must have a subject: add --user, --group or --serviceaccount, or --all".to_owned(),
        ));
    }
    let namespace = Some(cluster.namespace());
    let mut any = false;
    for object in cluster.list::<WorkspaceShare>(namespace, None, None).await? {
        let share: WorkspaceShare = serde_json::from_value(object.clone())?;
        if share.spec.workspace_ref != args.name {
            continue;
        }
        let is_same = |one: &Subject, other: &Subject| {
            (one.kind, &one.name, &one.namespace) == (other.kind, &other.name, &other.namespace)
        };
        let all = share.spec.subjects.len();
        let left: Vec<_> = share
            .spec
            .subjects
            .iter()
            .filter(|subject| !args.all && !ending.iter().any(|it| is_same(it, subject)))
            .collect();
        if left.len() == all {
            continue;
        }
        any = true;
        let name = share.name_any();
        if left.is_empty() {
            cluster
                .delete::<WorkspaceShare>(namespace, &name, share.metadata.uid.as_deref())
                .await?;
            writeln!(console.out, "{} deleted", output::name(&object))?;
        } else {
            let change = json!({
                "metadata": {"resourceVersion": share.metadata.resource_version}, "spec": {"subjects": left},
            });
            cluster.merge::<WorkspaceShare>(namespace, &name, &change).await?;
            writeln!(console.out, "{} changed", output::name(&object))?;
        }
    }
    if any {
        return Ok(());
    }
    Err(Failure::Other(anyhow::anyhow!(
        "no share of workspace {:?} names them: see kubectl workspace shares {} -n {}",
        args.name,
        args.name,
        cluster.namespace()
    )))
}

/// Lists shares.
pub(crate) async fn list(cluster: &Cluster, args: &Shares, console: &mut Console<'_>) -> Result<(), Failure> {
    let namespace = (!args.all_namespaces).then(|| cluster.namespace());
    let mut found = cluster.list::<WorkspaceShare>(namespace, None, None).await?;
    let is_wanted = |share: &Value| match &args.name {
        None => true,
        Some(name) => share["spec"]["workspaceRef"] == name.as_str(),
    };
    found.retain(is_wanted);
    if let (Some(name), true) = (&args.name, found.is_empty() && !args.all_namespaces) {
        Target::new(cluster, name).read(cluster).await?;
    }
    if let Some(format) = ListFormat::objects(args.output.as_ref()) {
        return Ok(console.out.data(&output::list(&found, format)?)?);
    }
    if found.is_empty() {
        writeln!(console.err, "No shares found.")?;
        return Ok(());
    }
    let names = [
        "NAME",
        "WORKSPACE",
        "SUBJECTS",
        "ACTIVE",
        "REASON",
        "EXPIRES",
        "AGE",
    ];
    let wide: &[&str] = match args.output {
        Some(ListFormat::Wide) => &["CREATED BY", "NOTE"],
        _ => &[],
    };
    let header = output::heads(args.all_namespaces, &names, wide);
    let now = Timestamp::now();
    let rows = found.iter().map(|share| row(share, args, now));
    let rows: Vec<_> = std::iter::once(header).chain(rows).collect();
    Ok(console.out.block(&output::table(&rows))?)
}

fn row(share: &Value, args: &Shares, now: Timestamp) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let subjects = share["spec"]["subjects"].as_array().into_iter().flatten();
    let subjects: Vec<_> = subjects
        .map(|subject| match subject["namespace"].as_str() {
            Some(namespace) => format!(
                "{} {namespace}:{}",
                text(&subject["kind"]),
                text(&subject["name"])
            ),
            None => format!("{} {}", text(&subject["kind"]), text(&subject["name"])),
        })
        .collect();
    let mut conditions = share["status"]["conditions"].as_array().into_iter().flatten();
    let active = conditions.find(|it| it["type"] == api::condition::ACTIVE);
    let active = active.unwrap_or(&Value::Null);
    let metadata = &share["metadata"];
    let row = [
        text(&metadata["name"]),
        text(&share["spec"]["workspaceRef"]),
        subjects.join(", "),
        text(&active["status"]),
        text(&active["reason"]),
        text(&share["spec"]["expiresAt"]),
        output::age(metadata["creationTimestamp"].as_str(), now),
    ];
    let namespace = args.all_namespaces.then(|| text(&metadata["namespace"]));
    let mut row: Vec<_> = namespace.into_iter().chain(row).collect();
    if args.output == Some(ListFormat::Wide) {
        row.push(text(&metadata["annotations"][api::names::CREATED_BY]));
        row.push(text(&share["spec"]["reason"]));
    }
    row
}
