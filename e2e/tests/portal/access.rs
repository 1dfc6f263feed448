//! Pages in a browser, for users of keyboards, screen readers, large text and other colours.

use std::time::Instant;

use anyhow::Context as _;
use api::Workspace;
use api::workspace::Phase;
use e2e::browser::Browser;
use e2e::browser::accessibility::Node;
use e2e::browser::axe::Axe;
use e2e::browser::devtools::Preference;
use e2e::cluster::{self, Scratch};
use e2e::{
    Environment,
    objects::{template, workspace},
    wait,
};
use fantoccini::key::Key;
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::layout;
use crate::site::Site;
use crate::states::State;
use e2e::portal::address;

/// Widths of a laptop and of one at 400 % zoom, each with a theme. States take turns, so that every pair occurs.
const VIEWPORTS: [[(u32, Preference); 2]; 2] = [
    [(1400, Preference::Light), (320, Preference::Dark)],
    [(1400, Preference::Dark), (320, Preference::Light)],
];
const HEIGHT: u32 = 1000;

#[tokio::test]
async fn every_page_in_every_state_passes_axe_and_holds_at_every_zoom_and_text_size() -> anyhow::Result<()> {
    let axe = Axe::load()?;
    let (site, browser) = futures::try_join!(Site::make("portal-axe"), Browser::start())?;
    browser.sign_in(&address("/account")?, "alice").await?;
    let mut found = Vec::new();
    for (state, viewports) in site.states().iter().zip(VIEWPORTS.iter().cycle()) {
        let start = Instant::now();
        state.show(&browser).await?;
        if state.is_as_loaded() {
            let shifts = layout::shifts(&browser).await?.into_iter();
            found.extend(shifts.map(|shift| format!("{}, moves while it loads: {shift}", state.name)));
        }
        found.extend(violations_of(&axe, &browser, state, viewports).await?);
        found.extend(faults_of(&browser, state).await?);
        println!("{}: {} ms", state.name, start.elapsed().as_millis());
    }
    browser.change_user(&address("/account")?, "bob").await?;
    for (state, viewports) in site.of_guest().iter().zip(VIEWPORTS.iter().cycle()) {
        state.show(&browser).await?;
        found.extend(violations_of(&axe, &browser, state, viewports).await?);
    }
    assert!(found.is_empty(), "{found:#?}");
    browser.close().await?;
    site.finish().await
}

/// What breaks a rule, in both themes and widths.
async fn violations_of(
    axe: &Axe,
    browser: &Browser,
    state: &State,
    viewports: &[(u32, Preference)],
) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    for (width, theme) in viewports {
        browser.resize(*width, HEIGHT).await?;
        browser.prefer(&[*theme]).await?;
        let violations = axe.violations(browser).await?;
        let place = format!("{}, {theme:?}, {width} px", state.name);
        found.extend(violations.into_iter().map(|text| format!("{place}: {text}")));
    }
    Ok(found)
}

/// What cannot be read or reached with large text, at high zoom or with the system's colours.
async fn faults_of(browser: &Browser, state: &State) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    browser.prefer(&[]).await?;
    // A laptop at 400 %; then text of twice the size, on a laptop and on half of its screen.
    for (width, text) in [(320, 16), (1280, 32), (640, 32)] {
        browser.resize(width, HEIGHT).await?;
        browser.text_size(text).await?;
        let faults = layout::faults(browser, text).await?;
        let place = format!("{}, {width} px, text of {text} px", state.name);
        found.extend(faults.into_iter().map(|fault| format!("{place}: {fault}")));
        // Nothing that can have the focus is cut off or covered there. Rows of the long list are those of the short one.
        if width == 320
            && state.name != "list, many"
            && let Err(fault) = browser.tab_through().await
        {
            found.push(format!("{place}: {fault:#}"));
        }
    }
    browser.text_size(16).await?;
    browser
        .prefer(&[Preference::ForcedColors, Preference::ReducedMotion])
        .await?;
    let faults = layout::hidden(browser).await?;
    found.extend(
        faults
            .into_iter()
            .map(|fault| format!("{}, forced colours: {fault}", state.name)),
    );
    browser.prefer(&[]).await?;
    if state.name == "blocked" {
        assert!(
            layout::moves(browser).await?,
            "without the preference something turns"
        );
    }
    Ok(found)
}

#[tokio::test]
async fn everything_is_done_by_keyboard_alone() -> anyhow::Result<()> {
    let scratch = Scratch::new("portal-keys", &["alice"]).await?;
    let image = &Environment::get()?.images.echo;
    template::make(&scratch, &json!({"defaultImage": image})).await?;
    let own = &scratch.namespace;
    let browser = Browser::start().await?;
    browser
        .sign_in(
            &address(&format!("/new?namespace={own}&template={own}"))?,
            "alice",
        )
        .await?;

    // The first key leads past the navigation.
    browser.find("main form").await?;
    browser.press([Key::Tab]).await?;
    let skip = browser.focus(".skip").await?;
    assert!(skip.matches && skip.fault.is_none(), "{skip:?}");
    browser.press([Key::Enter]).await?;
    browser.focused("main").await?;
    let all = browser.tab_through().await?;
    assert!(all.len() > 15, "{all:#?}");

    browser.tab_to("#f-spec\\.displayName").await?;
    browser.type_text("By keys").await?;
    browser.tab_to("main form .actions button:first-child").await?;
    browser.press([Key::Enter]).await?;
    let alice: Api<Workspace> = Api::namespaced(cluster::user("alice").await?, own);
    let made = wait::until("the workspace to have an address", wait::USUAL, || async {
        let made = alice.list(&ListParams::default()).await;
        let made = made.map_err(|error| error.to_string())?.items;
        match &*made {
            [one] if workspace::host(one).is_ok() => Ok(one.clone()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    // The page that shows the start opens the workspace.
    browser.arrived(&workspace::host(&made)?).await?;
    assert_eq!(made.spec.display_name, "By keys");
    let at = format!("/w/{own}/{}", made.name_any());
    browser.page.goto(&address(&at)?).await?;
    browser.tab_through().await?;

    // It has no disk, so its name is asked for.
    question(&browser, &format!("a[href='{at}/stop']"), "#typed").await?;
    browser.type_text(&made.name_any()).await?;
    browser.tab_to("dialog[open] button[type=submit]").await?;
    browser.press([Key::Space]).await?;
    browser.sees("#head", "Stopped").await?;

    menu(&browser, &format!("a[href='{at}/share']")).await?;
    browser.tab_to("#f-name").await?;
    browser.type_text("bob").await?;
    browser.tab_to("main form .actions button[type=submit]").await?;
    browser.press([Key::Space]).await?;
    browser.sees("#shares", "bob").await?;
    question(&browser, "#shares a[data-dialog][href$='/end']", "[data-close]").await?;
    browser.back_tab().await?;
    browser.focused("dialog[open] button[type=submit]").await?;
    browser.press([Key::Enter]).await?;
    browser.sees("#shares", "not shared").await?;

    yaml_by_keys(&browser, &at).await?;
    assert_eq!(alice.get(&made.name_any()).await?.spec.display_name, "By YAML");
    workspace::start(&alice, &made.name_any()).await?;
    bulk_stop_by_keys(&browser, own).await?;
    workspace::reached(&alice, &made.name_any(), Phase::Stopped).await?;
    roles_and_names(&browser, own, &at).await?;

    browser.page.goto(&address(&at)?).await?;
    menu(&browser, &format!("a[href='{at}/delete']")).await?;
    browser.focused("dialog[open] #typed").await?;
    browser.press([Key::Escape]).await?;
    browser.focused("#head details.menu > summary").await?;
    browser.press([Key::Enter]).await?;
    browser.tab_to(&format!("a[href='{at}/delete']")).await?;
    browser.press([Key::Enter]).await?;
    browser.focused("dialog[open] #typed").await?;
    browser.type_text(&made.name_any()).await?;
    browser.press([Key::Enter]).await?;
    browser.sees("main", &made.name_any()).await?;
    wait::until("the workspace to be gone", wait::USUAL, || async {
        match alice.get_opt(&made.name_any()).await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await?;
    browser.close().await?;
    template::finish(scratch).await
}

/// Writes another display name into the YAML of a workspace, and saves it.
async fn yaml_by_keys(browser: &Browser, at: &str) -> anyhow::Result<()> {
    browser.page.goto(&address(at)?).await?;
    menu(browser, &format!("a[href='{at}/yaml']")).await?;
    browser.find("#yaml").await?;
    browser.tab_to("#yaml").await?;
    let line = "return document.getElementById('yaml').value.split('\\n').findIndex((line) => line.startsWith('  displayName:'))";
    let line = browser.run(line, Vec::new()).await?;
    let line = line.as_u64().context("the YAML has no display name")?;
    browser.chord(Key::Control, Key::Home).await?;
    for _ in 0..line {
        browser.press([Key::Down]).await?;
    }
    browser.press([Key::Home]).await?;
    browser.chord(Key::Shift, Key::End).await?;
    browser.type_text("  displayName: By YAML").await?;
    browser.tab_to("main form .actions button[value=save]").await?;
    browser.press([Key::Enter]).await?;
    browser.sees("main", "The changes are stored").await
}

/// Chooses the only workspace that runs in a list, and stops what is chosen.
async fn bulk_stop_by_keys(browser: &Browser, namespace: &str) -> anyhow::Result<()> {
    let list = address(&format!("/?namespace={namespace}"))?;
    browser.page.goto(&list).await?;
    browser.sees("#rows", "Running").await?;
    browser.tab_to("#rows input[type=checkbox]").await?;
    browser.press([Key::Space]).await?;
    browser.tab_to("#bulk-form button").await?;
    browser.press([Key::Enter]).await?;
    browser.find("main #confirm").await?;
    browser.tab_to("#typed").await?;
    browser.type_text("delete files").await?;
    browser.tab_to("#confirm button[type=submit]").await?;
    browser.press([Key::Enter]).await?;
    browser.sees("#bulk", "All 1 are being stopped.").await
}

/// What the accessibility tree of the browser has: names for all that can be used, and one place whose changes are announced.
async fn roles_and_names(browser: &Browser, own: &str, at: &str) -> anyhow::Result<()> {
    let list = [
        ("navigation", "Main"),
        ("searchbox", "Search"),
        ("button", "Show"),
        ("table", "Workspaces"),
        ("columnheader", "State"),
        ("rowheader", "By YAML"),
        ("link", "By YAML"),
        ("button", "Start"),
    ];
    let form = [
        ("heading", "New workspace"),
        ("textbox", "Display name"),
        ("button", "Create"),
        ("button", "Edit as YAML"),
    ];
    let page = [
        ("navigation", "Breadcrumb"),
        ("heading", "By YAML"),
        ("region", "State and actions"),
        ("region", "Access"),
        ("button", "Start"),
    ];
    for (path, expected) in [
        (format!("/?namespace={own}"), &list[..]),
        (format!("/new?namespace={own}&template={own}"), &form),
        (at.to_owned(), &page),
    ] {
        browser.page.goto(&address(&path)?).await?;
        browser.find("main h1, main h2").await?;
        let nodes = browser.accessibility().await?;
        for (role, name) in expected {
            let is_there = |node: &Node| node.role == *role && node.name.starts_with(name);
            assert!(
                nodes.iter().any(is_there),
                "{path}: no {role} {name:?}: {nodes:#?}"
            );
        }
        let usable = [
            "button",
            "link",
            "textbox",
            "searchbox",
            "combobox",
            "slider",
            "checkbox",
            "radio",
        ];
        let nameless = |node: &&Node| usable.contains(&&*node.role) && node.name.is_empty();
        let nameless: Vec<_> = nodes.iter().filter(nameless).collect();
        assert!(nameless.is_empty(), "{path}: {nameless:?}");
        // Rows and parts change without a word: other users' changes are silent. The user's own come to the status alone.
        let announces = |node: &&Node| !node.live.is_empty();
        let quiet = ["table", "row", "rowheader", "cell", "columnheader", "region"];
        let spoken: Vec<_> = nodes.iter().filter(announces).collect();
        let loud: Vec<_> = spoken
            .iter()
            .filter(|node| quiet.contains(&&*node.role))
            .collect();
        assert!(loud.is_empty(), "{path}: {loud:?}");
        let has_place = spoken
            .iter()
            .any(|node| node.role == "status" && node.live == "polite");
        assert!(has_place, "{path}: {nodes:#?}");
    }
    Ok(())
}

/// Opens the question behind a link, leaves it, and opens it again. `first` has the focus then.
async fn question(browser: &Browser, link: &str, first: &str) -> anyhow::Result<()> {
    let first = format!("dialog[open] {first}");
    browser.tab_to(link).await?;
    browser.press([Key::Enter]).await?;
    browser.focused(&first).await?;
    browser.press([Key::Escape]).await?;
    browser.focused(link).await?;
    browser.press([Key::Enter]).await?;
    browser.focused(&first).await?;
    Ok(())
}

/// Follows a link in the menu of a workspace's page.
async fn menu(browser: &Browser, link: &str) -> anyhow::Result<()> {
    browser.tab_to("#head details.menu > summary").await?;
    browser.press([Key::Enter]).await?;
    browser.tab_to(link).await?;
    browser.press([Key::Enter]).await?;
    Ok(())
}
