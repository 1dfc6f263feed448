//! A page with a form, as JSON -> what a browser sends; the rules as the API server's admission.

use api::{Workspace, WorkspaceTemplate};
use rules::{References, Settings};
use serde_json::{Value, json};

use crate::common::{Portal, Reply, posted};

/// Fields of a form.
#[derive(Debug, Clone, Default, serde::Deserialize)]
pub(crate) struct Typed(Vec<(String, String)>);

impl Typed {
    /// What a browser sends of a page with an unchanged form.
    pub(crate) fn from_page(page: &Value) -> Self {
        let mut fields: Vec<(String, String)> = serde_json::from_value(hidden(page).clone()).unwrap();
        for (_, value) in &mut fields {
            *value = parsed(value);
        }
        if let Some(text) = page["text"].as_str() {
            fields.push(("yaml".to_owned(), parsed(text)));
            return Self(fields);
        }
        for field in fields_of(page) {
            let name = field["name"].as_str().unwrap();
            if field["fixed"] != "" {
                continue;
            }
            let (kind, input) = field["input"].as_object().unwrap().iter().next().unwrap();
            let text = |value: &Value| parsed(value.as_str().unwrap_or_default());
            // A control of one line has no line ends.
            let line = |value: &Value| text(value).replace('\n', "");
            let mut put = |part: &str, value: String| fields.push((format!("{name}{part}"), value));
            match &**kind {
                "cards" => {
                    let cards = input["cards"].as_array().unwrap();
                    let is_offered = cards.iter().any(|card| card["value"] == input["value"]);
                    // Without a chosen card nothing is sent.
                    if is_offered || input["value"] == "other" {
                        put("", text(&input["value"]));
                    }
                    if let Some(other) = input["other"].as_array() {
                        put(".other", line(&other[1]));
                    }
                }
                "text" | "number" => put("", line(&input["value"])),
                "choice" => put("", text(&input["value"])),
                other => panic!("{name} has a control of an unknown kind: {other}"),
            }
        }
        Self(fields)
    }

    /// The same with another value in a control, which must be there.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        let control = self.0.iter_mut().find(|(known, _)| known == name);
        value.clone_into(&mut control.unwrap_or_else(|| panic!("there is no control {name}")).1);
        self
    }

    /// The same by another button.
    pub(crate) fn by(mut self, name: &str, value: &str) -> Self {
        self.0.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// Controls with a value, by name.
    pub(crate) fn controls(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter().map(|(name, value)| (&**name, &**value));
        all.filter(|(name, value)| name.contains('.') && !value.is_empty())
    }

    pub(crate) fn body(&self) -> String {
        serde_urlencoded::to_string(&self.0).unwrap()
    }
}

/// A value of a page, as HTML is read.
fn parsed(value: &str) -> String {
    let lines = value.replace("\r\n", "\n").replace('\r', "\n");
    lines.replace('\0', "\u{fffd}")
}

fn hidden(page: &Value) -> &Value {
    if page["form"].is_object() {
        &page["form"]["hidden"]
    } else {
        &page["hidden"]
    }
}

/// The fields of a form page.
pub(crate) fn fields_of(page: &Value) -> Vec<Value> {
    let sections = page["form"]["sections"]
        .as_array()
        .unwrap_or_else(|| panic!("no form: {page:#}"));
    sections
        .iter()
        .flat_map(|section| section["fields"].as_array().unwrap().clone())
        .collect()
}

/// The field of that name.
pub(crate) fn field(page: &Value, name: &str) -> Value {
    let found = fields_of(page).into_iter().find(|field| field["name"] == name);
    found.unwrap_or_else(|| panic!("there is no field {name}"))
}

impl Portal {
    /// Sends a form, and reads the answer as JSON.
    pub(crate) async fn sent(&self, user: &str, path: &str, typed: &Typed) -> Reply {
        let mut request = posted(user, path, typed.body());
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert("accept", json);
        self.send(request).await
    }

    /// Lets the API server refuse what breaks the rules of the template, as the webhook does, and name the owner.
    pub(crate) fn judge_by(&self, template: WorkspaceTemplate) {
        self.server.admit(move |object| {
            let workspace: Workspace = serde_json::from_value(object.clone()).ok()?;
            let references = References::default().with_template(Some(&template));
            let judgement = rules::judge(&workspace, &references, &Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap());
            let violations = judgement.violations?;
            let cause = |violation: &rules::Violation| {
                json!({"reason": "FieldValueInvalid", "field": violation.field, "message": violation.detail()})
            };
            Some(json!({
                "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 422, "reason": "Invalid",
                "message": format!("Workspace is invalid: {violations}"),
                "details": {"causes": violations.iter().map(cause).collect::<Vec<_>>()},
            }))
        });
    }
}
