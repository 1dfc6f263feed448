//! Pages of portal and applications -> the pictures of the documentation (IO).
//!
//! They are saved with the artefacts. `PICTURES`, a folder such as the absolute path of docs/images, saves them there instead.
//!
//! Each one is 1280 pixels wide, in the light theme, and shows what docs/using.md and docs/images.md say beside it.

use std::path::PathBuf;
use std::{env, fs, slice};

use api::Workspace;
use api::workspace::Phase;
use e2e::browser::Browser;
use e2e::browser::devtools::Preference;
use e2e::cluster::{self, Scratch};
use e2e::jupyter::notebook;
use e2e::portal::address;
use e2e::{
    Environment,
    objects::{template, workspace},
};
use kube::Api;
use kube::api::PostParams;
use serde_json::{Value, json};

/// Variable with the folder to save in.
const FOLDER: &str = "PICTURES";
/// In CSS pixels.
const WIDTH: u32 = 1280;
/// A file begins with this, and has its width at an offset behind (PNG, 11.2.1).
const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
const WIDTH_AT: usize = 16;

/// Saves what the browser shows.
async fn save(browser: &Browser, name: &str, height: u32) -> anyhow::Result<()> {
    browser.resize(WIDTH, height).await?;
    let picture = browser.page.screenshot().await?;
    let width = picture.get(WIDTH_AT..WIDTH_AT + 4).unwrap_or_default();
    anyhow::ensure!(
        picture.starts_with(SIGNATURE) && width == WIDTH.to_be_bytes(),
        "{name} is no picture of {WIDTH} pixels"
    );
    let folder = match env::var_os(FOLDER) {
        Some(folder) => PathBuf::from(folder),
        None => Environment::get()?.artefacts.clone(),
    };
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(format!("{name}.png")), picture)?;
    Ok(())
}

/// Creates a workspace of the template.
async fn make(scratch: &Scratch, name: &str, rest: &Value) -> anyhow::Result<()> {
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    let new = template::workspace(scratch, name, rest)?;
    alice.create(&PostParams::default(), &new).await?;
    Ok(())
}

#[tokio::test]
async fn the_documentation_shows_the_pages_of_this_portal() -> anyhow::Result<()> {
    let scratch = Scratch::new("data-science", &["alice"]).await?;
    let own = &scratch.namespace;
    let image = &Environment::get()?.images.echo;
    let offered = json!({
        "displayName": "Data science",
        "description": "Python with the libraries of the course.",
        "defaultImage": image,
        "allowedImages": slice::from_ref(image),
        "allowCustomImages": true,
        "defaultResources": {
            "requests": {"cpu": "50m", "memory": "64Mi"},
            "limits": {"cpu": "500m", "memory": "256Mi"},
        },
        "resourceBounds": {"cpu": {"min": "10m", "max": "2"}, "memory": {"min": "32Mi", "max": "4Gi"}},
        "presentation": {"icon": "python", "images": [
            {"image": image, "displayName": "Python", "icon": "python"},
        ]},
    });
    template::make(&scratch, &offered).await?;
    let disk = json!({"size": "1Gi"});
    let seminar = json!({"displayName": "Seminar", "storage": disk});
    let thesis = json!({"displayName": "Thesis", "storage": disk, "desiredStatus": "Stopped"});
    let course = json!({"displayName": "Course", "image": "localhost/course:2026"});
    futures::try_join!(
        make(&scratch, "seminar", &seminar),
        make(&scratch, "thesis", &thesis),
        make(&scratch, "course", &course),
    )?;
    let workspaces: Api<Workspace> = scratch.api();
    workspace::reached(&workspaces, "seminar", Phase::Running).await?;
    workspace::reached(&workspaces, "thesis", Phase::Stopped).await?;

    let browser = Browser::start().await?;
    browser.prefer(&[Preference::Light]).await?;
    browser.resize(WIDTH, 900).await?;
    let list = address(&format!("/?namespace={own}"))?;
    browser.sign_in(&list, "alice").await?;
    browser.find("#rows tr.bad .why, #rows tr.warn .why").await?;
    browser.sees("#rows", "Running").await?;
    save(&browser, "list", 640).await?;
    for (name, path, shows, height) in [
        ("portal", format!("/w/{own}/seminar"), "#head .state.good", 1100),
        (
            "explanation",
            format!("/w/{own}/course"),
            "#explanation .bad",
            1100,
        ),
        (
            "form",
            format!("/new?namespace={own}&template={own}"),
            "main form .actions",
            1100,
        ),
    ] {
        browser.page.goto(&address(&path)?).await?;
        browser.find(shows).await?;
        save(&browser, name, height).await?;
    }
    browser.close().await?;
    template::finish(scratch).await
}

/// Applications of JupyterLab: the template, a cell that draws, and its kernel. tests/applications saves the picture of VS Code.
const APPLICATIONS: [(&str, &str, &str); 2] = [
    (
        "jupyterlab-scientific",
        "import numpy as np\nimport matplotlib.pyplot as plt\n\nx = np.linspace(0, 12, 400)\nplt.plot(x, np.sin(x) * np.exp(-x / 6));",
        "python3",
    ),
    ("jupyterlab-r", "hist(faithful$waiting, breaks = 20)", "ir"),
];
/// Writes a file.
const WRITE: &str = "import sys; open('plot.ipynb', 'w').write(sys.argv[1])";

#[tokio::test]
async fn the_documentation_shows_each_application() -> anyhow::Result<()> {
    let scratch = Scratch::new("applications", &["alice"]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, &scratch.namespace);
    for (application, cell, kernel) in APPLICATIONS {
        let spec = json!({"displayName": application, "templateRef": application});
        let wanted = json!({"metadata": {"name": application}, "spec": spec});
        alice
            .create(&PostParams::default(), &serde_json::from_value(wanted)?)
            .await?;
        let running = workspace::reached(&alice, application, Phase::Running).await?;
        let notebook = notebook::with_cell(kernel, cell);
        let write = ["python3", "-c", WRITE, &notebook.to_string()];
        cluster::exec(&scratch.api(), &workspace::pod(&running)?, &write).await?;

        let browser = Browser::start().await?;
        browser.prefer(&[Preference::Light]).await?;
        browser.resize(WIDTH, 720).await?;
        browser.enter(&running, "alice").await?;
        let page = format!("{}lab/tree/plot.ipynb", workspace::url(&running)?);
        browser.page.goto(&page).await?;
        notebook::run_first_cell(&browser).await?;
        browser.find(".jp-OutputArea-output img").await?;
        save(&browser, application, 720).await?;
        browser.close().await?;
        workspace::delete(&alice, application).await?;
    }
    scratch.finish().await
}
