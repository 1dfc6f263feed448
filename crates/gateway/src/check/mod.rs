//! Settings and a running installation -> a line for each check, and whether one failed (IO).
//!
//! The command that `helm test` runs. From top to bottom:
//!
//! | file | check |
//! |---|---|
//! | `certificate.rs` | the proxy's certificate covers every host and is valid |
//! | `dns.rs` | the hosts lead to the proxy's Service |
//! | `provider.rs` | each identity provider answers and accepts the client |
//! | `admission.rs` | the API server asks the webhook |
//! | `workspace.rs` | a workspace becomes available, and is deleted again |
//! | `connect.rs` | address -> the certificate that is served there |
//! | `site.rs` | hosts of the installation |
//! | `report.rs` | result of a check -> a line |

mod admission;
mod certificate;
mod connect;
mod dns;
mod provider;
mod report;
mod site;
mod workspace;

use std::path::PathBuf;
use std::time::Duration;

use api::Workspace;
use clap::{Arg, Parser, ValueEnum};
use jiff::Timestamp;
use kube::{Api, Client};
use rustls::pki_types::CertificateDer;
use tokio_util::sync::CancellationToken;

use self::report::{Outcome, Report};
use self::site::Site;
use self::workspace::Trial;
use crate::clock::Clock;
use crate::oidc::args::Oidc;
use crate::oidc::bare_groups;
use crate::oidc::clients;

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
    without: Vec<Part>,

    /// PEM file with the authority of the proxy's certificate, if the gateway made that certificate [default: it comes from elsewhere].
    #[arg(long)]
    self_signed_ca_file: Option<PathBuf>,

    /// Hosts of the installation; needed with proxy or gateway.
    #[command(flatten)]
    site: Option<Site>,

    /// Identity providers, with the settings of the gateway; needed with it.
    #[command(flatten)]
    oidc: Option<Oidc>,

    /// Namespaces in which the portal changes workspaces for users, `*` for all (repeatable).
    #[arg(long)]
    portal_acts_in: Vec<String>,

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
enum Part {
    Proxy,
    Gateway,
    Webhook,
}

impl Part {
    /// Why a check that needs an absent part is skipped.
    fn skip(self) -> Outcome {
        Outcome::Skip(match self {
            Self::Proxy => "needs the proxy: proxy.enabled is false".to_owned(),
            Self::Gateway => "needs the gateway: gateway.enabled is false".to_owned(),
            Self::Webhook => "needs the webhook: scope is Namespace".to_owned(),
        })
    }
}

impl Args {
    /// The hosts, if the release has this part, or why its checks are skipped.
    fn site_of(&self, part: Part) -> Result<&Site, Outcome> {
        if self.without.contains(&part) {
            return Err(part.skip());
        }
        let none = || Outcome::Skip("needs --base-domain and --routing-mode".to_owned());
        self.site.as_ref().ok_or_else(none)
    }
}

/// Runs all checks in order.
///
/// # Errors
/// A check failed, or there is no access to the API server at all.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let end = kit::shutdown::on_signal()?;
    let client = kit::client::new(MANAGER).await?;
    let mut report = Report::default();
    proxy(&args, &mut report).await?;
    providers(&args, &mut report).await?;
    workspaces(&args, &client, &end, &mut report).await?;
    report.finish()
}

/// Checks what browsers reach.
async fn proxy(args: &Args, report: &mut Report) -> std::io::Result<()> {
    let Args {
        namespace,
        release_name,
        ..
    } = args;
    let site = match args.site_of(Part::Proxy) {
        Ok(site) => site,
        Err(skip) => {
            report.add("certificate", &skip)?;
            return report.add("DNS", &skip);
        }
    };
    let authority = match args.self_signed_ca_file.as_ref().map(std::fs::read_to_string) {
        Some(Err(error)) => {
            let unread = format!("the authority of the proxy's certificate cannot be read: {error}");
            return report.add("certificate", &Outcome::Fail(unread));
        }
        Some(Ok(pem)) => Some(pem),
        None => None,
    };
    let (authority, now) = (authority.as_deref(), Timestamp::now());
    let service = format!("{release_name}-proxy");
    let address = (format!("{service}.{namespace}.svc"), site.port);
    match connect::certificate(address, &site.domain().auth_host()).await {
        Ok(served) => {
            report.add(
                "certificate",
                &certificate::check(&served, &site.hosts(), authority, now),
            )?;
            let answers = dns::Answers {
                look_up: async |host: String| dns::look_up(host, site.port).await,
                certificate: async |address, host: String| connect::certificate(address, &host).await,
                may_be_in_front: |found: &CertificateDer<'_>, host: &str| {
                    let covers = || certificate::check(found, &[host.to_owned()], None, now);
                    authority.is_some() && matches!(covers(), Outcome::Ok(_))
                },
            };
            let target = format!("Service {service}");
            report.add("DNS", &dns::check(site, &target, &served, answers).await)
        }
        Err(error) => {
            let no_certificate = format!(
                "Service {service} does not answer on port {} ({error}): look at its pods, kubectl get pods -n {namespace} -l \
                 app.kubernetes.io/component=proxy",
                site.port
            );
            report.add("certificate", &Outcome::Fail(no_certificate))?;
            report.add("DNS", &Outcome::Skip("needs certificate".to_owned()))
        }
    }
}

async fn providers(args: &Args, report: &mut Report) -> std::io::Result<()> {
    let site = match args.site_of(Part::Gateway) {
        Ok(site) => site,
        Err(skip) => return report.add("provider", &skip),
    };
    let Some(oidc) = &args.oidc else {
        return report.add(
            "provider",
            &Outcome::Skip("needs --oidc-issuer-url and --oidc-client-id".to_owned()),
        );
    };
    let (list, clients) = match clients::of(oidc) {
        Ok(found) => found,
        Err(wrong) => return report.add("provider", &Outcome::Fail(provider::in_values(&wrong, "oidc"))),
    };
    for (registered, client) in list.iter().zip(clients) {
        let redirect_uri = site.domain().auth_origin() + &registered.callback;
        let outcome = provider::check(&registered.name, &redirect_uri, client, &Clock::System).await;
        let is_bare = !args.portal_acts_in.is_empty() && bare_groups::has_bare_groups(&registered.mapping);
        report.add(
            "provider",
            &if is_bare {
                outcome.but(bare_groups::PROBLEM)
            } else {
                outcome
            },
        )?;
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
    let admission = if args.without.contains(&Part::Webhook) {
        Part::Webhook.skip()
    } else {
        admission::check(&api, &trial, args.webhook_port, &args.release_name).await
    };
    report.add("admission", &admission)?;
    if matches!(admission, Outcome::Fail(_)) {
        return report.add("workspace", &Outcome::Skip("needs admission".to_owned()));
    }
    if namespace.is_none() {
        let none =
            "needs a namespace: set tests.namespace to one for workspaces, or list one in userNamespaces";
        return report.add("workspace", &Outcome::Skip(none.to_owned()));
    }
    // What an earlier check left.
    if let Err(problem) = workspace::remove(&api, &trial.name).await {
        return report.add("workspace", &Outcome::Fail(problem));
    }
    // A failure is printed before the deletion: Helm may stop waiting meanwhile.
    let started = workspace::start(&api, &trial, end).await;
    if let Err(problem) = &started {
        report.add("workspace", &Outcome::Fail(problem.clone()))?;
    }
    match (workspace::remove(&api, &trial.name).await, started) {
        (Err(problem), _) => report.add("workspace", &Outcome::Fail(problem)),
        (Ok(()), Ok(started)) => report.add("workspace", &Outcome::Ok(format!("{started}, and is deleted"))),
        (Ok(()), Err(_)) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use api::workspace::WorkspaceSpec;
    use http::Method;
    use testkit::api_server::{ApiServer, Call, Fault};

    use super::*;

    const REFUSAL: &str =
        r#"admission webhook "workspaces.workspaces.jupyter.org" denied the request: spec.env[0].name: no"#;

    fn args(more: &[&str]) -> Args {
        let line = [
            "gateway",
            NAME,
            "--namespace=system",
            "--release-name=demo",
            "--base-domain=ws.example",
            "--routing-mode=Subdomain",
            "--oidc-issuer-url=https://id.example",
            "--oidc-client-id=c",
            "--timeout-seconds=10",
        ];
        Args::try_parse_from(line.iter().chain(more)).unwrap()
    }

    /// The lines of the last two checks, and the requests, where the API server answers the dry run with this message.
    async fn lines(more: &[&str], dry_run: &str) -> (Vec<String>, Vec<Call>) {
        let (server, client) = ApiServer::start();
        let lines = lines_of(&server, &client, more, dry_run).await;
        assert!(server.all::<Workspace>().is_empty());
        (lines, server.take_calls())
    }

    async fn lines_of(server: &ApiServer, client: &Client, more: &[&str], dry_run: &str) -> Vec<String> {
        server.fail(Fault {
            message: dry_run.to_owned(),
            ..Fault::internal(Method::POST, "/workspaces", 1)
        });
        let mut report = Report::default();
        workspaces(&args(more), client, &CancellationToken::new(), &mut report)
            .await
            .unwrap();
        report.lines
    }

    #[tokio::test]
    async fn without_the_webhook_no_workspace_is_created() {
        let (lines, calls) = lines(&["--workspace-namespace=team"], "failed calling webhook").await;
        assert!(lines[0].starts_with("FAIL  admission    "), "{lines:?}");
        assert_eq!(lines[1..], ["skip  workspace    needs admission"]);
        assert_eq!(calls.len(), 1);
    }

    #[tokio::test]
    async fn a_release_without_proxy_and_gateway_needs_no_hosts_and_skips_their_checks() {
        let line = [
            "gateway",
            NAME,
            "--namespace=system",
            "--release-name=demo",
            "--without=proxy",
            "--without=gateway",
        ];
        let args = Args::try_parse_from(line).unwrap();
        let mut report = Report::default();
        proxy(&args, &mut report).await.unwrap();
        providers(&args, &mut report).await.unwrap();
        assert_eq!(
            report.lines,
            [
                "skip  certificate  needs the proxy: proxy.enabled is false",
                "skip  DNS          needs the proxy: proxy.enabled is false",
                "skip  provider     needs the gateway: gateway.enabled is false",
            ]
        );
        assert!(Args::try_parse_from(line.iter().chain(&["--oidc-client-id=c"])).is_err());
    }

    #[tokio::test]
    async fn without_a_namespace_there_is_only_a_dry_run() {
        let (lines, calls) = lines(&[], REFUSAL).await;
        assert!(lines[0].starts_with("ok    admission    "), "{lines:?}");
        assert!(
            lines[1].starts_with("skip  workspace    needs a namespace: set tests.namespace"),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 2);
        assert_eq!(
            calls.iter().map(Call::line).collect::<Vec<_>>(),
            ["POST /apis/workspaces.jupyter.org/v1alpha1/namespaces/default/workspaces"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn without_webhook_the_workspace_names_its_owner_and_admission_is_skipped() {
        let (server, client) = ApiServer::start();
        let more = [
            "--workspace-namespace=team",
            "--without=webhook",
            "--workspace-owner=robot",
        ];
        let mut report = Report::default();
        let end = CancellationToken::new();
        workspaces(&args(&more), &client, &end, &mut report)
            .await
            .unwrap();
        assert_eq!(
            report.lines[0],
            "skip  admission    needs the webhook: scope is Namespace"
        );
        let calls = server.take_calls();
        let mut created = calls.iter().filter(|call| call.method == Method::POST);
        let body = &created.next().unwrap().body;
        assert_eq!(body["metadata"]["annotations"][api::names::CREATED_BY], "robot");
        assert!(created.next().is_none(), "there is no dry run");
    }

    /// What an earlier check left, with these finalizers.
    fn leftover(finalizers: &[&str]) -> Workspace {
        let mut left = Workspace::new("demo-tests", WorkspaceSpec::default());
        left.metadata.namespace = Some("team".to_owned());
        left.metadata.uid = Some("left".to_owned());
        left.metadata.finalizers = Some(finalizers.iter().map(ToString::to_string).collect());
        left
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_check_left_is_deleted_first() {
        let (server, client) = ApiServer::start();
        server.put(&leftover(&[]));
        let lines = lines_of(&server, &client, &["--workspace-namespace=team"], REFUSAL).await;
        assert!(
            lines[1].starts_with("FAIL  workspace    workspace team/demo-tests is not available after 10 s"),
            "{lines:?}"
        );
        assert_eq!(lines.len(), 2);
        let methods: Vec<Method> = server.take_calls().into_iter().map(|call| call.method).collect();
        // The dry run comes before both.
        let position = |method: Method| methods.iter().skip(1).position(|it| *it == method).unwrap();
        assert!(position(Method::DELETE) < position(Method::POST), "{methods:?}");
        assert!(server.all::<Workspace>().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_still_there_nothing_is_created() {
        let (server, client) = ApiServer::start();
        server.put(&leftover(&["example.org/held"]));
        let lines = lines_of(&server, &client, &["--workspace-namespace=team"], REFUSAL).await;
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[1].starts_with(
                "FAIL  workspace    workspace team/demo-tests is not gone 120 s after its deletion"
            ),
            "{lines:?}"
        );
        let posts = server
            .take_calls()
            .into_iter()
            .filter(|call| call.method == Method::POST);
        assert_eq!(posts.count(), 1, "the dry run alone");
    }
}
