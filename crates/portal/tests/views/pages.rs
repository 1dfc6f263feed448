//! Every page -> whether users and their tools can use it.

use askama::Template as _;
use portal::pages::explanation::view::StepState;
use portal::views::{Layout, Message, State, Tone};
use scraper::{ElementRef, Html, Selector};

use crate::samples;

fn all() -> Vec<(&'static str, Html)> {
    let pages = samples::pages(&str::to_owned);
    pages
        .into_iter()
        .map(|(name, html)| (name, Html::parse_document(&html)))
        .collect()
}

fn select<'a>(html: &'a Html, selector: &str) -> Vec<ElementRef<'a>> {
    html.select(&Selector::parse(selector).unwrap()).collect()
}

fn text(element: &ElementRef<'_>) -> String {
    element.text().collect::<String>().trim().to_owned()
}

fn has(html: &Html, id: &str) -> bool {
    html.tree.nodes().any(|node| {
        node.value()
            .as_element()
            .is_some_and(|element| element.id() == Some(id))
    })
}

#[test]
fn the_parser_has_nothing_to_repair() {
    for (name, html) in all() {
        let serious: Vec<_> = html
            .errors
            .iter()
            .filter(|error| !error.contains("doctype"))
            .collect();
        assert!(serious.is_empty(), "{name}: {serious:?}");
    }
}

#[test]
fn the_summary_of_errors_leads_to_fields_that_say_the_error_too() {
    let (_, html) = all().into_iter().find(|(name, _)| *name == "new-wrong").unwrap();
    let links = select(&html, "#summary a");
    assert_eq!(links.len(), 2);
    for link in links {
        let id = link.value().attr("href").unwrap().trim_start_matches('#');
        assert!(has(&html, id), "{id}");
        let errors = id.replacen("f-", "e-", 1);
        let errors = select(&html, ".errors")
            .into_iter()
            .find(|element| element.value().id() == Some(&errors))
            .unwrap();
        assert!(text(&errors).starts_with("Error:"), "{id}");
    }
    let wrong = select(&html, "[aria-invalid=true]");
    assert_eq!(wrong.len(), 1);
    assert_eq!(
        wrong[0].value().attr("aria-describedby"),
        Some("d-metadata.name e-metadata.name")
    );
}

#[test]
fn nothing_on_a_page_is_style_or_script() {
    for (name, html) in all() {
        for element in select(&html, "*") {
            let value = element.value();
            for (attribute, text) in value.attrs() {
                assert!(
                    !attribute.starts_with("on") && attribute != "style",
                    "{name}: {attribute}"
                );
                assert!(
                    !text.trim_start().to_ascii_lowercase().starts_with("javascript:"),
                    "{name}: {text}"
                );
            }
            assert_ne!(value.name(), "style", "{name}");
            if value.name() == "script" {
                assert!(
                    value.attr("src").unwrap().starts_with("/assets/") && text(&element).is_empty(),
                    "{name}"
                );
            }
        }
        let loaded = select(&html, "link[rel=stylesheet], script, img, link[rel=icon]");
        let requests = loaded
            .iter()
            .filter(|element| !element.html().contains("\"data:"));
        assert_eq!(requests.count(), 3, "{name}: with the page itself, 4 requests");
    }
}

#[test]
fn every_change_is_a_post_without_scripts() {
    for (name, html) in all() {
        for form in select(&html, "form") {
            let method = form.value().attr("method");
            assert!(matches!(method, Some("get" | "post")), "{name}: {method:?}");
            let submit = form
                .select(&Selector::parse("button[type=submit]").unwrap())
                .count();
            // A form without a button, only where nothing can be changed.
            assert!(
                submit > 0 || name.ends_with("read-only"),
                "{name}: {}",
                form.html()
            );
        }
        assert!(select(&html, "button:not([type])").is_empty(), "{name}");
    }
}

#[test]
fn a_read_only_page_shows_commands_and_no_button_that_changes() {
    for (name, html) in all().into_iter().filter(|(name, _)| name.ends_with("read-only")) {
        assert!(html.html().contains("kubectl "), "{name}");
        // A form shows its command anew for what is typed; nothing else can be sent.
        let posts = select(
            &html,
            "main form[method=post]:not([data-check]) button[type=submit]:not([name=add])",
        );
        assert!(
            posts.is_empty(),
            "{name}: {:?}",
            posts.iter().map(text).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_state_is_said_in_words_and_steps_say_how_far_they_are() {
    let state = State {
        tone: Tone::Bad,
        word: "Failed".to_owned(),
    };
    assert_eq!(
        state.render().unwrap(),
        "<span class=\"state bad\"><bdi>Failed</bdi></span>"
    );
    assert_eq!(StepState::Stuck.words(), " (blocked)");
}

#[test]
fn an_error_names_the_request_and_its_model_is_json() {
    let message = Message {
        layout: Layout {
            title: "Not found".to_owned(),
            request: "r-1".to_owned(),
            ..Layout::default()
        },
        ..Message::default()
    };
    assert!(message.render().unwrap().contains("data-copy=\"r-1\""));
    let json = serde_json::to_value(&message).unwrap();
    assert_eq!(json["layout"]["title"], "Not found");
}
