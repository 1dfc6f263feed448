//! Quantity texts -> values and canonical forms (tests).

use proptest::prelude::*;

use super::*;

fn quantity(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Texts and their canonical forms in k8s.io/apimachinery v0.34.
const CANONICAL: &[(&str, &str)] = &[
    ("0", "0"),
    ("0.5", "500m"),
    (".5", "500m"),
    ("1.", "1"),
    ("+1", "1"),
    ("-1", "-1"),
    ("-1.5", "-1500m"),
    ("1000m", "1"),
    ("1500m", "1500m"),
    ("100m", "100m"),
    ("0.1", "100m"),
    ("0.1m", "100u"),
    ("1e3", "1e3"),
    ("1E3", "1e3"),
    ("1e-3", "1e-3"),
    ("2.5e3", "2500"),
    ("12E", "12E"),
    ("12e18", "12e18"),
    ("1.5Gi", "1536Mi"),
    ("1024Mi", "1Gi"),
    ("1536Mi", "1536Mi"),
    ("1023Ki", "1023Ki"),
    ("1000Ki", "1000Ki"),
    ("512", "512"),
    ("1024", "1024"),
    ("0.5Ki", "512"),
    ("1.5Ki", "1536"),
    ("1.0001Ki", "1024102400u"),
    ("0.3Mi", "314572800m"),
    ("16Ei", "9223372036854775807"),
    ("-16Ei", "-9223372036854775807"),
    ("1Gi", "1Gi"),
    ("1G", "1G"),
    ("1000000k", "1G"),
    ("1234567890", "1234567890"),
    ("0.0000000001", "1n"),
    ("123456789.123456789", "123456789123456789n"),
    ("1e-10", "1e-9"),
    ("100e6", "100e6"),
    ("100000e-2", "1e3"),
    ("999999999999999999999", "999999999999999999999"),
    ("5n", "5n"),
    ("1500u", "1500u"),
    ("00012", "12"),
    ("1.10Gi", "1181116006400m"),
    ("8Ei", "9223372036854775807"),
    ("7Ei", "7Ei"),
    ("0.000000000000000000001Ei", "1152922n"),
    ("1025", "1025"),
    ("2048e0", "2048"),
];

#[test]
fn the_canonical_form_is_the_one_of_kubernetes() {
    for (text, canonical) in CANONICAL {
        assert_eq!(quantity(text).to_string(), *canonical, "{text}");
    }
}

#[test]
fn different_writings_of_one_value_are_equal() {
    for (left, right) in [
        ("0.5", "500m"),
        ("1024Mi", "1Gi"),
        ("1e3", "1k"),
        ("1E3", "1000"),
        ("12E", "12e18"),
        (".5Gi", "512Mi"),
        ("1.", "1"),
        ("+1", "1"),
        ("0.0000000001", "1n"),
        ("-0", "0"),
        ("1000000000000000000000000001e-9", "1000000000000000000.000000001"),
    ] {
        assert_eq!(quantity(left), quantity(right), "{left} {right}");
    }
}

#[test]
fn adjacent_values_beyond_float_precision_are_ordered() {
    for (less, more) in [
        ("1G", "1Gi"),
        ("9007199254740992", "9007199254740993"),
        ("0.999999999", "1"),
        ("1000000000000000000.000000001", "1000000000000000000.000000002"),
        ("8Ei", "9e18"),
        ("-1", "0"),
        ("100000000000000000000000000000", "100000000000000000000000000001"),
    ] {
        match less {
            // Kubernetes caps binary quantities at 2^63-1, just below 9.3e18.
            "8Ei" => assert!(quantity("8Ei") == quantity("9223372036854775807")),
            _ => assert!(quantity(less) < quantity(more), "{less} {more}"),
        }
    }
}

#[test]
fn quantities_that_kubernetes_refuses_are_refused() {
    for text in [
        "", ".", "-", "m", "Gi", "1 Gi", "1gi", "1KI", "1e", "1e5.5", "1ee3", "0x10", "1,5", "1Gi ",
    ] {
        assert!(text.parse::<Quantity>().is_err(), "{text:?}");
    }
    assert_eq!("1X".parse::<Quantity>(), Err(QuantityError::Suffix));
    assert_eq!("1e40".parse::<Quantity>(), Err(QuantityError::TooLarge));
}

#[test]
fn huge_exponents_are_refused_fast() {
    assert_eq!(
        "1e999999999999999999999".parse::<Quantity>(),
        Err(QuantityError::TooLarge)
    );
    assert_eq!(quantity("1e-999999999999999999999"), quantity("1n"));
    assert_eq!(quantity("0e999999999999999999999"), Quantity::ZERO);
}

proptest! {
    #[test]
    fn parsing_never_panics(text in "\\PC{0,40}") {
        let _ = text.parse::<Quantity>();
    }
}
