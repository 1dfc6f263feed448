//! Kubeconfig, context and namespace -> a client and the namespace to use (IO).

use std::env;
use std::ffi::OsStr;
use std::io::ErrorKind;

use anyhow::{Context as _, bail};
use http::HeaderValue;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::args::Args;

const VARIABLE: &str = "KUBECONFIG";

/// The cluster and namespace to use.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// Address of the API server.
    pub(crate) server: String,
}

/// Connects like kubectl: with the given file, else those of `$KUBECONFIG`, else `~/.kube/config`, else the pod's service account.
pub(crate) async fn connect(args: &Args) -> anyhow::Result<Cluster> {
    // It fails only if a provider is already installed, which is fine.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    let files = match &args.kubeconfig {
        Some(file) => {
            Some(Kubeconfig::read_from(file).with_context(|| format!("--kubeconfig {}", file.display()))?)
        }
        None => env::var_os(VARIABLE)
            .map(|list| listed(&list))
            .transpose()?
            .flatten(),
    };
    let mut config = match files {
        Some(kubeconfig) => Config::from_custom_kubeconfig(kubeconfig, &options)
            .await
            .context("the kubeconfig cannot be used")?,
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
    let server = config.cluster_url.to_string();
    let client = Client::try_from(config).context("the cluster's configuration cannot be used")?;
    Ok(Cluster {
        client,
        namespace,
        server,
    })
}

/// Merges the files of a list such as `$KUBECONFIG`. Like kubectl, it skips missing files. `None`: the list is empty.
fn listed(list: &OsStr) -> anyhow::Result<Option<Kubeconfig>> {
    let mut is_empty = true;
    let mut merged: Option<Kubeconfig> = None;
    for file in env::split_paths(list).filter(|file| !file.as_os_str().is_empty()) {
        is_empty = false;
        let next = match Kubeconfig::read_from(&file) {
            Ok(next) => next,
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error).with_context(|| format!("${VARIABLE}: {}", file.display())),
        };
        merged = Some(match merged {
            Some(earlier) => earlier
                .merge(next)
                .with_context(|| format!("${VARIABLE}: {} does not fit those before it", file.display()))?,
            None => next,
        });
    }
    if merged.is_none() && !is_empty {
        bail!("no file of ${VARIABLE} exists: {}", list.display());
    }
    Ok(merged)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    /// A temporary folder with one file per text. Dropping it removes the folder.
    struct Folder(PathBuf);

    impl Folder {
        fn with(test: &str, files: &[(&str, &str)]) -> Self {
            let folder = env::temp_dir().join(format!("cli-connect-{}-{test}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            for (name, text) in files {
                fs::write(folder.join(name), text).unwrap();
            }
            Self(folder)
        }

        fn list(&self, names: &[&str]) -> OsString {
            env::join_paths(names.iter().map(|name| self.0.join(name))).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn missing_kubeconfig_files_are_skipped_and_the_first_value_wins() {
        let folder = Folder::with(
            "merged",
            &[
                ("a", "{apiVersion: v1, kind: Config, current-context: first}"),
                (
                    "b",
                    "{apiVersion: v1, kind: Config, current-context: second, contexts: [{name: second}]}",
                ),
            ],
        );
        let merged = listed(&folder.list(&["missing", "a", "absent", "b"]))
            .unwrap()
            .unwrap();
        assert_eq!(merged.current_context.as_deref(), Some("first"));
        assert_eq!(merged.contexts.len(), 1);
    }

    #[test]
    fn a_list_of_missing_files_and_an_unreadable_file_are_named() {
        let folder = Folder::with("named", &[("broken", "[")]);
        let missing = listed(&folder.list(&["missing"])).unwrap_err().to_string();
        assert!(
            missing.starts_with("no file of $KUBECONFIG exists: ") && missing.ends_with("/missing"),
            "{missing}"
        );
        let broken = listed(&folder.list(&["missing", "broken"]))
            .unwrap_err()
            .to_string();
        assert!(
            broken.starts_with("$KUBECONFIG: ") && broken.ends_with("/broken"),
            "{broken}"
        );
    }

    #[test]
    fn an_empty_kubeconfig_list_names_no_file() {
        assert!(listed(OsStr::new("")).unwrap().is_none());
        assert!(listed(OsStr::new(":")).unwrap().is_none());
    }
}
