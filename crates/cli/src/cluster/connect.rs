//! Kubeconfig, context and namespace -> a client and the namespace to use (IO).

use std::fs;

use anyhow::{Context as _, bail};
use http::header::USER_AGENT;
use http::{HeaderValue, Uri};
use kube::config::{ExecAuthCluster, KubeConfigOptions};
use kube::{Client, Config};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::client::Way;
use super::kubeconfig::UNUSABLE;
use super::plugin::{Plugin, Stdin};
use super::{credentials, kubeconfig};
use crate::args::Connection;
use crate::proxy::Proxy;

const REMEDY: &str = "set --kubeconfig or $KUBECONFIG";

/// Neither a flag nor a kubeconfig names a cluster, and this is no pod of one.
#[derive(Debug, thiserror::Error)]
#[error("no cluster is configured: {REMEDY}")]
pub(super) struct NoCluster;

/// A client, and what it was made for.
pub(super) struct Connected {
    pub(super) client: Client,
    pub(super) namespace: String,
    /// Address of the API server.
    pub(super) server: String,
}

/// Connects like kubectl: with the given file, else those of `$KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
pub(super) async fn connect(flags: &Connection, stdin: Stdin) -> anyhow::Result<Connected> {
    // It fails only if a provider is already installed, which is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (mut config, proxy_url) = configuration(flags).await?;
    impersonate(&mut config, flags)?;
    let agent = HeaderValue::from_static(api::names::CLI);
    config.headers.push((USER_AGENT, agent));
    let namespace = flags
        .namespace
        .clone()
        .unwrap_or_else(|| config.default_namespace.clone());
    let server = config.cluster_url.to_string();
    credentials::normalize(&mut config).context(UNUSABLE)?;
    let plugin = plugin(&mut config, flags, proxy_url.as_deref(), stdin)?;
    let proxy = match proxy_url {
        Some(url) => Some(Proxy::of_kubeconfig(&url).context(UNUSABLE)?),
        None => Proxy::of_environment(&config.cluster_url),
    };
    // The library compares $NO_PROXY with the proxy, and has no proxies without further features.
    config.proxy_url = None;
    let way = Way { config, proxy };
    let client = match plugin {
        Some(plugin) => way.client_by(plugin).await?,
        None => way.client()?,
    };
    let client = api::response::readable(client);
    Ok(Connected {
        client,
        namespace,
        server,
    })
}

/// The credential plugin of the configuration, which then has none. It is told of the cluster as the flags change it.
fn plugin(
    config: &mut Config,
    flags: &Connection,
    proxy: Option<&str>,
    stdin: Stdin,
) -> anyhow::Result<Option<Plugin>> {
    let Some(mut exec) = config.auth_info.exec.take() else {
        return Ok(None);
    };
    let told = exec.provide_cluster_info.then(|| exec.cluster.take());
    let told = told.map(|cluster| cluster_info(cluster.unwrap_or_default(), flags, proxy));
    Plugin::new(exec, told.transpose()?, stdin).map(Some)
}

/// What a plugin that asks is told about the cluster.
fn cluster_info(
    mut cluster: ExecAuthCluster,
    flags: &Connection,
    proxy: Option<&str>,
) -> anyhow::Result<serde_json::Value> {
    cluster.proxy_url = proxy.map(str::to_owned);
    if let Some(server) = &flags.server {
        cluster.server = Some(server.clone());
        cluster.tls_server_name = None;
    }
    if let Some(name) = &flags.tls_server_name {
        cluster.tls_server_name = Some(name.clone());
    }
    if flags.insecure_skip_tls_verify {
        cluster.insecure_skip_tls_verify = Some(true);
        cluster.certificate_authority_data = None;
    }
    cluster.insecure_skip_tls_verify = cluster.insecure_skip_tls_verify.filter(|skips| *skips);
    if let Some(file) = &flags.certificate_authority {
        let read = fs::read(file);
        let read = read.with_context(|| format!("--certificate-authority {}", file.display()))?;
        cluster.certificate_authority_data = Some(read);
    }
    // kubectl says so, too, where the cluster has no configuration for plugins.
    let none = cluster.config.is_none();
    let mut info = serde_json::to_value(cluster)?;
    if none {
        info["config"] = serde_json::Value::Null;
    }
    Ok(info)
}

/// The configuration, and the proxy that the kubeconfig names for the cluster.
async fn configuration(flags: &Connection) -> anyhow::Result<(Config, Option<String>)> {
    let chooses = flags.context.is_some() || flags.cluster.is_some() || flags.kubeconfig_user.is_some();
    let found = kubeconfig::read(&kubeconfig::files(flags))?;
    // A file without contexts says no more than none, where the address is given.
    let found = found.filter(|found| flags.server.is_none() || !found.contexts.is_empty());
    let mut proxy = None;
    let mut config = match (found, &flags.server) {
        (Some(mut kubeconfig), _) => {
            let name = kubeconfig::check(&kubeconfig, flags).context(UNUSABLE)?;
            let clusters = kubeconfig.clusters.iter_mut();
            let mut chosen = clusters.filter(|named| named.name == name);
            if let Some(cluster) = chosen.next().and_then(|named| named.cluster.as_mut()) {
                proxy = cluster.proxy_url.take();
                cluster.server = flags.server.clone().or_else(|| cluster.server.take());
                address(cluster.server.as_deref().unwrap_or_default())?;
            }
            let options = KubeConfigOptions {
                context: flags.context.clone(),
                cluster: flags.cluster.clone(),
                user: flags.kubeconfig_user.clone(),
            };
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            config.context(UNUSABLE)?
        }
        (None, Some(server)) if !chooses => Config::new(address(server)?),
        (None, _) if chooses || changes(flags) => bail!("there is no kubeconfig: {REMEDY}"),
        // Its own words are of a pod's account, which a user does not have.
        (None, _) => Config::infer().await.map_err(|_| NoCluster)?,
    };
    change(&mut config, flags)?;
    Ok((config, proxy.filter(|url| !url.is_empty())))
}

/// Whether flags change the cluster of a kubeconfig.
fn changes(flags: &Connection) -> bool {
    flags.insecure_skip_tls_verify || flags.certificate_authority.is_some() || flags.tls_server_name.is_some()
}

/// Applies the flags, as kubectl does.
fn change(config: &mut Config, flags: &Connection) -> anyhow::Result<()> {
    if let Some(server) = &flags.server {
        config.cluster_url = address(server)?;
        // It was the other server's.
        config.tls_server_name = None;
    }
    if flags.insecure_skip_tls_verify {
        config.accept_invalid_certs = true;
    }
    if let Some(file) = &flags.certificate_authority {
        let certificates =
            CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let certificates =
            certificates.with_context(|| format!("--certificate-authority {}", file.display()))?;
        config.root_cert = Some(certificates.into_iter().map(|one| one.to_vec()).collect());
    }
    if let Some(name) = &flags.tls_server_name {
        config.tls_server_name = Some(name.clone());
    }
    Ok(())
}

/// The address of an API server. The library ends at the first request to one without scheme, for which kubectl guesses.
fn address(server: &str) -> anyhow::Result<Uri> {
    let has_scheme = server.starts_with("https://") || server.starts_with("http://");
    let uri = server.parse().ok();
    let uri = uri.filter(|_| has_scheme && !server.contains('@'));
    // Its text may hold a password.
    uri.context(
        "--server, or the server of the kubeconfig, must be an address such as https://host:6443, with its scheme and without a user",
    )
}

/// Sets whom the client acts as: the user of the flags, with their groups and UID alone, else that of the kubeconfig.
fn impersonate(config: &mut Config, flags: &Connection) -> anyhow::Result<()> {
    let user = &mut config.auth_info;
    if flags.act_as.is_some() {
        user.impersonate.clone_from(&flags.act_as);
        user.impersonate_groups = None;
        user.impersonate_uid = None;
        user.impersonate_user_extra = None;
    }
    if !flags.as_group.is_empty() {
        user.impersonate_groups = Some(flags.as_group.clone());
    }
    if flags.as_uid.is_some() {
        user.impersonate_uid.clone_from(&flags.as_uid);
    }
    let groups = user.impersonate_groups.as_deref().unwrap_or_default();
    if user.impersonate.is_none() && (user.impersonate_uid.is_some() || !groups.is_empty()) {
        bail!("--as-group and --as-uid need --as: name the user to act as");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_change_the_chosen_cluster() {
        let mut config = Config::new("https://one".parse().unwrap());
        let flags = Connection {
            server: Some("https://other".into()),
            tls_server_name: Some("kubernetes".into()),
            insecure_skip_tls_verify: true,
            ..Connection::default()
        };
        change(&mut config, &flags).unwrap();
        assert_eq!(config.cluster_url.host(), Some("other"));
        assert_eq!(config.tls_server_name.as_deref(), Some("kubernetes"));
        assert!(config.accept_invalid_certs);
        let missing = Connection {
            certificate_authority: Some("/nonexistent.pem".into()),
            ..Connection::default()
        };
        let error = change(&mut config, &missing).unwrap_err().to_string();
        assert_eq!(error, "--certificate-authority /nonexistent.pem");
    }

    #[test]
    fn the_user_to_act_as_comes_from_flags_else_from_the_kubeconfig() {
        let mut config = Config::new("https://x".parse().unwrap());
        config.auth_info.impersonate = Some("carol".into());
        config.auth_info.impersonate_groups = Some(vec!["ops".into()]);
        config.auth_info.impersonate_uid = Some("1".into());
        let user_with = |flags: &Connection| {
            let mut config = config.clone();
            impersonate(&mut config, flags).unwrap();
            let user = config.auth_info;
            (user.impersonate, user.impersonate_groups, user.impersonate_uid)
        };
        let carol = (Some("carol".into()), Some(vec!["ops".into()]), Some("1".into()));
        assert_eq!(user_with(&Connection::default()), carol);
        let flags = Connection {
            act_as: Some("bob".into()),
            as_group: vec!["a".into(), "b".into()],
            ..Connection::default()
        };
        let bob = (Some("bob".into()), Some(vec!["a".into(), "b".into()]), None);
        assert_eq!(user_with(&flags), bob);
        let alone = Connection {
            as_group: vec!["a".into()],
            ..Connection::default()
        };
        let mut nobody = Config::new("https://x".parse().unwrap());
        let error = impersonate(&mut nobody, &alone).unwrap_err();
        assert!(error.to_string().contains("need --as"), "{error}");
    }
}
