//! The door before a small application, and before `cat` in the place of sshd.

use assertion::names::{ASSERTION_HEADER, OPERATOR, STOPS_AT_HEADER, SshRefusal};
use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use http::header::{
    CONNECTION, CONTENT_TYPE, DATE, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::server::conn::http1 as server_http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::*;
use crate::application::Address;
use crate::caller::tests::Keys;
use crate::disk::tests::FIGURES;
use crate::memory::Group;

const BASE: &str = "/workspaces/a/lab/";

struct Door {
    router: Arc<Router>,
    keys: Keys,
    folder: TempDir,
}

/// What the application answers: the request's method, target and headers; its body comes back as it is.
async fn echo(mut request: Request<Incoming>) -> Result<Response<Body>, std::convert::Infallible> {
    if request.headers().contains_key(UPGRADE) {
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let mut stream = TokioIo::new(upgrade.await.unwrap());
            let mut bytes = [0; 1024];
            while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                stream.write_all(&bytes[..read]).await.unwrap();
            }
        });
        let mut answer = empty(StatusCode::SWITCHING_PROTOCOLS);
        answer
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("upgrade"));
        answer
            .headers_mut()
            .insert(UPGRADE, HeaderValue::from_static("websocket"));
        return Ok(answer);
    }
    let text = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
    let mut answer = Response::new(request.into_body().boxed_unsync());
    let seen = HeaderValue::try_from(text).unwrap();
    answer.headers_mut().insert("x-seen", seen);
    answer
        .headers_mut()
        .insert("keep-alive", HeaderValue::from_static("timeout=5"));
    Ok(answer)
}

impl Door {
    fn new(open: bool) -> Self {
        Self::with(open, |proxy| proxy)
    }

    fn with(open: bool, settings: impl FnOnce(Proxy) -> Proxy) -> Self {
        let (keys, folder) = (Keys::new(), tempfile::tempdir().unwrap());
        let assertions = if open { Assertions::Open } else { keys.assertions() };
        let activity = Arc::new(Activity::new());
        let socket = folder.path().join("application.sock");
        let ssh = Ssh::with(
            || Box::pin(async { Ok(Command::new("/bin/cat")) }),
            Arc::clone(&activity),
        );
        let paths = Paths::new(BASE, &["/api/status".to_owned(), "/api/kernels".to_owned()]);
        let proxy = settings(Proxy::new(Address::Socket(socket), Arc::clone(&activity)));
        let pod = Pod {
            activity,
            memory: Arc::new(Memory::new(Group::in_folder(folder.path()))),
            disk: Disk::with(|| Some(FIGURES)),
        };
        let background = Background::new(BASE, &["/poll".to_owned()]);
        let router = Arc::new(Router::new(paths, background, assertions, pod, proxy, ssh));
        Self { router, keys, folder }
    }

    /// The application begins to listen.
    fn with_application(self) -> Self {
        let listener = UnixListener::bind(self.folder.path().join("application.sock")).unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let connection =
                    server_http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(echo));
                tokio::spawn(connection.with_upgrades());
            }
        });
        self
    }

    fn user(&self) -> String {
        self.keys
            .gateway
            .sign_at(Timestamp::now().as_second(), &json!({}))
    }

    fn operator(&self) -> String {
        let claims = json!({"iss": OPERATOR, "sub": OPERATOR});
        self.keys.operator.sign_at(Timestamp::now().as_second(), &claims)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        tokio::spawn(crate::server::connection(
            server,
            Arc::clone(&self.router),
            permit,
        ));
        let (mut sender, connection) = http1::handshake(TokioIo::new(client)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.unwrap()
    }

    async fn ask(&self, method: &str, path: &str, assertion: Option<&str>) -> Response<Incoming> {
        self.send(request(method, path, assertion)).await
    }

    async fn status(&self, method: &str, path: &str, assertion: Option<&str>) -> u16 {
        self.ask(method, path, assertion).await.status().as_u16()
    }

    async fn websocket(&self, path: &str) -> WebSocketStream<TokioIo<hyper::upgrade::Upgraded>> {
        let mut answer = self.send(handshake(path, &self.user())).await;
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(&mut answer).await.unwrap();
        WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await
    }
}

fn request(method: &str, path: &str, assertion: Option<&str>) -> Request<Full<Bytes>> {
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "lab.example.org");
    if let Some(assertion) = assertion {
        request = request.header(ASSERTION_HEADER, assertion);
    }
    request.body(Full::default()).unwrap()
}

fn handshake(path: &str, assertion: &str) -> Request<Full<Bytes>> {
    let mut request = request("GET", path, Some(assertion));
    for (name, value) in [
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_VERSION, "13"),
        (SEC_WEBSOCKET_KEY, "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    request
}

fn below(path: &str) -> String {
    format!("{BASE}{path}")
}

/// Waits until a use has another time than one before.
async fn later() {
    let now = || Timestamp::now().as_millisecond();
    let before = now();
    while now() == before {
        tokio::task::yield_now().await;
    }
}

async fn text(answer: Response<Incoming>) -> String {
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn nothing_answers_without_a_valid_assertion() {
    let door = Door::new(false).with_application();
    let other = door
        .keys
        .gateway
        .sign_at(Timestamp::now().as_second(), &json!({"aud": "uid-2"}));
    let user = door.user();
    for path in [
        "",
        "api/status",
        "lab",
        "jupyter-k8s/ssh",
        "jupyter-k8s/activity",
        "jupyter-k8s/session",
        "nothing",
    ] {
        let path = below(path);
        for assertion in [None, Some(other.as_str())] {
            for method in ["GET", "POST", "OPTIONS"] {
                let answer = door.ask(method, &path, assertion).await;
                assert_eq!(answer.status(), 401, "{method} {path}");
                assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
                let said: Value = serde_json::from_str(&text(answer).await).unwrap();
                assert_eq!(
                    said,
                    json!({"message": "This address answers through the gateway only.", "reason": "NotAttested"})
                );
            }
            let mut websocket = handshake(&path, "x");
            websocket.headers_mut().remove(ASSERTION_HEADER);
            assert_eq!(door.send(websocket).await.status(), 401, "{path}");
        }
    }
    // The control.
    assert_eq!(door.status("GET", &below("lab"), Some(&user)).await, 200);
}

#[tokio::test]
async fn a_request_reaches_the_application_as_it_is() {
    let door = Door::new(false).with_application();
    let user = door.user();
    let mut request = request("PUT", &below("files/a%20b?x=1&y=%2F"), Some(&user));
    request
        .headers_mut()
        .insert("keep-alive", HeaderValue::from_static("timeout=1"));
    *request.body_mut() = Full::from("x".repeat(300_000));
    let answer = door.send(request).await;
    assert!(!answer.headers().contains_key("keep-alive"));
    let seen = answer.headers()["x-seen"].to_str().unwrap().to_owned();
    assert!(
        seen.starts_with("PUT /workspaces/a/lab/files/a%20b?x=1&y=%2F "),
        "{seen}"
    );
    assert!(seen.contains("\"host\": \"lab.example.org\""), "{seen}");
    assert!(seen.contains(&user), "{seen}");
    assert!(!seen.contains("keep-alive"), "{seen}");
    assert_eq!(text(answer).await.len(), 300_000);
}

#[tokio::test]
async fn a_pod_without_assertions_answers_all_and_hands_none_on() {
    let door = Door::new(true).with_application();
    let answer = door.ask("GET", &below("lab"), Some("forged")).await;
    assert_eq!(answer.status(), 200);
    let seen = answer.headers()["x-seen"].to_str().unwrap();
    assert!(!seen.contains("forged"), "{seen}");
}

#[tokio::test]
async fn the_operator_reads_activity_and_does_nothing_else() {
    let door = Door::new(false).with_application();
    let operator = door.operator();
    for path in [
        "api/status",
        "api/kernels?no_track_activity=1",
        "jupyter-k8s/activity",
    ] {
        assert_eq!(
            door.status("GET", &below(path), Some(&operator)).await,
            200,
            "{path}"
        );
        assert_eq!(
            door.status("POST", &below(path), Some(&operator)).await,
            401,
            "{path}"
        );
    }
    for path in [
        "",
        "lab",
        "api/status/",
        "api/kernels/0",
        "jupyter-k8s/ssh",
        "jupyter-k8s/session",
    ] {
        assert_eq!(
            door.status("GET", &below(path), Some(&operator)).await,
            401,
            "{path}"
        );
    }
    assert_eq!(door.status("GET", "/api/status", Some(&operator)).await, 401);
}

#[tokio::test]
async fn a_readiness_probe_learns_whether_the_application_answers_and_nothing_else() {
    let door = Door::new(false);
    let ready = below("jupyter-k8s/ready");
    assert_eq!(door.status("GET", &ready, None).await, 503);
    let door = door.with_application();
    for method in ["GET", "HEAD"] {
        assert_eq!(door.status(method, &ready, None).await, 204);
    }
    assert_eq!(door.status("POST", &ready, None).await, 405);
    for near in [
        "jupyter-k8s/ready/",
        "jupyter-k8s/ready/../session",
        "jupyter-k8s/Ready",
        "jupyter-k8s/ready%2f",
    ] {
        assert_eq!(door.status("GET", &below(near), None).await, 401, "{near}");
    }
    assert_eq!(door.status("GET", "/jupyter-k8s/ready", None).await, 401);
    // No longer, once it is gone.
    std::fs::remove_file(door.folder.path().join("application.sock")).unwrap();
    assert_eq!(door.status("GET", &ready, None).await, 503);
}

#[tokio::test]
async fn without_the_application_the_answer_says_so() {
    let door = Door::new(false);
    let answer = door.ask("GET", &below("lab"), Some(&door.user())).await;
    assert_eq!(answer.status(), 503);
    assert!(text(answer).await.contains("ApplicationNotReady"));
}

#[tokio::test]
async fn use_is_what_users_do_and_not_what_the_operator_or_a_poll_asks() {
    let door = Door::new(false).with_application();
    let (user, operator) = (door.user(), door.operator());
    let last = async || door.router.pod.activity.last().parse::<Timestamp>().unwrap();
    let start = last().await;
    later().await;
    door.ask("GET", &below("api/status"), Some(&operator)).await;
    door.ask("GET", &below("api/kernels"), Some(&user)).await;
    door.ask("GET", &below("jupyter-k8s/ready"), None).await;
    assert_eq!(last().await, start);
    door.ask("GET", &below("lab"), Some(&user)).await;
    let changed = last().await;
    assert!(changed > start);
    let said = text(
        door.ask("GET", &below("jupyter-k8s/activity"), Some(&operator))
            .await,
    )
    .await;
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["lastActivity"], changed.to_string());
}

#[tokio::test]
async fn an_open_page_is_presence_and_what_somebody_does_is_an_act() {
    let door = Door::new(false).with_application();
    let (user, operator) = (door.user(), door.operator());
    let state = async || {
        let answer = door
            .ask("GET", &below("jupyter-k8s/activity"), Some(&operator))
            .await;
        serde_json::from_str::<Value>(&text(answer).await).unwrap()
    };
    let time = |value: &Value| value.as_str().unwrap().parse::<Timestamp>().unwrap();
    let start = state().await;
    assert_eq!(start["user"], Value::Null);
    assert_eq!(
        start["activityPaths"],
        json!([below("api/status"), below("api/kernels")])
    );
    later().await;
    door.ask("GET", &below("api/sessions"), Some(&user)).await;
    door.ask("POST", &below("poll"), Some(&user)).await;
    let open = state().await;
    assert_eq!(open["user"], Value::Null);
    assert!(time(&open["presence"]) > time(&start["presence"]));
    assert_eq!(open["lastActivity"], open["presence"]);
    later().await;
    door.ask("POST", &below("api/contents"), Some(&user)).await;
    let acted = state().await;
    assert_eq!(acted["user"], acted["presence"]);
    later().await;
    let mut load = request("GET", &below("lab"), Some(&user));
    let mode = HeaderValue::from_static("navigate");
    load.headers_mut().insert("sec-fetch-mode", mode);
    door.send(load).await;
    assert!(time(&state().await["user"]) > time(&acted["user"]));
}

#[tokio::test]
async fn the_operator_learns_from_each_answer_that_there_is_a_door_and_a_user_does_not() {
    let door = Door::new(false).with_application();
    let (user, operator) = (door.user(), door.operator());
    for (path, status) in [
        ("api/status", 200),
        ("jupyter-k8s/activity", 200),
        ("api/other", 401),
    ] {
        let answer = door.ask("GET", &below(path), Some(&operator)).await;
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(answer.headers()[DOOR_HEADER], "1", "{path}");
        // By it the operator notices a wrong clock.
        assert!(answer.headers().contains_key(DATE), "{path}");
        let answer = door.ask("GET", &below(path), Some(&user)).await;
        assert!(!answer.headers().contains_key(DOOR_HEADER), "{path}");
    }
    let stranger = door.ask("GET", &below("api/status"), None).await;
    assert!(!stranger.headers().contains_key(DOOR_HEADER));
    // Without assertions everybody may be the operator.
    let open = Door::new(true).with_application();
    let answer = open.ask("GET", &below("api/other"), None).await;
    assert_eq!(answer.headers()[DOOR_HEADER], "1");
}

#[tokio::test]
async fn a_websocket_is_handed_on_and_its_data_is_use_but_not_its_pings() {
    let door = Door::new(false).with_application();
    let mut socket = door.websocket(&below("terminal")).await;
    let last = || door.router.pod.activity.last();
    let opened = last();
    later().await;
    socket
        .send(Message::Ping(Bytes::from_static(b"p")))
        .await
        .unwrap();
    // The application sends back what it gets: the ping, masked.
    let mut stream = socket.into_inner();
    let mut echoed = [0; 7];
    stream.read_exact(&mut echoed).await.unwrap();
    assert_eq!(last(), opened);
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
    socket.send(Message::binary("ls")).await.unwrap();
    let mut echoed = [0; 8];
    socket.into_inner().read_exact(&mut echoed).await.unwrap();
    assert_ne!(last(), opened);
}

#[tokio::test]
async fn memory_that_ran_out_is_told_to_the_operator_and_to_pages() {
    let door = Door::new(false).with_application();
    let (user, operator) = (door.user(), door.operator());
    let (status, state) = (below("api/status"), below("jupyter-k8s/activity"));
    let answer = door.ask("GET", &status, Some(&operator)).await;
    assert!(!answer.headers().contains_key(OUT_OF_MEMORY_HEADER));
    let group = door.folder.path().join("memory");
    std::fs::create_dir(&group).unwrap();
    std::fs::write(group.join("memory.oom_control"), "oom_kill 1\n").unwrap();
    std::fs::write(group.join("memory.limit_in_bytes"), "1048576\n").unwrap();
    let answer = door.ask("GET", &status, Some(&operator)).await;
    let told = answer.headers()[OUT_OF_MEMORY_HEADER]
        .to_str()
        .unwrap()
        .to_owned();
    let answer = door.ask("GET", &state, Some(&user)).await;
    assert!(!answer.headers().contains_key(OUT_OF_MEMORY_HEADER));
    let page: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(page["outOfMemory"], told);
    assert_eq!(page["memoryLimitBytes"], 1_048_576);
    assert_eq!(
        door.ask("GET", &state, None).await.status(),
        StatusCode::UNAUTHORIZED
    );
}

/// A question with this announcement.
fn announcing(assertion: &str, stop: &'static str) -> Request<Full<Bytes>> {
    let mut request = request("GET", &below("jupyter-k8s/activity"), Some(assertion));
    request
        .headers_mut()
        .insert(STOPS_AT_HEADER, HeaderValue::from_static(stop));
    request
}

/// What a page is told of a stop: time, rule, and whether files are lost.
async fn told_of_stop(door: &Door) -> Value {
    let path = below("jupyter-k8s/activity");
    let answer = door.ask("GET", &path, Some(&door.user())).await;
    let state: Value = serde_json::from_str(&text(answer).await).unwrap();
    json!([state["stopsAt"], state["stopsBecause"], state["losesFiles"]])
}

#[tokio::test]
async fn pages_are_told_of_the_stop_that_the_operator_announces_and_of_no_user_s() {
    const STOP: &str = "2026-01-01T12:10:00Z MaxAge true";
    let door = Door::new(false).with_application();
    let (user, operator) = (door.user(), door.operator());
    let (nothing, announced) = (
        json!([null, null, null]),
        json!(["2026-01-01T12:10:00Z", "MaxAge", true]),
    );
    door.send(announcing(&user, STOP)).await;
    assert_eq!(told_of_stop(&door).await, nothing);
    door.send(announcing(&operator, STOP)).await;
    assert_eq!(told_of_stop(&door).await, announced);
    // A user does not move it either, and no act does.
    door.send(announcing(&user, "2026-01-01T15:00:00Z MaxAge false"))
        .await;
    later().await;
    door.ask("POST", &below("api/contents"), Some(&user)).await;
    assert_eq!(told_of_stop(&door).await, announced);
    door.send(announcing(&operator, "soon MaxAge true")).await;
    assert_eq!(told_of_stop(&door).await, nothing);
    door.send(announcing(&operator, STOP)).await;
    assert_eq!(told_of_stop(&door).await, announced);
    door.ask("GET", &below("api/kernels"), Some(&operator)).await;
    assert_eq!(told_of_stop(&door).await, nothing);
    // Without assertions everybody may be the operator.
    let open = Door::new(true).with_application();
    open.send(announcing(&open.operator(), STOP)).await;
    assert_eq!(told_of_stop(&open).await, nothing);
}

#[tokio::test]
async fn a_stop_for_lack_of_use_is_forgotten_with_an_act_until_another_time_is_announced() {
    const STOP: &str = "2026-01-01T12:10:00Z Idle false";
    let door = Door::new(false).with_application();
    let (user, operator) = (door.user(), door.operator());
    let announced = json!(["2026-01-01T12:10:00Z", "Idle", false]);
    door.ask("POST", &below("api/contents"), Some(&user)).await;
    later().await;
    door.send(announcing(&operator, STOP)).await;
    later().await;
    door.ask("GET", &below("api/sessions"), Some(&user)).await;
    assert_eq!(told_of_stop(&door).await, announced, "an open page is no act");
    door.ask("POST", &below("api/contents"), Some(&user)).await;
    assert_eq!(told_of_stop(&door).await, json!([null, null, null]));
    later().await;
    door.send(announcing(&operator, STOP)).await;
    assert_eq!(told_of_stop(&door).await, json!([null, null, null]));
    door.send(announcing(&operator, "2026-01-01T12:30:00Z Idle false"))
        .await;
    assert_eq!(
        told_of_stop(&door).await,
        json!(["2026-01-01T12:30:00Z", "Idle", false])
    );
}

#[tokio::test]
async fn the_disk_s_figures_are_told_to_the_operator_and_their_absence_delays_nothing_else() {
    let door = Door::new(false);
    let (operator, state) = (door.operator(), below("jupyter-k8s/activity"));
    let answer = door.ask("GET", &state, Some(&operator)).await;
    let page: Value = serde_json::from_str(&text(answer).await).unwrap();
    assert_eq!(
        (&page["disk"]["usedBytes"], &page["disk"]["full"]),
        (&json!(900), &json!(false))
    );
    let mut door = Door::new(false);
    let (wait, held) = std::sync::mpsc::channel::<()>();
    let held = parking_lot::Mutex::new(held);
    let hangs = move || {
        let _ = held.lock().recv();
        None
    };
    Arc::get_mut(&mut door.router).unwrap().pod.disk = Disk::with(hangs);
    let operator = door.operator();
    for _ in 0..3 {
        let answer = door.ask("GET", &state, Some(&operator)).await;
        let page: Value = serde_json::from_str(&text(answer).await).unwrap();
        assert!(page["disk"].is_null());
        assert!(page["presence"].is_string(), "{page}");
    }
    drop(wait);
}

#[tokio::test]
async fn the_bytes_of_ssh_go_both_ways_and_are_use_which_the_operator_is_told() {
    let door = Door::new(false).with_application();
    let (user, operator) = (door.user(), door.operator());
    let mut socket = door.websocket(&below("jupyter-k8s/ssh")).await;
    socket
        .send(Message::Ping(Bytes::from_static(b"p")))
        .await
        .unwrap();
    assert_eq!(
        socket.next().await.unwrap().unwrap(),
        Message::Pong(Bytes::from_static(b"p"))
    );
    let status = below("api/status");
    let answer = door.ask("GET", &status, Some(&operator)).await;
    assert!(
        !answer.headers().contains_key(LAST_ACTIVITY_HEADER),
        "a ping is no use"
    );
    let sent = Bytes::from(vec![7; 100_000]);
    socket.send(Message::Binary(sent.clone())).await.unwrap();
    let mut back = Vec::new();
    while back.len() < sent.len() {
        if let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() {
            back.extend(bytes);
        }
    }
    assert_eq!(back, sent);
    let answer = door.ask("GET", &status, Some(&operator)).await;
    let told = answer.headers()[LAST_ACTIVITY_HEADER].to_str().unwrap();
    assert_eq!(told, door.router.pod.activity.last_ssh().unwrap());
    let answer = door.ask("GET", &status, Some(&user)).await;
    assert!(!answer.headers().contains_key(LAST_ACTIVITY_HEADER));
}

#[tokio::test]
async fn a_guest_who_takes_all_places_of_ssh_leaves_the_owner_some() {
    let door = Door::new(false).with_application();
    let path = below("jupyter-k8s/ssh");
    let now = Timestamp::now().as_second();
    let guest = door.keys.gateway.sign_at(now, &json!({"sub": "mallory"}));
    let owner = door.keys.gateway.sign_at(now, &json!({"owner": true}));
    let connect = async |assertion: &str| {
        let mut answer = door.send(handshake(&path, assertion)).await;
        assert_eq!(answer.status(), StatusCode::SWITCHING_PROTOCOLS);
        let upgraded = hyper::upgrade::on(&mut answer).await.unwrap();
        let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
        // A connection that is refused gets no answer but the close.
        let _ = socket.send(Message::binary("hello")).await;
        match socket.next().await.unwrap().unwrap() {
            Message::Close(frame) => Err(u16::from(frame.unwrap().code)),
            other => {
                assert_eq!(other, Message::binary("hello"));
                Ok(socket)
            }
        }
    };
    let mut held = Vec::new();
    let mut take_all = async |assertion: &str| loop {
        match connect(assertion).await {
            Ok(socket) => held.push(socket),
            Err(code) => break (held.len(), code),
        }
    };
    assert_eq!(take_all(&guest).await, (8, SshRefusal::FullOfGuests as u16));
    let (of_guests, _) = take_all(&door.user()).await;
    assert!((12..=24).contains(&of_guests), "{of_guests}");
    assert_eq!(take_all(&owner).await, (32, SshRefusal::Full as u16));
}

#[tokio::test]
async fn a_page_in_a_browser_gets_no_shell_and_neither_does_a_plain_request() {
    let door = Door::new(false).with_application();
    let path = below("jupyter-k8s/ssh");
    let user = door.user();
    for (name, value, status) in [
        (ORIGIN, Some("https://lab.example.org"), 403),
        (UPGRADE, Some("h2c"), 426),
        (SEC_WEBSOCKET_VERSION, Some("8"), 426),
        (SEC_WEBSOCKET_KEY, None, 426),
    ] {
        let mut request = handshake(&path, &user);
        request.headers_mut().remove(&name);
        if let Some(value) = value {
            request
                .headers_mut()
                .insert(&name, HeaderValue::from_static(value));
        }
        assert_eq!(door.send(request).await.status(), status, "{name}");
    }
    let answer = door.send(handshake(&path, &user)).await;
    assert_eq!(answer.status(), 101);
    assert_eq!(
        answer.headers()[SEC_WEBSOCKET_ACCEPT],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
}

#[tokio::test]
async fn an_application_that_knows_no_folder_sees_paths_without_the_base_path_alone() {
    let seen = async |door: &Door, path: &str| {
        let answer = door.ask("GET", path, Some(&door.user())).await;
        let seen = answer.headers()["x-seen"].to_str().unwrap().to_owned();
        seen.split(' ').nth(1).unwrap().to_owned()
    };
    let door = Door::with(false, |proxy| proxy.without_base_path(BASE)).with_application();
    assert_eq!(seen(&door, "/workspaces/a/lab/").await, "/");
    assert_eq!(seen(&door, "/workspaces/a/lab/x/y?z=1").await, "/x/y?z=1");
    assert_eq!(seen(&door, "/workspaces/a/labour").await, "/workspaces/a/labour");
    let control = Door::new(false).with_application();
    assert_eq!(seen(&control, "/workspaces/a/lab/x").await, "/workspaces/a/lab/x");
}
