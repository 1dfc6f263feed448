//! Cell -> the user's request to the portal, also where its page has no such button (pure).

use api::Workspace;
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::Action;
use super::cell::{NEW_OWNER, Target};
use super::places::NO_NODE;

/// A request to the portal.
#[derive(Debug)]
pub(super) enum Request {
    Page(String),
    Form(String, Vec<(&'static str, String)>),
}

/// The request. `yaml`: the page with the workspace as YAML, as who may change it sees it.
pub(super) fn request(target: &Target<'_>, action: Action, yaml: &Value) -> Request {
    let at = |rest: &str| format!("{}{rest}", target.path());
    let uid = ("uid", target.workspace.uid().unwrap_or_default());
    let of_share = |rest: &str| at(&format!("/share/{}/{rest}", target.share.name_any()));
    let share_uid = ("uid", target.share.uid().unwrap_or_default());
    match action {
        Action::Page => Request::Page(at("")),
        Action::Text => Request::Page(at("/yaml")),
        Action::Logs => Request::Page(at("/logs")),
        Action::Stop => Request::Form(at("/stop"), vec![uid]),
        Action::Start => Request::Form(at("/start"), vec![uid]),
        Action::Restart => Request::Form(at("/restart"), vec![uid]),
        Action::Delete => Request::Form(at("/delete"), vec![uid, ("name", target.name.clone())]),
        Action::StopMany => {
            let workspace = format!("{}/{}/{}", target.namespace, target.name, uid.1);
            Request::Form("/stop".to_owned(), vec![("workspace", workspace)])
        }
        Action::Form => {
            let mut fields = change(yaml, "form");
            fields.extend([uid, ("spec.displayName", target.mark().to_owned())]);
            Request::Form(at("/edit"), fields)
        }
        Action::Yaml => {
            let mut fields = change(yaml, "yaml");
            let text = yaml["text"].as_str().unwrap_or_default();
            fields.extend([uid, ("yaml", on_another_node(text, target.mark()))]);
            Request::Form(at("/yaml"), fields)
        }
        Action::Create => Request::Form("/new".to_owned(), new(target)),
        Action::Share => Request::Form(at("/share"), share(uid, &target.friend())),
        Action::Prolong => {
            let end = target.share.spec.expires_at.as_ref();
            let before = end.map(|end| end.0.to_string()).unwrap_or_default();
            let fields = [
                ("before", before),
                ("until", "date".to_owned()),
                ("date", target.day()),
            ];
            Request::Form(of_share("until"), [vec![share_uid], fields.to_vec()].concat())
        }
        Action::EndShare => Request::Form(of_share("end"), vec![share_uid]),
        Action::HandOver => {
            let owner = api::names::owner(&target.workspace.metadata).unwrap_or_default();
            let fields = vec![uid, ("before", owner.to_owned()), ("owner", NEW_OWNER.to_owned())];
            Request::Form(at("/owner"), fields)
        }
    }
}

/// What both forms of a change send beside the change: the version that was seen.
fn change(page: &Value, written: &str) -> Vec<(&'static str, String)> {
    let mut hidden = page["hidden"].as_array().into_iter().flatten();
    let seen = hidden.find(|field| field[0] == json!("seen"));
    let seen = seen.and_then(|field| field[1].as_str()).unwrap_or_default();
    vec![
        ("seen", seen.to_owned()),
        ("written", written.to_owned()),
        ("do", "save".to_owned()),
    ]
}

/// The text with another value in the line that names the node.
fn on_another_node(text: &str, node: &str) -> String {
    let line = |line: &str| match line.split_once(NO_NODE) {
        Some((indent, _)) => format!("{indent}{NO_NODE}: {node}\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

fn new(target: &Target<'_>) -> Vec<(&'static str, String)> {
    let Workspace { metadata, spec, .. } = &target.another;
    let template = spec.template_ref.clone().unwrap_or_default();
    let text = format!(
        "apiVersion: workspaces.jupyter.org/v1alpha1\nkind: Workspace\nmetadata: {{name: {}}}\nspec: {{displayName: {}, desiredStatus: Stopped}}\n",
        metadata.name.as_deref().unwrap_or_default(),
        spec.display_name,
    );
    vec![
        ("namespace", target.namespace.to_owned()),
        ("template", template),
        ("written", "yaml".to_owned()),
        ("yaml", text),
    ]
}

fn share(uid: (&'static str, String), with: &str) -> Vec<(&'static str, String)> {
    let fields = [
        ("kind", "User"),
        ("name", with),
        ("until", "8h"),
        ("date", ""),
        ("reason", ""),
    ];
    let fields = fields.map(|(name, value)| (name, value.to_owned()));
    [vec![uid], fields.to_vec()].concat()
}
