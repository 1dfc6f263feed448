//! The gateway's process under a flood, and its logs while a user signs in at the level `trace`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD as BASE64URL};
use futures::StreamExt as _;
use gateway::tokens::cookies;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::support::browser::Answer;
use crate::support::whole::{CLUSTER, Connection, Port, Whole, cookies_of, navigation};

/// Unknown clients before the first reading of memory, and between the readings.
const FLOOD: [u32; 2] = [1_500, 4_500];
/// How many ask at a time.
const AT_ONCE: usize = 40;
/// What the later ones may add, KiB: the allocator's own slack, and tables that were not full.
const MORE: u64 = 24 * 1024;
/// What the process may hold in all, KiB.
const MOST: u64 = 192 * 1024;

/// What looks like a sealed value of ours, under another key each time.
fn forged(number: u32) -> String {
    let mut bytes = vec![1; 120];
    bytes[1..5].copy_from_slice(&number.to_be_bytes());
    BASE64URL.encode(bytes)
}

/// A token of these claims, with an unknown key.
fn token(number: u32, claims: &Value) -> String {
    let header = json!({"alg": "RS256", "kid": format!("key-{number}"), "typ": "logout+jwt"});
    let [header, claims] = [&header, claims].map(|part| BASE64URL.encode(part.to_string()));
    format!("{header}.{claims}.{}", forged(number))
}

/// One of each kind that anybody can send, from an address of its own.
async fn unknown_user(whole: &Whole, [verify, pages]: [&Connection; 2], number: u32) {
    let [_, b, c, d] = number.to_be_bytes();
    let address = format!("198.{b}.{c}.{d}");
    let value = forged(number);
    let base = whole.host.split_once('.').unwrap().1;
    let port = whole.auth.rsplit_once(':').unwrap().1;
    let unknown = format!("https://lab-{number}.{base}:{port}/");
    let known = format!("https://{}:{port}/", whole.host);
    let page = navigation(None);
    let found = verify.verify(&unknown, &address, &page).await;
    assert_eq!(found.status, StatusCode::FOUND);
    let elsewhere = verify
        .verify(&format!("https://{number}.example.org/"), &address, &page)
        .await;
    assert_eq!(elsewhere.status, StatusCode::MISDIRECTED_REQUEST);
    let ticket = format!("{}={value}", cookies::TICKET);
    let forged = verify.verify(&known, &address, &navigation(Some(&ticket))).await;
    assert_eq!(forged.status, StatusCode::FOUND);
    let claims = json!({"iss": CLUSTER, "aud": [whole.auth], "exp": i64::MAX, "sub": number});
    let bearer = format!("Bearer {}", token(number, &claims));
    let script = verify
        .verify(&known, &address, &[("authorization", &bearer)])
        .await;
    assert_eq!(script.status, StatusCode::UNAUTHORIZED);

    // A login that begins, and one that comes back with a code that no provider issued.
    let entering = found.location().unwrap();
    let pre = cookies_of(&found.headers);
    let started = pages
        .page(Method::GET, entering, &address, (&navigation(Some(&pre)), ""))
        .await;
    assert_eq!(started.status, StatusCode::FOUND, "{}", started.body);
    let session = format!("{}={value}", cookies::SESSION);
    for (url, cookie) in [
        (format!("{}/enter?t={value}", whole.auth), &session),
        (
            format!("{}/callback?state={value}&code={value}", whole.auth),
            &session,
        ),
        (format!("{known}_workspace/callback?code={value}"), &ticket),
    ] {
        let answer = pages
            .page(Method::GET, &url, &address, (&navigation(Some(cookie)), ""))
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{url}");
    }
    let message = format!(
        "logout_token={}",
        token(number, &json!({"iss": whole.issuer_url, "jti": value}))
    );
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let url = format!("{}/backchannel-logout", whole.auth);
    let message = pages.page(Method::POST, &url, &address, (&form, &message)).await;
    // Once a minute a key that is not known is looked for in vain; meanwhile it may be a new one.
    let refusals = [StatusCode::BAD_REQUEST, StatusCode::SERVICE_UNAVAILABLE];
    assert!(
        refusals.contains(&message.status),
        "{}: {}",
        message.status,
        message.body
    );
}

async fn flood(whole: &Whole, numbers: std::ops::Range<u32>) {
    let numbers: Vec<u32> = numbers.collect();
    // The gateway ends connections after half a minute, which is soon on a busy machine.
    for part in numbers.chunks(200) {
        let verify = whole.connect(Port::Verify).await;
        let pages = whole.connect(Port::Pages).await;
        futures::stream::iter(part)
            .for_each_concurrent(AT_ONCE, |number| unknown_user(whole, [&verify, &pages], *number))
            .await;
    }
}

/// Signs alice in as a browser does. Returns all that was answered, and her ticket's cookies.
async fn sign_in(whole: &Whole) -> (Vec<Answer>, String) {
    let (verify, pages) = (
        whole.connect(Port::Verify).await,
        whole.connect(Port::Pages).await,
    );
    let user = json!({"sub": "id-of-alice", "preferred_username": "alice"});
    whole
        .issuer
        .change(|issuer| issuer.claims.clone_from(user.as_object().unwrap()));
    let port = whole.auth.rsplit_once(':').unwrap().1;
    let lab = format!("https://{}:{port}/", whole.host);
    let first = verify.verify(&lab, "203.0.113.7", &navigation(None)).await;
    let (mut of_lab, mut of_auth) = (cookies_of(&first.headers), String::new());
    let mut url = first.location().unwrap().to_owned();
    let mut answers = vec![first];
    loop {
        if url.starts_with(&whole.issuer_url) {
            url = whole.issuer.authorize(&url).unwrap();
            continue;
        }
        if url == lab {
            let answer = verify
                .verify(&lab, "203.0.113.7", &navigation(Some(&of_lab)))
                .await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
            answers.push(answer);
            return (answers, of_lab);
        }
        let jar = if url.starts_with(&whole.auth) {
            &mut of_auth
        } else {
            &mut of_lab
        };
        let answer = pages
            .page(Method::GET, &url, "203.0.113.7", (&navigation(Some(jar)), ""))
            .await;
        let set = cookies_of(&answer.headers);
        if !set.is_empty() {
            *jar = set;
        }
        let next = answer
            .location()
            .unwrap_or_else(|| panic!("{url}: {} {}", answer.status, answer.body));
        url = next.to_owned();
        answers.push(answer);
    }
}

#[tokio::test]
async fn a_flood_of_hosts_cookies_codes_logins_and_keys_fills_no_memory_and_shuts_no_user_out() {
    let whole = Whole::start("info").await;
    let [before, after] = FLOOD;
    flood(&whole, 0..before).await;
    let early = whole.memory();
    flood(&whole, before..before + after).await;
    let late = whole.memory();
    println!("{early} KiB after {before} unknown clients, {late} KiB after {after} more");
    assert!(late < early + MORE, "{early} KiB, then {late} KiB");
    assert!(late < MOST, "{late} KiB");
    sign_in(&whole).await;
    assert_eq!(whole.admin("/readyz").await.unwrap().0, StatusCode::OK);
}

#[tokio::test]
async fn nothing_secret_is_written_while_everything_that_libraries_trace_is_logged() {
    let whole = Whole::start("trace").await;
    let (answers, ticket) = sign_in(&whole).await;
    let port = whole.auth.rsplit_once(':').unwrap().1;
    let lab = format!("https://{}:{port}/api/status", whole.host);
    let claims = json!({"iss": CLUSTER, "aud": [whole.auth], "exp": i64::MAX, "sub": "robot"});
    let bearer = token(1, &claims);
    let verify = whole.connect(Port::Verify).await;
    let refused = verify
        .verify(
            &lab,
            "203.0.113.7",
            &[("authorization", &format!("Bearer {bearer}"))],
        )
        .await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{}", refused.body);

    let mut secrets = vec![bearer, STANDARD.encode("gateway:s3cret"), "s3cret".to_owned()];
    secrets.extend(
        ticket
            .split("; ")
            .filter_map(|pair| Some(pair.split_once('=')?.1.to_owned())),
    );
    for answer in &answers {
        for name in ["set-cookie", "workspace-assertion"] {
            for value in answer.headers.get_all(name) {
                let pair = value.to_str().unwrap().split(';').next().unwrap();
                secrets.push(pair.split_once('=').map_or(pair, |(_, value)| value).to_owned());
            }
        }
        let query = answer
            .location()
            .and_then(|url| Some(url.split_once('?')?.1))
            .unwrap_or_default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if ["t", "code", "state", "nonce"].contains(&&*name) {
                secrets.push(value.into_owned());
            }
        }
    }
    let self_made = [
        "demo-gateway-keys",
        "demo-gateway-ca",
        "demo-proxy-client",
        "demo-proxy-ca",
        "demo-proxy-self-signed",
    ];
    for name in self_made {
        for (entry, value) in whole.secret(name).data.unwrap() {
            let text = String::from_utf8(value.0.clone()).unwrap();
            if entry == "tls.key" {
                // Lines, since a PEM text would be shown with its breaks escaped.
                secrets.extend(
                    text.lines()
                        .filter(|line| !line.starts_with('-'))
                        .map(str::to_owned),
                );
            }
            if name == "demo-gateway-keys" {
                secrets.push(text);
            }
            if entry != "tls.crt" && entry != "ca.crt" {
                secrets.push(STANDARD.encode(value.0));
            }
        }
    }
    secrets.retain(|secret| !secret.is_empty());
    assert!(secrets.len() > 12, "{}", secrets.len());
    let (errors, output) = (whole.errors(), whole.output());
    assert!(errors.contains("\"level\":\"TRACE\"") && errors.contains("a user signed in"));
    assert!(
        output.contains("\"login\"") && output.contains("\"opened\""),
        "{output}"
    );
    for secret in secrets {
        for log in [&errors, &output] {
            let found = log.lines().find(|line| line.contains(&secret));
            assert!(found.is_none(), "{secret} in {found:?}");
        }
    }
}
