//! Connections between pods, workspaces and other endpoints, as docs/security.md says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use anyhow::{Context as _, bail, ensure};
use api::{Workspace, workspace::Phase};
use e2e::{
    Environment,
    cluster::{self, Scratch, node_network::NodeNetwork},
    objects::workspace,
};
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    discovery::v1::EndpointSlice,
};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, PostParams},
};

/// The section of docs/security.md with the table.
const SECTION: &str = "## Which connections are open";
/// The page's names of the components.
const COMPONENTS: [(&str, &str); 6] = [
    ("operator", "operator"),
    ("webhook", "webhook"),
    ("gateway", "gateway"),
    ("portal", "portal"),
    ("proxy", "proxy"),
    ("identity provider", "identity"),
];
/// The node itself, which no policy restricts: a connection shows that the server listens.
const NODE: &str = "";
/// An address of each private range, which the node gets for this test, with a port that components may use for the API server.
const PRIVATE: [&str; 4] = [
    "10.255.255.254:443",
    "172.31.255.254:443",
    "192.168.255.254:443",
    "100.127.255.254:443",
];
/// An address of the public internet, which the node gets for this test as well. No list of special ranges has it.
const PUBLIC: &str = "203.0.114.1:443";
/// Address of clouds' metadata service.
const METADATA: &str = "169.254.169.254:80";
/// The kubelet.
const KUBELET: u16 = 10_250;

/// The content of a cell.
#[derive(Debug, PartialEq, Eq)]
enum Cell {
    Open,
    Closed,
    /// Only the pod itself is at the other end.
    Itself,
}

/// Destination and source -> the page's cell.
type Table = BTreeMap<(String, String), Cell>;

fn table(page: &str) -> anyhow::Result<Table> {
    let (_, section) = page.split_once(SECTION).context("no such section")?;
    let section = section.split("\n## ").next().unwrap_or_default();
    let cells = |line: &str| -> Vec<String> {
        let line = line.trim_matches('|').split('|');
        line.map(|cell| cell.trim().to_owned()).collect()
    };
    let mut lines = section.lines().filter(|line| line.starts_with('|')).map(cells);
    let columns = lines.next().context("no table")?;
    let mut table = Table::new();
    for row in lines.skip(1) {
        ensure!(row.len() == columns.len(), "{row:?}");
        for (from, cell) in columns.iter().zip(&row).skip(1) {
            let cell = match cell.as_str() {
                "open" => Cell::Open,
                "-" => Cell::Closed,
                "itself" => Cell::Itself,
                other => bail!("{row:?}: {other:?} is neither open, - nor itself"),
            };
            ensure!(
                table.insert((row[0].clone(), from.clone()), cell).is_none(),
                "{row:?}"
            );
        }
    }
    Ok(table)
}

/// Pods and other endpoints, by their names on the page.
#[derive(Default)]
struct Site {
    /// Addresses of pods.
    pods: BTreeMap<String, BTreeSet<String>>,
    /// `protocol:address:port` of each row.
    targets: BTreeMap<String, BTreeSet<String>>,
}

impl Site {
    fn pod(&mut self, name: &str, pod: &Pod) -> anyhow::Result<()> {
        let status = pod.status.clone().unwrap_or_default();
        let (address, node) = status
            .pod_ip
            .zip(status.host_ip)
            .with_context(|| format!("{} has no address", pod.name_any()))?;
        self.pods.entry(name.to_owned()).or_default().insert(address);
        self.target("node", format!("tcp:{node}:{KUBELET}"));
        Ok(())
    }

    fn target(&mut self, row: &str, target: String) {
        self.targets.entry(row.to_owned()).or_default().insert(target);
    }

    /// The pods of the release, and their destinations.
    async fn of_release() -> anyhow::Result<Self> {
        let admin = cluster::admin().await?;
        let mut site = Self::default();
        for (name, component) in COMPONENTS {
            for pod in cluster::component_pods(admin.clone(), component).await? {
                if cluster::is_ready(&pod) {
                    site.pod(name, &pod)?;
                }
            }
        }
        let address = async |namespace: &str, name: &str| {
            let services = Api::<Service>::namespaced(admin.clone(), namespace);
            let spec = services.get(name).await?.spec.unwrap_or_default();
            spec.cluster_ip.with_context(|| format!("{name} has no address"))
        };
        let api_server = address("default", "kubernetes").await?;
        site.target("API server", format!("tcp:{api_server}:443"));
        let slices = Api::<EndpointSlice>::namespaced(admin.clone(), "default");
        let of_it = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
        for slice in slices.list(&of_it).await? {
            let ports = slice.ports.iter().flatten().filter_map(|port| port.port);
            for (port, endpoint) in ports.flat_map(|port| slice.endpoints.iter().map(move |it| (port, it))) {
                for address in &endpoint.addresses {
                    site.target("API server", format!("tcp:{address}:{port}"));
                }
            }
        }
        let dns = address("kube-system", "kube-dns").await?;
        for protocol in ["tcp", "udp"] {
            site.target("DNS", format!("{protocol}:{dns}:53"));
        }
        let environment = Environment::get()?;
        let proxy = format!("{}-proxy", environment.release);
        let issuer = address(&environment.system_namespace, &proxy).await?;
        site.target("issuer", format!("tcp:{issuer}:{}", environment.port));
        for address in PRIVATE {
            site.target("private address", format!("tcp:{address}"));
        }
        site.target("public address", format!("tcp:{PUBLIC}"));
        site.target("metadata service", format!("tcp:{METADATA}"));
        Ok(site)
    }

    /// The row of a port, of which the page may name several.
    fn row<'a>(table: &'a Table, name: &str, port: u16) -> anyhow::Result<&'a str> {
        let is_it = |row: &&String| {
            row.strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(": "))
                .is_some_and(|ports| ports.split(", ").any(|one| one == port.to_string()))
        };
        let row = table.keys().map(|(row, _)| row).find(is_it);
        row.map(String::as_str)
            .with_context(|| format!("{name} listens on {port}, which the page does not list"))
    }
}

#[tokio::test]
async fn every_connection_is_open_or_closed_as_the_page_says_and_nothing_else_listens() -> anyhow::Result<()>
{
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/security.md");
    let table = table(&fs::read_to_string(page)?)?;
    let scratch = Scratch::new("connections", &["alice", "bob"]).await?;
    let bobs: Api<Workspace> = Api::namespaced(cluster::user("bob").await?, &scratch.namespace);
    bobs.create(&PostParams::default(), &workspace::echo("bobs")?)
        .await?;
    let (pods, image) = (scratch.api::<Pod>(), &Environment::get()?.images.echo);
    let (alices, other) = tokio::try_join!(
        workspace::running(&scratch, "alices"),
        cluster::run_pod(&pods, "other", image),
    )?;
    let bobs = workspace::reached(&bobs, "bobs", Phase::Running).await?;

    let mut site = Site::of_release().await?;
    site.pod("other pod", &other)?;
    site.pod("workspace", &pods.get(&workspace::pod(&bobs)?).await?)?;
    site.pod("workspace", &pods.get(&workspace::pod(&alices)?).await?)?;

    let servers: Vec<_> = PRIVATE
        .into_iter()
        .chain([PUBLIC, METADATA])
        .map(str::to_owned)
        .collect();
    let network = NodeNetwork::start(&servers).await?;
    let wrong = compare(&table, site, &network).await;
    // Also after a failure: the addresses are the node's, and a second try needs them.
    let finished = network.finish().await;
    let wrong = wrong?;
    finished?;
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    scratch.finish().await
}

/// How the connections of the site differ from the page.
async fn compare(table: &Table, mut site: Site, network: &NodeNetwork) -> anyhow::Result<Vec<String>> {
    // Listening ports come from the pods' own network namespaces.
    let sources: BTreeSet<_> = site.pods.values().flatten().cloned().collect();
    let views = network.connect(&sources, &BTreeSet::new()).await?;
    for (name, addresses) in site.pods.clone() {
        for address in addresses.iter().filter(|_| name != "other pod") {
            for port in &views[address].listening {
                let row = Site::row(table, &name, *port)?;
                site.target(row, format!("tcp:{address}:{port}"));
            }
        }
    }
    let targets: BTreeSet<_> = site.targets.values().flatten().cloned().collect();
    let views = network
        .connect(&sources.into_iter().chain([NODE.to_owned()]).collect(), &targets)
        .await?;

    let mut wrong = Vec::new();
    for ((row, from), cell) in table {
        let targets = site.targets.get(row);
        let targets = targets.with_context(|| format!("nothing listens that the page calls {row}"))?;
        let sources = site.pods.get(from);
        let sources = sources.with_context(|| format!("there is no {from}"))?;
        // The control: each of them listens.
        wrong.extend(
            targets
                .difference(&views[NODE].reached)
                .map(|it| format!("{row} ({it}) does not listen")),
        );
        let own = |source: &str, target: &str| {
            target.split(':').nth(1) == Some(source) || (row == "issuer" && from == "proxy")
        };
        let pairs = sources
            .iter()
            .flat_map(|source| targets.iter().map(move |target| (source, target)));
        let pairs: Vec<_> = pairs.filter(|(source, target)| !own(source, target)).collect();
        if pairs.is_empty() != (*cell == Cell::Itself) {
            wrong.push(format!(
                "{from} -> {row} is {cell:?}, and there are {} such connections",
                pairs.len()
            ));
        }
        for (source, target) in pairs {
            let is_open = views[source].reached.contains(target);
            if is_open != (*cell == Cell::Open) {
                let is = if is_open { "open" } else { "closed" };
                wrong.push(format!(
                    "{from} ({source}) -> {row} ({target}) is {is}, and the page says {cell:?}"
                ));
            }
        }
    }
    Ok(wrong)
}
