//! A new workspace as YAML, as a manifest, and as a copy.

use std::sync::Arc;

use api::Workspace;
use http::StatusCode;
use portal::cluster::Mode;
use serde_json::json;
use testkit::objects::{template, workspace};

use crate::common::{ALICE, Portal, prepare};
use crate::forms::{MEMORY, NEW, portal, stored, writes};
use crate::typing::{Typed, fields_of};

#[tokio::test]
async fn findings_in_yaml_have_their_line() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await).by("view", "yaml");
    let page = portal.sent("alice", "/new", &typed).await.json();
    let text = page["text"].as_str().unwrap().to_owned();
    assert!(
        text.contains("name: alice-jupyterlab") && text.contains("# "),
        "{text}"
    );
    let line = |wanted: &str, text: &str| text.lines().position(|line| line.contains(wanted)).unwrap() + 1;
    // A field that does not exist is found here.
    let unknown = format!("{text}  hostNetwork: true\n");
    let answer = portal
        .sent("alice", "/new", &Typed::from_page(&page).with("yaml", &unknown))
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let mark = answer.json()["marks"]["marks"][0].clone();
    assert_eq!(mark["line"], line("hostNetwork", &unknown), "{mark}");
    assert_eq!(mark["column"], 3);
    assert_eq!(answer.json()["text"], unknown, "the text stays as it was typed");
    // What the API server refuses is placed in the text.
    let large = format!("{text}  resources: {{limits: {{memory: 4Gi}}}}  # mine\n");
    for path in ["/new", "/new/check"] {
        let answer = portal
            .sent("alice", path, &Typed::from_page(&page).with("yaml", &large))
            .await;
        let marks = answer.json()["marks"]["marks"].as_array().unwrap().clone();
        let mark = marks
            .iter()
            .find(|mark| mark["path"] == MEMORY)
            .unwrap_or_else(|| panic!("{marks:?}"));
        assert_eq!(mark["line"], line("4Gi", &large));
        let before: Vec<u16> = large
            .encode_utf16()
            .take(mark["offset"].as_u64().unwrap().try_into().unwrap())
            .collect();
        assert!(String::from_utf16(&before).unwrap().ends_with("memory: "));
    }
    assert_eq!(portal.server.all::<Workspace>().len(), 0);
}

#[tokio::test]
async fn what_the_form_has_no_field_for_survives_the_way_through_it() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await).by("view", "yaml");
    let yaml = portal.sent("alice", "/new", &typed).await.json();
    let text = format!(
        "# for the seminar\n{}  appType: jupyterlab\n",
        yaml["text"].as_str().unwrap()
    );
    let typed = Typed::from_page(&yaml).with("yaml", &text).by("view", "form");
    let form = portal.sent("alice", "/new", &typed).await.json();
    assert_eq!(form["kept"], json!(["spec.appType"]));
    // Back without a change: the text is as it was.
    let back = portal
        .sent("alice", "/new", &Typed::from_page(&form).by("view", "yaml"))
        .await
        .json();
    assert_eq!(back["text"], text);
    let typed = Typed::from_page(&form).with("spec.displayName", "Seminar");
    let answer = portal.sent("alice", "/new", &typed).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let created = stored(&portal, "alice-jupyterlab").unwrap();
    assert_eq!(created.spec.app_type.as_deref(), Some("jupyterlab"));
    assert_eq!(created.spec.display_name, "Seminar");
}

#[tokio::test]
async fn a_text_cannot_leave_the_namespace_or_template_of_its_page() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await).by("view", "yaml");
    let yaml = portal.sent("alice", "/new", &typed).await.json();
    let text = yaml["text"]
        .as_str()
        .unwrap()
        .replace("namespace: team", "namespace: other");
    let answer = portal
        .sent("alice", "/new", &Typed::from_page(&yaml).with("yaml", &text))
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.json()["marks"]["marks"][0]["path"], "metadata.namespace");
    assert!(writes(&portal).is_empty());
}

#[tokio::test]
async fn where_nothing_can_be_changed_the_form_shows_the_manifest() {
    let portal = portal().await;
    portal
        .mode
        .store(Arc::new(Mode::ReadOnly("no impersonation".to_owned())));
    let page = portal.json("alice", NEW).await;
    let typed = Typed::from_page(&page)
        .with("spec.displayName", "Seminar")
        .with(MEMORY, "4Gi");
    portal.server.take_calls();
    let answer = portal.sent("alice", "/new", &typed).await;
    assert_eq!(answer.status, StatusCode::OK);
    let page = answer.json();
    let command = page["form"]["command"].as_str().unwrap();
    assert!(
        command.starts_with("kubectl apply -f - <<'EOF'\napiVersion:") && command.ends_with("\nEOF"),
        "{command}"
    );
    assert!(
        command.contains("displayName: Seminar") && command.contains("memory: 4Gi"),
        "{command}"
    );
    assert!(portal.calls_as_users().is_empty());
}

#[tokio::test]
async fn where_nothing_can_be_changed_no_check_speaks_for_the_api_server() {
    let portal = portal().await;
    let form = Typed::from_page(&portal.json("alice", NEW).await);
    let yaml = portal
        .sent("alice", "/new", &form.clone().by("view", "yaml"))
        .await;
    let yaml = Typed::from_page(&yaml.json());
    portal
        .mode
        .store(Arc::new(Mode::ReadOnly("no impersonation".to_owned())));
    portal.server.take_calls();
    for typed in [form, yaml] {
        let parts = portal.post("alice", "/new/check", &typed.body()).await;
        assert_eq!(parts.status, StatusCode::OK);
        assert!(
            !parts.text.contains("The API server would accept this."),
            "{}",
            parts.text
        );
    }
    assert!(writes(&portal).is_empty());
}

#[tokio::test]
async fn a_copy_has_the_values_of_its_original_under_another_name() {
    let portal = Portal::start(|server| {
        prepare(server);
        let mut original = workspace("alice-jupyterlab");
        original.spec.template_ref = Some("jupyterlab".to_owned());
        original.spec.app_type = Some("jupyterlab".to_owned());
        original.spec.display_name = "Seminar".to_owned();
        original.spec.desired_status = api::workspace::DesiredStatus::Stopped;
        server.put(&original);
    })
    .await;
    portal.grant(ALICE);
    let page = portal.json("alice", "/new?from=team/alice-jupyterlab").await;
    let typed = Typed::from_page(&page);
    assert_eq!(typed.get("metadata.name"), Some("alice-jupyterlab-2"));
    assert_eq!(typed.get("spec.displayName"), Some("Seminar"));
    assert_eq!(
        portal.sent("alice", "/new", &typed).await.status,
        StatusCode::SEE_OTHER
    );
    let copy = stored(&portal, "alice-jupyterlab-2").unwrap();
    assert_eq!(
        copy.spec.app_type.as_deref(),
        Some("jupyterlab"),
        "also what the form has no field for"
    );
    assert_eq!(copy.spec.desired_status, api::workspace::DesiredStatus::Running);
    // No user copies what they do not see.
    portal.grant(&[
        ("eve", "create", "workspaces", "team"),
        ("eve", "use", "workspacetemplates", "team"),
    ]);
    assert_eq!(
        portal.get("eve", "/new?from=team/alice-jupyterlab").await.status,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        portal.get("eve", "/new?from=team/nothing").await.status,
        StatusCode::NOT_FOUND
    );
    assert!(!fields_of(&portal.json("eve", NEW).await).is_empty());
}

#[tokio::test]
async fn a_copy_can_have_another_template_also_where_its_own_is_gone() {
    let portal = Portal::start(|server| {
        prepare(server);
        server.put(&template("other"));
        for (name, of) in [("lab", "gone"), ("kept", "jupyterlab")] {
            let mut original = workspace(name);
            original.spec.template_ref = Some(of.to_owned());
            original.spec.display_name = "Seminar".to_owned();
            server.put(&original);
        }
    })
    .await;
    portal.grant(ALICE);
    let missing = portal.json("alice", "/new?from=team/lab").await;
    assert_eq!(missing["layout"]["title"], "There is no such template for you");
    let form = portal.json("alice", "/new?from=team/kept").await;
    for (original, to) in [
        ("lab", &missing["actions"][0]["way"]["link"]["to"]),
        ("kept", &form["change_template"]),
    ] {
        let choose = portal.json("alice", to.as_str().unwrap()).await;
        let offers = choose["offers"]
            .as_array()
            .unwrap_or_else(|| panic!("{choose:#}"));
        let other = offers.iter().find(|offer| offer["name"] == "other").unwrap();
        let form = &other["actions"][0]["way"]["link"]["to"];
        let copy = portal.json("alice", form.as_str().unwrap()).await;
        assert_eq!(copy["template"], "other");
        let typed = Typed::from_page(&copy);
        assert_eq!(typed.get("metadata.name"), Some(&*format!("{original}-2")));
        assert_eq!(typed.get("spec.displayName"), Some("Seminar"));
    }
}
