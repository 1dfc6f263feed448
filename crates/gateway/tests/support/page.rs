//! A page, parsed as by a browser that trusts nothing in it.

/// What must hold of every page. `policy`: its Content-Security-Policy.
///
/// # Panics
/// Something does not.
pub(crate) fn check(html: &str, policy: &str) {
    assert!(html.starts_with("<!doctype html><html lang=\"en\""), "{html}");
    let elements = nested(html);
    let count = |name: &str| elements.iter().filter(|(found, _)| found == name).count();
    for once in ["h1", "main", "title", "header", "footer", "style"] {
        assert_eq!(count(once), 1, "{once} in {html}");
    }
    for never in ["iframe", "object", "embed", "link", "base", "frame", "svg"] {
        assert_eq!(count(never), 0, "{never} in {html}");
    }
    for (element, attributes) in &elements {
        for (name, value) in attributes {
            assert!(
                !name.starts_with("on") && name != "style",
                "{element} has {name}: {html}"
            );
            match name.as_str() {
                "src" => assert!(value.starts_with("data:image/"), "{value}"),
                "href" | "action" => {
                    let ours = value.starts_with('/') && !value.starts_with("//");
                    let known = value.starts_with("https://") || value.starts_with("mailto:");
                    assert!(ours || known, "{value}");
                }
                _ => {}
            }
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

/// Every element with its attributes, in order. Each that is opened is closed, and in the right order.
fn nested(html: &str) -> Vec<(String, Vec<(String, String)>)> {
    const VOID: [&str; 3] = ["meta", "img", "input"];
    let (mut elements, mut open) = (Vec::new(), Vec::<String>::new());
    let mut rest = html.strip_prefix("<!doctype html>").unwrap();
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let end = rest.find('>').unwrap_or_else(|| panic!("no end of <{rest}"));
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(
                open.pop().as_deref(),
                Some(name),
                "</{name}> closes nothing: {html}"
            );
            continue;
        }
        let name = tag.split(' ').next().unwrap().to_owned();
        assert!(
            name.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()),
            "<{tag}>"
        );
        elements.push((name.clone(), attributes(&tag[name.len()..])));
        if name == "style" || name == "script" {
            let (content, after) = rest.split_once(&format!("</{name}>")).unwrap();
            assert!(!content.contains("</"), "{content}");
            rest = after;
        } else if !VOID.contains(&name.as_str()) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    elements
}

fn attributes(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(['=', ' ']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if let Some(quoted) = after.strip_prefix("=\"") {
            let (value, after) = quoted.split_once('"').unwrap();
            found.push((name.to_owned(), value.to_owned()));
            rest = after.trim_start();
        } else {
            assert!(!after.starts_with('='), "an attribute without quotes: {text}");
            found.push((name.to_owned(), String::new()));
            rest = after.trim_start();
        }
    }
    found
}
