//! A page, parsed as by a browser that trusts nothing in it.

use std::borrow::Cow;

use scraper::{Html, Node};

/// What must hold of every page. `policy`: its Content-Security-Policy.
///
/// # Panics
/// Something does not.
pub(crate) fn check(html: &str, policy: &str) {
    assert!(html.starts_with("<!doctype html><html lang=\"en\""), "{html}");
    let parsed = Html::parse_document(html);
    assert_eq!(parsed.errors, Vec::<Cow<'static, str>>::new(), "{html}");
    let elements: Vec<_> = parsed.tree.values().filter_map(Node::as_element).collect();
    let count = |name: &str| elements.iter().filter(|element| element.name() == name).count();
    for once in ["h1", "main", "title", "header", "footer", "style"] {
        assert_eq!(count(once), 1, "{once} in {html}");
    }
    for never in ["iframe", "object", "embed", "link", "base", "frame", "svg"] {
        assert_eq!(count(never), 0, "{never} in {html}");
    }
    for (name, value) in elements.iter().flat_map(|element| element.attrs()) {
        assert!(!name.starts_with("on") && name != "style", "{name}: {html}");
        match name {
            "src" => assert!(value.starts_with("data:image/"), "{value}"),
            "href" | "action" => {
                let ours = value.starts_with('/') && !value.starts_with("//");
                let known = value.starts_with("https://") || value.starts_with("mailto:");
                assert!(ours || known, "{value}");
            }
            _ => {}
        }
    }
    let wants = |what: &str| {
        policy
            .split(';')
            .any(|directive| directive.trim().starts_with(what))
    };
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(count("script") > 0, wants("script-src"), "{policy}");
    assert_eq!(count("script") > 0, wants("connect-src 'self'"), "{policy}");
    assert_eq!(count("img") > 0, wants("img-src data:"), "{policy}");
    assert_eq!(count("form") > 0, !wants("form-action 'none'"), "{policy}");
    assert_eq!(count("form") > 0, count("button") > 0, "{html}");
}
