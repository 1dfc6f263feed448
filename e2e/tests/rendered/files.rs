//! Files of manifests -> kubectl applies them, and finds no difference afterwards.

use crate::{
    renderings::NAMESPACE,
    server::{Empty, chart, crds},
};

/// The command of docs/install.md.
fn one_file() -> anyhow::Result<String> {
    let chart = chart()?;
    Ok(format!(
        "helm template jupyter-k8s {} -n {NAMESPACE} --include-crds --no-hooks -f {} \
         --set image.registry=registry.example.com/jupyter-k8s > install.yaml",
        chart.display(),
        chart.join("ci/install-values.yaml").display()
    ))
}

/// Each apply stores all of the file at once, and `kubectl diff`, which fails if there is a difference, finds none.
#[tokio::test]
async fn kubectl_applies_the_one_file_installation_on_either_side_and_finds_no_difference()
-> anyhow::Result<()> {
    for side in ["", "--server-side"] {
        let empty = Empty::start(if side.is_empty() { "client" } else { "server" }).await?;
        let render = one_file()?;
        let commands = format!(
            "{render}
             kubectl apply {side} -f install.yaml
             kubectl diff {side} -f install.yaml
             kubectl apply {side} -f install.yaml
             kubectl diff {side} -f install.yaml"
        );
        empty.run(&commands).await?;
    }
    Ok(())
}

#[tokio::test]
async fn manifests_of_helm_template_are_applied_after_the_definitions_and_differ_in_nothing()
-> anyhow::Result<()> {
    let empty = Empty::start("manifests").await?;
    let commands = format!(
        "helm template jupyter-k8s {chart} -n {NAMESPACE} --include-crds --no-hooks -f values.yaml > all.yaml
         kubectl create namespace {NAMESPACE}
         kubectl apply --server-side -f {crds}
         kubectl wait --for=condition=Established crds --all --timeout=1m
         kubectl apply --server-side -f all.yaml
         kubectl diff --server-side -f all.yaml",
        chart = chart()?.display(),
        crds = crds()?.display(),
    );
    let values = "image: {registry: registry.example.com/jupyter-k8s}
routing: {baseDomain: workspaces.example.org}
proxy: {tls: {secretName: tls}}
oidc: {issuerUrl: 'https://id.example.com/realm'}
userNamespaces: [{name: notebooks, users: ['https://id.example.com/realm#alice']}]
";
    empty.shell.write("values.yaml", values)?;
    empty.run(&commands).await?;
    Ok(())
}
