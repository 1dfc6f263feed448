//! A new workspace by form and by YAML: what is offered, what is created, and what is refused where.

use api::names::CREATED_BY;
use api::{Workspace, WorkspaceTemplate};
use http::{Method, StatusCode};
use kit::scope::Scope;
use serde_json::json;
use testkit::api_server::Fault;
use testkit::objects::template;

use crate::common::{ALICE, Portal, full, namespace, prepare};
use crate::typing::{Typed, field};

pub(crate) const NEW: &str = "/new?namespace=team&template=jupyterlab";
pub(crate) const MEMORY: &str = "spec.resources.limits.memory";
const COURSE: &str = "spec.env[COURSE]";

pub(crate) async fn portal() -> Portal {
    let portal = Portal::start(prepare).await;
    portal.grant(ALICE);
    portal.judge_by(template("jupyterlab"));
    portal
}

pub(crate) fn writes(portal: &Portal) -> Vec<testkit::api_server::Call> {
    let mut calls = portal.calls_as_users();
    calls.retain(|call| call.is_write() && !call.is_dry_run());
    calls
}

pub(crate) fn stored(portal: &Portal, name: &str) -> Option<Workspace> {
    portal.server.get(Some("team"), name)
}

#[tokio::test]
async fn a_form_offers_what_the_template_admits_and_creates_that() {
    let portal = portal().await;
    let page = portal.json("alice", NEW).await;
    let memory = field(&page, MEMORY);
    assert!(
        memory["hint"].as_str().unwrap().starts_with("128Mi to 2Gi"),
        "{memory:#}"
    );
    let typed = Typed::from_page(&page);
    assert_eq!(typed.get("metadata.name"), Some("alice-jupyterlab"));
    assert_eq!(typed.get("spec.displayName"), Some("jupyterlab"));
    portal.server.take_calls();
    let answer = portal.sent("alice", "/new", &typed.with(MEMORY, "1536Mi")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    assert_eq!(answer.location(), "/w/team/alice-jupyterlab?done=new");
    let writes = writes(&portal);
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].method, Method::POST);
    assert_eq!(writes[0].as_user.as_deref(), Some("alice"));
    assert!(
        writes[0].query.contains("fieldValidation=Strict"),
        "{}",
        writes[0].query
    );
    let created = stored(&portal, "alice-jupyterlab").unwrap();
    assert_eq!(created.spec.template_ref.as_deref(), Some("jupyterlab"));
    assert_eq!(created.spec.image, None, "the template's default counts");
    assert_eq!(created.spec.storage, None);
    assert_eq!(created.spec.resources.unwrap().limits["memory"].0, "1536Mi");
    assert_eq!(created.metadata.annotations, None, "the webhook names the owner");
}

#[tokio::test]
async fn a_refusal_stands_at_its_field_in_the_api_server_s_words() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await).with(MEMORY, "4Gi");
    for path in ["/new", "/new/check"] {
        let answer = portal.sent("alice", path, &typed).await;
        let page = answer.json();
        let (memory, summary) = if path == "/new" {
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
            (field(&page, MEMORY), page["form"]["summary"].clone())
        } else {
            assert_eq!(answer.status, StatusCode::OK);
            let fields = page["fields"].as_array().unwrap();
            let memory = fields.iter().find(|field| field["name"] == MEMORY).unwrap();
            (memory.clone(), page["summary"].clone())
        };
        let error = memory["errors"][0].as_str().unwrap();
        assert!(error.starts_with("\"4Gi\"") && error.contains("2Gi"), "{error}");
        assert_eq!(memory["input"]["number"]["value"], "4Gi", "what was typed stays");
        let problems = summary["problems"].as_array().unwrap();
        assert!(
            problems
                .iter()
                .any(|it| it["field"] == MEMORY && it["text"] == error),
            "{summary:#}"
        );
    }
    assert_eq!(portal.server.all::<Workspace>().len(), 0);
    // Of a variable: the webhook names a missing one, and counts those that are there. A text keeps the number.
    let portal = Portal::start(|server| {
        prepare(server);
        server.put(&asking());
    })
    .await;
    portal.grant(ALICE);
    portal.judge_by(asking());
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    for (value, expected) in [("", "lacks the variable COURSE"), ("ML", "does not match")] {
        let typed = typed.clone().with(COURSE, value);
        for path in ["/new", "/new/check"] {
            let page = portal.sent("alice", path, &typed).await.json();
            let (fields, summary) = if path == "/new" {
                (vec![field(&page, COURSE)], &page["form"]["summary"])
            } else {
                (page["fields"].as_array().unwrap().clone(), &page["summary"])
            };
            let course = fields.iter().find(|field| field["name"] == COURSE).unwrap();
            let error = course["errors"][0].as_str().unwrap();
            assert!(error.contains(expected), "{error}");
            assert_eq!(summary["problems"][0]["field"], COURSE);
        }
    }
    let typed = typed.with(COURSE, "ML").by("view", "yaml");
    let yaml = Typed::from_page(&portal.sent("alice", "/new", &typed).await.json());
    let page = portal.sent("alice", "/new", &yaml).await.json();
    assert_eq!(page["marks"]["marks"][0]["path"], "spec.env[0].value");
}

/// A template that requires a variable.
pub(crate) fn asking() -> WorkspaceTemplate {
    let mut asking = template("jupyterlab");
    let course = json!({"name": "COURSE", "required": true, "regex": "[a-z]+"});
    asking.spec.env_requirements = vec![serde_json::from_value(course).unwrap()];
    asking
}

#[tokio::test]
async fn a_refusal_without_fields_is_shown_whole() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    portal.server.fail(Fault::forbidden(
        Method::POST,
        "/workspaces",
        "exceeded quota: count/workspaces",
        1,
    ));
    let answer = portal.sent("alice", "/new", &typed).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    let problem = &answer.json()["form"]["summary"]["problems"][0];
    assert_eq!(problem["field"], "");
    assert!(
        problem["text"]
            .as_str()
            .unwrap()
            .contains("exceeded quota: count/workspaces"),
        "{problem}"
    );
}

#[tokio::test]
async fn a_check_is_a_dry_run_and_shows_parts_of_the_page() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    portal.server.take_calls();
    let parts = portal.post("alice", "/new/check", &typed.body()).await;
    assert_eq!(parts.status, 200);
    for id in ["id=\"summary\"", "id=\"field-metadata.name\""] {
        assert!(parts.text.contains(id), "{id}\n{}", parts.text);
    }
    assert!(parts.text.contains("The API server would accept this."));
    assert!(!parts.text.contains("The operator checks"));
    let calls = portal.calls_as_users();
    let dry: Vec<_> = calls.iter().filter(|call| call.is_write()).collect();
    assert!(dry.len() == 1 && dry[0].is_dry_run() && dry[0].as_user.as_deref() == Some("alice"));
    assert!(stored(&portal, "alice-jupyterlab").is_none());
}

#[tokio::test]
async fn checks_are_limited_for_each_user() {
    let portal = portal().await;
    portal.grant(&[
        ("alice", "create", "workspaces", "team"),
        ("alice", "use", "workspacetemplates", "team"),
        ("bob", "create", "workspaces", "team"),
        ("bob", "use", "workspacetemplates", "team"),
    ]);
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    let mut last = StatusCode::OK;
    // More than can pass however slow this machine is would need a clock; fifty in less than nine seconds are too many.
    for _ in 0..50 {
        let answer = portal.sent("alice", "/new/check", &typed).await;
        last = answer.status;
        if last == StatusCode::TOO_MANY_REQUESTS {
            assert_eq!(answer.headers["retry-after"], "1");
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        portal.sent("bob", "/new/check", &typed).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_form_that_is_sent_twice_makes_one_workspace() {
    let portal = portal().await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    assert_eq!(
        portal.sent("alice", "/new", &typed).await.status,
        StatusCode::SEE_OTHER
    );
    // As the API server and the webhook store it.
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    portal
        .server
        .edit::<Workspace>(Some("team"), "alice-jupyterlab", |object| {
            object["metadata"]["annotations"] = json!({CREATED_BY: "alice"});
            object["metadata"]["creationTimestamp"] = json!(now);
        });
    let again = portal.sent("alice", "/new", &typed).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text);
    assert_eq!(again.location(), "/w/team/alice-jupyterlab?done=new");
    assert_eq!(portal.server.all::<Workspace>().len(), 1);
    // Other values, or another user's workspace: the name is taken.
    let other = typed.clone().with("spec.displayName", "Another");
    let refused = portal.sent("alice", "/new", &other).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(
        field(&refused.json(), "metadata.name")["errors"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    portal
        .server
        .edit::<Workspace>(Some("team"), "alice-jupyterlab", |object| {
            object["metadata"]["annotations"] = json!({CREATED_BY: "bob"});
        });
    assert_eq!(
        portal.sent("alice", "/new", &typed).await.status,
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn a_user_who_may_create_nowhere_learns_their_name_and_what_to_ask_for() {
    let portal = portal().await;
    let page = portal.get("eve", "/new").await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(
        page.text.contains("eve") && page.text.contains("<code>create</code>"),
        "{}",
        page.text
    );
    portal.grant(&[("mallory", "create", "workspaces", "team")]);
    let page = portal.get("mallory", "/new").await;
    assert!(
        page.text.contains("mallory") && page.text.contains("<code>use</code>"),
        "{}",
        page.text
    );
    // A template that is there and one that is not get the same answer.
    let answer = async |name: &str| {
        let page = portal
            .json("mallory", &format!("/new?namespace=team&template={name}"))
            .await;
        page.to_string()
            .replace(name, "NAME")
            .replace(page["layout"]["request"].as_str().unwrap(), "")
    };
    assert_eq!(answer("jupyterlab").await, answer("nothing-here").await);
    let other = portal.get("mallory", "/new?namespace=%3Cscript%3E").await;
    assert_eq!(other.status, StatusCode::FORBIDDEN);
    assert!(!other.text.contains("<script>"), "{}", other.text);
}

#[tokio::test]
async fn in_one_namespace_the_owner_is_written() {
    let portal = Portal::start_in(Scope::Namespace("team".to_owned()), prepare).await;
    portal.grant(ALICE);
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    let parts = portal.sent("alice", "/new/check", &typed).await.json();
    let good = "The API server would accept this. The operator checks the template's bounds after you save.";
    assert_eq!(parts["summary"]["good"], good);
    let answer = portal.sent("alice", "/new", &typed).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let created = stored(&portal, "alice-jupyterlab").unwrap();
    assert_eq!(api::names::owner(&created.metadata), Some("alice"));
    assert_eq!(created.spec.template_ref.as_deref(), Some("jupyterlab"));
}

#[tokio::test]
async fn a_quota_stands_above_the_form_with_what_is_used_of_it() {
    let portal = full().await;
    let page = portal.json("alice", NEW).await;
    let quotas = &page["quotas"];
    let line = &quotas["lines"][0];
    assert_eq!(
        (&line["percent"], &line["tone"]),
        (&100.into(), &"warn".into()),
        "{quotas:#}"
    );
    let of_alice = portal.calls_as_users();
    assert!(
        of_alice
            .iter()
            .any(|call| call.path.ends_with("/namespaces/team/resourcequotas"))
    );
}

#[tokio::test]
async fn where_there_is_no_quota_nothing_is_said_of_quotas() {
    for (portal, is_said) in [(portal().await, false), (full().await, true)] {
        let page = portal.get("alice", NEW).await.text;
        assert_eq!(page.contains("Quota of"), is_said, "{page}");
        assert_eq!(page.contains("id=\"quotas\" hidden>"), !is_said, "{page}");
    }
}

#[tokio::test]
async fn a_template_opens_in_a_namespace_in_which_it_may_be_used() {
    let portal = Portal::start(|server| {
        prepare(server);
        server.put(&namespace("another"));
    })
    .await;
    portal.grant(&[
        ("alice", "create", "workspaces", "another"),
        ("alice", "create", "workspaces", "team"),
        ("alice", "use", "workspacetemplates", "team"),
    ]);
    let offered = portal.json("alice", "/templates/jupyterlab").await;
    let to = offered["actions"][0]["way"]["link"]["to"].as_str().unwrap();
    let form = portal.json("alice", to).await;
    assert_eq!(form["template"], "jupyterlab", "{form:#}");
    assert_eq!(Typed::from_page(&form).get("namespace"), Some("team"));
}

#[tokio::test]
async fn the_page_of_a_template_names_what_it_gives_beside_the_application() {
    let mut template = template("jupyterlab");
    template.spec.volume_claims = serde_json::from_value(json!([{
        "name": "db", "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "2Gi"}}},
    }]))
    .unwrap();
    template.spec.objects = serde_json::from_value(json!([
        {"name": "metrics", "manifest": {"apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor"}},
    ]))
    .unwrap();
    template.spec.pod_template = serde_json::from_value(json!({"spec": {
        "containers": [{"name": "workspace"}, {"name": "database"}],
    }}))
    .unwrap();
    let portal = Portal::start(|server| {
        prepare(server);
        server.put(&template);
    })
    .await;
    portal.grant(ALICE);
    let page = portal.json("alice", "/templates/jupyterlab").await;
    let facts = page["facts"].as_array().unwrap();
    assert_eq!(
        facts[1..],
        [
            json!({"label": "Also runs", "text": "database"}),
            json!({"label": "Disk db", "text": "2Gi"}),
            json!({"label": "Object metrics", "text": "PodMonitor of monitoring.coreos.com/v1"}),
        ]
    );
}

#[tokio::test]
async fn the_page_of_a_template_says_which_limits_it_sets_and_allows() {
    let shown = async |spec: serde_json::Value| {
        let mut template = serde_json::to_value(template("jupyterlab")).unwrap();
        json_patch::merge(&mut template["spec"], &spec);
        let template: WorkspaceTemplate = serde_json::from_value(template).unwrap();
        let portal = Portal::start(|server| {
            prepare(server);
            server.put(&template);
        })
        .await;
        portal.grant(ALICE);
        let page = portal.json("alice", "/templates/jupyterlab").await;
        let bounds = page["bounds"].as_array().unwrap().iter();
        let limits = bounds.filter(|it| {
            ["Maximum age", "Stops when not ready for"]
                .iter()
                .any(|of| it["label"] == *of)
        });
        limits
            .map(|it| ["label", "allowed", "default"].map(|part| it[part].as_str().unwrap().to_owned()))
            .collect::<Vec<_>>()
    };
    assert!(shown(json!({})).await.is_empty());
    let limits = json!({
        "defaultLimits": {"maxAgeMinutes": 720},
        "limitBounds": {"maxAgeMinutes": {"min": 60, "max": 1440}, "failedTimeoutMinutes": {"max": 90}},
    });
    assert_eq!(
        shown(limits).await,
        [
            ["Maximum age", "60 to 1440 minutes", "720"],
            // A maximum is also the limit of workspaces without one.
            ["Stops when not ready for", "at most 90 minutes", "90"],
        ]
    );
    let default = json!({"defaultLimits": {"failedTimeoutMinutes": 30}});
    assert_eq!(
        shown(default).await,
        [["Stops when not ready for", "any number of minutes", "30"]]
    );
}
