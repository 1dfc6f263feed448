//! Namespace -> a second proxy with Kubernetes providers, an authorizer, and a client (IO).

use std::time::Duration;

use anyhow::Context as _;
use api::Workspace;
pub(crate) use e2e::command::administered as kubectl;
use e2e::{
    Environment,
    cluster::{self, traefik},
    command::apply,
    installation::definitions,
    objects::workspace,
    wait,
};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kit::pki;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::{Value, json};

/// Admits clients with the token, and names the user; refuses all others.
const DECIDE: &str = r#"
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        known = self.headers.get("Authorization") == "Bearer alice"
        self.send_response(200 if known else 401)
        if known:
            self.send_header("X-Auth-User", "alice")
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
http.server.ThreadingHTTPServer(("", 8888), Handler).serve_forever()
"#;

/// Requests the page of host `argv[2]` from `argv[1]`, with the headers in `argv[3]`, for ten seconds at most, until the status is
/// `argv[4]` (0: any); prints the last status, body and certificate.
const ASK: &str = r#"
import http.client, json, socket, ssl, sys, time
context = ssl._create_unverified_context()
end = time.monotonic() + 10
while True:
    connection = http.client.HTTPSConnection(sys.argv[2], timeout=10)
    plain = socket.create_connection((sys.argv[1], 8443), timeout=10)
    connection.sock = context.wrap_socket(plain, server_hostname=sys.argv[2])
    certificate = ssl.DER_cert_to_PEM_cert(connection.sock.getpeercert(True))
    connection.request("GET", "/page", headers=json.loads(sys.argv[3]))
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    if int(sys.argv[4]) in (0, answer.status) or time.monotonic() > end:
        break
    time.sleep(0.2)
print(json.dumps({"status": answer.status, "body": body, "certificate": certificate}))
"#;

/// Secret with the certificate of all hosts, in the namespaces of the proxy and of the workspaces.
const CERTIFICATE: &str = "hosts-tls";

/// The second proxy, its authorization service and its client.
pub(crate) struct Edge {
    /// Their namespace; also the name of the proxy's classes and of its rights.
    pub(crate) name: String,
    pods: Api<Pod>,
    /// The certificate that routes or the Gateway name, as PEM.
    certificate: String,
}

/// An answer of the proxy.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u64,
    pub(crate) body: String,
    certificate: String,
}

/// The proxy's kinds of routes.
pub(crate) async fn install_definitions() -> anyhow::Result<()> {
    let kinds = ["ingressroutes.traefik.io", "middlewares.traefik.io"];
    definitions::install("traefik.yaml", &kinds).await
}

impl Edge {
    /// Starts everything for workspaces in `namespace`. `with_gateway`: whether the proxy reads the Gateway API, which must be installed,
    /// and has a Gateway.
    pub(crate) async fn new(namespace: &str, with_gateway: bool) -> anyhow::Result<Self> {
        install_definitions().await?;
        let admin = cluster::admin().await?;
        let image = traefik::image().await?;
        let name = name_for(namespace);
        let pair = certificate(&name)?;
        let mut items = manifests(&name, namespace, &image, with_gateway)?;
        for namespace in [&*name, namespace] {
            items.push(json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": {"name": CERTIFICATE, "namespace": namespace},
                "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key},
            }));
        }
        apply(&items).await?;
        let edge = Self {
            pods: Api::namespaced(admin, &name),
            name,
            certificate: pair.certificate,
        };
        for pod in ["traefik", "auth", "client"] {
            wait::until(&format!("{pod} to be ready"), wait::USUAL, || async {
                let pod = edge.pods.get(pod).await.map_err(|error| error.to_string())?;
                if cluster::is_ready(&pod) {
                    Ok(())
                } else {
                    Err(format!("{:?}", pod.status))
                }
            })
            .await?;
        }
        Ok(edge)
    }

    /// Requests a page of `host`.
    pub(crate) async fn ask(&self, host: &str, headers: Value) -> anyhow::Result<Answer> {
        self.ask_until(host, headers, 0).await
    }

    /// Repeats the request until the status is this one, for a few seconds; 0: once.
    async fn ask_until(&self, host: &str, headers: Value, status: u64) -> anyhow::Result<Answer> {
        let proxy = format!("traefik.{}.svc", self.name);
        let command = [
            "python3",
            "-c",
            ASK,
            &proxy,
            host,
            &headers.to_string(),
            &status.to_string(),
        ];
        let message: Value = serde_json::from_str(&cluster::exec(&self.pods, "client", &command).await?)?;
        Ok(Answer {
            status: message["status"].as_u64().context("no status")?,
            body: message["body"].as_str().unwrap_or_default().to_owned(),
            certificate: message["certificate"].as_str().unwrap_or_default().to_owned(),
        })
    }

    /// Waits until `host` answers so to a client with the token.
    pub(crate) async fn answers(&self, host: &str, status: u64) -> anyhow::Result<Answer> {
        wait::until(
            &format!("{host} to answer {status}"),
            Duration::from_mins(1),
            || async {
                let answer = self
                    .ask_until(host, known(), status)
                    .await
                    .map_err(|error| format!("{error:#}"))?;
                if answer.status == status {
                    Ok(answer)
                } else {
                    Err(format!("{answer:?}"))
                }
            },
        )
        .await
    }

    /// Waits until `host` answers 401 to a client without token. Meanwhile it may have no route, but never admits one.
    pub(crate) async fn refuses(&self, host: &str) -> anyhow::Result<()> {
        let what = format!("{host} to refuse");
        let status = wait::until(&what, Duration::from_mins(1), || async {
            let answer = self.ask(host, json!({})).await;
            match answer.map_err(|error| format!("{error:#}"))?.status {
                404 => Err("it has no route".to_owned()),
                status => Ok(status),
            }
        });
        let status = status.await?;
        anyhow::ensure!(status == 401, "{host} answered {status} without a token");
        Ok(())
    }

    /// Waits until the workspace's pod answers at its host, with the certificate of all hosts. Only the authorization service names the
    /// user. Returns the host.
    pub(crate) async fn serves(&self, workspace: &Workspace) -> anyhow::Result<String> {
        let (name, domain) = (workspace.name_any(), &self.name);
        let url = workspace::url(workspace)?;
        anyhow::ensure!(url.starts_with(&format!("https://{name}-")), "{url}");
        anyhow::ensure!(url.ends_with(&format!(".{domain}.test/")), "{url}");
        let host = workspace::host(workspace)?;
        // A proxy may know the route before it knows the certificate.
        let lines = |pem: &str| pem.lines().map(str::to_owned).collect::<String>();
        let what = format!("{host} with the certificate of all hosts");
        let body = wait::until(&what, Duration::from_mins(1), || async {
            let answer = self.answers(&host, 200).await;
            let answer = answer.map_err(|error| format!("{error:#}"))?;
            let is_it = lines(&answer.certificate) == lines(&self.certificate);
            is_it.then_some(answer.body).ok_or(answer.certificate)
        })
        .await?;
        anyhow::ensure!(body.contains("\"path\": \"/page\""), "the pod answers: {body}");
        anyhow::ensure!(body.contains("alice") && !body.contains("mallory"), "{body}");
        self.refuses(&host).await?;
        let other = self.ask(&format!("other.{domain}.test"), known()).await?;
        anyhow::ensure!(other.status == 404, "{other:?}");
        Ok(host)
    }

    /// Removes everything.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        traefik::remove(&self.name).await
    }
}

/// The namespace of the proxy for workspaces in `namespace`.
fn name_for(namespace: &str) -> String {
    format!("edge-{namespace}")
}

/// A certificate for the hosts of its workspaces.
fn certificate(name: &str) -> anyhow::Result<pki::Pair> {
    let now = Timestamp::now();
    let authority = pki::authority(name, now)?;
    let hosts = [format!("*.{name}.test")];
    Ok(pki::leaf(&authority, name, &hosts, pki::Purpose::Server, now)?)
}

/// Headers of a known user who claims another identity.
pub(crate) fn known() -> Value {
    json!({"Authorization": "Bearer alice", "X-Auth-User": "mallory"})
}

fn manifests(name: &str, workspaces: &str, image: &str, with_gateway: bool) -> anyhow::Result<Vec<Value>> {
    let echo = &Environment::get()?.images.echo;
    let pod = |pod: &str, image: &str, command: Value, args: Value, port: i32| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": pod, "namespace": name, "labels": {"app.kubernetes.io/name": pod}},
            "spec": {
                "serviceAccountName": if pod == "traefik" { name } else { "default" },
                "automountServiceAccountToken": pod == "traefik",
                "terminationGracePeriodSeconds": 0,
                "containers": [{
                    "name": "main", "image": image, "imagePullPolicy": "Never", "command": command, "args": args,
                    "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
                }],
            },
        })
    };
    let service = |of: &str, port: i32| {
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": of, "namespace": name},
            "spec": {"selector": {"app.kubernetes.io/name": of}, "ports": [{"port": port}]},
        })
    };
    let watched = format!("{workspaces},{name}");
    let [crd, ingress] =
        ["crd", "ingress"].map(|provider| format!("--providers.kubernetes{provider}.namespaces={watched}"));
    let mut args = vec![
        "--entrypoints.websecure.address=:8443",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--providers.kubernetescrd=true",
        &crd,
        "--providers.kubernetesingress=true",
        &ingress,
        "--providers.providersthrottleduration=100ms",
    ];
    if with_gateway {
        args.push("--providers.kubernetesgateway=true");
    }
    let mut objects = traefik::surroundings(name)?;
    objects.extend([
        pod("traefik", image, json!(null), json!(args), 8443),
        service("traefik", 8443),
        pod(
            "auth",
            echo,
            json!(["python3", "-u", "-c", DECIDE]),
            json!(null),
            8888,
        ),
        service("auth", 8888),
        pod("client", echo, json!(null), json!(null), 8888),
    ]);
    if with_gateway {
        let tls = json!({"mode": "Terminate", "certificateRefs": [{"name": CERTIFICATE}]});
        objects.extend(traefik::gateway(name, "edge", ("https", "HTTPS", &tls)));
    }
    Ok(objects)
}

/// A WorkspaceManager of the repository's samples, adapted to the proxy for workspaces in `namespace`.
pub(crate) async fn manager(sample: &str, namespace: &str) -> anyhow::Result<String> {
    let edge = name_for(namespace);
    let name = format!("{sample}-{edge}");
    let file = format!(
        "{}/../deploy/samples/managers/{sample}.yaml",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&file).with_context(|| file.clone())?;
    let text = text
        .replace(&format!("name: {sample}\n"), &format!("name: {name}\n"))
        .replace(
            "baseDomain: workspaces.example.org",
            &format!("baseDomain: {edge}.test"),
        )
        .replace(
            "http://auth.example.svc/verify",
            &format!("http://auth.{edge}.svc:8888/verify"),
        )
        .replace(
            "ingressClassName: traefik\n",
            &format!(
                "ingressClassName: {edge}\n            tls: [{{hosts: [\"{{workspace.host}}\"], secretName: {CERTIFICATE}}}]\n"
            ),
        )
        .replace("tls: {}", &format!("tls: {{secretName: {CERTIFICATE}}}"))
        .replace("name: edge, namespace: traefik,", &format!("name: edge, namespace: {edge},"))
        .replace(
            "kubernetes.io/metadata.name: traefik",
            &format!("kubernetes.io/metadata.name: {edge}"),
        );
    kubectl(&["apply", "--server-side", "-f", "-"], &text).await?;
    Ok(name)
}

/// Deletes managers once no workspace uses them.
pub(crate) async fn forget(names: &[&str]) -> anyhow::Result<()> {
    let delete = [
        "delete",
        "workspacemanager",
        "--ignore-not-found",
        "--timeout=60s",
    ];
    kubectl(&[&delete[..], names].concat(), "").await?;
    Ok(())
}

/// Lets alice refer to managers.
pub(crate) async fn allow(namespace: &str, names: &[&str]) -> anyhow::Result<()> {
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "managers", "namespace": namespace},
            "rules": [{"apiGroups": [api::names::GROUP], "resources": ["workspacemanagers"], "resourceNames": names, "verbs": ["use"]}],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "managers", "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "managers"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}],
        },
    ]});
    kubectl(&["apply", "--server-side", "-f", "-"], &objects.to_string()).await?;
    Ok(())
}

/// A kind of routes.
#[derive(Debug)]
pub(crate) struct Kind {
    group: &'static str,
    version: &'static str,
    name: &'static str,
    plural: &'static str,
}

pub(crate) const INGRESS: Kind = Kind {
    group: "networking.k8s.io",
    version: "v1",
    name: "Ingress",
    plural: "ingresses",
};
pub(crate) const INGRESS_ROUTE: Kind = Kind {
    group: "traefik.io",
    version: "v1alpha1",
    name: "IngressRoute",
    plural: "ingressroutes",
};
pub(crate) const MIDDLEWARE: Kind = Kind {
    group: "traefik.io",
    version: "v1alpha1",
    name: "Middleware",
    plural: "middlewares",
};
pub(crate) const HTTP_ROUTE: Kind = Kind {
    group: "gateway.networking.k8s.io",
    version: "v1",
    name: "HTTPRoute",
    plural: "httproutes",
};

impl Kind {
    pub(crate) fn resource(&self) -> ApiResource {
        let kind = GroupVersionKind::gvk(self.group, self.version, self.name);
        ApiResource::from_gvk_with_plural(&kind, self.plural)
    }
}

/// Names of the objects of these kinds that carry the workspace's label, as kubectl writes them, sorted.
pub(crate) async fn labelled(
    namespace: &str,
    kinds: &[Kind],
    workspace: &str,
) -> anyhow::Result<Vec<String>> {
    let client = cluster::admin().await?;
    let of_workspace = ListParams::default().labels(&format!("{}={workspace}", api::names::WORKSPACE_LABEL));
    let mut names = Vec::new();
    for kind in kinds {
        let all = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &kind.resource());
        let prefix = format!("{}.{}", kind.name.to_lowercase(), kind.group);
        for object in all.list(&of_workspace).await? {
            names.push(format!("{prefix}/{}", object.name_any()));
        }
    }
    names.sort();
    Ok(names)
}

/// UID of the workspace's pod.
pub(crate) async fn pod_uid(pods: &Api<Pod>, workspace: &str) -> anyhow::Result<Option<String>> {
    let selector = format!("{}={workspace}", api::names::WORKSPACE_LABEL);
    let pods = pods.list(&ListParams::default().labels(&selector)).await?;
    Ok(pods.items.first().and_then(kube::ResourceExt::uid))
}
