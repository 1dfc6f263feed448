//! Kind of front -> an administrator's Traefik that routes all hosts to the release's proxy (IO).

use anyhow::Context as _;
use e2e::{
    Environment,
    cluster::{self, Scratch, traefik},
    command::apply,
    installation::definitions,
    wait,
};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

/// Name of its Deployment, Service and Gateway.
const NAME: &str = "front";
/// Label of its pod.
const LABEL: &str = "app.kubernetes.io/name";

/// The values of the chart that put a front before the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    IngressRouteTcp,
    TlsRoute,
    Ingress,
    HttpRoute,
}

impl Kind {
    fn uses_gateways(self) -> bool {
        matches!(self, Self::TlsRoute | Self::HttpRoute)
    }

    pub(crate) fn ends_tls(self) -> bool {
        matches!(self, Self::Ingress | Self::HttpRoute)
    }

    /// Whether the proxy learns the addresses of users. That of a `TLSRoute` is the front's.
    pub(crate) fn tells_addresses(self) -> bool {
        self != Self::TlsRoute
    }
}

/// The front, in a namespace of its own.
pub(crate) struct Front {
    /// Its namespace; also the name of its classes and rights.
    pub(crate) name: String,
    /// Address of its pod.
    pub(crate) address: String,
    kind: Kind,
    services: Api<Service>,
}

impl Front {
    /// Starts it, with rights to read what it leads to.
    pub(crate) async fn start(kind: Kind, scratch: &Scratch) -> anyhow::Result<Self> {
        definitions::install("traefik.yaml", &["ingressroutetcps.traefik.io"]).await?;
        if kind.uses_gateways() {
            definitions::install_gateway_api().await?;
        }
        let (environment, admin) = (Environment::get()?, cluster::admin().await?);
        let image = traefik::image().await?;
        let secrets = Api::<Secret>::namespaced(admin.clone(), &environment.system_namespace);
        let certificate = secrets.get(&format!("{}-proxy-tls", environment.release)).await?;
        let name = format!("front-{}", scratch.namespace);
        let mut items = objects(&name, &image, kind)?;
        items.push(json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
            "metadata": {"name": NAME, "namespace": name}, "data": certificate.data,
        }));
        apply(&items).await?;
        let pods = Api::<Pod>::namespaced(admin.clone(), &name);
        let of_it = ListParams::default().labels(&format!("{LABEL}={NAME}"));
        let address = wait::until("the front to be ready", wait::USUAL, || async {
            let listed = pods.list(&of_it).await.map_err(|error| error.to_string())?;
            let ready = listed.iter().find(|pod| cluster::is_ready(pod));
            let address = ready.and_then(|pod| pod.status.as_ref()?.pod_ip.clone());
            address.ok_or_else(|| format!("{:?}", listed.items))
        })
        .await?;
        Ok(Self {
            services: Api::namespaced(admin, &name),
            name,
            address,
            kind,
        })
    }

    /// The values of the chart for it, as `helm upgrade --set-json` takes them.
    pub(crate) fn values(&self) -> anyhow::Result<Vec<String>> {
        let address = json!([self.address]);
        let parents = json!([{"name": NAME, "namespace": self.name}]);
        // What the node's address carries is the front's from now on.
        let mut values = vec!["proxy.service.externalIPs=[]".to_owned()];
        let mut set = |key: &str, value: Value| values.push(format!("{key}={value}"));
        match self.kind {
            Kind::IngressRouteTcp => {
                set("proxy.ingressRouteTCP.enabled", json!(true));
                set("proxy.proxyProtocol.trustedIPs", address.clone());
            }
            Kind::TlsRoute => set("proxy.tlsRoute", json!({"enabled": true, "parentRefs": parents})),
            Kind::HttpRoute => set("proxy.httpRoute", json!({"enabled": true, "parentRefs": parents})),
            Kind::Ingress => {
                let secret = format!("{}-proxy-tls", Environment::get()?.release);
                let tls = json!({"secretName": secret});
                set(
                    "proxy.ingress",
                    json!({"enabled": true, "className": self.name, "tls": tls}),
                );
            }
        }
        if self.kind.ends_tls() {
            let namespace = json!({"matchLabels": {"kubernetes.io/metadata.name": self.name}});
            set("proxy.trustedProxies", address);
            set("proxy.front.from", json!([{"namespaceSelector": namespace}]));
        }
        Ok(values)
    }

    /// Gives it the address that users know, once the proxy has it no more.
    pub(crate) async fn open(&self) -> anyhow::Result<()> {
        let environment = Environment::get()?;
        let proxies = Api::<Service>::namespaced(cluster::admin().await?, &environment.system_namespace);
        let proxy = proxies.get(&format!("{}-proxy", environment.release)).await?;
        let addresses = proxy.spec.unwrap_or_default().external_ips.unwrap_or_default();
        anyhow::ensure!(addresses.is_empty(), "the proxy still has {addresses:?}");
        // The kubeconfig names the node's address, which carries the ports of such Services.
        let node = node_address().await?;
        let service: Service = serde_json::from_value(json!({
            "metadata": {"name": NAME},
            "spec": {
                "selector": {LABEL: NAME},
                "externalIPs": [node],
                "ports": [{"port": environment.port, "targetPort": 8443}],
            },
        }))?;
        self.services.create(&PostParams::default(), &service).await?;
        Ok(())
    }

    /// Gives the address back, before the proxy gets it again.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        match self.services.delete(NAME, &DeleteParams::default()).await {
            Err(kube::Error::Api(error)) if error.code == 404 => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    /// Takes everything away.
    pub(crate) async fn finish(self) -> anyhow::Result<()> {
        traefik::remove(&self.name).await?;
        if self.kind.uses_gateways() {
            definitions::remove_gateway_api().await?;
        }
        Ok(())
    }
}

/// The address of the node that the proxy runs on.
async fn node_address() -> anyhow::Result<String> {
    let proxies = cluster::component_pods(cluster::admin().await?, "proxy").await?;
    let node = proxies
        .iter()
        .find_map(|pod| pod.status.as_ref()?.host_ip.clone());
    node.context("the chart's proxy has no node")
}

fn objects(name: &str, image: &str, kind: Kind) -> anyhow::Result<Vec<Value>> {
    let mut objects = traefik::surroundings(name)?;
    objects.push(deployment(name, image, kind));
    if kind.uses_gateways() {
        let (protocol, tls) = if kind.ends_tls() {
            (
                "HTTPS",
                json!({"mode": "Terminate", "certificateRefs": [{"name": NAME}]}),
            )
        } else {
            ("TLS", json!({"mode": "Passthrough"}))
        };
        objects.extend(traefik::gateway(name, NAME, ("edge", protocol, &tls)));
    }
    Ok(objects)
}

/// Traefik as its own chart runs it, with the provider of this kind alone.
fn deployment(name: &str, image: &str, kind: Kind) -> Value {
    let mut args = vec![
        "--entrypoints.websecure.address=:8443",
        "--entrypoints.websecure.http.tls=true",
        "--entrypoints.ping.address=:8080",
        "--ping.entrypoint=ping",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--providers.providersthrottleduration=100ms",
    ];
    args.extend(match kind {
        Kind::IngressRouteTcp => ["--providers.kubernetescrd=true"],
        Kind::Ingress => ["--providers.kubernetesingress=true"],
        Kind::TlsRoute | Kind::HttpRoute => ["--providers.kubernetesgateway=true"],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME, "namespace": name},
        "spec": {
            "selector": {"matchLabels": {LABEL: NAME}},
            "template": {
                "metadata": {"labels": {LABEL: NAME}},
                "spec": {
                    "serviceAccountName": name,
                    "terminationGracePeriodSeconds": 0,
                    "containers": [{
                        "name": "main", "image": image, "imagePullPolicy": "Never", "args": args,
                        "readinessProbe": {"httpGet": {"path": "/ping", "port": 8080}, "periodSeconds": 1},
                    }],
                },
            },
        },
    })
}
