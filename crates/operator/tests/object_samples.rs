//! The sample with an object of another operator's kind -> what a workspace of it has (IO: reads the file).

use std::{fs, path::Path};

use api::{Workspace, WorkspaceTemplate};
use rules::{References, Settings, objects::Objects};
use serde_json::{Value, json};
use testkit::objects;

const SETTINGS: &str = "{defaultImage: uv, imageAliases: {uv: r/jupyter:1}, \
                        objectKinds: [{apiVersion: forecastle.stakater.com/v1alpha1, kind: ForecastleApp}]}";

/// The objects of a workspace with this choice.
fn made(choice: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples/objects/forecastleapp.yaml");
    let mut template: WorkspaceTemplate = serde_saphyr::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    template.metadata.uid = Some("uid-of-template".to_owned());
    let settings = Settings::parse(SETTINGS).unwrap();
    assert_eq!(rules::validate::template(&template.spec, &settings), []);
    let spec = json!({
        "displayName": "d", "templateRef": template.metadata.name, "options": {"listed": choice},
        "variables": {"group": "Own"},
    });
    let mut workspace = Workspace::new("demo", serde_json::from_value(spec).unwrap());
    workspace.metadata = objects::workspace("demo").metadata;
    let manager = objects::manager("main");
    let references = References::managed_by([&manager]).with_template(Some(&template));
    let valid = rules::admit(&workspace, &references, &settings).unwrap();
    let objects = match &valid.objects {
        Objects::These(objects) => objects.as_slice(),
        Objects::Unknown(_) => &[],
    };
    objects
        .iter()
        .map(|object| Value::Object(object.body.clone()))
        .collect()
}

#[test]
fn a_workspace_of_the_sample_is_listed_where_its_user_chose_so_and_nowhere_else() {
    let [link] = &made("under-teaching")[..] else {
        panic!("one object")
    };
    assert_eq!(
        link["spec"],
        json!({
            "name": "demo", "group": "Teaching", "icon": "https://jupyter.org/assets/homepage/main-logo.svg",
            "url": format!("https://portal.workspaces.example.com/w/{}/demo", objects::NAMESPACE),
        })
    );
    assert_eq!(made("not-at-all"), Vec::<Value>::new());
}
