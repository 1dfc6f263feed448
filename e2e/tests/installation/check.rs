//! `helm test` with one fault: its line names the fault and the remedy.

use anyhow::Context as _;
use api::Workspace;
use e2e::{
    Environment,
    cluster::{self, Scratch},
    installation::check::{ChangedPod, Check},
    test_run::finally::always,
};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::json;

use crate::{stand_in::StandIn, unreached::Unreached};

/// A domain that no DNS server knows (RFC 6761).
const NOWHERE: &str = "nowhere.invalid";

/// Things that are wrong, of which each concerns another check.
struct Fault<'a> {
    name: &'a str,
    changes: &'a [Change<'a>],
    /// The checks that fail, and parts of their lines.
    failures: &'a [(&'a str, &'a [&'a str])],
}

/// What is wrong.
enum Change<'a> {
    /// The domain has no DNS records.
    Domain,
    /// The proxy's Service leads to this address.
    Proxy(&'a str),
    /// The sign-in host leads to this address.
    SignInHost(&'a str),
    /// The identity provider is asked at this address.
    Provider(&'a str),
    /// The Secret of the client is this one.
    ClientSecret(&'a str),
}

impl Change<'_> {
    fn apply(&self, pod: &mut ChangedPod) -> anyhow::Result<()> {
        match self {
            Self::Domain => pod.set(&[&format!("--base-domain={NOWHERE}")]),
            Self::Proxy(address) => {
                let environment = Environment::get()?;
                let service = format!(
                    "{}-proxy.{}.svc",
                    environment.release, environment.system_namespace
                );
                pod.resolve(&service, address);
                Ok(())
            }
            Self::SignInHost(address) => {
                pod.resolve(&Environment::get()?.auth_host(), address);
                Ok(())
            }
            Self::Provider(address) => pod.set(&[&format!("--oidc-connect-to={address}")]),
            Self::ClientSecret(secret) => pod.mount("oidc-client", secret),
        }
    }
}

#[tokio::test]
async fn each_line_of_helm_test_fails_for_its_own_reason_and_nothing_is_left() -> anyhow::Result<()> {
    let scratch = Scratch::new("check", &[]).await?;
    let stand_in = StandIn::start(&scratch).await?;
    let secrets = Api::<Secret>::namespaced(cluster::admin().await?, &Environment::get()?.system_namespace);
    let wrong = json!({
        "metadata": {"name": scratch.namespace, "labels": {"e2e.test/scratch": "true"}},
        "stringData": {"clientSecret": "wrong"},
    });
    let wrong: Secret = serde_json::from_value(wrong)?;
    let check = Check::render().await?;
    let work = async {
        check.apply().await?;
        let with_secret = async {
            secrets.create(&PostParams::default(), &wrong).await?;
            failures(&check, &stand_in, &scratch.namespace).await
        };
        let without = async {
            secrets
                .delete(&scratch.namespace, &DeleteParams::default())
                .await?;
            Ok(())
        };
        Box::pin(always(with_secret, without)).await
    };
    Box::pin(always(work, check.remove())).await?;
    let pods = Api::<Pod>::namespaced(cluster::admin().await?, &Environment::get()?.system_namespace);
    let all = pods.list(&ListParams::default()).await?;
    let beginning = format!("{}-check-", Environment::get()?.release);
    let of_the_test =
        |pod: &&Pod| pod.name_any().starts_with(&beginning) && pod.metadata.deletion_timestamp.is_none();
    let left: Vec<_> = all
        .iter()
        .filter(of_the_test)
        .map(kube::ResourceExt::name_any)
        .collect();
    anyhow::ensure!(left.is_empty(), "{left:?}");
    scratch.finish().await
}

async fn failures(check: &Check, stand_in: &StandIn, secret: &str) -> anyhow::Result<()> {
    let environment = Environment::get()?;
    let (release, host) = (&environment.release, environment.auth_host());
    let service = format!("let its DNS record lead to the address of Service {release}-proxy");
    let covered = format!(
        "it does not cover *.{0}, {0}: use one that covers",
        environment.base_domain
    );
    let unknown = format!("auth.{NOWHERE} does not resolve in pods (");
    let elsewhere = format!(
        "{host} leads to {}, where another certificate is served",
        stand_in.address
    );
    let front = "if that is a front that ends TLS";
    let faults = [
        Fault {
            name: "nowhere",
            changes: &[Change::Domain],
            failures: &[("DNS", &[&unknown, &service])],
        },
        Fault {
            name: "elsewhere",
            changes: &[Change::SignInHost(&stand_in.address)],
            failures: &[("DNS", &[&elsewhere, &service, front])],
        },
        // The stand-in has a certificate of the provider's host alone. Nothing listens on the port.
        Fault {
            name: "silent",
            changes: &[Change::Proxy(&stand_in.address), Change::Provider("127.0.0.1:9")],
            failures: &[
                ("certificate", &[&covered, "(proxy.tls)"]),
                ("provider", &["does not answer", "start it", "oidc.connectTo"]),
            ],
        },
        Fault {
            name: "secret",
            changes: &[Change::ClientSecret(secret)],
            failures: &[(
                "provider",
                &["refuses the client", "compare oidc.clientId", "clientSecretName"],
            )],
        },
    ];
    for fault in faults {
        let change = |pod: &mut ChangedPod| {
            pod.without_admission()?;
            fault.changes.iter().try_for_each(|change| change.apply(pod))
        };
        let lines = check.failure(fault.name, change).await?;
        for (check, parts) in fault.failures {
            lines
                .say("FAIL", check, parts)
                .with_context(|| fault.name.to_owned())?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn where_the_api_server_does_not_reach_the_webhook_helm_test_says_so_and_creates_nothing()
-> anyhow::Result<()> {
    let check = Check::render().await?;
    let scratch = Scratch::new("check", &[&check.user()?]).await?;
    let unreached = Unreached::new(&scratch).await?;
    let work = async {
        check.apply().await?;
        unreached.ask().await?;
        let namespace = format!("--workspace-namespace={}", scratch.namespace);
        let change = |pod: &mut ChangedPod| {
            pod.without_workspace()?;
            pod.set(&[&namespace])
        };
        let lines = check.failure("webhook", change).await?;
        let remedy = [
            "does not reach port",
            "open it (firewall, webhook.apiServerNetworks)",
            "webhook.port",
        ];
        lines.say("FAIL", "admission", &remedy)?;
        lines.say("skip", "workspace", &["needs admission"])
    };
    let back = async {
        unreached.end().await?;
        check.remove().await
    };
    Box::pin(always(work, back)).await?;
    let left = scratch.api::<Workspace>().list(&ListParams::default()).await?;
    anyhow::ensure!(left.items.is_empty(), "{:?}", left.items);
    scratch.finish().await
}
