//! Settings and a running installation -> a line for each check, and whether one failed (IO).
//!
//! The command that `helm test` runs. A file for each check, in this order: `certificate`, `dns`, `provider`, `admission`, `workspace`; after
//! the providers comes `oidc::portal_users`. `installation` has the hosts, `report` makes the lines.

mod admission;
mod certificate;
mod dns;
mod installation;
mod provider;
mod report;
mod workspace;

use std::path::PathBuf;
use std::time::Duration;

use api::Workspace;
use clap::{Arg, Parser, ValueEnum};
use jiff::Timestamp;
use kube::{Api, Client};
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use self::installation::Installation;
use self::report::Report;
use self::workspace::Trial;
use crate::oidc::args::Oidc;
use crate::oidc::{Registered, clients, portal_users};

/// Name of the command, as the first argument.
pub const NAME: &str = "check";
/// User agent and field manager of the requests.
const MANAGER: &str = "jupyter-k8s-check";
/// Namespace of the dry run if no namespace for a workspace is given: it exists in every cluster.
const DRY_RUN_NAMESPACE: &str = "default";

/// Checks a running installation, and prints a line for each check. Exits with 1 if one failed. Leaves nothing behind.
#[derive(Debug, Clone, Parser)]
#[command(name = "jupyter-k8s-gateway", version, mut_args(optional))]
pub struct Args {
    /// The command.
    #[arg(value_parser = [NAME])]
    command: String,

    /// Namespace of the release.
    #[arg(long, env = "POD_NAMESPACE")]
    namespace: String,

    /// Name of the Helm release.
    #[arg(long, env = "RELEASE_NAME")]
    release_name: String,

    /// Parts that the release does not have (repeatable): what needs them is not checked.
    #[arg(long, value_enum)]
    without: Vec<Component>,

    /// PEM file with the authority of the proxy's certificate, if the gateway made that certificate [default: it comes from elsewhere].
    #[arg(long)]
    self_signed_ca_file: Option<PathBuf>,

    /// Hosts of the installation; needed with proxy or gateway.
    #[command(flatten)]
    installation: Option<Installation>,

    /// Identity providers, with the settings of the gateway; needed with it.
    #[command(flatten)]
    oidc: Option<Oidc>,

    /// Port of the webhook's pods.
    #[arg(long, default_value_t = 9443)]
    webhook_port: u16,

    /// Namespace in which a workspace is created and deleted [default: none is].
    #[arg(long)]
    workspace_namespace: Option<String>,

    /// Template of that workspace [default: none].
    #[arg(long)]
    workspace_template: Option<String>,

    /// User name of the account that this command runs as, where no webhook records who creates a workspace [default: the webhook does].
    #[arg(long)]
    workspace_owner: Option<String>,

    /// The template retains disks: the workspace asks for the deletion of its own.
    #[arg(long)]
    delete_disk: bool,

    /// Time in which the workspace must become available.
    #[arg(long, default_value_t = 240)]
    timeout_seconds: u64,
}

/// clap would require what is required of hosts and providers, though their parts may be absent.
fn optional(arg: Arg) -> Arg {
    match arg.get_id().as_str() {
        "base_domain" | "routing_mode" | "issuer_url" | "client_id" => arg.required(false),
        _ => arg,
    }
}

/// A part of the release that can be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Component {
    Proxy,
    Gateway,
    Webhook,
}

impl Args {
    /// The hosts, if the release has this part.
    fn installation_of(&self, part: Component) -> Option<&Installation> {
        self.installation
            .as_ref()
            .filter(|_| !self.without.contains(&part))
    }
}

/// Runs all checks in order.
///
/// # Errors
/// A check failed, or there is no access to the API server at all.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let end = kit::shutdown::on_signal()?;
    let client = api::response::readable(kit::client::new(MANAGER).await?);
    let mut report = Report::default();
    proxy(&args, &mut report).await?;
    providers(&args, &client, &mut report).await?;
    workspaces(&args, &client, &end, &mut report).await?;
    report.finish()
}

/// Checks what browsers reach.
async fn proxy(args: &Args, report: &mut Report) -> std::io::Result<()> {
    let Some(installation) = args.installation_of(Component::Proxy) else {
        report.skip("certificate", "the proxy: proxy.enabled is false")?;
        return report.skip("DNS", "the proxy: proxy.enabled is false");
    };
    let (namespace, service) = (&args.namespace, format!("{}-proxy", args.release_name));
    let found = async {
        let authority = args.self_signed_ca_file.as_ref().map(std::fs::read_to_string);
        let authority = authority
            .transpose()
            .map_err(|error| format!("the authority of the proxy's certificate cannot be read: {error}"))?;
        let address = (format!("{service}.{namespace}.svc"), installation.port);
        let served = certificate::fetch(address, &installation.domain().auth_host()).await;
        let served = served.map_err(|error| {
            format!(
                "Service {service} does not answer on port {} ({error}): look at its pods, kubectl get pods -n {namespace} -l \
                 app.kubernetes.io/component=proxy",
                installation.port
            )
        })?;
        Ok((authority, served))
    };
    let (authority, served) = match found.await {
        Ok(found) => found,
        Err(problem) => {
            report.add("certificate", Err(problem))?;
            return report.skip("DNS", "certificate");
        }
    };
    let (authority, now) = (authority.as_deref(), Timestamp::now());
    let checked = certificate::check(&served, &installation.hosts(), authority, now);
    report.add("certificate", checked)?;
    // With a certificate that browsers do not trust, a load balancer in front has another one.
    let is_right = |found: &CertificateDer<'_>, host: &str| {
        let is_valid = || certificate::check(found, &[host.to_owned()], None, now).is_ok();
        *found == served || authority.is_some() && is_valid()
    };
    let checked = dns::check(installation, &format!("Service {service}"), is_right).await;
    report.add("DNS", checked)
}

async fn providers(args: &Args, client: &Client, report: &mut Report) -> std::io::Result<()> {
    let (Some(installation), Some(oidc)) = (args.installation_of(Component::Gateway), &args.oidc) else {
        return report.skip("provider", "the gateway: gateway.enabled is false");
    };
    let (list, clients) = match clients::from_args(oidc) {
        Ok(found) => found,
        Err(wrong) => return report.add("provider", Err(provider::in_values(&wrong, "oidc"))),
    };
    let ids: Vec<_> = clients.iter().map(|one| one.settings.client_id.clone()).collect();
    for (registered, client) in list.iter().zip(clients) {
        let redirect_uri = installation.domain().auth_origin() + &registered.callback;
        let checked = provider::check(&registered.name, &redirect_uri, client).await;
        report.add("provider", checked)?;
    }
    users(installation, client, (&list, &ids), report).await
}

/// Checks what Kubernetes makes of users as whom the portal acts. `ids`: the client at each provider.
async fn users(
    installation: &Installation,
    client: &Client,
    (list, ids): (&[Registered], &[String]),
    report: &mut Report,
) -> std::io::Result<()> {
    if installation.portal_acts_in.is_empty() {
        return report.skip("users", "a portal that acts as its users");
    }
    report.advise("users", portal_users::check_groups(list.iter()))?;
    for (registered, id) in list.iter().zip(ids).filter(|_| installation.portal_id_tokens) {
        let checked = portal_users::check_tokens(client, registered, id).await;
        report.advise("users", checked)?;
    }
    Ok(())
}

async fn workspaces(
    args: &Args,
    client: &Client,
    end: &CancellationToken,
    report: &mut Report,
) -> std::io::Result<()> {
    let namespace = args.workspace_namespace.as_deref();
    let api = Api::<Workspace>::namespaced(client.clone(), namespace.unwrap_or(DRY_RUN_NAMESPACE));
    let trial = Trial {
        name: format!("{}-tests", args.release_name),
        template: args.workspace_template.clone(),
        owner: args.workspace_owner.clone(),
        delete_disk: args.delete_disk,
        timeout: Duration::from_secs(args.timeout_seconds),
    };
    if args.without.contains(&Component::Webhook) {
        report.skip("admission", "the webhook: scope is Namespace")?;
    } else {
        let checked = admission::check(&api, &trial, args.webhook_port, &args.release_name).await;
        let is_asked = checked.is_ok();
        report.add("admission", checked)?;
        if !is_asked {
            return report.skip("workspace", "admission");
        }
    }
    if namespace.is_none() {
        let none = "a namespace: set tests.namespace to one for workspaces, or list one in userNamespaces";
        return report.skip("workspace", none);
    }
    // What an earlier check left.
    if let Err(problem) = workspace::remove(&api, &trial.name).await {
        return report.add("workspace", Err(problem));
    }
    // A failure is printed before the deletion: Helm may stop waiting meanwhile.
    let started = workspace::start(&api, &trial, end).await;
    if let Err(problem) = &started {
        report.add("workspace", Err(problem.clone()))?;
    }
    match (workspace::remove(&api, &trial.name).await, started) {
        (Err(problem), _) => report.add("workspace", Err(problem)),
        (Ok(()), Ok(started)) => report.add("workspace", Ok(format!("{started}, and is deleted"))),
        (Ok(()), Err(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use http::Method;
    use testkit::api_server::{ApiServer, Fault};

    use super::*;
    use crate::oidc::claims::Mapping;
    use crate::oidc::{CALLBACK, MAIN};

    #[tokio::test]
    async fn users_of_a_portal_that_acts_are_advised_of_and_fail_no_installation() {
        let (_server, client) = ApiServer::start();
        let issuer = "https://id.example";
        let mapping = Mapping::new(issuer, "sub", None, Some("groups"), "");
        let list = [Registered::new(MAIN, "Main", issuer, mapping, CALLBACK)];
        for (more, expected) in [
            (
                [].as_slice(),
                ["skip  users        needs a portal that acts"].as_slice(),
            ),
            (
                &["--portal-acts-in=*"],
                &["warn  users        groups of oidc have no prefix"],
            ),
            (
                &["--portal-acts-in=*", "--portal-id-tokens"],
                &[
                    "warn  users        groups of oidc have no prefix",
                    "warn  users        the API server ",
                ],
            ),
        ] {
            let line = [
                "gateway",
                NAME,
                "--namespace=system",
                "--release-name=demo",
                "--base-domain=ws.example",
            ];
            let line = line.iter().chain(&["--routing-mode=Subdomain"]).chain(more);
            let args = Args::try_parse_from(line).unwrap();
            let mut report = Report::default();
            let ids = ["gateway".to_owned()];
            users(
                args.installation.as_ref().unwrap(),
                &client,
                (&list, &ids),
                &mut report,
            )
            .await
            .unwrap();
            assert_eq!(report.lines.len(), expected.len(), "{:?}", report.lines);
            for (line, beginning) in report.lines.iter().zip(expected) {
                assert!(line.starts_with(beginning), "{line}");
            }
            report.finish().unwrap();
        }
    }

    #[tokio::test]
    async fn a_check_whose_part_or_namespace_is_absent_is_skipped() {
        let (server, client) = ApiServer::start();
        server.fail(Fault {
            message: r#"admission webhook "workspaces.workspaces.jupyter.org" denied the request: no"#
                .to_owned(),
            ..Fault::internal(Method::POST, "/workspaces", 1)
        });
        let line = [
            NAME,
            "--namespace=system",
            "--release-name=demo",
            "--without=proxy",
            "--without=gateway",
        ];
        let args = Args::try_parse_from(["gateway"].iter().chain(&line)).unwrap();
        let mut report = Report::default();
        proxy(&args, &mut report).await.unwrap();
        providers(&args, &client, &mut report).await.unwrap();
        let end = CancellationToken::new();
        workspaces(&args, &client, &end, &mut report).await.unwrap();
        assert_eq!(
            report.lines,
            [
                "skip  certificate  needs the proxy: proxy.enabled is false",
                "skip  DNS          needs the proxy: proxy.enabled is false",
                "skip  provider     needs the gateway: gateway.enabled is false",
                "ok    admission    a Workspace that breaks a rule is refused by the webhook",
                "skip  workspace    needs a namespace: set tests.namespace to one for workspaces, or list one in userNamespaces",
            ]
        );
        report.finish().unwrap();
        let calls = server.take_calls();
        assert_eq!(calls.len(), 1);
        assert!(calls[0].query.contains("dryRun=All"), "{}", calls[0].query);
        assert_eq!(
            calls[0].body["spec"]["env"][0]["name"],
            api::names::RUN_ID_VARIABLE
        );
    }
}
