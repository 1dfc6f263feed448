//! Pages of the portal -> the pictures of the documentation (IO).
//!
//! They are saved with the artefacts. `PICTURES`, a folder such as the absolute path of docs/images, saves them there instead.
//!
//! Each one is 1280 pixels wide, in the light theme, and shows what docs/using.md says beside it.

use std::path::PathBuf;
use std::{env, fs, slice};

use api::Workspace;
use api::workspace::Phase;
use e2e::browser::Browser;
use e2e::browser::devtools::Preference;
use e2e::cluster::{self, Scratch};
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
