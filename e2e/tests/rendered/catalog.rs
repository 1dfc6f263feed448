//! Every example, combination of parts and scope, and the chart in another one.

use std::collections::BTreeSet;

use anyhow::ensure;
use e2e::command::shell::{Helm, Shell};

use crate::{
    judge::judge,
    renderings::{self, NAMESPACE, Rendering, objects, texts},
    server::{Empty, chart},
};

/// Kinds of other projects that the server has no definition of.
const NOT_JUDGED: [&str; 0] = [];

#[tokio::test]
async fn both_helms_render_the_same_and_the_api_server_takes_every_object_of_every_example_and_combination()
-> anyhow::Result<()> {
    is_taken(&Empty::start("all").await?, "v1.36.").await
}

/// Both Helms render the same, and this server, which is of this version, accepts it.
pub(crate) async fn is_taken(empty: &Empty, version: &str) -> anyhow::Result<()> {
    let mut all = renderings::all().await?;
    all.push(in_a_parent_chart().await?);
    let client = empty.server.admin().await?;
    let found = client.apiserver_version().await?.git_version;
    ensure!(found.starts_with(version), "{found}");
    empty.define().await?;
    let judgement = judge(&client, &all).await?;
    println!(
        "{} renderings, {} different objects; kinds that were not judged: {:?}",
        all.len(),
        judgement.accepted,
        judgement.unknown
    );
    ensure!(judgement.refused.is_empty(), "{:#?}", judgement.refused);
    ensure!(judgement.accepted > 300, "{judgement:?}");
    let not_judged = BTreeSet::from(NOT_JUDGED.map(str::to_owned));
    ensure!(judgement.unknown == not_judged, "{:?}", judgement.unknown);
    Ok(())
}

/// The chart as a dependency of another one, by both Helms: the objects are the same as without the other chart.
async fn in_a_parent_chart() -> anyhow::Result<Rendering> {
    let mut found = Vec::new();
    for helm in Helm::ALL {
        let shell = Shell::new(helm)?;
        let own = chart()?;
        let about = format!(
            "apiVersion: v2
name: platform
version: 1.0.0
dependencies: [{{name: jupyter-k8s, version: '>=0.0.0-0', repository: 'file://{}', condition: jupyter-k8s.enabled}}]
",
            own.display()
        );
        let values = "image: {registry: registry.example.com/jupyter-k8s}
routing: {baseDomain: workspaces.example.org}
proxy: {tls: {secretName: tls}}
oidc: {issuerUrl: 'https://id.example.com/realm'}
";
        let inner = values.replace('\n', "\n  ");
        shell.write("platform/Chart.yaml", about)?;
        shell.write("platform/values.yaml", format!("jupyter-k8s:\n  {inner}"))?;
        shell.write("values.yaml", values)?;
        let template = format!("helm template jupyter-k8s --namespace {NAMESPACE} --include-crds");
        shell.run("helm dependency update platform >/dev/null").await?;
        let outer = objects(&shell.run(&format!("{template} platform")).await?)?;
        let alone = objects(
            &shell
                .run(&format!("{template} {} -f values.yaml", own.display()))
                .await?,
        )?;
        let (outer_texts, alone_texts) = (texts(&outer), texts(&alone));
        let difference: Vec<_> = outer_texts.symmetric_difference(&alone_texts).collect();
        ensure!(difference.is_empty(), "{helm:?}: {difference:?}");
        let off = format!("{template} platform --set jupyter-k8s.enabled=false --skip-crds");
        let off = objects(&shell.run(&off).await?)?;
        ensure!(off.is_empty(), "{helm:?}: {off:?}");
        found = outer;
    }
    Ok(Rendering {
        name: "a parent chart".to_owned(),
        objects: found,
    })
}
