//! Values of fields -> violations (tests).

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

#[test]
fn sizes_are_neither_bytes_nor_beyond_all_disks() {
    let of = |text: &str| size("s", &RawQuantity(text.to_owned())).map(|it| it.to_string());
    for fine in ["1Mi", "10Gi", "1.3Gi", "1Pi", "5e9"] {
        assert_eq!(of(fine), None, "{fine}");
    }
    for (faulty, word) in [
        ("0", "more than 0"),
        ("-1Gi", "more than 0"),
        ("1", "at least 1Mi"),
        ("500m", "at least 1Mi"),
        ("10", "mind the unit"),
        ("1Ei", "at most 1Pi"),
        ("9e18", "at most 1Pi"),
        ("x", "must be a quantity"),
    ] {
        let message = of(faulty).unwrap();
        assert!(message.contains(word) && message.contains(faulty), "{message}");
    }
}

#[test]
fn a_restart_is_requested_by_a_time() {
    for fine in ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+01:00"] {
        assert_eq!(restarted_at("a", fine), None, "{fine}");
    }
    for faulty in [
        "",
        "now",
        "1",
        "2026-01-31",
        "2026-13-31T12:00:00Z",
        "2026-01-31T12:00:00",
        "2026-01-31T12:00:00Z\n",
    ] {
        assert!(restarted_at("a", faulty).is_some(), "{faulty:?}");
    }
}

#[test]
fn user_names_with_invisible_characters_are_refused() {
    for fine in [
        "alice",
        "system:serviceaccount:a:b",
        "https://idp.example/#Ünal O'Neill",
        "a b",
    ] {
        assert_eq!(user_name("a", fine), None, "{fine}");
    }
    let long = "a".repeat(1025);
    for faulty in ["a\n", "a\u{202e}b", "a\u{200b}", " a", "\u{feff}a", long.as_str()] {
        assert!(user_name("a", faulty).is_some(), "{faulty:?}");
    }
}

#[test]
fn paths_are_absolute_and_below_the_root() {
    for path in [
        "/home/jovyan",
        "/data",
        "/a..b",
        "/etc/keys",
        "/usr/local/share",
        "/var/lib/data",
        "/run/secrets/x",
        "/binary",
        "/library",
        "/home",
        "/opt",
    ] {
        assert_eq!(mount_path("p", path), None, "{path}");
    }
    for path in [
        "",
        "home",
        "/",
        "//",
        "/a:b",
        "/a/..",
        "/a\0",
        "/.",
        "/proc",
        "/sys/fs",
        "/dev/shm",
        "//dev/",
        "/etc",
        "/etc/",
        "/usr",
        "/usr/bin",
        "/usr/lib/python3",
        "/bin",
        "/lib64",
        "/var",
        "/run",
        "/boot/x",
        "/./etc/.",
    ] {
        assert!(mount_path("p", path).is_some(), "{path:?}");
    }
    assert_eq!(mount_path("p", "/device"), None);
}

#[test]
fn equal_paths_have_one_normal_form() {
    for path in ["/a/b", "/a//b/", "//a/./b", "/a/b/."] {
        assert_eq!(normal_path(path), "/a/b");
    }
}

#[test]
fn each_text_that_is_shown_has_the_rule_that_terminals_have() {
    let schema = serde_json::to_value(api::crds()).unwrap();
    let mut patterns = BTreeMap::new();
    texts("", &schema, &mut patterns);
    let [one, lines] = ["displayName", "description"].map(|name| {
        let path = format!(".spec.properties.{name}");
        let found = patterns.iter().find(|(at, _)| at.ends_with(&path));
        regex::Regex::new(found.unwrap().1).unwrap()
    });
    for (path, pattern) in &patterns {
        assert!(
            [one.as_str(), lines.as_str()].contains(&&**pattern),
            "{path}: {pattern}"
        );
    }
    assert!(patterns.len() > 8, "{patterns:?}");
    for character in '\0'..=char::MAX {
        let text = format!("a{character}b");
        let controls = api::controls_display(character);
        assert_eq!(one.is_match(&text), !controls, "{character:?}");
        let separates = matches!(character, '\n' | '\r' | '\t');
        assert_eq!(lines.is_match(&text), !controls || separates, "{character:?}");
    }
}

/// Path of each text that people write for people -> its pattern.
fn texts(path: &str, schema: &Value, found: &mut BTreeMap<String, String>) {
    match schema {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = format!("{path}.{name}");
                let is_shown = ["displayName", "description", "deprecated", "reason"].contains(&&**name);
                if is_shown
                    && path.contains("properties.spec.")
                    && path.ends_with(&format!("properties.{name}"))
                    && field["type"] == "string"
                {
                    let pattern = field["pattern"].as_str().unwrap_or_default();
                    found.insert(path.clone(), pattern.to_owned());
                }
                texts(&path, field, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| texts(path, item, found)),
        _ => {}
    }
}
