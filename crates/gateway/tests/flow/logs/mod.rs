//! Logs of any level contain no credential.
//!
//! The tests collect each secret where it is sent, and search every line for it.

mod provider_answers;
mod secrets;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway::tokens::cookies;
use http::{HeaderMap, Method, StatusCode};
use serde_json::{Value, json};
use testkit::api_server::Fault;
use testkit::issuer::Signature;
use testkit::log::Log;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{Layer as _, fmt, registry};

use self::provider_answers::{FAULTY, ProviderAnswer, altered};
use self::secrets::Secrets;
use super::bearer::with;
use super::other_proxies::page_with;
use super::programs;
use super::sign_out::sign_out;
use crate::support::browser::{Answer, Browser, Landing, NAVIGATION, headers};
use crate::support::fixture::{AUTH, BOBS, Fixture, ISSUER, LAB, NOW, OPEN, lab, origin};
use crate::support::tokens::{CLUSTER, SERVICE_ACCOUNT, Tokens, token};

/// All that is traced from now on, as the servers log it. nextest runs each test in a process of its own, so no
/// other test uses up the limited rate of messages.
fn capture() -> Log {
    let log = Log::default();
    let lines = fmt::layer()
        .with_ansi(false)
        .with_writer(log.clone())
        .with_filter(filter_fn(kit::telemetry::holds_no_answer));
    tracing::subscriber::set_global_default(registry().with(lines)).unwrap();
    log
}

/// A gateway whose provider and other dependencies give every kind of answer.
struct Site {
    tokens: Tokens,
    secrets: Secrets,
    mood: Arc<Mutex<ProviderAnswer>>,
    /// Bodies that gateway and provider sent to each other.
    exchanges: watch::Sender<Vec<(String, Value)>>,
}

impl Site {
    async fn new() -> Self {
        let tokens = Tokens::new().await;
        let mood = Arc::new(Mutex::new(ProviderAnswer::Usual));
        let exchanges = watch::Sender::<Vec<(String, Value)>>::default();
        let (of_provider, heard) = (mood.clone(), exchanges.clone());
        *tokens.fixture.between.lock().unwrap() = Box::new(move |request, answer| {
            let asked = String::from_utf8_lossy(request.body()).into_owned();
            let right = serde_json::from_slice(answer.body()).unwrap_or_default();
            let mood = *of_provider.lock().unwrap();
            let answer = altered(mood, request, answer, &right);
            heard.send_modify(|heard| heard.push((asked, right)));
            answer
        });
        tokens.fixture.watch().await;
        Self {
            tokens,
            secrets: Secrets::default(),
            mood,
            exchanges,
        }
    }

    fn fixture(&self) -> &Fixture {
        &self.tokens.fixture
    }

    fn be(&self, mood: ProviderAnswer) {
        *self.mood.lock().unwrap() = mood;
    }

    /// Opens the workspace. The gateway then asks the provider again whether it confirms the user.
    async fn renews(&self, browser: &Browser<'_>) {
        let asked =
            |exchanges: &[(String, Value)]| exchanges.iter().filter(|(asked, _)| !asked.is_empty()).count();
        let mut exchanges = self.exchanges.subscribe();
        let before = asked(&exchanges.borrow_and_update());
        self.secrets.of_answer(&browser.step(&lab()).await);
        let renewal = exchanges.wait_for(|exchanges| asked(exchanges) > before);
        let renewal = timeout(Duration::from_secs(20), renewal).await;
        assert!(renewal.is_ok(), "never asked, {:?}", self.mood.lock().unwrap());
    }

    /// A user opens the workspace and signs in, or fails to.
    async fn signs_in(&self) -> (Browser<'_>, Landing) {
        let browser = self.fixture().browser("alice");
        let landing = browser.open(&lab()).await;
        self.secrets.of_landing(&landing);
        self.secrets.of_browser(&browser);
        (browser, landing)
    }

    async fn verify(&self, url: &str, lines: HeaderMap) -> Answer {
        let answer = self.fixture().verify("GET", url, lines).await;
        self.secrets.of_answer(&answer);
        answer
    }

    /// Bodies that the provider and the gateway sent to each other are secret.
    fn collect(&self) {
        for (asked, answered) in self.exchanges.send_replace(vec![]) {
            self.secrets.of_form(&asked);
            self.secrets.of_json(&answered);
        }
    }
}

/// Logins, tickets, websockets, a renewal, and signing out, all as it should be.
async fn all_goes_well(site: &Site) {
    let (alice, landing) = site.signs_in().await;
    assert!(landing.is_inside(), "{landing:#?}");
    site.fixture().pass(301);
    let before = alice.cookie(LAB, cookies::TICKET);
    site.renews(&alice).await;
    site.fixture().pass(300);
    let answer = alice.send("GET", &lab(), headers(&NAVIGATION)).await;
    site.secrets.of_answer(&answer);
    site.secrets.of_browser(&alice);
    assert_ne!(alice.cookie(LAB, cookies::TICKET), before, "a new ticket");
    let handshake = [("cookie", alice.cookies(LAB).unwrap()), ("origin", origin(LAB))];
    let handshake = handshake.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert!(
        site.fixture()
            .handshake(LAB, &headers(&handshake))
            .await
            .is_some()
    );
    let everywhere = sign_out(&alice, Some(AUTH), "everywhere=yes").await;
    assert_eq!(everywhere.status, StatusCode::SEE_OTHER);
    site.secrets.of_answer(&everywhere);
}

/// Logins and renewals at a provider that answers as no provider should.
async fn the_provider_errs(site: &Site) {
    for mood in FAULTY {
        site.be(mood);
        let (_, landing) = site.signs_in().await;
        assert_eq!(
            landing.is_inside(),
            mood == ProviderAnswer::BreaksKeys,
            "{mood:?}"
        );
        site.be(ProviderAnswer::Usual);
        let (alice, landing) = site.signs_in().await;
        assert!(landing.is_inside(), "{mood:?} {landing:#?}");
        site.fixture().pass(301);
        site.be(mood);
        site.renews(&alice).await;
        site.be(ProviderAnswer::Usual);
        site.collect();
    }
    for signature in [
        Signature::ForeignKey,
        Signature::UnknownKeyId,
        Signature::PublicKeyAsSecret,
        Signature::None,
    ] {
        let (alice, landing) = site.signs_in().await;
        assert!(landing.is_inside(), "{signature:?} {landing:#?}");
        site.fixture()
            .issuer
            .change(|issuer| issuer.signature = signature);
        site.be(ProviderAnswer::BreaksKeys);
        let (_, landing) = site.signs_in().await;
        assert!(!landing.is_inside(), "{signature:?}");
        site.fixture().pass(301);
        site.renews(&alice).await;
        site.be(ProviderAnswer::Usual);
        site.fixture()
            .issuer
            .change(|issuer| issuer.signature = Signature::Valid);
        site.collect();
    }
    for wrong in [json!({"aud": "other"}), json!({"preferred_username": ["a"]})] {
        let wrong = wrong.as_object().unwrap().clone();
        site.fixture().issuer.change(|issuer| issuer.wrong = wrong);
        assert!(!site.signs_in().await.1.is_inside());
    }
    site.fixture().issuer.change(|issuer| issuer.wrong.clear());
}

/// Cookies, codes, states and messages that are bent or come where they do not belong.
async fn strangers_try(site: &Site) {
    let fixture = site.fixture();
    let (alice, _) = site.signs_in().await;
    let at_callback = |url: &str| url.contains("/callback?");
    let other = fixture.browser("bob");
    let landing = other.open_until(&lab(), at_callback).await;
    let url = landing.answer.location().unwrap().to_owned();
    site.secrets.of_url(&url);
    site.secrets.of_browser(&other);
    for url in [
        url.clone(),
        url.replace("code=", "code=x"),
        format!("{url}&code=twice"),
        format!("{AUTH}/callback?error=access_denied&error_description={url}"),
    ] {
        let answer = fixture
            .page(Method::GET, &url, headers(&NAVIGATION), String::new())
            .await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{url}");
    }
    for (host, name) in [(LAB, cookies::TICKET), ("auth.ws.example", cookies::SESSION)] {
        let good = alice.cookie(host, name).unwrap();
        for cookie in [
            format!("{name}={}", &good[1..]),
            format!("{name}={good}; {name}={good}"),
            format!("{name}=\"{good}"),
        ] {
            site.verify(&lab(), page_with(&cookie)).await;
            let answer = fixture
                .page(
                    Method::GET,
                    &format!("{AUTH}/"),
                    page_with(&cookie),
                    String::new(),
                )
                .await;
            site.secrets.of_answer(&answer);
        }
        site.verify(&format!("{}?{name}={good}", lab()), HeaderMap::new())
            .await;
    }
    for changes in [
        json!({"sub": "id-of-alice"}),
        json!({"aud": "x"}),
        json!({"sub": 1}),
    ] {
        let message = fixture.issuer.logout_token(&changes);
        site.secrets.add(&message);
        for message in [message.clone(), format!("{message}x"), format!("x{message}")] {
            let lines = headers(&[("content-type", "application/x-www-form-urlencoded")]);
            let url = format!("{AUTH}/backchannel-logout");
            fixture
                .page(Method::POST, &url, lines, format!("logout_token={message}"))
                .await;
        }
    }
}

/// Valid and invalid tokens of scripts, and an API server that repeats the request.
async fn scripts_send_tokens(site: &Site) {
    let fixture = site.fixture();
    let url = format!("{}/api/status", origin(OPEN));
    let unknown = json!({"iss": CLUSTER, "aud": [AUTH], "exp": NOW + 36_000, "sub": SERVICE_ACCOUNT});
    let foreign = json!({"iss": CLUSTER, "aud": ["https://kubernetes.default.svc"], "exp": NOW + 36_000});
    let account = token(
        &json!({"iss": CLUSTER, "aud": [AUTH], "exp": NOW + 36_000, "sub": "r"}),
        7,
    );
    for sent in [
        site.tokens.user_token("alice", &json!({"exp": NOW + 36_000})),
        site.tokens
            .user_token("alice", &json!({"aud": "other", "exp": NOW + 36_000})),
        site.tokens.user_token("alice", &json!({"exp": 1})),
        token(&foreign, 1),
        account,
    ] {
        site.secrets.add(&sent);
        site.verify(&url, with(&sent)).await;
        site.verify(&url, with(&format!("{sent}x"))).await;
        fixture.handshake(OPEN, &with(&sent)).await;
    }
    fixture.server.authenticate(
        |spec| json!({"authenticated": false, "error": format!("cannot read {}", spec["token"])}),
    );
    let sent = token(&unknown, 2);
    site.secrets.add(&sent);
    let answer = site.verify(&url, with(&sent)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let sent = token(&unknown, 3);
    site.secrets.add(&sent);
    fixture.server.fail(Fault {
        message: format!("{sent} is not for me"),
        ..Fault::internal(Method::POST, "tokenreviews", 1)
    });
    let answer = site.verify(&url, with(&sent)).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}

/// A program is admitted, and what it gets is used, bent and used again.
async fn a_program_signs_in(site: &Site) {
    let (alice, _) = site.signs_in().await;
    let code = programs::code(&alice).await;
    site.secrets.add(&code);
    let redeem = || programs::redeem(site.fixture(), &code, programs::VERIFIER);
    let token = redeem().await.json()["token"].as_str().unwrap().to_owned();
    site.secrets.add(&token);
    assert_eq!(redeem().await.status, StatusCode::BAD_REQUEST);
    let ticket = programs::ticket(site.fixture(), &token, LAB).await;
    site.secrets.add(&ticket);
    for sent in [ticket.clone(), format!("{ticket}x"), token] {
        let lines = headers(&[("workspace-ticket", &sent)]);
        site.verify(&lab(), lines.clone()).await;
        site.fixture().handshake(LAB, &lines).await;
        programs::ask_ticket(site.fixture(), &sent, &format!("{BOBS}:8443")).await;
    }
}

/// The API server fails, and is away.
async fn the_api_server_fails(site: &Site) {
    let fixture = site.fixture();
    // The provider's message ends what began in its second.
    fixture.pass(2);
    let (alice, _) = site.signs_in().await;
    for (method, part) in [
        (Method::POST, "gatewaysessions"),
        (Method::DELETE, "gatewaysessions"),
    ] {
        fixture.server.fail(Fault::internal(method, part, 1));
        site.signs_in().await;
        sign_out(&alice, Some(AUTH), "").await;
    }
    let (alice, landing) = site.signs_in().await;
    assert!(landing.is_inside(), "{landing:#?}");
    fixture.server.partition(true);
    site.signs_in().await;
    site.secrets.of_answer(&alice.step(&lab()).await);
    let answer = sign_out(&alice, Some(AUTH), "").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn no_line_of_any_level_and_no_audit_record_holds_a_piece_of_anything_secret() {
    let log = capture();
    let site = Site::new().await;
    all_goes_well(&site).await;
    a_program_signs_in(&site).await;
    the_provider_errs(&site).await;
    strangers_try(&site).await;
    scripts_send_tokens(&site).await;
    the_api_server_fails(&site).await;
    site.collect();
    assert!(!site.fixture().sessions().is_empty());

    let (log, audit) = (log.text(), site.fixture().log.text());
    for message in [
        "a user signed in",
        "a session ended",
        "a login failed",
        "a session could not be renewed",
        "the ID token of a renewal is refused",
        "signing keys of the identity provider could not be fetched",
        "a logout token is refused",
        "the identity provider signed a user out",
        "the API server does not know a token",
        "a token cannot be verified: the API server does not answer",
        "sessions cannot be read or written",
    ] {
        assert!(log.contains(message), "nothing was logged of: {message}");
    }
    assert!(log.contains(ISSUER) || log.contains("TRACE") || log.contains("DEBUG"));
    for message in [
        "\"login\"",
        "\"logout\"",
        "\"login_refused\"",
        "\"token_refused\"",
        "\"opened\"",
        "\"program_admitted\"",
    ] {
        assert!(audit.contains(message), "no record of: {message}");
    }
    site.secrets.are_not_in(&log);
    site.secrets.are_not_in(&audit);
}
