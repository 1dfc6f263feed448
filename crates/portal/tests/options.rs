//! A template's options as fields: what is offered, what is sent, what is cleared, and what is refused where.

use std::collections::BTreeMap;

use api::{Workspace, WorkspaceTemplate};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::objects::{template, workspace};

use crate::common::{ALICE, Portal, prepare};
use crate::forms::{MEMORY, NEW, stored, writes};
use crate::typing::{Typed, field, fields_of};

const GPU: &str = "spec.options[gpu]";
const PART: &str = "spec.options[part]";
const COURSE: &str = "spec.options[course]";
const EDIT: &str = "/w/team/lab/edit";

/// A GPU, a part of it that depends on the GPU, and a course that must be named.
fn with_options() -> WorkspaceTemplate {
    let mut object = serde_json::to_value(template("jupyterlab")).unwrap();
    let spec = json!({
        "options": [
            {"name": "gpu", "choices": [
                {"name": "none", "default": true},
                {"name": "t4", "set": {"resources": {"limits": {"memory": "1536Mi"}}}},
                {"name": "a100"}, {"name": "h100"}, {"name": "k80"},
            ]},
            {"name": "part", "when": {"gpu": ["a100", "h100"]}, "choices": [
                {"name": "all", "default": true}, {"name": "small", "when": {"gpu": ["a100"]}},
            ]},
            {"name": "course", "choices": [{"name": "ml"}, {"name": "physics"}]},
        ],
        "presentation": {"options": {
            "gpu": {"displayName": "GPU", "description": "What computes.", "choices": {
                "a100": {"displayName": "NVIDIA A100", "description": "80 GB"},
                "k80": {"displayName": "NVIDIA K80", "deprecated": "It is removed in May."},
            }},
        }},
    });
    json_patch::merge(&mut object["spec"], &spec);
    serde_json::from_value(object).unwrap()
}

/// A portal whose API server judges by the template, with the workspace `lab` of these options.
async fn portal(options: Value) -> Portal {
    let portal = Portal::start(|server| {
        prepare(server);
        server.put(&with_options());
        let mut lab = serde_json::to_value(workspace("lab")).unwrap();
        let running = json!({"phase": "Running", "startedAt": "2026-01-01T00:00:00Z", "resolved": {"options": &options}});
        lab["spec"]["templateRef"] = json!("jupyterlab");
        lab["spec"]["options"] = options;
        lab["status"] = running;
        server.put(&serde_json::from_value::<Workspace>(lab).unwrap());
    })
    .await;
    portal.grant(ALICE);
    portal.judge_by(with_options());
    portal
}

/// Values and labels of a choice.
fn choices(field: &Value) -> Vec<(&str, &str)> {
    let choices = field["input"]["choice"]["choices"].as_array().unwrap().iter();
    choices
        .map(|it| (it["value"].as_str().unwrap(), it["label"].as_str().unwrap()))
        .collect()
}

fn has(page: &Value, name: &str) -> bool {
    fields_of(page).iter().any(|field| field["name"] == name)
}

fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let owned = |(name, choice): &(&str, &str)| ((*name).to_owned(), (*choice).to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn an_option_is_a_labelled_select_of_its_choices() {
    let portal = portal(json!({})).await;
    let page = portal.json("alice", NEW).await;
    let gpu = field(&page, GPU);
    assert_eq!(
        (&gpu["label"], &gpu["help"]),
        (&json!("GPU"), &json!("What computes."))
    );
    assert_eq!(
        choices(&gpu),
        [
            ("", "Default: none"),
            ("none", "none"),
            ("t4", "t4"),
            ("a100", "NVIDIA A100. 80 GB"),
            ("h100", "h100"),
        ],
        "a deprecated one is not offered"
    );
    let course = field(&page, COURSE);
    assert_eq!(choices(&course)[0], ("", "Choose one"));
    assert_eq!(course["required"], true);
    assert!(!has(&page, PART), "no GPU, no part of one");
    let html = portal.get("alice", NEW).await.text;
    for part in [
        format!("<div id=\"options\"><h2>Options</h2><div id=\"field-{GPU}\""),
        format!("<label for=\"f-{GPU}\">"),
        format!("<select id=\"f-{GPU}\" name=\"{GPU}\" aria-describedby=\"d-{GPU} e-{GPU}\">"),
        "<noscript><button type=\"submit\" class=\"plain\" name=\"view\" value=\"form\" formnovalidate>"
            .to_owned(),
    ] {
        assert!(html.contains(&part), "{part}\n{html}");
    }
    // The control: a template without options has neither.
    let plain = crate::forms::portal().await.get("alice", NEW).await.text;
    assert!(
        !plain.contains("id=\"options\"") && !plain.contains("name=\"view\" value=\"form\""),
        "{plain}"
    );
}

#[tokio::test]
async fn what_fits_a_choice_is_shown_by_a_check_and_without_scripts_by_a_button() {
    let portal = portal(json!({})).await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await).with(COURSE, "ml");
    let with_gpu = typed.clone().with(GPU, "a100");
    let parts = portal.sent("alice", "/new/check", &with_gpu).await.json();
    let of_options = parts["sections"][0]["fields"].as_array().unwrap();
    let part = of_options.iter().find(|field| field["name"] == PART).unwrap();
    assert_eq!(
        choices(part),
        [("", "Default: all"), ("all", "all"), ("small", "small")]
    );
    let html = portal.post("alice", "/new/check", &with_gpu.body()).await.text;
    assert!(
        html.contains("<div id=\"options\">") && html.contains(&format!("id=\"f-{PART}\"")),
        "{html}"
    );
    assert_eq!(html.matches(&format!("id=\"field-{GPU}\"")).count(), 1);
    portal.server.take_calls();
    let page = portal
        .sent("alice", "/new", &with_gpu.clone().by("view", "form"))
        .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let page = page.json();
    assert_eq!(field(&page, GPU)["input"]["choice"]["value"], "a100");
    assert_eq!(choices(&field(&page, PART)).len(), 3);
    assert!(writes(&portal).is_empty());
    // Other fields have the choice's values as their defaults.
    let page = portal
        .sent("alice", "/new", &typed.with(GPU, "t4").by("view", "form"))
        .await;
    assert_eq!(field(&page.json(), MEMORY)["placeholder"], "1536Mi");
}

#[tokio::test]
async fn a_form_sends_what_its_user_chose_and_nothing_else() {
    for (gpu, parts) in [
        ("", &[][..]),
        ("none", &[]),
        ("t4", &[]),
        ("a100", &["", "all", "small"]),
        ("h100", &["", "all"]),
    ] {
        for part in [None].into_iter().chain(parts.iter().map(|part| Some(*part))) {
            let portal = portal(json!({})).await;
            let typed = Typed::from_page(&portal.json("alice", NEW).await);
            let mut typed = typed.with(GPU, gpu).with(COURSE, "physics");
            if let Some(part) = part {
                let shown = portal
                    .sent("alice", "/new", &typed.by("view", "form"))
                    .await
                    .json();
                typed = Typed::from_page(&shown).with(PART, part);
            }
            let answer = portal.sent("alice", "/new", &typed).await;
            assert_eq!(
                answer.status,
                StatusCode::SEE_OTHER,
                "{gpu} {part:?}: {}",
                answer.text
            );
            let created = stored(&portal, "alice-jupyterlab").unwrap();
            let mut expected = options(&[
                ("gpu", gpu),
                ("part", part.unwrap_or_default()),
                ("course", "physics"),
            ]);
            expected.retain(|_, choice| !choice.is_empty());
            assert_eq!(created.spec.options, expected);
            assert_eq!((created.spec.image, created.spec.resources), (None, None));
        }
    }
}

#[tokio::test]
async fn a_choice_that_another_one_makes_impossible_is_cleared() {
    let portal = portal(json!({})).await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await)
        .with(COURSE, "ml")
        .with(GPU, "a100");
    let shown = portal
        .sent("alice", "/new", &typed.by("view", "form"))
        .await
        .json();
    let small = Typed::from_page(&shown).with(PART, "small");
    // The part is offered, but not this one: nothing is sent before its user has seen that.
    portal.server.take_calls();
    let answer = portal
        .sent("alice", "/new", &small.clone().with(GPU, "h100"))
        .await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.json();
    let part = field(&page, PART);
    assert_eq!(part["input"]["choice"]["value"], "");
    assert_eq!(choices(&part), [("", "Default: all"), ("all", "all")]);
    let error = part["errors"][0].as_str().unwrap();
    assert!(error.starts_with("\"small\" does not go with"), "{error}");
    assert_eq!(page["form"]["summary"]["problems"][0]["field"], PART);
    assert!(writes(&portal).is_empty());
    let again = portal.sent("alice", "/new", &Typed::from_page(&page)).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER, "{}", again.text);
    let created = stored(&portal, "alice-jupyterlab").unwrap();
    assert_eq!(
        created.spec.options,
        options(&[("gpu", "h100"), ("course", "ml")])
    );
    // The option is not there any more: there is nothing to choose again.
    let other = small.with(GPU, "t4").with("metadata.name", "second");
    let answer = portal.sent("alice", "/new", &other).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let created = stored(&portal, "second").unwrap();
    assert_eq!(created.spec.options, options(&[("gpu", "t4"), ("course", "ml")]));
}

#[tokio::test]
async fn a_refusal_stands_at_its_option_in_the_webhook_s_words() {
    let portal = portal(json!({})).await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await);
    let error = async |path: &str, typed: &Typed, name: &str| {
        let answer = portal.sent("alice", path, typed).await;
        let page = answer.json();
        let (fields, summary) = if path == "/new" {
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
            (fields_of(&page), page["form"]["summary"].clone())
        } else {
            let fields = page["sections"][0]["fields"].as_array().unwrap();
            (fields.clone(), page["summary"].clone())
        };
        let field = fields.iter().find(|field| field["name"] == name).unwrap();
        let linked = summary["problems"].as_array().unwrap().iter();
        assert!(
            linked.filter(|it| it["field"] == name).count() == 1,
            "{summary:#}"
        );
        (field["errors"][0].as_str().unwrap().to_owned(), field.clone())
    };
    for path in ["/new", "/new/check"] {
        let (missing, _) = error(path, &typed, COURSE).await;
        assert!(missing.contains("ml, physics"), "{missing}");
        // A choice that no page offers goes to the webhook as it is.
        let forged = typed.clone().with(COURSE, "ml").with(GPU, "h200");
        let (unknown, field) = error(path, &forged, GPU).await;
        assert!(
            unknown.starts_with("\"h200\"") && unknown.contains("none, t4, a100, h100"),
            "{unknown}"
        );
        assert_eq!(field["input"]["choice"]["value"], "h200");
    }
    let forged = typed.clone().by("spec.options[other]", "x");
    assert_eq!(
        portal.sent("alice", "/new", &forged).await.status,
        StatusCode::BAD_REQUEST
    );
    let twice = typed.clone().by(GPU, "t4");
    assert_eq!(
        portal.sent("alice", "/new", &twice).await.status,
        StatusCode::BAD_REQUEST
    );
    assert!(stored(&portal, "alice-jupyterlab").is_none());
    // The control.
    let answer = portal.sent("alice", "/new", &typed.with(COURSE, "ml")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
}

#[tokio::test]
async fn an_edit_keeps_a_deprecated_choice_and_says_why_it_goes() {
    let portal = portal(json!({"gpu": "k80", "course": "ml"})).await;
    let page = portal.json("alice", EDIT).await;
    let own = ("k80", "NVIDIA K80. Deprecated: It is removed in May.");
    assert!(choices(&field(&page, GPU)).contains(&own), "{page:#}");
    let typed = Typed::from_page(&page);
    assert_eq!(typed.get(GPU), Some("k80"));
    portal.server.take_calls();
    let answer = portal
        .sent("alice", EDIT, &typed.clone().with("spec.displayName", "Mine"))
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let patches = portal.calls_as_users();
    let patch = patches.iter().find(|call| call.method == Method::PATCH).unwrap();
    let changed = patch.body.as_array().unwrap().iter();
    let changed: Vec<_> = changed.filter(|it| it["op"] != "test").collect();
    assert_eq!(
        changed,
        [&json!({"op": "replace", "path": "/spec/displayName", "value": "Mine"})]
    );
    // Its user may change, see when that counts, and change back.
    let typed = Typed::from_page(&portal.json("alice", EDIT).await).with(GPU, "a100");
    let parts = portal
        .sent("alice", "/w/team/lab/edit/check", &typed)
        .await
        .json();
    let fields = parts["sections"][0]["fields"].as_array().unwrap();
    let gpu = fields.iter().find(|field| field["name"] == GPU).unwrap();
    assert_eq!(gpu["takes_effect"], "at the next start");
    assert!(choices(gpu).contains(&own), "{gpu:#}");
    let answer = portal.sent("alice", EDIT, &typed).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let lab = stored(&portal, "lab").unwrap();
    assert_eq!(lab.spec.options, options(&[("gpu", "a100"), ("course", "ml")]));
}

#[tokio::test]
async fn an_edit_takes_out_what_the_new_choice_hides() {
    let portal = portal(json!({"gpu": "a100", "part": "small", "course": "ml"})).await;
    let typed = Typed::from_page(&portal.json("alice", EDIT).await);
    assert_eq!(typed.get(PART), Some("small"));
    let answer = portal.sent("alice", EDIT, &typed.with(GPU, "")).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let lab = stored(&portal, "lab").unwrap();
    assert_eq!(lab.spec.options, options(&[("course", "ml")]));
}

#[tokio::test]
async fn the_text_of_a_form_has_its_options_and_a_form_those_of_its_text() {
    let portal = portal(json!({})).await;
    let typed = Typed::from_page(&portal.json("alice", NEW).await)
        .with(COURSE, "ml")
        .with(GPU, "a100");
    let page = portal
        .sent("alice", "/new", &typed.by("view", "yaml"))
        .await
        .json();
    let text = page["text"].as_str().unwrap();
    assert!(
        text.contains("    gpu: a100  # none | t4 | a100 | h100\n"),
        "{text}"
    );
    assert!(
        text.contains("    # part: all  # default; all | small\n"),
        "{text}"
    );
    let text = text.replace("    # part: all", "    part: small");
    let typed = Typed::from_page(&page).with("yaml", &text).by("view", "form");
    let form = portal.sent("alice", "/new", &typed).await.json();
    assert_eq!(field(&form, PART)["input"]["choice"]["value"], "small");
    let answer = portal.sent("alice", "/new", &Typed::from_page(&form)).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let created = stored(&portal, "alice-jupyterlab").unwrap();
    assert_eq!(
        created.spec.options,
        options(&[("gpu", "a100"), ("part", "small"), ("course", "ml")])
    );
}

#[tokio::test]
async fn pages_of_workspace_and_template_show_options_by_their_names() {
    let portal = portal(json!({"gpu": "k80", "course": "ml"})).await;
    let page = portal.json("alice", "/w/team/lab").await;
    let values = page["facts"]["values"].as_array().unwrap();
    let shown: Vec<_> = values[..2]
        .iter()
        .map(|value| ["label", "effective", "chosen"].map(|part| value[part].as_str().unwrap()))
        .collect();
    let old = "NVIDIA K80. Deprecated: It is removed in May.";
    assert_eq!(shown, [["GPU", old, old], ["course", "ml", "ml"]]);
    let page = portal.json("alice", "/templates/jupyterlab").await;
    let bounds = page["bounds"].as_array().unwrap();
    let gpu = bounds.iter().find(|it| it["label"] == "GPU").unwrap();
    assert_eq!(
        gpu,
        &json!({"label": "GPU", "allowed": "none, t4, NVIDIA A100, h100", "default": "none"})
    );
}

#[tokio::test]
async fn an_edit_takes_out_an_option_that_the_template_does_not_have() {
    let portal = portal(json!({"gpu": "a100", "queue": "fast", "course": "ml"})).await;
    let page = portal.get("alice", EDIT).await;
    assert!(page.text.contains("removed when you save"), "{}", page.text);
    let typed = Typed::from_page(&portal.json("alice", EDIT).await);
    let answer = portal
        .sent("alice", EDIT, &typed.with("spec.displayName", "Mine"))
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let lab = stored(&portal, "lab").unwrap();
    assert_eq!(lab.spec.options, options(&[("gpu", "a100"), ("course", "ml")]));
}
