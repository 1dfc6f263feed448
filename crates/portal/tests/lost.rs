//! A workspace that is deleted, replaced or hidden while its form is open: nothing is written, and nothing that was typed is lost.

use api::Workspace;
use api::names::CREATED_BY;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::api_server::Fault;
use testkit::api_server::{ApiServer, Disruption};
use testkit::objects::workspace;

use crate::common::{ALICE, Answer, Portal, prepare};
use crate::forms::{MEMORY, stored, writes};
use crate::typing::{Typed, field};

const EDIT: &str = "/w/team/lab/edit";
const CHECK: &str = "/w/team/lab/edit/check";
const YAML: &str = "/w/team/lab/yaml";
const ANEW: &str = "Create anew with these values";

async fn portal() -> Portal {
    let portal = Portal::start(|server: &ApiServer| {
        prepare(server);
        let mut lab = workspace("lab");
        lab.spec.template_ref = Some("jupyterlab".to_owned());
        lab.spec.app_type = Some("jupyterlab".to_owned());
        server.put(&lab);
    })
    .await;
    portal.grant(ALICE);
    portal
}

/// The form as Alice opened it, with a name that she typed.
async fn opened(portal: &Portal, path: &str) -> Typed {
    let typed = Typed::of(&portal.json("alice", path).await);
    portal.server.take_calls();
    typed
}

fn delete(portal: &Portal) {
    portal.server.remove::<Workspace>(Some("team"), "lab");
}

/// Waits until the portal answers the page with this status.
async fn until(portal: &Portal, path: &str, status: StatusCode) {
    while portal.get("alice", path).await.status != status {
        tokio::task::yield_now().await;
    }
}

fn action(page: &Value) -> Option<Vec<(String, String)>> {
    let actions = page["actions"].as_array().unwrap();
    let anew = actions.iter().find(|action| action["label"] == ANEW)?;
    assert_eq!(anew["way"]["post"]["to"], "/new");
    serde_json::from_value(anew["way"]["post"]["hidden"].clone()).unwrap()
}

/// What `Create anew` shows.
async fn anew(portal: &Portal, page: &Value) -> Answer {
    let fields = action(page).unwrap_or_else(|| panic!("{page:#}"));
    let mut form = Typed::default();
    for (name, value) in &fields {
        form = form.by(name, value);
    }
    portal.sent("alice", "/new", &form).await
}

#[tokio::test]
async fn the_form_of_a_deleted_workspace_says_so_and_can_create_it_anew() {
    // With and without the deletion in the portal's memory.
    for is_known in [false, true] {
        let portal = portal().await;
        let typed = opened(&portal, EDIT)
            .await
            .with("spec.displayName", "Mine")
            .with(MEMORY, "1536Mi");
        delete(&portal);
        if is_known {
            until(&portal, EDIT, StatusCode::NOT_FOUND).await;
        }
        let check = portal.sent("alice", CHECK, &typed).await;
        assert_eq!(check.status, StatusCode::NOT_FOUND);
        let answer = portal.sent("alice", EDIT, &typed).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.text);
        let page = answer.json();
        assert_eq!(page["layout"]["title"], "lab was deleted");
        assert!(
            page["typed"].as_str().unwrap().contains("spec.displayName: Mine"),
            "{page:#}"
        );
        assert!(writes(&portal).is_empty());
        let form = anew(&portal, &page).await;
        assert_eq!(form.status, StatusCode::OK, "{}", form.text);
        let form = form.json();
        assert!(stored(&portal, "lab").is_none(), "the form only opens");
        assert_eq!(field(&form, MEMORY)["input"]["number"]["value"], "1536Mi");
        assert_eq!(form["kept"], json!(["spec.appType"]));
        let created = portal.sent("alice", "/new", &Typed::of(&form)).await;
        assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.text);
        let created = stored(&portal, "lab").unwrap();
        assert_eq!(created.spec.display_name, "Mine");
        assert_eq!(created.spec.app_type.as_deref(), Some("jupyterlab"));
    }
}

#[tokio::test]
async fn the_form_of_a_replaced_workspace_says_so_and_proposes_another_name() {
    let portal = portal().await;
    let typed = opened(&portal, EDIT).await.with("spec.displayName", "Mine");
    portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
        object["metadata"]["uid"] = json!("another");
        object["spec"]["displayName"] = json!("Theirs");
    });
    assert_eq!(
        portal.sent("alice", CHECK, &typed).await.status,
        StatusCode::CONFLICT
    );
    let answer = portal.sent("alice", EDIT, &typed).await;
    assert_eq!(answer.status, StatusCode::CONFLICT);
    let page = answer.json();
    assert_eq!(
        page["layout"]["title"],
        "lab is another workspace of the same name now"
    );
    assert!(page["typed"].as_str().unwrap().contains("spec.displayName: Mine"));
    let form = anew(&portal, &page).await.json();
    assert_eq!(field(&form, "metadata.name")["input"]["text"]["value"], "lab-2");
    assert_eq!(field(&form, "spec.displayName")["input"]["text"]["value"], "Mine");
    assert!(writes(&portal).is_empty());
    assert_eq!(stored(&portal, "lab").unwrap().spec.display_name, "Theirs");
}

#[tokio::test]
async fn a_workspace_that_is_hidden_now_looks_like_one_that_does_not_exist() {
    let portal = portal().await;
    let typed = opened(&portal, EDIT).await.with("spec.displayName", "Mine");
    portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
        object["metadata"]["annotations"] = json!({CREATED_BY: "bob"});
    });
    until(&portal, EDIT, StatusCode::NOT_FOUND).await;
    for name in ["lab", "none"] {
        portal.server.fail(Fault {
            method: Method::GET,
            path_part: if name == "lab" {
                "/workspaces/lab"
            } else {
                "/workspaces/none"
            },
            code: 403,
            reason: "Forbidden",
            message: "alice cannot get workspaces".to_owned(),
            times: 9,
        });
    }
    let mut pages = Vec::new();
    for name in ["lab", "none"] {
        let answer = portal
            .sent("alice", &format!("/w/team/{name}/edit"), &typed)
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{name}");
        let page = answer.json();
        let absent = portal.json("alice", &format!("/w/team/{name}")).await;
        assert_eq!(page["layout"]["title"], absent["layout"]["title"]);
        assert_eq!(page["why"], absent["why"]);
        assert!(page["typed"].as_str().unwrap().contains("spec.displayName: Mine"));
        pages.push([page["why"].clone(), page["now"].clone(), page["typed"].clone()]);
    }
    assert_eq!(pages[0], pages[1]);
    assert!(writes(&portal).is_empty());
}

#[tokio::test]
async fn nothing_that_was_typed_is_lost_by_form_or_yaml() {
    let portal = portal().await;
    let mut typed = opened(&portal, EDIT).await.with(MEMORY, "much");
    typed = typed.with("spec.displayName", "a: \"b\" <i>");
    let yaml = opened(&portal, YAML).await;
    let text = format!("# mine\n{}: [", yaml.get("yaml").unwrap());
    let yaml = yaml.with("yaml", &text);
    delete(&portal);
    let page = portal.sent("alice", EDIT, &typed).await.json();
    let shown = page["typed"].as_str().unwrap();
    for (name, value) in typed.controls() {
        assert!(
            shown.lines().any(|line| line == format!("{name}: {value}")),
            "{name}: {value} is not in {shown}"
        );
    }
    let page = portal.sent("alice", YAML, &yaml).await.json();
    assert_eq!(page["typed"], text);
    // What cannot be read opens as it was typed.
    let form = anew(&portal, &page).await;
    assert_eq!(form.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(form.json()["text"], text);
    let html = portal.post("alice", EDIT, &typed.body()).await;
    assert!(
        html.text.contains("What you typed") && !html.text.contains("<i>"),
        "{}",
        html.text
    );
    assert!(writes(&portal).is_empty());
}

#[tokio::test]
async fn a_deletion_or_a_namesake_between_read_and_patch_is_said_too() {
    let delete = |server: &ApiServer| server.remove::<Workspace>(Some("team"), "lab");
    let replace = |server: &ApiServer| {
        server.edit::<Workspace>(Some("team"), "lab", |object| {
            object["metadata"]["uid"] = json!("another");
        });
    };
    for (meanwhile, title) in [
        (delete as fn(&ApiServer), "lab was deleted"),
        (replace, "lab is another workspace of the same name now"),
    ] {
        let portal = portal().await;
        let typed = opened(&portal, EDIT).await.with("spec.displayName", "Mine");
        let meanwhile = Disruption::Meanwhile(Box::new(meanwhile));
        portal.server.disrupt(Method::PATCH, "/workspaces/lab", meanwhile);
        let page = portal.sent("alice", EDIT, &typed).await.json();
        assert_eq!(page["layout"]["title"], title);
        assert!(page["typed"].as_str().unwrap().contains("spec.displayName: Mine"));
        assert!(portal.server.unmet().is_empty());
        let now = stored(&portal, "lab").map(|lab| lab.spec.display_name);
        assert_ne!(now.as_deref(), Some("Mine"));
    }
}

#[tokio::test]
async fn a_lost_right_to_read_or_to_change_leaves_what_was_typed() {
    for (method, status) in [
        (Method::GET, StatusCode::FORBIDDEN),
        (Method::PATCH, StatusCode::FORBIDDEN),
    ] {
        let portal = portal().await;
        let typed = opened(&portal, EDIT).await.with("spec.displayName", "Mine");
        portal.server.fail(Fault {
            method: method.clone(),
            path_part: "/workspaces/lab",
            code: 403,
            reason: "Forbidden",
            message: "alice lost her role".to_owned(),
            times: 9,
        });
        let answer = portal.sent("alice", EDIT, &typed).await;
        assert_eq!(answer.status, status);
        assert!(answer.text.contains("alice lost her role"), "{}", answer.text);
        let page = answer.json();
        if method == Method::GET {
            assert!(page["typed"].as_str().unwrap().contains("spec.displayName: Mine"));
        } else {
            assert_eq!(field(&page, "spec.displayName")["input"]["text"]["value"], "Mine");
        }
        assert_eq!(stored(&portal, "lab").unwrap().spec.display_name, "lab");
    }
}

#[tokio::test]
async fn a_form_that_the_api_server_does_not_answer_can_be_sent_again() {
    let portal = portal().await;
    for (path, control, value) in [
        (EDIT, "spec.displayName", "Mine".to_owned()),
        (YAML, "yaml", String::new()),
    ] {
        let typed = opened(&portal, path).await;
        let value = if value.is_empty() {
            typed.get("yaml").unwrap().replace("Mine", "By text")
        } else {
            value
        };
        let typed = typed.with(control, &value);
        portal
            .server
            .fail(Fault::internal(Method::GET, "/workspaces/lab", 1));
        let answer = portal.sent("alice", path, &typed).await;
        assert_eq!(
            answer.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{}",
            answer.text
        );
        let page = answer.json();
        assert_eq!(page["why"][0], "The API server failed to read this workspace.");
        let again = &page["actions"][0];
        assert_eq!(again["label"], "Send again");
        assert_eq!(again["way"]["post"]["to"], path);
        let fields: Vec<(String, String)> =
            serde_json::from_value(again["way"]["post"]["hidden"].clone()).unwrap();
        let form = fields
            .iter()
            .fold(Typed::default(), |form, (name, value)| form.by(name, value));
        let saved = portal.sent("alice", path, &form).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    }
    assert_eq!(stored(&portal, "lab").unwrap().spec.display_name, "By text");
}

#[tokio::test]
async fn what_cannot_be_read_opens_as_it_was_typed() {
    let portal = portal().await;
    let typed = opened(&portal, EDIT).await;
    let typed = typed.with("spec.displayName", "Mine").with(MEMORY, "much");
    delete(&portal);
    let page = portal.sent("alice", EDIT, &typed).await.json();
    let form = anew(&portal, &page).await;
    assert_eq!(form.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", form.text);
    let form = form.json();
    let memory = field(&form, MEMORY);
    assert_eq!(memory["input"]["number"]["value"], "much");
    assert_eq!(memory["errors"].as_array().unwrap().len(), 1, "{memory:#}");
    assert!(writes(&portal).is_empty());
    let mended = Typed::of(&form).with(MEMORY, "1536Mi");
    let created = portal.sent("alice", "/new", &mended).await;
    assert_eq!(created.status, StatusCode::SEE_OTHER, "{}", created.text);
    let created = stored(&portal, "lab").unwrap();
    assert_eq!(created.spec.display_name, "Mine");
    assert_eq!(created.spec.app_type.as_deref(), Some("jupyterlab"));
    assert_eq!(created.spec.resources.unwrap().limits["memory"].0, "1536Mi");
}

#[tokio::test]
async fn what_the_new_form_has_no_field_for_is_named_if_it_cannot_be_read() {
    const DEVICE: &str = "spec.resources.limits[example.com/fpga]";
    let portal = portal().await;
    portal.server.edit::<Workspace>(Some("team"), "lab", |object| {
        object["spec"]["resources"] = json!({"limits": {"example.com/fpga": "1"}});
    });
    while !portal.get("alice", EDIT).await.text.contains(DEVICE) {
        tokio::task::yield_now().await;
    }
    let typed = opened(&portal, EDIT).await.with(DEVICE, "much");
    delete(&portal);
    let page = portal.sent("alice", EDIT, &typed).await.json();
    let now = page["now"].to_string();
    assert!(
        now.contains(&format!("The new form has no field for `{DEVICE}`")),
        "{now}"
    );
    let form = anew(&portal, &page).await;
    assert_eq!(form.status, StatusCode::OK, "{}", form.text);
}

#[tokio::test]
async fn a_user_who_may_not_create_is_not_offered_it() {
    let portal = portal().await;
    portal.grant(&[("alice", "patch", "workspaces", "team")]);
    let typed = opened(&portal, EDIT).await;
    delete(&portal);
    let page = portal.sent("alice", EDIT, &typed).await.json();
    assert_eq!(page["layout"]["title"], "lab was deleted");
    assert_eq!(action(&page), None);
}
