//! Pages with other themes than the default.

use theme::ThemeSettings;

use super::super::theme::source;
use super::*;

#[path = "../../tests/support/page.rs"]
mod page;

#[test]
fn a_theme_cannot_inject_markup_or_weaken_the_policy() {
    let hostile = "</title></style><script>alert(1)</script><img src=x onerror=alert(1)>\"' x=";
    let short: String = hostile.chars().take(60).collect();
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>";
    let theme = ThemeSettings {
        product_name: short.clone(),
        help_url: "https://help.example/\"onclick=\"alert(1)'><script>".into(),
        help_text: short,
        notice: hostile.into(),
        accent_color: "#7a1fa2".into(),
        ..ThemeSettings::default()
    };
    let look = Theme::from(theme::Theme::new(&theme, Some(svg)).unwrap());
    let message = Message {
        reload: Some(2),
        ..Message::new("Word", "Title", "Text")
    };
    let (html, policy) = page(&message, &look, Some("0123456789abcdef"));
    page::check(&html, &policy);
    assert!(!html.contains("<script"), "{html}");
    assert_eq!(html.matches("<img ").count(), 1, "the logo");
    assert!(html.contains("--accent:#7a1fa2") && policy.contains(&source(&look.style)));
    assert!(
        !policy.contains("evil") && !policy.contains("help.example"),
        "{policy}"
    );
}

#[test]
fn times_have_at_most_two_units() {
    let message = [0, 59, 60, 3599, 3600, 7_384].map(duration);
    assert_eq!(
        message,
        [
            "0 s",
            "59 s",
            "1 min 0 s",
            "59 min 59 s",
            "1 h 0 min",
            "2 h 3 min"
        ]
    );
}
