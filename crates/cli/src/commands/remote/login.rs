//! Address of an installation -> a sign-in there, by the user's browser (IO).

use std::path::Path;
use std::{fs, thread};

use anyhow::{Context as _, anyhow};
use api::{Workspace, WorkspaceManager};
use form_urlencoded::Serializer;
use tokio::net::TcpListener;

use super::super::launch::launch;
use super::callback;
use crate::args::{Connection, Login};
use crate::cluster::{Cluster, Stdin};
use crate::console::Console;
use crate::failure::Failure;
use crate::remote::address::{Address, Place};
use crate::remote::dial::Dialer;
use crate::remote::gateway::Gateway;
use crate::remote::secret;
use crate::remote::state::{SignIn, State};
use crate::system;

/// Characters of the name by which the gateway's page calls this program, at most.
const NAME: usize = 64;

/// Signs in, and keeps the token.
pub(super) async fn run(flags: &Connection, args: &Login, console: &mut Console<'_>) -> Result<(), Failure> {
    let state = State::of_user()?;
    // Before anything is asked of the user: whether the result can be kept.
    state.make()?;
    let earlier = state.sign_ins()?;
    let place = match &args.url {
        Some(url) => Address::parse(url).map_err(Failure::Usage)?.place,
        None => default_installation(flags, &earlier).await?,
    };
    let authority = match &args.ca_file {
        Some(file) => Some(authority(file)?),
        None => earlier_authority(&earlier, &place),
    };
    let dialer = Dialer::new(authority.as_deref())?;
    let auth = find(&place, &dialer).await?;
    let gateway = Gateway {
        auth: &auth,
        dialer: &dialer,
    };
    let verifier = secret::random()?;
    let code = if args.no_browser {
        ask_code(&auth, &verifier, console)?
    } else {
        browser_code(&auth, &verifier, console).await?
    };
    let (token, off) = gateway.redeem(&code, &verifier).await?;
    if let Some(off) = off {
        let direction = if off.is_negative() { "behind" } else { "ahead of" };
        writeln!(
            console.err,
            "Warning: the clock of this computer is {} minutes {direction} the gateway's: set it, or certificates may be refused",
            off.abs().as_mins()
        )?;
    }
    let mut sign_in = SignIn::new(&auth, token.user, token.expires_at, token.value);
    sign_in.certificate_authority = authority;
    state.save(&sign_in)?;
    Ok(writeln!(
        console.out,
        "signed in at {} as {}, until {} at the latest: the identity provider may end it before",
        auth.base(),
        sign_in.user,
        sign_in.end()
    )?)
}

/// The code that the browser brings to a port of this computer.
async fn browser_code(auth: &Place, verifier: &str, console: &mut Console<'_>) -> Result<String, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.context("no port of 127.0.0.1 can be used: sign in with --no-browser")?;
    let state = secret::random()?;
    let url = page(auth, Some(listener.local_addr()?.port()), verifier, &state);
    writeln!(
        console.err,
        "Opening a browser. If none opens, open this URL in a browser on this computer, or use --no-browser:"
    )?;
    writeln!(console.err, "{url}")?;
    // Other users of this computer may read the address in the list of processes. With its state they can bring a code of their own, and
    // sign this program in as themselves. They gain nothing: `login` says as whom, and each command opens the workspace that it names.
    // The user's own code comes here alone, and counts only with the verifier.
    // The desktop's program may last as long as the browser.
    thread::spawn(move || launch(&url));
    console.err.flush()?;
    Ok(callback::code(listener, &state).await?)
}

/// The code that the user types.
fn ask_code(auth: &Place, verifier: &str, console: &mut Console<'_>) -> Result<String, Failure> {
    let state = secret::random()?;
    writeln!(
        console.err,
        "Open this URL in any browser, and paste the code that it shows:"
    )?;
    writeln!(console.err, "{}", page(auth, None, verifier, &state))?;
    write!(console.err, "Code: ")?;
    console.err.flush()?;
    let mut line = String::new();
    match console.answers.as_deref_mut() {
        Some(answers) => answers.read_line(&mut line)?,
        // A program may type it, too.
        None => std::io::stdin().read_line(&mut line)?,
    };
    match line.trim() {
        "" => Err(Failure::Usage(
            "no code was given: run the command again".to_owned(),
        )),
        code => Ok(code.to_owned()),
    }
}

/// Address of the gateway's page that asks the user.
fn page(auth: &Place, port: Option<u16>, verifier: &str, state: &str) -> String {
    let mut query = Serializer::new(String::new());
    if let Some(port) = port {
        query.append_pair("port", &port.to_string());
    }
    query.append_pair("challenge", &secret::challenge(verifier));
    query.append_pair("state", state);
    query.append_pair("name", &own_name());
    format!("https://{auth}/programs?{}", query.finish())
}

/// What asks: this program, and the computer that it runs on.
fn own_name() -> String {
    let name = format!("kubectl workspace on {}", system::computer());
    let shown = |character: char| match character {
        ' ' | '.' | '_' => character,
        other if other.is_ascii_alphanumeric() => other,
        _ => '-',
    };
    name.chars().map(shown).take(NAME).collect()
}

fn authority(file: &Path) -> anyhow::Result<String> {
    let read = fs::read_to_string(file);
    let text = read.with_context(|| format!("--ca-file {} cannot be read", file.display()))?;
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(anyhow!(
            "--ca-file {} must hold a certificate in PEM",
            file.display()
        ));
    }
    Ok(text)
}

/// The certificate authority of an earlier sign-in at the same installation.
fn earlier_authority(earlier: &[SignIn], place: &Place) -> Option<String> {
    let candidates = place.auth_candidates();
    let found = earlier.iter().find(|found| candidates.contains(&found.auth));
    found?.certificate_authority.clone()
}

/// The first candidate at which a gateway answers. If none does, the reason is that of the likeliest.
async fn find(place: &Place, dialer: &Dialer) -> anyhow::Result<Place> {
    let mut reason = None;
    for auth in place.auth_candidates() {
        let gateway = Gateway { auth: &auth, dialer };
        match gateway.check().await {
            Ok(()) => return Ok(auth),
            Err(error) => reason = Some(reason.unwrap_or(error)),
        }
    }
    Err(reason.unwrap_or_else(|| anyhow!("{place} must be an installation's address: check it")))
}

/// The installation of the cluster, else the one where the user signed in before.
async fn default_installation(flags: &Connection, earlier: &[SignIn]) -> Result<Place, Failure> {
    let of_cluster = match Cluster::connect(flags, Stdin::Free).await {
        Ok(cluster) => in_cluster(&cluster).await,
        Err(_) => None,
    };
    match (of_cluster, earlier) {
        (Some(place), _) => Ok(place),
        (None, [only]) => Ok(only.auth.clone()),
        (None, _) => Err(Failure::Usage(
            "which installation? give its address, or that of one of its workspaces: kubectl workspace login https://…"
                .to_owned(),
        )),
    }
}

/// Where the cluster's installation is, as far as the user may read it.
async fn in_cluster(cluster: &Cluster) -> Option<Place> {
    let managers = cluster
        .list::<WorkspaceManager>(None, None, None)
        .await
        .unwrap_or_default();
    let managers = managers.into_iter().filter_map(|object| {
        let manager: WorkspaceManager = serde_json::from_value(object).ok()?;
        // The gateway serves this kind alone.
        manager.spec.authentication.gateway.as_ref()?;
        let routing = manager.spec.routing;
        Some(Place::auth_of(&routing.base_domain, routing.external_port()))
    });
    let managers: Vec<_> = managers.collect();
    if let [only] = managers.as_slice() {
        return Some(only.clone());
    }
    let workspaces = cluster
        .list::<Workspace>(Some(cluster.namespace()), None, None)
        .await
        .ok()?;
    let urls = workspaces
        .iter()
        .filter_map(|object| object["status"]["url"].as_str());
    urls.map(Address::parse)
        .find_map(Result::ok)
        .map(|address| address.place)
}
