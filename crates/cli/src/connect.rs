//! Kubeconfig, context and namespace -> a client and the namespace to use (IO).

use anyhow::Context as _;
use http::HeaderValue;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::args::Args;

/// Connects as kubectl would: the given file, else `$KUBECONFIG`, else `~/.kube/config`, else the pod's account.
pub(crate) async fn connect(args: &Args) -> anyhow::Result<(Client, String)> {
    // The only failure is that a provider is installed already, which is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    let mut config = match &args.kubeconfig {
        Some(file) => {
            let kubeconfig =
                Kubeconfig::read_from(file).with_context(|| format!("--kubeconfig {}", file.display()))?;
            Config::from_custom_kubeconfig(kubeconfig, &options)
                .await
                .context("the kubeconfig cannot be used")?
        }
        None if args.context.is_some() => Config::from_kubeconfig(&options)
            .await
            .context("the kubeconfig cannot be used")?,
        None => Config::infer()
            .await
            .context("no cluster is configured: set --kubeconfig or $KUBECONFIG")?,
    };
    config.headers.push((
        http::header::USER_AGENT,
        HeaderValue::from_static(api::names::CLI),
    ));
    let namespace = args
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).context("the cluster's configuration cannot be used")?;
    Ok((client, namespace))
}
