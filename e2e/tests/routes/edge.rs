//! A second proxy with Kubernetes providers, a service that decides about requests, and a client, in a namespace of their own
//! (IO).

use std::time::Duration;

use anyhow::Context as _;
pub(crate) use e2e::command::administered as kubectl;
use e2e::{Environment, cluster, definitions, traefik, wait};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::{Value, json};

/// Says yes, and who it is, to whoever knows the token; no to everybody else.
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

/// Asks `argv[1]` for the page of host `argv[2]`, with the headers in `argv[3]`, until the status is `argv[4]` if that is not 0, for
/// ten seconds at most; prints the last status and body.
const ASK: &str = r#"
import http.client, json, ssl, sys, time
context = ssl._create_unverified_context()
end = time.monotonic() + 10
while True:
    connection = http.client.HTTPSConnection(sys.argv[1], 8443, timeout=10, context=context)
    connection.request("GET", "/page", headers={"Host": sys.argv[2], **json.loads(sys.argv[3])})
    answer = connection.getresponse()
    body = answer.read().decode("utf-8", "replace")
    if int(sys.argv[4]) in (0, answer.status) or time.monotonic() > end:
        break
    time.sleep(0.2)
print(json.dumps({"status": answer.status, "body": body}))
"#;

/// The second proxy and its company.
pub(crate) struct Edge {
    /// Their namespace; also the name of the proxy's class and of its rights.
    pub(crate) name: String,
    pods: Api<Pod>,
}

/// An answer of the proxy.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u64,
    pub(crate) body: String,
}

/// The proxy's kinds of routes.
pub(crate) async fn install_definitions() -> anyhow::Result<()> {
    let kinds = ["ingressroutes.traefik.io", "middlewares.traefik.io"];
    definitions::install("traefik.yaml", &kinds).await
}

impl Edge {
    /// Only the names, of a proxy that does not run.
    pub(crate) async fn absent(namespace: &str) -> anyhow::Result<Self> {
        let name = format!("edge-{namespace}");
        let pods = Api::namespaced(cluster::admin().await?, &name);
        Ok(Self { name, pods })
    }

    /// Everything up, for workspaces in `namespace`.
    pub(crate) async fn new(namespace: &str) -> anyhow::Result<Self> {
        install_definitions().await?;
        let admin = cluster::admin().await?;
        let image = traefik::image().await?;
        let name = format!("edge-{namespace}");
        let objects =
            json!({"apiVersion": "v1", "kind": "List", "items": manifests(&name, namespace, &image)?});
        kubectl(&["apply", "--server-side", "-f", "-"], &objects.to_string()).await?;
        let edge = Self {
            pods: Api::namespaced(admin, &name),
            name,
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

    /// Asks for a page of `host`.
    pub(crate) async fn ask(&self, host: &str, headers: Value) -> anyhow::Result<Answer> {
        self.ask_until(host, headers, 0).await
    }

    /// Asks until the status is this one, for a few seconds; 0: once.
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
        })
    }

    /// Waits until `host` answers so to somebody with the token.
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

    /// Waits until `host` answers 401 to a client without token. Meanwhile it may have no route, but never lets one in.
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

    /// The address of the service that decides.
    pub(crate) fn address(&self) -> String {
        format!("http://auth.{}.svc:8888/verify", self.name)
    }

    /// Takes everything away.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        let name = self.name.as_str();
        kubectl(
            &[
                "delete",
                "clusterrole,clusterrolebinding,ingressclass",
                name,
                "--ignore-not-found",
            ],
            "",
        )
        .await?;
        kubectl(&["delete", "namespace", name, "--timeout=120s"], "").await?;
        Ok(())
    }
}

/// Headers of somebody whom the service knows, who claims to be somebody else.
pub(crate) fn known() -> Value {
    json!({"Authorization": "Bearer alice", "X-Auth-User": "mallory"})
}

fn manifests(name: &str, workspaces: &str, image: &str) -> anyhow::Result<Vec<Value>> {
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
    let args = json!([
        "--entrypoints.websecure.address=:8443",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--providers.kubernetescrd=true",
        format!("--providers.kubernetescrd.namespaces={watched}"),
        "--providers.kubernetesingress=true",
        format!("--providers.kubernetesingress.namespaces={watched}"),
        "--providers.providersthrottleduration=100ms",
    ]);
    let every = |group: &str, resources: Value| json!({"apiGroups": [group], "resources": resources, "verbs": ["get", "list", "watch"]});
    let rules = json!([
        every(
            "",
            json!([
                "services",
                "secrets",
                "nodes",
                "configmaps",
                "namespaces",
                "pods",
                "endpoints"
            ])
        ),
        every("discovery.k8s.io", json!(["endpointslices"])),
        every("networking.k8s.io", json!(["ingresses", "ingressclasses"])),
        every(
            "traefik.io",
            json!([
                "ingressroutes",
                "ingressroutetcps",
                "ingressrouteudps",
                "middlewares",
                "middlewaretcps",
                "tlsoptions",
                "tlsstores",
                "traefikservices",
                "serverstransports",
                "serverstransporttcps",
            ])
        ),
    ]);
    let mut objects = traefik::surroundings(name, &rules)?;
    objects.extend([
        pod("traefik", image, json!(null), args, 8443),
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
    Ok(objects)
}

/// A WorkspaceManager of the repository's samples, fitted to this edge.
pub(crate) async fn manager(sample: &str, edge: &Edge) -> anyhow::Result<String> {
    let name = format!("{sample}-{}", edge.name);
    let file = format!(
        "{}/../deploy/samples/managers/{sample}.yaml",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(&file).with_context(|| file.clone())?;
    let text = text
        .replace(&format!("name: {sample}\n"), &format!("name: {name}\n"))
        .replace(
            "baseDomain: workspaces.example.org",
            &format!("baseDomain: {}.test", edge.name),
        )
        .replace("http://auth.example.svc/verify", &edge.address())
        .replace(
            "ingressClassName: traefik",
            &format!("ingressClassName: {}", edge.name),
        )
        .replace(
            "kubernetes.io/metadata.name: traefik",
            &format!("kubernetes.io/metadata.name: {}", edge.name),
        );
    kubectl(&["apply", "--server-side", "-f", "-"], &text).await?;
    Ok(name)
}

/// Deletes managers once nobody uses them.
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
