//! Where a person can be sent: the auth host, a workspace of this domain, the identity provider. Nowhere else.

use gateway::crypto::seal::{KeyId, KeyRing, SealingKey};
use gateway::crypto::tokens::{Enter, Token as _};
use http::{Method, StatusCode};
use openidconnect::url::Url;
use proptest::prelude::*;

use crate::support::browser::{Answer, headers};
use crate::support::world::{AUTH, ISSUER, LAB, NOW, World, origin};

/// Whether a redirect stays among the hosts that belong together.
fn stays(answer: &Answer) -> bool {
    let Some(location) = answer.location() else {
        return true;
    };
    let url = Url::parse(location).unwrap();
    let host = url.host_str().unwrap_or_default();
    let is_ours = host
        .strip_suffix(".ws.example")
        .is_some_and(|label| !label.contains('.'))
        && url.port() == Some(8443);
    let is_provider = location.starts_with(&format!("{ISSUER}/"));
    url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && (is_ours || is_provider)
}

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
    let world = runtime.block_on(World::new());
    let alice = runtime.block_on(async {
        let alice = world.browser("alice");
        alice.open(&format!("{}/", origin(LAB))).await;
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
        let answer = runtime.block_on(world.page(Method::GET, &url, headers(&[("cookie", &session)]), String::new()));
        prop_assert!(stays(&answer), "{url} leads to {:?}", answer.location());
        let form = format!("host={}", form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>());
        let lines = [("cookie", session.as_str()), ("origin", AUTH), ("content-type", "application/x-www-form-urlencoded")];
        let answer = runtime.block_on(world.page(Method::POST, &format!("{AUTH}/start"), headers(&lines), form));
        prop_assert!(stays(&answer), "{value} leads to {:?}", answer.location());
    });
}

#[test]
fn no_path_of_a_workspace_leads_elsewhere_after_signing_in() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let world = runtime.block_on(World::new());
    let alice = world.browser("alice");
    runtime.block_on(alice.open(&format!("{}/", origin(LAB))));
    let paths = "/([/\\\\@:?#.%&=a-z0-9]{0,30}|/evil\\.example/?|\\\\evil\\.example|%2f%2fevil\\.example|\\.\\./_workspace/callback)";
    proptest!(ProptestConfig::with_cases(100), |(path in paths)| {
        alice.set_cookie(LAB, "__Host-ws", None);
        let arrived = runtime.block_on(async {
            let mut answer = alice.step(&format!("{}{path}", origin(LAB))).await;
            for _ in 0..3 {
                assert!(stays(&answer), "{path} leads to {:?}", answer.location());
                let Some(next) = answer.location().map(str::to_owned) else { break };
                if next.starts_with(&format!("{}/", origin(LAB))) && !next.contains("/_workspace/callback?code=") {
                    return Some(next);
                }
                answer = alice.step(&next).await;
            }
            answer.location().map(str::to_owned)
        });
        if let Some(arrived) = arrived {
            let home = format!("{}/", origin(LAB));
            prop_assert!(arrived.starts_with(&home), "{arrived}");
        }
    });
}

#[tokio::test]
async fn links_that_are_sealed_by_somebody_else_or_for_another_domain_lead_nowhere() {
    let world = World::new().await;
    let enter = |host: &str| Enter {
        site: host.into(),
        target: "/".into(),
        attempt: 0,
        again: false,
        browser: "b".into(),
        expires: NOW + 100,
    };
    let foreign = KeyRing::new(vec![SealingKey::derive(KeyId::new([1; 8]), 0, &[2; 32]).unwrap()]);
    let ours = &world.app.keys;
    for sealed in [
        enter(LAB).seal(&foreign, NOW).unwrap(),
        enter("evil.example").seal(ours, NOW).unwrap(),
        enter("auth.evil.example").seal(ours, NOW).unwrap(),
        enter("a.b.ws.example").seal(ours, NOW).unwrap(),
        enter("evil.example:8443/.ws.example").seal(ours, NOW).unwrap(),
    ] {
        let answer = world
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
