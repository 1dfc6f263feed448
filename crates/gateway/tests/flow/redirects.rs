//! Redirects lead to the auth host, a workspace of this domain, or the identity provider, and nowhere else.

use gateway::tokens::{Enter, Token as _};
use gateway::tokens::{KeyId, KeyRing, SealingKey};
use http::{Method, StatusCode};
use openidconnect::url::Url;
use proptest::prelude::*;

use crate::support::browser::{Answer, NAVIGATION, headers};
use crate::support::fixture::{AUTH, Fixture, ISSUER, LAB, NOW, lab, origin};

/// Whether a redirect, and each link and form of a page, stays among the hosts that belong together.
fn stays(answer: &Answer) -> bool {
    let links = ["href=\"", "action=\""].into_iter();
    let links = links.flat_map(|attribute| answer.body.split(attribute).skip(1));
    let links = links.map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&"));
    links
        .chain(answer.location().map(str::to_owned))
        .all(|to| belongs(&to))
}

fn belongs(address: &str) -> bool {
    let Ok(url) = Url::parse(AUTH).unwrap().join(address) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default();
    let is_ours = host
        .strip_suffix(".ws.example")
        .is_some_and(|label| !label.contains('.'))
        && url.port() == Some(8443);
    let is_provider = address.starts_with(&format!("{ISSUER}/"));
    url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && (is_ours || is_provider)
}

/// Names under the domain that browsers read as another one: what is behind `#`, `?` or `\\` is no part of a host, and `%2e` is a dot.
const MISREAD: [&str; 4] = [
    "evil%2eexample#.ws.example",
    "evil%2eexample?.ws.example",
    "evil%2eexample\\.ws.example",
    "user@lab-a.ws.example",
];

fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("//evil.example".to_owned()),
        Just("/\\evil.example".to_owned()),
        Just("https://evil.example/".to_owned()),
        Just("/%09/evil.example".to_owned()),
        Just("@evil.example".to_owned()),
        Just("lab-a.ws.example.evil.example".to_owned()),
        Just("evil.example#.ws.example".to_owned()),
        Just("evil.example\\.ws.example".to_owned()),
        Just("a@evil.example:8443/.ws.example".to_owned()),
        Just("auth".to_owned()),
        proptest::sample::select(&MISREAD[..]).prop_map(str::to_owned),
        Just("ｅvil.ws.example".to_owned()),
        "[\\PC]{0,40}",
        "[a-z0-9.:@/\\\\#?%-]{0,40}\\.ws\\.example",
    ]
}

#[test]
fn no_parameter_leads_elsewhere() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let fixture = runtime.block_on(Fixture::new());
    let alice = runtime.block_on(async {
        let alice = fixture.browser("alice");
        alice.open(&lab()).await;
        alice
    });
    let session = alice.cookies("auth.ws.example").unwrap();
    let paths = prop_oneof![
        Just("enter?t="),
        Just("callback?state=x&code="),
        Just("callback?code=x&state="),
        Just("start?host="),
        Just("sign-in?with="),
        Just("sign-in?as=another&rd="),
        Just("enter?t=x&rd="),
        Just("start?host=lab-a.ws.example&rd="),
    ];
    proptest!(ProptestConfig::with_cases(600), |(path in paths, value in hostile(), encode in any::<bool>())| {
        let encoded: String = form_urlencoded::byte_serialize(value.as_bytes()).collect();
        let raw: String = value.bytes().filter(|byte| byte.is_ascii_graphic() && *byte != b'#').map(char::from).collect();
        let url = format!("{AUTH}/{path}{}", if encode { encoded } else { raw });
        let (_, path) = url.split_at(AUTH.len());
        prop_assume!(path.parse::<http::uri::PathAndQuery>().is_ok());
        // Signed in, and not signed in.
        for lines in [headers(&[("accept", "text/html"), ("cookie", &session)]), headers(&[("accept", "text/html")])] {
            let answer = runtime.block_on(fixture.page(Method::GET, &url, lines, String::new()));
            prop_assert!(stays(&answer), "{url} leads to {:?}: {}", answer.location(), answer.body);
        }
        let form = format!("host={}", form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>());
        let lines = [("origin", AUTH), ("accept", "text/html"), ("content-type", "application/x-www-form-urlencoded"), ("cookie", session.as_str())];
        for lines in [&lines[..], &lines[..3]] {
            let answer = runtime.block_on(fixture.page(Method::POST, &format!("{AUTH}/start"), headers(lines), form.clone()));
            prop_assert!(stays(&answer), "{value} leads to {:?}: {}", answer.location(), answer.body);
        }
    });
}

#[tokio::test]
async fn links_that_are_sealed_by_another_user_or_for_another_domain_lead_nowhere() {
    let fixture = Fixture::new().await;
    let enter = |host: &str| Enter {
        site: host.into(),
        target: "/".into(),
        attempt: 0,
        again: false,
        browser: "b".into(),
        expires: NOW + 100,
    };
    let foreign = KeyRing::new(vec![SealingKey::derive(KeyId::new([1; 8]), 0, &[2; 32]).unwrap()]);
    let ours = &fixture.app.keys;
    for sealed in [
        enter(LAB).seal(&foreign, NOW).unwrap(),
        enter("evil.example").seal(ours, NOW).unwrap(),
        enter("auth.evil.example").seal(ours, NOW).unwrap(),
        enter("a.b.ws.example").seal(ours, NOW).unwrap(),
        enter("evil.example:8443/.ws.example").seal(ours, NOW).unwrap(),
    ] {
        let answer = fixture
            .page(
                Method::GET,
                &format!("{AUTH}/enter?t={sealed}"),
                headers(&[]),
                String::new(),
            )
            .await;
        assert_eq!(
            (answer.status, answer.location()),
            (StatusCode::BAD_REQUEST, None)
        );
    }
}

/// Other proxies than the chart's forward any host that a client names.
#[tokio::test]
async fn a_host_that_browsers_read_as_another_one_gets_no_link_of_ours() {
    let fixture = Fixture::new().await;
    for host in MISREAD {
        for path in ["/_workspace/enter?/lab", "/_workspace/sign-in?to=/lab", "/lab"] {
            let url = format!("{}{path}", origin(host));
            let answer = fixture
                .page(Method::GET, &url, headers(&NAVIGATION), String::new())
                .await;
            assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{url}");
        }
        let url = format!("{}/lab", origin(host));
        let answer = fixture.verify("GET", &url, headers(&NAVIGATION)).await;
        assert_eq!(answer.status, StatusCode::MISDIRECTED_REQUEST, "{url}");
    }
}
