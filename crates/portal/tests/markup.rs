//! Every page -> whether users and their tools can use it.

use scraper::{ElementRef, Html, Selector};

use crate::common::Portal;
use crate::every_page;

async fn all() -> Vec<(&'static str, Html)> {
    let pages = every_page::pages(&str::to_owned).await;
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

#[tokio::test]
async fn the_parser_has_nothing_to_repair() {
    for (name, html) in all().await {
        let serious: Vec<_> = html
            .errors
            .iter()
            .filter(|error| !error.contains("doctype"))
            .collect();
        assert!(serious.is_empty(), "{name}: {serious:?}");
    }
}

#[tokio::test]
async fn the_summary_of_errors_leads_to_fields_that_say_the_error_too() {
    let (_, html) = all()
        .await
        .into_iter()
        .find(|(name, _)| *name == "new-wrong")
        .unwrap();
    let links = select(&html, "#summary a");
    assert_eq!(links.len(), 1);
    let id = links[0].value().attr("href").unwrap().trim_start_matches('#');
    assert!(has(&html, id), "{id}");
    let errors_id = id.replacen("f-", "e-", 1);
    let errors = select(&html, ".errors")
        .into_iter()
        .find(|element| element.value().id() == Some(&errors_id))
        .unwrap();
    assert!(text(&errors).starts_with("Error:"), "{id}");
    let wrong = select(&html, "[aria-invalid=true]");
    assert_eq!(wrong.len(), 1);
    assert_eq!(wrong[0].value().id(), Some(id));
    let described = wrong[0].value().attr("aria-describedby").unwrap();
    assert!(described.split(' ').any(|by| by == errors_id), "{described}");
}

#[tokio::test]
async fn nothing_on_a_page_is_style_or_script() {
    for (name, html) in all().await {
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

#[tokio::test]
async fn every_change_is_a_post_without_scripts() {
    for (name, html) in all().await {
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

#[tokio::test]
async fn a_read_only_page_shows_commands_and_no_button_that_changes() {
    for (name, html) in all()
        .await
        .into_iter()
        .filter(|(name, _)| name.ends_with("read-only"))
    {
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

#[tokio::test]
async fn a_message_names_the_request_to_copy() {
    let portal = Portal::start(|_| {}).await;
    let page = portal.get("alice", "/nothing").await.text;
    let (_, footer) = page.split_once("<p>Request <code>").unwrap();
    let (request, _) = footer.split_once('<').unwrap();
    assert!(
        request.len() > 8 && page.contains(&format!("data-copy=\"{request}\"")),
        "{page}"
    );
}
