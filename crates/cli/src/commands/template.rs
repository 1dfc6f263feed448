//! Templates -> a table with what one may use, or one template's bounds (IO).

use api::WorkspaceTemplate;
use api::condition::PREPARED;
use api::names::{DEFAULT_TEMPLATE_LABEL, DEPRECATED, REPLACED_BY, USE_VERB};
use api::template::{OptionChoice, PodTemplate, Presentation, TemplateObject, TemplateOption, VolumeClaim};
use explain::parts::{self, Part};
use k8s_openapi::api::authorization::v1::SelfSubjectRulesReview;
use rules::options::in_words;
use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::args::{ListFormat, Template, TemplateList, TemplateShow};
use crate::cluster::Cluster;
use crate::console::Console;
use crate::failure::Failure;
use crate::output;

/// Lists or shows templates.
pub(crate) async fn run(
    cluster: &Cluster,
    args: &Template,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match args {
        Template::List(args) => list(cluster, args, console).await,
        Template::Show(args) => show(cluster, args, console).await,
    }
}

async fn list(cluster: &Cluster, args: &TemplateList, console: &mut Console<'_>) -> Result<(), Failure> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": {"namespace": cluster.namespace()},
    });
    let (found, rights) = futures::join!(
        cluster.list::<WorkspaceTemplate>(None, None, None),
        cluster.create::<SelfSubjectRulesReview>(None, &review, false)
    );
    let (found, rights) = (found?, rights.ok());
    if let Some(format) = ListFormat::objects(args.output.as_ref()) {
        return Ok(console.out.data(&output::list(&found, format)?)?);
    }
    if found.is_empty() {
        writeln!(console.err, "No templates found.")?;
        return Ok(());
    }
    let header = ["NAME", "DISPLAY NAME", "IMAGE", "DEFAULT", "USE", "NOTE"];
    let is_wide = args.output == Some(ListFormat::Wide);
    let wide: &[&str] = if is_wide {
        &["IN USE BY", "DESCRIPTION"]
    } else {
        &[]
    };
    let mut rows = vec![header.iter().chain(wide).map(ToString::to_string).collect()];
    for template in &found {
        let metadata = &template["metadata"];
        let name = metadata["name"].as_str().unwrap_or_default();
        let is_default = metadata["labels"][DEFAULT_TEMPLATE_LABEL] == "true";
        let mut row = vec![
            name.to_owned(),
            text(&template["spec"]["displayName"]),
            text(&template["spec"]["defaultImage"]),
            if is_default { "yes" } else { "" }.to_owned(),
            may_use(rights.as_ref(), name).to_owned(),
            note(metadata),
        ];
        if is_wide {
            let users = template["status"]["inUseBy"].as_i64();
            row.push(users.map(|users| users.to_string()).unwrap_or_default());
            row.push(text(&template["spec"]["description"]));
        }
        rows.push(row);
    }
    Ok(console.out.block(&output::table(&rows))?)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn note(metadata: &Value) -> String {
    let annotations = &metadata["annotations"];
    if !metadata["deletionTimestamp"].is_null() {
        return "is being deleted".to_owned();
    }
    match (
        annotations[DEPRECATED].as_str(),
        annotations[REPLACED_BY].as_str(),
    ) {
        (Some(why), Some(next)) => format!("deprecated: {why}; use {next}"),
        (Some(why), None) => format!("deprecated: {why}"),
        (None, Some(next)) => format!("deprecated; use {next}"),
        (None, None) => String::new(),
    }
}

/// Whether the rules of a `SelfSubjectRulesReview` allow the verb `use` on the template.
fn may_use(review: Option<&Value>, template: &str) -> &'static str {
    let Some(review) = review else {
        return "not known";
    };
    let holds = |list: &Value, wanted: &str| {
        let list = list.as_array().into_iter().flatten();
        list.filter_map(Value::as_str).any(|it| it == wanted || it == "*")
    };
    let names_it = |rule: &Value| {
        let names = rule["resourceNames"].as_array();
        names.is_none_or(|names| names.is_empty() || names.iter().any(|name| name == template))
    };
    let rules = review["status"]["resourceRules"].as_array().into_iter().flatten();
    let mut allowing = rules.filter(|rule| {
        holds(&rule["verbs"], USE_VERB)
            && holds(&rule["apiGroups"], api::names::GROUP)
            && holds(&rule["resources"], "workspacetemplates")
            && names_it(rule)
    });
    match (allowing.next(), review["status"]["incomplete"] == true) {
        (Some(_), _) => "yes",
        (None, true) => "not known",
        (None, false) => "no",
    }
}

/// The template; a missing one is named.
pub(super) async fn find(cluster: &Cluster, name: &str) -> Result<Value, Failure> {
    let found = cluster.get::<WorkspaceTemplate>(None, name).await;
    found.map_err(|failure| {
        if !failure.is_not_found() {
            return failure;
        }
        Failure::Other(anyhow::anyhow!(
            "template {name:?} does not exist: see kubectl workspace template list"
        ))
    })
}

async fn show(cluster: &Cluster, args: &TemplateShow, console: &mut Console<'_>) -> Result<(), Failure> {
    let template = find(cluster, &args.template).await?;
    if let Some(format) = &args.output {
        return Ok(console.out.data(&output::object(&template, format)?)?);
    }
    let spec = &template["spec"];
    let images = spec["allowedImages"].as_array().into_iter().flatten();
    let images: Vec<_> = images.map(text).collect();
    let images = match (spec["allowCustomImages"] == true, images.is_empty()) {
        (true, _) => "any".to_owned(),
        (false, true) => "the default alone".to_owned(),
        (false, false) => images.join(", "),
    };
    let range = |bounds: &Value, min: &str, max: &str| {
        // A quantity is text or a number.
        let side = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => "-".to_owned(),
        };
        format!("{} to {}", side(&bounds[min]), side(&bounds[max]))
    };
    let mut rows = vec![
        ("Name", text(&template["metadata"]["name"])),
        ("Display name", text(&spec["displayName"])),
        ("Description", text(&spec["description"])),
        ("Note", note(&template["metadata"])),
        ("Default image", text(&spec["defaultImage"])),
        ("Images", images),
    ];
    let bounds = spec["resourceBounds"].as_object().into_iter().flatten();
    let bounds: Vec<_> = bounds
        .filter(|(_, bounds)| bounds.is_object())
        .map(|(resource, bounds)| format!("{resource} {}", range(bounds, "min", "max")))
        .collect();
    rows.push(("Resources", bounds.join(", ")));
    rows.extend(options(spec));
    let others = PodTemplate::deserialize(&spec["podTemplate"]).ok();
    let others = others.iter().flat_map(PodTemplate::other_containers);
    rows.push(("Also runs", others.collect::<Vec<_>>().join(", ")));
    if spec["primaryStorage"].is_object() {
        let disk = &spec["primaryStorage"];
        let default = disk["defaultSize"].as_str().unwrap_or("-");
        let range = range(disk, "minSize", "maxSize");
        rows.push(("Disk", format!("{range}, default {default}")));
    }
    rows.extend(parts_of(spec));
    let idle = &spec["defaultIdleShutdown"];
    if idle.is_object() && idle["enabled"] != false {
        let minutes = idle["idleTimeoutInMinutes"].as_i64().unwrap_or(60);
        rows.push(("Idle stop", format!("after {minutes} min")));
    }
    for (title, field, unit) in [
        ("Maximum age", "maxAgeMinutes", "min"),
        ("Failed stop", "failedTimeoutMinutes", "min"),
        ("Deletion when stopped", "stoppedRetentionDays", "days"),
    ] {
        let (default, bounds) = (&spec["defaultLimits"][field], &spec["limitBounds"][field]);
        if default.is_number() || bounds.is_object() {
            let default = default
                .as_i64()
                .map_or_else(String::new, |amount| format!(", default {amount}"));
            rows.push((title, format!("{} {unit}{default}", range(bounds, "min", "max"))));
        }
    }
    if let Some(minutes) = spec["limitBounds"]["keepMinutes"]["max"].as_i64() {
        rows.push(("Kept unused", format!("at most {minutes} min")));
    }
    let conditions = template["status"]["conditions"].as_array().into_iter().flatten();
    let prepared = conditions.filter(|it| it["type"] == PREPARED);
    rows.extend(prepared.map(|it| ("In advance", text(&it["message"]))));
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| {
            let title = if name.is_empty() {
                String::new()
            } else {
                format!("{name}:")
            };
            vec![title, value]
        })
        .collect();
    Ok(console.out.block(&output::table(&rows))?)
}

/// The options, each with a row for each choice.
fn options(spec: &Value) -> Vec<(&'static str, String)> {
    let options = Vec::<TemplateOption>::deserialize(&spec["options"]).unwrap_or_default();
    let shown = Presentation::deserialize(&spec["presentation"]).unwrap_or_default();
    let mut rows = Vec::new();
    for option in &options {
        let texts = shown.options.get(&option.name).cloned().unwrap_or_default();
        let mut notes = Vec::new();
        notes.extend(texts.display_name);
        if !option.when.is_empty() {
            notes.push(format!("only with {}", in_words(&option.when)));
        }
        if !option.choices.iter().any(|choice| choice.default) {
            notes.push("must be named".to_owned());
        }
        notes.extend(texts.hidden.then(|| "hidden".to_owned()));
        notes.extend(texts.deprecated.map(|why| format!("deprecated: {why}")));
        rows.push(("Option", with_notes(&option.name, &notes)));
        for choice in &option.choices {
            let texts = texts.choices.get(&choice.name).cloned().unwrap_or_default();
            let mut notes = Vec::new();
            notes.extend(texts.display_name);
            if choice.default {
                notes.push("default".to_owned());
            }
            if !choice.when.is_empty() {
                notes.push(format!("only with {}", in_words(&choice.when)));
            }
            notes.extend(image(choice).map(|image| format!("image {image}")));
            notes.extend(texts.hidden.then(|| "hidden".to_owned()));
            notes.extend(texts.deprecated.map(|why| format!("deprecated: {why}")));
            let value = format!("{}={}", option.name, choice.name);
            rows.push(("", with_notes(&value, &notes)));
        }
    }
    rows
}

/// Further disks and objects of its workspaces, each in a row.
fn parts_of(spec: &Value) -> impl Iterator<Item = (&'static str, String)> {
    let claims = Vec::<VolumeClaim>::deserialize(&spec["volumeClaims"]).unwrap_or_default();
    let objects = Vec::<TemplateObject>::deserialize(&spec["objects"]).unwrap_or_default();
    let row = |title| move |Part { name, text }: Part| (title, format!("{name}: {text}"));
    let disks = parts::disks_of_template(&claims).into_iter();
    let objects = parts::objects_of_template(&objects).into_iter();
    disks.map(row("Further disk")).chain(objects.map(row("Object")))
}

fn image(choice: &OptionChoice) -> Option<&str> {
    choice.set.as_ref()?.image.as_deref()
}

fn with_notes(name: &str, notes: &[String]) -> String {
    if notes.is_empty() {
        return name.to_owned();
    }
    format!("{name}: {}", notes.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_right_to_use_a_template_may_be_limited_to_names() {
        let review = |rule: Value, incomplete: bool| json!({"status": {"incomplete": incomplete, "resourceRules": [rule]}});
        let rule =
            json!({"verbs": ["use"], "apiGroups": [api::names::GROUP], "resources": ["workspacetemplates"]});
        assert_eq!(may_use(Some(&review(rule.clone(), false)), "a"), "yes");
        let mut named = rule.clone();
        named["resourceNames"] = json!(["b"]);
        assert_eq!(may_use(Some(&review(named.clone(), false)), "a"), "no");
        assert_eq!(may_use(Some(&review(named.clone(), false)), "b"), "yes");
        assert_eq!(may_use(Some(&review(named, true)), "a"), "not known");
        assert_eq!(may_use(None, "a"), "not known");
    }
}
