//! Arguments -> watches, files and servers, until the process shuts down (IO).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use arc_swap::ArcSwap;
use kit::pki::Pair;
use kit::process::{self, InvalidSetting};
use kit::readiness::{Gate, Readiness};
use kit::scope::Scope;
use kit::tls::Certificate;
use prometheus_client::registry::Registry;
use rules::Settings;
use tokio_util::sync::CancellationToken;

use crate::app::{App, Parts};
use crate::args::{Args, Impersonation};
use crate::assets;
use crate::cluster::{self, Mode};
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::router;

/// How often the files of keys and certificates are read again. The kubelet takes about a minute to bring a change.
const REREAD: Duration = Duration::from_secs(10);
/// Time after the beginning of the last answer when a connection ends. An answer that nobody reads keeps its connection so long. It is more
/// than a stream of 10 s and the proxy's idle time of 5 s. With the 10 s of `kit::https` an answer has its 30 s (`pages::held`).
const IDLE: Duration = Duration::from_secs(20);

/// Serves pages until the process shuts down.
///
/// # Errors
/// A setting is wrong ([`InvalidSetting`]), an address is in use, or the cluster is not configured.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let settings = process::file("settings-file", &args.settings_file, Settings::parse)?;
    let theme = theme::read(args.pages_file.as_deref(), args.pages_logo_file.as_deref())
        .map_err(|wrong| InvalidSetting::new(wrong.setting, wrong.problem))?;
    assets::install(theme.css().to_owned());
    let keys = Arc::new(Keys::read(&args.assertion_keys_file)?);
    let tls = TlsFiles::read(&args.tls_dir)?;
    let shutdown = kit::shutdown::on_signal()?;
    let client = api::response::readable(kit::client::new(api::names::PORTAL).await?);
    let without_credentials = match args.impersonation {
        Impersonation::Token => Some(api::response::readable(
            kit::client::without_credentials(api::names::PORTAL).await?,
        )),
        _ => None,
    };
    let listener = kit::bind(args.listen_address)
        .await
        .with_context(|| format!("--listen-address {}", args.listen_address))?;
    let metrics = Metrics::default();
    let mut registry = Registry::default();
    metrics.register(&mut registry);
    let readiness = Readiness::default();
    let serving = readiness.gate("the end");
    serving.open();
    let scope = Scope::from_namespace(args.watch_namespace.filter(|namespace| !namespace.is_empty()));
    let manager = args.manager.filter(|name| !name.is_empty());
    let unknown = Mode::ReadOnly("The API server has not said yet whether changes are possible.".to_owned());
    let mode = Arc::new(ArcSwap::from_pointee(unknown));
    let certificate = tls.certificate.clone();
    let config = kit::tls::server_config(certificate, Some(&tls.authority))?;
    let parts = Parts {
        client: client.clone(),
        scope,
        manager,
        mode: mode.clone(),
        without_credentials,
        acts_in: args.acts_in.into_iter().filter(|name| !name.is_empty()).collect(),
        keys: keys.clone(),
        settings,
        theme,
        prefixes: args.prefixes,
        metrics,
    };
    let (app, watches) = App::new(parts, &readiness);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), address = %args.listen_address, "the portal starts");
    tokio::select! {
        () = kit::https::serve(listener, Arc::new(config), router::router(app), IDLE, shutdown.clone()) => Ok(()),
        () = end_readiness(shutdown, serving) => bail!("the signal handler ended"),
        () = watches => bail!("the watches ended"),
        () = cluster::follow(client, args.impersonation, mode) => bail!("the check of the API server ended"),
        () = reread(&keys, &tls) => bail!("the files are not read any more"),
        ended = kit::admin::serve(args.admin_address, readiness, Arc::new(registry), CancellationToken::new()) => {
            ended.with_context(|| format!("--admin-address {}", args.admin_address))
        }
    }
}

/// The serving certificate and the authority of clients, in a folder.
struct TlsFiles {
    folder: PathBuf,
    certificate: Certificate,
    authority: String,
}

impl TlsFiles {
    fn read(folder: &Path) -> Result<Self, InvalidSetting> {
        let wrong = |file: &str, problem: String| {
            InvalidSetting::new("tls-dir", format!("{} {problem}", folder.join(file).display()))
        };
        let read = |file: &str| {
            std::fs::read_to_string(folder.join(file))
                .map_err(|error| wrong(file, format!("cannot be read: {error}")))
        };
        let certificate = Certificate::default();
        let pair = Pair {
            certificate: read("tls.crt")?,
            key: read("tls.key")?,
        };
        certificate
            .set(&pair)
            .map_err(|error| wrong("tls.crt", format!("is wrong: {error}")))?;
        Ok(Self {
            folder: folder.to_owned(),
            certificate,
            authority: read("ca.crt")?,
        })
    }
}

/// Reads keys and certificate again, forever. What cannot be read stays as it was.
async fn reread(keys: &Keys, tls: &TlsFiles) {
    loop {
        tokio::time::sleep(REREAD).await;
        if let Err(error) = keys.reread() {
            tracing::warn!(%error, "the assertion keys stay as they are");
        }
        match TlsFiles::read(&tls.folder) {
            Ok(now) if now.authority == tls.authority => tls.certificate.follow(&now.certificate),
            Ok(_) => {
                // The authority of clients is part of the listener. The pod starts again with the new one.
                tracing::warn!(
                    "the authority of the proxy's certificate changed; the process ends to read it"
                );
                return;
            }
            Err(error) => tracing::warn!(%error, "the certificate stays as it is"),
        }
    }
}

/// Ends readiness on `shutdown`. Never returns.
async fn end_readiness(shutdown: CancellationToken, serving: Gate) {
    shutdown.cancelled().await;
    serving.close();
    std::future::pending::<()>().await;
}
