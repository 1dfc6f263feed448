//! Unit tests of `fields`: form model and values -> fields (pure).

use std::collections::BTreeMap;

use api::Workspace;
use api::WorkspaceTemplate;
use rules::Settings;
use rules::form::{Offer, form, values};
use serde_json::{Value, json};

use super::*;

fn settings() -> Settings {
    Settings::parse("{defaultImage: uv, imageAliases: {uv: r/jupyter:1}}").unwrap()
}

fn of_template(spec: Value) -> Form {
    let mut object = serde_json::to_value(testkit::objects::template("jupyterlab")).unwrap();
    json_patch::merge(&mut object["spec"], &spec);
    let template: WorkspaceTemplate = serde_json::from_value(object).unwrap();
    let settings = settings();
    let offer = Offer {
        template: Some(&template),
        settings: &settings,
        options: &BTreeMap::new(),
    };
    form(&offer, None)
}

fn workspace(spec: Value) -> Workspace {
    let mut object = serde_json::to_value(testkit::objects::workspace("lab")).unwrap();
    json_patch::merge(&mut object["spec"], &spec);
    serde_json::from_value(object).unwrap()
}

/// The fields of a new workspace that shows `spec`.
fn shown(form: &Form, spec: Value) -> Vec<view::Field> {
    let none = Problems::default();
    let values = values(form, &workspace(spec));
    let shown = FormFields {
        form,
        values: &values,
        before: None,
        problems: &none,
    };
    let (sections, fields) = shown.parts();
    assert_eq!(sections, [], "nothing depends on a choice");
    fields
}

fn find(fields: &[view::Field], name: &str) -> view::Field {
    let found = fields.iter().find(|field| field.name == name);
    found.unwrap_or_else(|| panic!("there is no {name}")).clone()
}

#[test]
fn a_quantity_has_its_bounds_and_default_in_the_label_and_a_slider_beside() {
    let form = of_template(json!({"defaultResources": {"limits": {"memory": "512Mi"}}}));
    let fields = shown(&form, json!({}));
    let memory = find(&fields, "spec.resources.limits.memory");
    assert_eq!(memory.hint, "128Mi to 2Gi, default 512Mi");
    assert_eq!(memory.placeholder, "512Mi");
    let view::Input::Number {
        value,
        slider: Some(slider),
    } = memory.input
    else {
        panic!("{:?}", memory.input);
    };
    assert_eq!(value, "");
    let (first, last) = (slider.values.first().unwrap(), slider.values.last().unwrap());
    assert_eq!((&**first, &**last), ("128Mi", "2Gi"));
    assert_eq!(slider.values[slider.at], "512Mi", "it stands at the default");
}

fn slider_of(form: &Form, name: &str, spec: Value) -> (String, view::Slider) {
    let field = find(&shown(form, spec), name);
    let view::Input::Number {
        value,
        slider: Some(slider),
    } = field.input
    else {
        panic!("{:?}", field.input);
    };
    (value, slider)
}

#[test]
fn a_slider_stands_at_whatever_was_typed() {
    let bounds = json!({"resourceBounds": {"cpu": {"min": "100m", "max": "2"}, "memory": {"min": "1Gi", "max": "64Gi"}}});
    let form = of_template(bounds);
    for (name, typed, shown_as) in [
        ("cpu", "500m", "500m"),
        ("cpu", "1.5", "1500m"),
        ("cpu", "1", "1"),
        ("cpu", "1234m", "1234m"),
        ("memory", "5Gi", "5Gi"),
        ("memory", "1Gi", "1Gi"),
        ("memory", "1536Mi", "1536Mi"),
        ("memory", "100Gi", "100Gi"),
    ] {
        let path = format!("spec.resources.limits.{name}");
        let spec = json!({"resources": {"limits": {(name): typed}}});
        let (value, slider) = slider_of(&form, &path, spec);
        assert_eq!((&*value, &*slider.values[slider.at]), (typed, shown_as));
        let amounts: Vec<Quantity> = slider.values.iter().map(|it| it.parse().unwrap()).collect();
        assert!(amounts.is_sorted() && amounts.len() > 5, "{amounts:?}");
    }
}

#[test]
fn the_bounds_of_a_disk_are_places_of_its_slider() {
    let form = of_template(
        json!({"primaryStorage": {"defaultSize": "10Gi", "minSize": "1Gi", "maxSize": "1000Gi"}}),
    );
    let (_, slider) = slider_of(&form, "spec.storage.size", json!({"storage": {"size": "10Gi"}}));
    assert_eq!(slider.values.first().unwrap(), "1Gi");
    assert_eq!(slider.values.last().unwrap(), "1000Gi");
    assert_eq!(slider.values[slider.at], "10Gi");
    assert!(slider.values.len() < 120, "{}", slider.values.len());
}

#[test]
fn the_default_of_a_choice_is_no_value_of_the_workspace() {
    let fields = shown(&of_template(json!({})), json!({}));
    let view::Input::Choice { value, choices } = find(&fields, "spec.accessType").input else {
        panic!();
    };
    assert_eq!((&*value, &*choices[0].value), ("", ""));
    assert_eq!(choices[0].label, "Default: The owner");
    let view::Input::Choice { choices, .. } = find(&fields, "spec.idleShutdown.enabled").input else {
        panic!();
    };
    let labels: Vec<_> = choices.iter().map(|choice| choice.label.as_str()).collect();
    assert_eq!(labels, ["Default: No", "Yes", "No"]);
}

#[test]
fn images_are_cards_of_which_the_default_is_sent_as_none() {
    let presentation = json!({"images": [{"image": "uv", "displayName": "Python", "description": "With uv", "icon": "python"}]});
    let form = of_template(json!({"allowedImages": ["uv", "r/other:1"], "presentation": presentation}));
    let cards = |spec| {
        let view::Input::Cards { value, cards, other } = find(&shown(&form, spec), "spec.image").input else {
            panic!();
        };
        (value, cards, other)
    };
    let (value, offered, other) = cards(json!({}));
    assert_eq!((&*value, other), ("", None));
    assert_eq!(
        (&*offered[0].title, &*offered[0].value, offered[0].icon),
        ("Python", "", crate::views::Icon::Python)
    );
    assert_eq!(
        (&*offered[1].value, &*offered[1].exact),
        ("r/other:1", "r/other:1")
    );
    let (value, offered, _) = cards(json!({"image": "uv"}));
    assert_eq!(
        (&*value, &*offered[0].value),
        ("uv", "uv"),
        "what a workspace names itself stays"
    );
    assert_eq!(cards(json!({"image": "r/other:1"})).0, "r/other:1");
}

#[test]
fn another_image_has_a_card_of_its_own_where_the_template_admits_it() {
    let form = of_template(json!({"allowCustomImages": true}));
    let view::Input::Cards { value, other, .. } =
        find(&shown(&form, json!({"image": "r/mine:1"})), "spec.image").input
    else {
        panic!();
    };
    assert_eq!(value, OTHER);
    assert_eq!(other.unwrap().1, "r/mine:1");
}

#[test]
fn every_offered_value_of_a_choice_can_be_read_back() {
    let form = of_template(json!({"allowedImages": ["uv", "r/other:1"]}));
    for field in shown(&form, json!({})) {
        let offered: Vec<String> = match field.input {
            view::Input::Choice { choices, .. } => choices.into_iter().map(|choice| choice.value).collect(),
            view::Input::Cards { cards, .. } => cards.into_iter().map(|card| card.value).collect(),
            _ => continue,
        };
        for value in offered {
            let sent = Values([(field.name.clone(), value.clone())].into());
            let filled = rules::form::filled(&form, &sent, &Workspace::default());
            assert_eq!(filled.errors, [], "{} {value}", field.name);
        }
    }
}
