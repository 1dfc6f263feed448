//! A workspace that is gone or cannot be read while its form is open: nothing is written, and nothing that was typed is lost.

use api::Workspace;
use http::{Method, StatusCode};
use serde_json::json;
use testkit::api_server::Fault;
use testkit::api_server::{ApiServer, Disruption};
use testkit::objects::workspace;

use crate::common::{ALICE, Portal, prepare};
use crate::forms::{MEMORY, stored, writes};
use crate::typing::{Typed, field};

const EDIT: &str = "/w/team/lab/edit";
const CHECK: &str = "/w/team/lab/edit/check";
const YAML: &str = "/w/team/lab/yaml";
pub(crate) const NOT_SAVED: &str = "Not saved: this is what you wrote";

/// A title of another page as the first sentence of this one.
pub(crate) fn reason(title: &str) -> String {
    format!("{title}.")
}

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
    let typed = Typed::from_page(&portal.json("alice", path).await);
    portal.server.take_calls();
    typed
}

#[tokio::test]
async fn the_form_of_a_workspace_that_is_gone_says_so_and_keeps_what_was_typed() {
    // With and without the deletion in the portal's memory.
    for is_known in [false, true] {
        let portal = portal().await;
        let typed = opened(&portal, EDIT).await.with(MEMORY, "much");
        let typed = typed.with("spec.displayName", "a: \"b\" <i>");
        let yaml = opened(&portal, YAML).await;
        let text = format!("# mine\n{}: [", yaml.get("yaml").unwrap());
        let yaml = yaml.with("yaml", &text);
        portal.server.remove::<Workspace>(Some("team"), "lab");
        while is_known && portal.get("alice", EDIT).await.status != StatusCode::NOT_FOUND {
            tokio::task::yield_now().await;
        }
        let check = portal.sent("alice", CHECK, &typed).await;
        assert_eq!(check.status, StatusCode::NOT_FOUND);
        let answer = portal.sent("alice", EDIT, &typed).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{}", answer.text);
        let page = answer.json();
        let absent = portal.json("alice", "/w/team/none").await;
        assert_eq!(page["layout"]["title"], NOT_SAVED);
        assert_eq!(
            page["why"][0],
            reason(absent["layout"]["title"].as_str().unwrap())
        );
        assert_eq!(page["why"][1], absent["why"][0]);
        let shown = page["typed"].as_str().unwrap();
        for (name, value) in typed.controls() {
            assert!(
                shown.lines().any(|line| line == format!("{name}: {value}")),
                "{name}: {value} is not in {shown}"
            );
        }
        let page = portal.sent("alice", YAML, &yaml).await.json();
        assert_eq!(page["typed"], text);
        let html = portal.post("alice", EDIT, &typed.body()).await;
        assert!(
            html.text.contains("What you typed") && !html.text.contains("<i>"),
            "{}",
            html.text
        );
        assert!(writes(&portal).is_empty());
    }
}

#[tokio::test]
async fn a_namesake_is_not_changed_also_if_it_comes_between_read_and_patch() {
    let replace = |server: &ApiServer| {
        server.edit::<Workspace>(Some("team"), "lab", |object| {
            object["metadata"]["uid"] = json!("another");
        });
    };
    for is_between in [false, true] {
        let portal = portal().await;
        let typed = opened(&portal, EDIT).await.with("spec.displayName", "Mine");
        if is_between {
            let meanwhile = Disruption::Meanwhile(Box::new(replace));
            portal.server.disrupt(Method::PATCH, "/workspaces/lab", meanwhile);
        } else {
            replace(&portal.server);
        }
        let answer = portal.sent("alice", EDIT, &typed).await;
        assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text);
        let page = answer.json();
        assert_eq!(page["layout"]["title"], NOT_SAVED);
        assert_eq!(
            page["why"][0],
            reason("This is another workspace of the same name now")
        );
        assert!(page["typed"].as_str().unwrap().contains("spec.displayName: Mine"));
        assert!(portal.server.unmet().is_empty());
        assert_eq!(stored(&portal, "lab").unwrap().spec.display_name, "lab");
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
        portal.server.fail(Fault::forbidden(
            method.clone(),
            "/workspaces/lab",
            "alice lost her role",
            9,
        ));
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
        assert_eq!(page["why"][0], reason("The workspace cannot be read"));
        let again = &page["actions"][0];
        assert_eq!(again["label"], "Send again");
        assert_eq!(again["way"]["post"]["to"], path);
        let form: Typed = serde_json::from_value(again["way"]["post"]["hidden"].clone()).unwrap();
        let saved = portal.sent("alice", path, &form).await;
        assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    }
    assert_eq!(stored(&portal, "lab").unwrap().spec.display_name, "By text");
}
