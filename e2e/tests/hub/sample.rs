//! The sample with the images of this run -> its hub, whom people sign in to, and their servers (IO).

use std::{collections::BTreeMap, env, fs, net::Ipv4Addr, path::Path};

use anyhow::{Context as _, ensure};
use api::Workspace;
use e2e::{Environment, cluster, command, test_run::process, wait};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::{Api, ResourceExt as _, api::ListParams};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    process::Command,
};

/// Namespace of the hub.
pub(crate) const HUB: &str = "jhub";
/// Namespace of its servers.
pub(crate) const SERVERS: &str = "jhub-servers";
/// The sample.
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/samples/jupyterhub");
/// The sample's page, whose roles are applied.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/jupyterhub.md");
const SECTION: &str = "### Profiles for some\n";
/// Images of the sample, and the files with their names.
const OF_SAMPLE: [(&str, &str); 3] = [
    ("hub", "hub"),
    ("hub-proxy", "hub-proxy"),
    ("jk8s-application-jupyter-uv-hub", "jupyter-uv-hub"),
];
/// The template that is not for everybody.
pub(crate) const LARGE: &str = "jupyterhub-large";
/// A variable of servers that a shell or the kubelet would change.
pub(crate) const ODD: &str = "$(HOME) {\"a\": [1]} %s 'é' \\ 😀\nsecond line";
/// An image that no registry has, which a profile asks for.
pub(crate) const MISSING: &str = "registry.invalid/none:1";
/// What a server writes that crashes.
pub(crate) const FIRST_LINE: &str = "of-the-log";
pub(crate) const LAST_LINE: &str = "no such module";
/// Who may use which template, beside the sample's files.
const ROLES: &str = "roles.yaml";
/// Port of the proxy's pod.
const PUBLIC: u16 = 8000;

/// The sample's hub, at an address of this machine.
pub(crate) struct Hub {
    pub(crate) url: String,
}

/// Somebody who has signed in.
pub(crate) struct User<'a> {
    pub(crate) hub: &'a Hub,
    pub(crate) name: String,
    /// With the cookies of the sign-in.
    browser: Client,
    client: Client,
    pub(crate) token: String,
}

/// Applies the sample, with these images, and waits until hub and proxy run. An object that is there stays as it is.
pub(crate) async fn hub() -> anyhow::Result<Hub> {
    let folder = tempfile::tempdir()?;
    let sample = folder.path().display().to_string();
    write_with_our_images(folder.path())?;
    // What an earlier run has left may still be ending.
    wait::until_checked_each_second("the sample to be applied", wait::USUAL, || async {
        let applied = apply(&sample).await;
        applied.map_err(|error| format!("{error:#}"))
    })
    .await?;
    for deployment in ["deployment/proxy", "deployment/hub"] {
        let ready = ["rollout", "status", deployment, "-n", HUB, "--timeout=3m"];
        command::administered(&ready, "").await?;
    }
    let port = forward(pod("proxy").await?).await?;
    Ok(Hub {
        url: format!("http://127.0.0.1:{port}"),
    })
}

/// The two commands of docs/jupyterhub.md. Secrets that are there stay.
async fn apply(sample: &str) -> anyhow::Result<()> {
    command::administered(&["apply", "-k", sample], "").await?;
    // A namespace that an earlier run has left takes objects while it ends.
    let phases = [
        "get",
        "namespace",
        HUB,
        SERVERS,
        "-o",
        "jsonpath={.items[*].status.phase}",
    ];
    let phases = command::administered(&phases, "").await?;
    ensure!(phases == "Active Active", "the namespaces are {phases}");
    let known = command::administer(&["get", "secret", "people", "-n", HUB]).await?;
    if known.code != 0 {
        let script = Path::new(FOLDER).join("secrets.sh");
        let made = Command::new("sh")
            .arg(script)
            .args(["alice", "bob"])
            .output()
            .await?;
        ensure!(made.status.success(), "{made:?}");
        command::administered(&["create", "-f", "-"], &String::from_utf8(made.stdout)?).await?;
    }
    Ok(())
}

/// The sample as an administrator would change it: the names of images, variables of servers, two more profiles, and roles that say who may
/// use which template. Servers report their use each second. Its objects get the labels of tests.
fn write_with_our_images(folder: &Path) -> anyhow::Result<()> {
    for file in fs::read_dir(FOLDER)? {
        let file = file?;
        fs::copy(file.path(), folder.join(file.file_name()))?;
    }
    let built = &Environment::get()?.images;
    let mut images = Vec::new();
    for (name, file) in OF_SAMPLE {
        let reference = built.reference(file)?;
        let (repository, tag) = reference.rsplit_once(':').context("no tag")?;
        images.push(json!({"name": name, "newName": repository, "newTag": tag}));
    }
    // A string of JSON is one of Python.
    let configuration = format!(
        "c.WorkspaceSpawner.environment = {{'ODD': {odd}, 'JUPYTERHUB_ACTIVITY_INTERVAL': '1'}}
c.WorkspaceSpawner.review_access = True
missing = {{'display_name': 'Missing', 'template': '{LARGE}', 'kubespawner_override': {{'image': '{MISSING}'}}}}
c.WorkspaceSpawner.profile_list.append(missing)
c.JupyterHub.load_roles.append({{'name': 'renames', 'scopes': ['admin:users'], 'users': ['alice']}})
crashes = {{'display_name': 'Crashes', 'template': 'jupyterhub', 'kubespawner_override': {{'cmd': {crash}}}}}
c.WorkspaceSpawner.profile_list.append(crashes)
",
        odd = json!(ODD),
        crash = json!(["/bin/sh", "-c", format!("echo {FIRST_LINE} >&2; echo {LAST_LINE} >&2; exit 3")]),
    );
    append(&folder.join("jupyterhub_config.py"), &configuration)?;
    // The last one is the large one.
    append(&folder.join("templates.yaml"), "  allowCustomImages: true\n")?;
    let (rule, roles) = roles()?;
    fs::write(folder.join(ROLES), roles)?;
    let path = folder.join("rights.yaml");
    let rights = fs::read_to_string(&path)?;
    fs::write(
        &path,
        rights.replacen("\nrules:\n", &format!("\nrules:\n{rule}"), 1),
    )?;
    let path = folder.join("kustomization.yaml");
    let text = fs::read_to_string(&path)?;
    let text = text.replace("\nresources:\n", &format!("\nresources:\n  - {ROLES}\n"));
    let (rest, _) = text
        .split_once("\nimages:\n")
        .context("the kustomization names no images")?;
    let labels = json!([{"pairs": {"e2e.test/scratch": "true", process::LABEL: process::own()?}}]);
    fs::write(
        path,
        format!("{rest}\nimages: {}\nlabels: {labels}\n", Value::from(images)),
    )?;
    Ok(())
}

/// The page's rule, by which the hub may ask who may use a template, and its Role and RoleBinding for each template and user.
fn roles() -> anyhow::Result<(String, String)> {
    let page = fs::read_to_string(PAGE)?;
    let block = page.split_once(SECTION).and_then(|(_, section)| {
        let (_, block) = section.split_once("```yaml\n")?;
        Some(block.split_once("```")?.0)
    });
    let (rule, of_alice) = block
        .and_then(|block| block.split_once("---\n"))
        .with_context(|| format!("{PAGE} has no roles under {SECTION}"))?;
    let rule = format!("  {}\n", rule.trim_end().replace('\n', "\n  "));
    let mut roles = Vec::new();
    for template in ["jupyterhub", LARGE] {
        for user in ["alice", "bob", "carol"] {
            let roles_of = of_alice.replace("use-large", &format!("{template}-of-{user}"));
            let roles_of = roles_of.replace(&format!("[{LARGE}]"), &format!("[{template}]"));
            roles.push(roles_of.replace("hub:alice", &format!("hub:{user}")));
        }
    }
    Ok((rule, roles.join("---\n")))
}

fn append(file: &Path, text: &str) -> anyhow::Result<()> {
    let before = fs::read_to_string(file)?;
    Ok(fs::write(file, format!("{before}{text}"))?)
}

/// Name of the pod of `hub` or `proxy` that is ready.
pub(crate) async fn pod(component: &str) -> anyhow::Result<String> {
    let pods = pods(HUB).await?;
    let all = ListParams::default().labels(&format!("component={component}"));
    let all = pods.list(&all).await?;
    let ready = all.items.iter().find(|pod| cluster::is_ready(pod));
    Ok(ready
        .with_context(|| format!("no {component} is ready"))?
        .name_any())
}

pub(crate) async fn pods(namespace: &str) -> anyhow::Result<Api<Pod>> {
    Ok(Api::namespaced(cluster::admin().await?, namespace))
}

/// Python: `processes` has the arguments, each with NUL at its end, and the environment of each process of the pod.
pub(crate) const PROCESSES: &str = r"
import glob, json
processes = []
for folder in glob.glob('/proc/[0-9]*'):
    try:
        files = [open(folder + name, 'rb').read().decode(errors='replace') for name in ('/cmdline', '/environ')]
    except OSError:
        continue
    processes.append((files[0], dict(pair.split('=', 1) for pair in files[1].split('\0') if '=' in pair)))
";

/// Arguments and environment of each process of a pod.
pub(crate) async fn processes(
    namespace: &str,
    pod: &str,
) -> anyhow::Result<Vec<(String, BTreeMap<String, String>)>> {
    let print = format!("{PROCESSES}print(json.dumps(processes))");
    let printed = cluster::exec(&pods(namespace).await?, pod, &["python3", "-c", &print]).await?;
    Ok(serde_json::from_str(&printed)?)
}

/// The hub's workspaces, for an administrator.
pub(crate) async fn workspaces() -> anyhow::Result<Api<Workspace>> {
    Ok(Api::namespaced(cluster::admin().await?, SERVERS))
}

/// A port of this machine that leads to the proxy, as by `kubectl port-forward`, until the test ends.
async fn forward(pod: String) -> anyhow::Result<u16> {
    let pods = pods(HUB).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            // A browser may end any of its connections.
            tokio::spawn(connect(connection, pods.clone(), pod.clone()));
        }
    });
    Ok(port)
}

async fn connect(mut connection: TcpStream, pods: Api<Pod>, pod: String) -> anyhow::Result<()> {
    let mut forwarded = pods.portforward(&pod, &[PUBLIC]).await?;
    let mut stream = forwarded.take_stream(PUBLIC).context("no stream")?;
    copy_bidirectional(&mut connection, &mut stream).await?;
    Ok(())
}

impl Hub {
    /// The password of somebody in the sample's Secret.
    pub(crate) async fn password(&self, name: &str) -> anyhow::Result<String> {
        let secrets = Api::<Secret>::namespaced(cluster::admin().await?, HUB);
        let people = secrets.get("people").await?.data.unwrap_or_default();
        let password = people
            .get(name)
            .with_context(|| format!("no {name} in the Secret"))?;
        Ok(String::from_utf8(password.0.clone())?)
    }

    /// Signs in with the form, and gets a token for the API.
    pub(crate) async fn sign_in(&self, name: &str) -> anyhow::Result<User<'_>> {
        let password = self.password(name).await?;
        let browser = Client::builder().no_proxy().cookie_store(true).build()?;
        let form = format!("{}/hub/login", self.url);
        let page = browser.get(&form).send().await?.text().await?;
        let token = page.split("name=\"_xsrf\" value=\"").nth(1);
        let token = token.and_then(|rest| rest.split('"').next());
        let token = token.with_context(|| format!("no form: {page}"))?;
        let fields = [
            ("username", name),
            ("password", password.as_str()),
            ("_xsrf", token),
        ];
        let signed_in = browser.post(&form).form(&fields).send().await?;
        ensure!(signed_in.status().is_success(), "{}", signed_in.status());
        // Without the cookies: with them, the request would need more than the password.
        // The proxy closes idle connections after seconds, maybe just as a request is sent.
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build()?;
        let tokens = format!("{}/hub/api/users/{name}/tokens", self.url);
        let wanted = json!({"auth": {"username": name, "password": password}, "note": "e2e"});
        let made = client.post(tokens).json(&wanted).send().await?;
        let made: Value = made.error_for_status()?.json().await?;
        let user = User {
            hub: self,
            name: name.to_owned(),
            browser,
            client,
            token: made["token"].as_str().context("no token")?.to_owned(),
        };
        // Of a test that failed.
        if !user.server().await?.is_null() {
            user.stop().await?;
        }
        Ok(user)
    }
}

impl User<'_> {
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.hub.url));
        request.header("Authorization", format!("token {}", self.token))
    }

    /// Asks the hub, or the own server.
    pub(crate) async fn send(&self, method: Method, path: &str) -> anyhow::Result<Response> {
        Ok(self.request(method, path).send().await?)
    }

    /// Sends JSON to the hub.
    pub(crate) async fn send_json(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Response> {
        Ok(self.request(method, path).json(body).send().await?)
    }

    /// The page on which a server is chosen.
    pub(crate) async fn form(&self) -> anyhow::Result<String> {
        let page = format!("{}/hub/spawn/{}", self.hub.url, self.name);
        Ok(self
            .browser
            .get(page)
            .send()
            .await?
            .error_for_status()?
            .text()
            .await?)
    }

    /// The default server as the hub has it; none is null.
    pub(crate) async fn server(&self) -> anyhow::Result<Value> {
        let user = self
            .send(Method::GET, &format!("/hub/api/users/{}", self.name))
            .await?;
        let user: Value = user.error_for_status()?.json().await?;
        Ok(user["servers"][""].clone())
    }

    /// Asks the hub for the default server by this profile -> the answer's status and message.
    pub(crate) async fn request_server(&self, profile: &str) -> anyhow::Result<(StatusCode, String)> {
        let path = format!("/hub/api/users/{}/server", self.name);
        let answer = self
            .send_json(Method::POST, &path, &json!({"profile": profile}))
            .await?;
        let (status, text) = (answer.status(), answer.text().await?);
        let message = serde_json::from_str::<Value>(&text).unwrap_or_default()["message"].clone();
        Ok((status, message.as_str().unwrap_or(&text).to_owned()))
    }

    /// Starts the default server, by the profile of the small template, and waits until it answers through the proxy.
    pub(crate) async fn start(&self) -> anyhow::Result<()> {
        let (status, message) = self.request_server("jupyterlab").await?;
        ensure!(status.is_success(), "{status}: {message}");
        self.answers().await
    }

    /// Waits until the default server is ready for the hub, and answers through the proxy.
    pub(crate) async fn answers(&self) -> anyhow::Result<()> {
        wait::until("the server to answer through the proxy", wait::USUAL, || async {
            let server = self.server().await.map_err(|error| format!("{error:#}"))?;
            if server["ready"] != true {
                return Err(server.to_string());
            }
            let path = format!("/user/{}/api/status", self.name);
            match self.send(Method::GET, &path).await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Waits until the hub knows of no server.
    pub(crate) async fn has_none(&self) -> anyhow::Result<()> {
        wait::until("the hub to show no server", wait::USUAL, || async {
            match self.server().await {
                Ok(server) if server.is_null() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// The same person, whom an administrator of the hub gave another name.
    pub(crate) fn renamed(self, name: &str) -> Self {
        let name = name.to_owned();
        Self { name, ..self }
    }

    /// Stops the default server.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        let stopped = self
            .send(Method::DELETE, &format!("/hub/api/users/{}/server", self.name))
            .await?;
        stopped.error_for_status()?;
        self.has_none().await
    }
}
