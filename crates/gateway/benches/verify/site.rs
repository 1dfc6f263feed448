//! The gateway behind a proxy: its three listeners, and the configuration with which the chart starts Traefik (IO).
//!
//! Two proxies can be started. `gateway` has the chart's configuration. `alone` has the same one without the gateway, so
//! that requests and websockets go directly to the pod.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use api::manager::RoutingMode;
use gateway::index::Routes;
use gateway::login;
use gateway::router::{RouteProvider, pages, provider};
use gateway::server::{at_pages, at_routes};
use kit::pki::{Pair, Purpose, authority, leaf};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

#[path = "../../tests/support/chart.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "made for tests: a bench that cannot be set up fails as well"
)]
mod chart;

use self::chart::{Addresses, Chart, GATEWAY, Ports, project};
use crate::announce::{bind, cookies, print};
use crate::cluster::{Workspaces, workspace};
use crate::gateway_process::Gateway;

/// Workspaces whose tickets are printed, for sockets. A workspace may use at most an eighth of the free sockets, so the
/// bench spreads its sockets over many workspaces.
const OPEN: usize = 25;
/// The first workspaces are stopped. A command with its number starts one of them.
pub(crate) const STOPPED: usize = 60;

/// Serves for ever.
pub(crate) async fn serve(count: usize, pod: SocketAddr, folder: &Path) -> anyhow::Result<()> {
    let workspaces = Workspaces {
        count,
        stopped: STOPPED,
        pod,
    };
    let gateway = Arc::new(Gateway::start(workspaces).await?);
    let now = jiff::Timestamp::now();
    let between = authority("gateway", now)?;
    let ports = listen(&gateway, &between).await?;

    let edge = authority("edge", now)?;
    let base = gateway.app.domain().ok().context("no domain")?.base().to_owned();
    let names = [format!("*.{base}")];
    let certificate = leaf(&edge, "edge", &names, Purpose::Server, now)?;
    let client = leaf(&between, "proxy", &[], Purpose::Client, now)?;
    let chart = Chart::render(RoutingMode::Subdomain);
    let mut proxies = BTreeMap::new();
    for name in ["gateway", "alone"] {
        let folder = folder.join(name);
        fs::create_dir_all(&folder)?;
        let mut routes: Value = serde_saphyr::from_str(&chart.routes(&folder, ports))?;
        if name == "alone" {
            without_gateway(&mut routes)?;
        }
        let routes = routes.to_string();
        let files = [
            ("routes/routes.yaml", routes.as_str()),
            ("tls/tls.crt", &certificate.certificate),
            ("tls/tls.key", &certificate.key),
            ("proxy-client/ca.crt", &between.certificate),
            ("proxy-client/tls.crt", &client.certificate),
            ("proxy-client/tls.key", &client.key),
        ];
        project(&folder, 1, files);
        let addresses = Addresses {
            https: free_port().await?,
            plain: free_port().await?,
            redirects: free_port().await?,
            routes: free_port().await?,
            ping: free_port().await?,
        };
        let arguments = chart.arguments(&folder, addresses);
        let address = format!("127.0.0.1:{}", addresses.https);
        proxies.insert(name, json!({"arguments": arguments, "address": address}));
    }

    let commands = bind().await?;
    let sockets: Vec<Value> = (STOPPED..STOPPED + OPEN)
        .chain(0..STOPPED)
        .map(|number| {
            let (authority, ticket) = gateway.good_ticket(number)?;
            let cookie = cookies(Some(&ticket)).join("; ");
            Ok(json!({"authority": authority, "cookie": cookie}))
        })
        .collect::<anyhow::Result<_>>()?;
    print(&json!({
        "commands": commands.local_addr()?, "authority": edge.certificate, "proxies": proxies,
        "running": sockets[..OPEN], "stopped": sockets[OPEN..],
    }));
    loop {
        let (stream, _) = commands.accept().await?;
        tokio::spawn(obey(stream, gateway.clone(), pod));
    }
}

/// Removes the routes by which the proxy calls the gateway and sends it websockets.
fn without_gateway(routes: &mut Value) -> anyhow::Result<()> {
    let all = routes["http"]["routers"].as_object_mut().context("no routers")?;
    all.remove("upgrade").context("no router of upgrades")?;
    let gate = all["gate"]["middlewares"].as_array_mut();
    let gate = gate.context("the parent router has no middlewares")?;
    let before = gate.len();
    gate.retain(|middleware| middleware != "gate");
    anyhow::ensure!(gate.len() + 1 == before, "the parent router does not ask");
    Ok(())
}

async fn listen(gateway: &Arc<Gateway>, between: &Pair) -> anyhow::Result<Ports> {
    let now = jiff::Timestamp::now();
    let certificate = kit::tls::Certificate::default();
    let names = [GATEWAY.to_owned()];
    certificate.set(&leaf(between, GATEWAY, &names, Purpose::Server, now)?)?;
    let config = kit::tls::server_config(certificate, Some(&between.certificate))?;
    let tls = watch::channel(Arc::new(config)).1;
    let (verify, routes, shown) = (bind().await?, bind().await?, bind().await?);
    let ports = Ports {
        verify: verify.local_addr()?.port(),
        routes: routes.local_addr()?.port(),
        pages: shown.local_addr()?.port(),
    };
    let (of, configs) = (gateway.clone(), tls.clone());
    tokio::spawn(async move { of.entrance(verify, Some(configs)).await });

    let current = Arc::new(Routes::default());
    tokio::spawn(current.clone().follow(gateway.index.clone()));
    let source = RouteProvider {
        routes: current,
        metrics: gateway.metrics.clone(),
        stop: CancellationToken::new(),
    };
    let (of, configs) = (gateway.clone(), tls.clone());
    tokio::spawn(async move {
        let made = || provider(source.clone());
        of.listen("routes", at_routes, (routes, Some(configs)), made)
            .await;
    });

    let (app, index) = (gateway.app.clone(), gateway.index.clone());
    let auth = login::auth(app.clone());
    let pages = pages(index, app.clone(), auth, login::workspace(app));
    let of = gateway.clone();
    tokio::spawn(async move {
        of.listen("pages", at_pages, (shown, Some(tls)), || pages.clone())
            .await;
    });
    Ok(ports)
}

/// Starts each workspace whose number comes as a line: its pod is there from then on.
async fn obey(stream: TcpStream, gateway: Arc<Gateway>, pod: SocketAddr) -> anyhow::Result<()> {
    let _ = stream.set_nodelay(true);
    let (lines, mut answers) = stream.into_split();
    let mut lines = BufReader::new(lines).lines();
    while let Some(line) = lines.next_line().await? {
        let changed: api::Workspace = serde_json::from_value(workspace(line.parse()?, Some(pod)))?;
        gateway.server.put(&changed);
        answers.write_all(b"done\n").await?;
    }
    Ok(())
}

async fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}
