//! Values, a registry -> output of the commands of docs/install.md and of Helm's notes (IO).

use std::{fs, time::Duration};

use anyhow::{Context as _, bail, ensure};
use e2e::{Environment, command::shell::Shell};
use serde_json::json;

/// Namespace of the users.
pub(crate) const NAMESPACE: &str = "notebooks";
/// The workspace that the notes create.
pub(crate) const WORKSPACE: &str = "my-notebook";
/// Registry that does not exist, with a path. The values have a mirror for it.
pub(crate) const MIRRORED: &str = "mirrored.invalid/hub";
/// Kubernetes name of alice: the address that the bundled provider gives her.
const ALICE: &str = "alice@example.com";
/// Longest time in which the pods of the release pull their images and become ready.
const READY: Duration = Duration::from_mins(4);
/// In front of a command that makes an object, in the notes.
const INDENT: &str = "           ";

/// An administrator who installs the chart.
pub(crate) struct Administrator {
    shell: Shell,
    /// The chart's reference in each command.
    chart: String,
    system: String,
    release: String,
}

impl Administrator {
    /// Writes the files of the installation: values, and what Secrets are made of.
    pub(crate) fn new(shell: Shell) -> anyhow::Result<Self> {
        let environment = Environment::get()?;
        let published = environment.published()?;
        shell.write("values.yaml", values(environment, &published.copies))?;
        // Helm and the nodes log in to the registry with the same file.
        let credentials = fs::read(&published.credentials)?;
        shell.write("config.json", &credentials)?;
        shell.write(".docker/config.json", &credentials)?;
        let secret = fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        shell.write("client-secret.txt", secret.trim())?;
        shell.write("alice.txt", &environment.user("alice")?.password)?;
        Ok(Self {
            shell,
            chart: format!("{} --version {} --plain-http", published.chart, published.version),
            system: environment.system_namespace.clone(),
            release: environment.release.clone(),
        })
    }

    /// Makes the namespace, installs, and runs each command of the notes that makes an object which pods wait for.
    pub(crate) async fn install(&self) -> anyhow::Result<()> {
        let Self {
            chart,
            system,
            release,
            ..
        } = self;
        let install = format!(
            "kubectl create namespace {system}
             kubectl label namespace {system} pod-security.kubernetes.io/enforce=restricted
             helm install {release} {chart} -n {system} -f values.yaml"
        );
        let printed = self.shell.run(&install).await?;
        let (_, notes) = printed
            .split_once("NOTES:")
            .with_context(|| format!("no notes: {printed}"))?;
        let commands: Vec<&str> = notes
            .lines()
            .filter_map(|line| line.strip_prefix(INDENT))
            .filter(|line| line.starts_with("kubectl create "))
            .collect();
        for (secret, namespace) in [
            ("registry", system.as_str()),
            ("registry", NAMESPACE),
            ("jupyter-k8s-oidc", system),
            ("jupyter-k8s-identity", system),
        ] {
            let made = format!(" {secret} -n {namespace} ");
            ensure!(
                commands.iter().any(|command| command.contains(&made)),
                "the notes do not say how to make {secret} in {namespace}: {notes}"
            );
        }
        ensure!(commands.len() == 4, "{commands:#?}");
        self.shell.run(&commands.join("\n")).await?;
        Ok(())
    }

    /// Plays the cloud and the DNS provider: the Service of the proxy gets an address, and the hosts lead there.
    pub(crate) async fn lead_hosts_to_the_proxy(&self) -> anyhow::Result<()> {
        let Self { system, release, .. } = self;
        let node =
            "kubectl get nodes -o jsonpath='{.items[0].status.addresses[?(@.type==\"InternalIP\")].address}'";
        let address = self.shell.run(node).await?;
        let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": address}]}}});
        let corefile = self
            .shell
            .run("kubectl get configmap coredns -n kube-system -o 'jsonpath={.data.Corefile}'")
            .await?;
        // A second installation finds the names of the first.
        let (own, _) = corefile.split_once("\ntest:53").unwrap_or((&corefile, ""));
        let zone = format!(
            "{}\ntest:53 {{\n    errors\n    template IN A {{\n        answer \"{{{{ .Name }}}} 60 IN A {address}\"\n    }}\n    \
             template IN AAAA {{\n        rcode NOERROR\n    }}\n}}\n",
            own.trim_end()
        );
        let zone = json!({"data": {"Corefile": zone}});
        self.shell.write("status.json", status.to_string())?;
        self.shell.write("zone.json", zone.to_string())?;
        let commands = format!(
            "kubectl patch service {release}-proxy -n {system} --subresource=status --patch-file=status.json
             kubectl patch configmap coredns -n kube-system --patch-file=zone.json
             kubectl rollout restart deployment coredns -n kube-system
             kubectl rollout status deployment coredns -n kube-system --timeout=1m"
        );
        self.shell.run(&commands).await?;
        Ok(())
    }

    /// Waits as the notes say.
    pub(crate) async fn pods_are_ready(&self) -> anyhow::Result<()> {
        let Self { system, release, .. } = self;
        let wait = format!(
            "kubectl rollout status deployment -n {system} -l app.kubernetes.io/instance={release} --timeout=10m"
        );
        let Ok(waited) = tokio::time::timeout(READY, self.shell.run(&wait)).await else {
            let seen = format!(
                "kubectl get pods -n {system}
                 kubectl get events -n {system} --field-selector type=Warning"
            );
            bail!(
                "the pods are not ready after {READY:?}\n{}",
                self.shell.run(&seen).await?
            );
        };
        waited?;
        Ok(())
    }

    /// What `helm test` prints, which must pass.
    pub(crate) async fn test(&self) -> anyhow::Result<String> {
        let Self { system, release, .. } = self;
        self.shell
            .run(&format!("helm test {release} -n {system} --logs"))
            .await
    }

    /// The notes, as they are now.
    async fn notes(&self) -> anyhow::Result<String> {
        let Self { system, release, .. } = self;
        self.shell
            .run(&format!("helm get notes {release} -n {system}"))
            .await
    }

    /// Runs the commands of the notes about a first workspace, and returns what they print.
    pub(crate) async fn first_workspace(&self) -> anyhow::Result<String> {
        let notes = self.notes().await?;
        let (_, after) = notes
            .split_once("Create a first workspace")
            .with_context(|| format!("no first workspace: {notes}"))?;
        let commands: Vec<&str> = after
            .lines()
            .filter_map(|line| line.strip_prefix("     "))
            .take_while(|line| !line.contains("ca.crt"))
            .collect();
        ensure!(
            commands
                .first()
                .is_some_and(|first| first.contains(&format!("--as={ALICE}"))),
            "{commands:?}"
        );
        self.shell.run(&commands.join("\n")).await
    }

    /// The authority of the certificate, by the command of the notes.
    pub(crate) async fn authority(&self) -> anyhow::Result<String> {
        let notes = self.notes().await?;
        let command = notes.lines().find(|line| line.ends_with(">ca.crt"));
        let command = command.with_context(|| format!("no command for the authority: {notes}"))?;
        self.shell.run(command).await?;
        Ok(fs::read_to_string(self.shell.folder().join("ca.crt"))?)
    }
}

/// The four blocks of docs/install.md, with the bundled provider, a certificate of its own, the registry's Secret, and a mirror.
fn values(environment: &Environment, copies: &str) -> String {
    let (base, identity, port) = (
        &environment.base_domain,
        &environment.identity_host,
        environment.port,
    );
    format!(
        "routing: {{baseDomain: {base}, port: {port}}}
oidc: {{usernameClaim: email}}
identity: {{enabled: true, host: {identity}, accounts: [{{username: alice}}]}}
proxy: {{tls: {{selfSigned: true}}}}
userNamespaces: [{{name: {NAMESPACE}, users: [{ALICE}]}}]
image: {{pullSecrets: [registry]}}
settings: {{imagePullSecrets: [registry], imageMirrors: [{{source: {MIRRORED}, mirror: '{copies}'}}]}}
"
    )
}
