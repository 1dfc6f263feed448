//! Command line and environment -> arguments (pure).

use std::{net::SocketAddr, path::PathBuf};

use clap::Parser;
use rules::Settings;

use crate::plan::ImagesNamespace;

/// Turns Workspaces into pods, disks, Services and network policies, and reports the result in their status.
#[derive(Clone, Debug, Parser)]
#[command(name = "jupyter-k8s-operator", version)]
pub struct Args {
    /// Namespace in which the operator runs. It holds the lease. Network policies admit the proxy and the gateway from it.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// The only namespace whose workspaces are reconciled. Beyond it, templates and managers are read, and nothing is written. Their
    /// finalizers and statuses are not set, and no webhook is expected [default: all namespaces].
    #[arg(long, env = "WATCH_NAMESPACE")]
    pub watch_namespace: Option<String>,

    /// Name of this pod: its identity in leader election, and the source of its events.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: String,

    /// Helm release: prefix of the lease's name, and the label of the proxy and gateway that network policies admit.
    #[arg(long, env = "RELEASE_NAME", default_value = "jupyter-k8s")]
    pub release_name: String,

    /// Where images are pulled in advance.
    #[command(flatten)]
    pub images: ImagesArgs,

    /// File with the installation's settings, in YAML.
    #[arg(long, env = "SETTINGS_FILE", default_value = "/etc/jupyter-k8s/settings.yaml")]
    pub settings_file: PathBuf,

    /// Address of /livez, /readyz and /metrics, without TLS.
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "[::]:9090")]
    pub admin_address: SocketAddr,

    /// Workspaces that are reconciled at the same time, and concurrent requests to the API server.
    #[arg(long, env = "CONCURRENCY", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub concurrency: u16,

    /// Has no effect: a change is reconciled at once. A chart from before still sets it.
    #[arg(long, hide = true)]
    pub debounce_milliseconds: Option<u16>,

    /// Objects per page when a watch starts and lists all objects of a kind. A lower value takes less memory at that moment. A higher
    /// value takes fewer requests.
    #[arg(long, env = "WATCH_PAGE_SIZE", default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    pub watch_page_size: u32,

    /// Whether /metrics has a gauge for each workspace, with its namespace and name. It adds one time series per workspace.
    #[arg(long, env = "WORKSPACE_METRICS", default_value_t = true, action = clap::ArgAction::Set)]
    pub workspace_metrics: bool,
}

/// Where images are pulled in advance.
#[derive(clap::Args, Clone, Debug)]
pub struct ImagesArgs {
    /// Namespace that holds nothing but pods which have nodes pull the images of templates, or keep room for their workspaces [default:
    /// none; templates cannot ask for either].
    #[arg(long, env = "IMAGES_NAMESPACE", requires = "pause_image")]
    pub images_namespace: Option<String>,

    /// Image of this operator: what these pods run.
    #[arg(long, env = "PAUSE_IMAGE")]
    pub pause_image: Option<String>,

    /// Names of Secrets in the namespace of images that pull the image of this operator, separated by commas.
    #[arg(long, env = "PAUSE_PULL_SECRETS", value_delimiter = ',')]
    pub pause_pull_secrets: Vec<String>,
}

impl ImagesArgs {
    /// The namespace, with what its pods have; `None`: there is none.
    pub(crate) fn namespace(self, release: &str, settings: &Settings) -> Option<ImagesNamespace> {
        let (name, image) = self.images_namespace.zip(self.pause_image)?;
        let secrets = &self.pause_pull_secrets;
        Some(ImagesNamespace::new(name, image, secrets, release, settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_that_stop_all_work_are_refused() {
        let with = |flag: &str| Args::try_parse_from(["operator", "--namespace=a", "--pod-name=b", flag]);
        assert!(with("--concurrency=0").is_err());
        assert!(with("--watch-page-size=0").is_err());
        assert!(!with("--workspace-metrics=false").unwrap().workspace_metrics);
        assert_eq!(with("--concurrency=64").unwrap().concurrency, 64);
        assert!(with("--images-namespace=i").is_err(), "its pods run an image");
        assert!(
            with("--debounce-milliseconds=50").is_ok(),
            "the chart of the last release has it"
        );
    }
}
