//! Which themes are accepted.

use super::*;
use crate::colour::{Colour, READABLE};
use crate::image::MAX_LOGO;

fn theme(change: impl FnOnce(&mut ThemeSettings)) -> Result<Theme, ThemeError> {
    let mut theme = ThemeSettings::default();
    change(&mut theme);
    Theme::new(&theme, None)
}

fn refusal(change: impl FnOnce(&mut ThemeSettings)) -> String {
    theme(change).unwrap_err().to_string()
}

#[test]
fn the_default_theme_is_complete() {
    let theme = Theme::default();
    assert_eq!(
        (theme.name.as_str(), &theme.logo, &theme.help),
        ("Jupyter", &None, &None)
    );
    assert!(
        theme
            .css()
            .starts_with(":root{--accent:#0b5cad;--on-accent:#ffffff}")
    );
}

#[test]
fn colours_are_six_digits_that_can_be_read() {
    for (light, dark) in [("#7a1fa2", "#e1bee7"), ("#000000", "#FFFFFF")] {
        let theme = theme(|theme| {
            theme.accent_color = light.into();
            theme.accent_color_dark = dark.into();
        })
        .unwrap();
        assert!(theme.css().contains(&format!("--accent:{light}")));
    }
    for wrong in [
        "red",
        "#fff",
        "#12345g",
        "#1234567",
        "#+12345",
        "#0b5cad}body{display:none",
        "#0b5cadurl(https://evil.example)",
        "#éé",
    ] {
        let message = refusal(|theme| theme.accent_color = wrong.into());
        assert!(
            message.starts_with("accentColor: ") && message.contains("not a colour"),
            "{message}"
        );
    }
    assert!(refusal(|theme| theme.accent_color = "#ffd54f".into()).contains("contrast of 1.2"));
    assert!(refusal(|theme| theme.accent_color_dark = "#0b5cad".into()).starts_with("accentColorDark"));
}

#[test]
fn the_text_on_buttons_is_readable_on_any_colour() {
    for red in (0..=255u8).step_by(15) {
        for green in (0..=255u8).step_by(15) {
            for blue in (0..=255u8).step_by(15) {
                let colour = Colour([red, green, blue]);
                assert!(colour.against(colour.opposite()) >= READABLE, "{colour}");
            }
        }
    }
}

/// Every text colour of the stylesheet, on every background that it can have.
#[test]
fn the_stylesheet_s_own_colours_can_be_read() {
    let (light, dark) = TOKENS.split_once("@media(prefers-color-scheme:dark)").unwrap();
    for (scheme, background) in [light, dark].into_iter().zip(BACKGROUNDS) {
        let value = |name: &str| {
            let text = scheme.split_once(&format!("--{name}:")).unwrap().1;
            let text = text.split([';', '}']).next().unwrap();
            let long = match text.len() {
                4 => text
                    .chars()
                    .skip(1)
                    .fold("#".to_owned(), |long, digit| format!("{long}{digit}{digit}")),
                _ => text.to_owned(),
            };
            Colour::parse(&long).unwrap()
        };
        for (front, back) in [
            ("text", "page"),
            ("text", "card"),
            ("text", "bad-soft"),
            ("soft", "page"),
            ("soft", "card"),
            ("bad", "card"),
            ("good", "card"),
        ] {
            let contrast = value(front).against(value(back));
            assert!(contrast >= READABLE, "{front} on {back}: {contrast:.2}");
        }
        assert_eq!(value("hover"), background, "settings are checked against it");
        let border = value("edge").against(value("card"));
        assert!(border >= 3.0, "edges of buttons: {border:.2}");
    }
}

#[test]
fn texts_are_short_and_in_one_line() {
    assert!(refusal(|theme| theme.product_name = "x".repeat(61)).contains("longer than 60"));
    assert!(refusal(|theme| theme.notice = "x".repeat(501)).contains("longer than 500"));
    assert!(refusal(|theme| theme.notice = "a\nb".into()).contains("control characters"));
}

#[test]
fn help_is_an_address_or_a_mail() {
    for fine in ["https://help.example/x?y=1&z", "mailto:help@example.org"] {
        let theme = theme(|theme| theme.help_url = fine.into()).unwrap();
        let help = Help {
            url: fine.to_owned(),
            text: "Help".to_owned(),
        };
        assert_eq!(theme.help, Some(help));
    }
    for wrong in [
        "javascript:alert(1)",
        "http://x",
        "//x",
        "data:text/html,x",
        "https://a b",
        "https://é",
    ] {
        assert!(
            refusal(|theme| theme.help_url = wrong.into()).starts_with("helpUrl"),
            "{wrong}"
        );
    }
}

#[test]
fn a_logo_is_a_small_picture_that_only_shows() {
    let svg = |inside: &str| {
        format!("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1 1\">{inside}</svg>")
    };
    let fine = svg("<path d=\"M0 0\"/><text font-size=\"2\">on = off</text>");
    let from_file = Theme::new(&ThemeSettings::default(), Some(fine.as_bytes())).unwrap();
    let logo = from_file.logo.unwrap();
    assert!(logo.starts_with("data:image/svg+xml;base64,"));
    assert_eq!(
        theme(|theme| theme.logo.clone_from(&logo)).unwrap().logo,
        Some(logo)
    );
    let png = Theme::new(&ThemeSettings::default(), Some(b"\x89PNG\r\n\x1a\n...")).unwrap();
    assert!(png.logo.unwrap().starts_with("data:image/png;base64,"));
    for wrong in [
        svg("<script>alert(1)</script>"),
        svg("<SCRIPT href='x'/>"),
        svg("<path onload=\"alert(1)\"/>"),
        svg("<path onclick = 'x'/>"),
        svg("<path\tonload='x'/>"),
        svg("<path\nonload='x'/>"),
        svg("<path\r\nonload\n=\n'x'/>"),
        svg("<path/onload='x'/>"),
        svg("<path d=\"M0 0\"onload='x'/>"),
        svg("<path d='M0 0'onload='x'/>"),
        svg("<path\u{c}onload='x'/>"),
        svg("<foreignObject/>"),
        svg("<a href='javascript:x'/>"),
        format!("<!DOCTYPE svg [<!ENTITY x 'y'>]>{}", svg("")),
        "<html></html>".to_owned(),
        "GIF89a".to_owned(),
        String::new(),
    ] {
        let message = Theme::new(&ThemeSettings::default(), Some(wrong.as_bytes())).unwrap_err();
        assert!(message.to_string().starts_with("logo: is neither"), "{wrong}");
    }
    let large = svg(&" ".repeat(MAX_LOGO));
    let message = Theme::new(&ThemeSettings::default(), Some(large.as_bytes())).unwrap_err();
    assert!(message.to_string().contains("more than 24576"), "{message}");
    for wrong in [
        "https://cdn.example/logo.png",
        "data:text/html;base64,PGI+",
        "data:image/png;base64,%%",
    ] {
        assert!(
            refusal(|theme| theme.logo = wrong.into()).starts_with("logo"),
            "{wrong}"
        );
    }
}
