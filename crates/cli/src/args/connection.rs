//! Flags of every command, named as in kubectl -> cluster, namespace and user (pure).

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::duration;

/// Cluster, namespace and user.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Cluster and user")]
pub struct Connection {
    /// Namespace [default: the one of the kubeconfig context]
    #[arg(short, long, global = true, value_name = "NAMESPACE", value_parser = namespace)]
    pub namespace: Option<String>,

    /// Path of the kubeconfig file; several are merged, as those of $KUBECONFIG [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Vec<PathBuf>,

    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "CONTEXT")]
    pub context: Option<String>,

    /// Cluster of the kubeconfig to use
    #[arg(long, global = true, value_name = "CLUSTER")]
    pub cluster: Option<String>,

    /// User of the kubeconfig to use. It stands before the command, because some commands have a --user of their own
    #[arg(long = "user", id = "kubeconfig_user", value_name = "USER")]
    pub kubeconfig_user: Option<String>,

    /// Address of the API server
    #[arg(short, long, global = true, value_name = "URL")]
    pub server: Option<String>,

    /// User to act as, if you may impersonate
    #[arg(long = "as", global = true, value_name = "USER")]
    pub act_as: Option<String>,

    /// Group to act as; may be given several times
    #[arg(long, global = true, value_name = "GROUP")]
    pub as_group: Vec<String>,

    /// UID to act as
    #[arg(long, global = true, value_name = "UID")]
    pub as_uid: Option<String>,

    /// How long one request may take, such as 30s; 0: as long as it takes
    #[arg(long, global = true, value_name = "DURATION", value_parser = request_timeout)]
    pub request_timeout: Option<RequestTimeout>,

    /// Do not check the API server's certificate. Others can then read and change what you send
    #[arg(long, global = true)]
    pub insecure_skip_tls_verify: bool,

    /// Certificate authority of the API server, a PEM file
    #[arg(long, global = true, value_name = "FILE")]
    pub certificate_authority: Option<PathBuf>,

    /// Name that the API server's certificate must have
    #[arg(long, global = true, value_name = "NAME")]
    pub tls_server_name: Option<String>,

    /// From 6 on, each request to the API server is shown on standard error
    #[arg(short, long = "v", global = true, value_name = "LEVEL", default_value_t = 0)]
    pub verbosity: u8,
}

impl Connection {
    /// The flags that lead to a cluster, each as one word of a command line. All of them may stand before the command.
    pub(crate) fn words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        let mut add = |flag: &str, value: &OsStr| {
            let mut word = OsString::from(format!("--{flag}="));
            word.push(value);
            words.push(word);
        };
        for file in &self.kubeconfig {
            add("kubeconfig", file.as_os_str());
        }
        for (flag, value) in [
            ("context", &self.context),
            ("cluster", &self.cluster),
            ("user", &self.kubeconfig_user),
            ("server", &self.server),
            ("tls-server-name", &self.tls_server_name),
            ("as", &self.act_as),
            ("as-uid", &self.as_uid),
        ] {
            if let Some(value) = value {
                add(flag, value.as_ref());
            }
        }
        for group in &self.as_group {
            add("as-group", group.as_ref());
        }
        if let Some(file) = &self.certificate_authority {
            add("certificate-authority", file.as_os_str());
        }
        if self.insecure_skip_tls_verify {
            words.push("--insecure-skip-tls-verify".into());
        }
        words
    }

    /// How long one request may take; `None`: as long as it takes.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.request_timeout.and_then(|timeout| timeout.0)
    }
}

/// Time limit of one request; `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestTimeout(Option<Duration>);

fn request_timeout(text: &str) -> Result<RequestTimeout, String> {
    match text {
        "0" | "0s" => Ok(RequestTimeout(None)),
        // Like kubectl: a number alone is of seconds.
        text if text.bytes().all(|byte| byte.is_ascii_digit()) => {
            duration::parse(&format!("{text}s")).map(|limit| RequestTimeout(Some(limit)))
        }
        text => duration::parse(text).map(|limit| RequestTimeout(Some(limit))),
    }
}

pub(super) fn namespace(text: &str) -> Result<String, String> {
    super::accept(
        text,
        rules::checks::namespace("metadata.namespace", text).as_ref(),
    )
}
