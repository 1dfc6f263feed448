//! HTTP request -> answer of an in-memory API server (in-process IO).
//!
//! It records every call, and fails on request.
//!
//! - `faults`: failures of single calls
//! - `watches`: events on open connections
//! - `store`: stored objects

mod faults;
mod store;
mod watches;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use kube::{Client, Resource, client::Body};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tower_test::mock;

pub use self::faults::{Disruption, Fault, Life};
use self::store::{Refusal, Store};
use self::watches::{Watch, Watches};

/// Body of an answer: complete, or the events of a watch as they occur.
type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// A request that reached the server.
#[derive(Clone, Debug)]
pub struct Call {
    /// HTTP method.
    pub method: Method,
    /// Path without query.
    pub path: String,
    /// Query string, as sent.
    pub query: String,
    /// Content type of the body, such as `application/apply-patch+yaml`.
    pub content_type: String,
    /// Body; `Null` if there is none.
    pub body: Value,
    /// The impersonated user (`Impersonate-User`); `None`: the client itself.
    pub as_user: Option<String>,
    /// The impersonated groups (`Impersonate-Group`).
    pub as_groups: Vec<String>,
    /// The bearer token (`Authorization`).
    pub token: Option<String>,
}

impl Call {
    /// Whether the call writes, or would write.
    pub fn is_write(&self) -> bool {
        self.method != Method::GET
    }

    /// Whether the call asks for a dry run.
    pub fn is_dry_run(&self) -> bool {
        self.query.split('&').any(|pair| pair == "dryRun=All")
    }

    /// Method and path, such as `PATCH /apis/…`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The `fieldManager` in the query.
    pub fn manager(&self) -> Option<&str> {
        self.query
            .split('&')
            .find_map(|pair| pair.strip_prefix("fieldManager="))
    }
}

#[derive(Default)]
struct State {
    store: Store,
    watches: Watches,
    calls: Vec<Call>,
    faults: Vec<Fault>,
    disruptions: Vec<(Method, &'static str, Disruption)>,
    partitioned: bool,
    judge: Option<Judge>,
    authenticator: Option<Authenticator>,
    admission: Option<Admission>,
    logs: Option<Logs>,
    /// By group and version.
    kinds: BTreeMap<String, Vec<Value>>,
    clock: Option<Clock>,
}

/// Returns the `Date` of answers.
type Clock = Box<dyn Fn() -> String + Send>;

/// Returns the output of a container for the query of a request.
type Logs = Box<dyn Fn(&str) -> String + Send>;

/// Returns the `Status` that refuses a write after which the object is so; `None`: the write is admitted.
type Admission = Box<dyn Fn(&Value) -> Option<Value> + Send>;

/// Decides whether an access review is allowed.
type Judge = Box<dyn Fn(&Value) -> bool + Send>;

/// Returns the status of a token review for its spec.
type Authenticator = Box<dyn Fn(&Value) -> Value + Send>;

/// An in-memory API server. Clones share their state.
#[derive(Clone, Default)]
pub struct ApiServer {
    state: Arc<Mutex<State>>,
}

impl ApiServer {
    /// Starts the server and returns a client for it. Needs a running tokio runtime.
    pub fn start() -> (Self, Client) {
        let server = Self::default();
        let client = server.connect(None);
        (server, client)
    }

    /// Another client, for a process whose life `life` limits; `None`: for ever.
    pub fn connect(&self, life: Option<Life>) -> Client {
        let (service, mut handle) = mock::pair::<Request<Body>, Response<AnswerBody>>();
        let server = self.clone();
        tokio::spawn(async move {
            let mut calls = 0;
            while let Some((request, respond)) = handle.next_request().await {
                calls += 1;
                let (server, done, is_answered) = match life {
                    Some(life) if calls > life.calls => (server.clone(), false, false),
                    Some(life) if calls == life.calls => (server.clone(), life.last_is_done, false),
                    _ => (server.clone(), true, true),
                };
                // Each request has its own task, so that a delayed one does not block others.
                tokio::spawn(async move {
                    let answer = if done {
                        server.answer(request).await
                    } else {
                        Answer::Error
                    };
                    match answer {
                        Answer::Response(response) if is_answered => respond.send_response(response),
                        Answer::Silence => std::future::pending().await,
                        Answer::Response(_) | Answer::Error => respond.send_error("the connection is lost"),
                    }
                });
            }
        });
        Client::new(service, "default")
    }

    /// Writes an object, as another client in the cluster would.
    pub fn put<K>(&self, object: &K)
    where
        K: Resource<DynamicType = ()> + Serialize,
    {
        let path = path_of::<K>(
            object.meta().namespace.as_deref(),
            object.meta().name.as_deref().unwrap_or_default(),
        );
        let mut value = serde_json::to_value(object).unwrap_or_default();
        value["apiVersion"] = json!(K::api_version(&()));
        value["kind"] = json!(K::kind(&()));
        let mut state = self.lock();
        state.store.put(&path, value);
        state.notify();
    }

    /// Changes an object, as another client in the cluster would. Does nothing if the object is absent.
    pub fn edit<K>(&self, namespace: Option<&str>, name: &str, change: impl FnOnce(&mut Value))
    where
        K: Resource<DynamicType = ()>,
    {
        let path = path_of::<K>(namespace, name);
        let mut state = self.lock();
        if let Some(mut value) = state.store.get(&path) {
            change(&mut value);
            state.store.put(&path, value);
            state.notify();
        }
    }

    /// Deletes an object, even if it has finalizers.
    pub fn remove<K: Resource<DynamicType = ()>>(&self, namespace: Option<&str>, name: &str) {
        let mut state = self.lock();
        state.store.remove(&path_of::<K>(namespace, name));
        state.notify();
    }

    /// `resourceVersion` of the last change.
    pub fn version(&self) -> u64 {
        self.lock().store.version()
    }

    /// Visits all objects, by path, as they were after each change.
    pub fn replay(&self, mut visit: impl FnMut(&BTreeMap<String, Value>)) {
        let mut objects = BTreeMap::new();
        for change in self.lock().store.changes_since(0) {
            if change.type_ == "DELETED" {
                objects.remove(&change.path);
            } else {
                objects.insert(change.path.clone(), change.object.clone());
            }
            visit(&objects);
        }
    }

    /// The current object.
    pub fn get<K>(&self, namespace: Option<&str>, name: &str) -> Option<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let value = self.lock().store.get(&path_of::<K>(namespace, name))?;
        serde_json::from_value(value).ok()
    }

    /// All objects of a kind, in all namespaces.
    pub fn all<K>(&self) -> Vec<K>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
    {
        let objects = self.lock().store.list(&K::url_path(&(), None));
        objects
            .into_iter()
            .filter_map(|value| serde_json::from_value(value).ok())
            .collect()
    }

    /// The next call of this method whose path contains `path_part` gets this disruption.
    pub fn disrupt(&self, method: Method, path_part: &'static str, disruption: Disruption) {
        self.lock().disruptions.push((method, path_part, disruption));
    }

    /// Disruptions that no call has met, such as `POST services`. They show that a test did not test its failure.
    pub fn unmet(&self) -> Vec<String> {
        let state = self.lock();
        let unmet = state.disruptions.iter();
        unmet
            .map(|(method, part, _)| format!("{method} {part}"))
            .collect()
    }

    /// With `true`, no request reaches the server and every watch ends. `false` ends this state.
    pub fn partition(&self, on: bool) {
        let mut state = self.lock();
        state.partitioned = on;
        if on {
            state.watches.cut();
        }
    }

    /// Discards the history: watches end, and none can resume from its last version (410, `Expired`).
    pub fn forget_history(&self) {
        let mut state = self.lock();
        let now = state.store.version();
        state.watches.expire(now);
    }

    /// Answers access reviews from now on: `judge` returns whether the `spec` of a review is allowed.
    pub fn review(&self, judge: impl Fn(&Value) -> bool + Send + 'static) {
        self.lock().judge = Some(Box::new(judge));
    }

    /// Answers token reviews from now on: `status` returns the `status` for the `spec` of a review. It also authenticates requests that
    /// have a token: others get 401, and a self-review says whose the token is.
    pub fn authenticate(&self, status: impl Fn(&Value) -> Value + Send + 'static) {
        self.lock().authenticator = Some(Box::new(status));
    }

    /// Judges writes from now on, as an admission webhook does: `judge` returns the `Status` of a refusal for the object after the
    /// write. A dry run is judged, too.
    pub fn admit(&self, judge: impl Fn(&Value) -> Option<Value> + Send + 'static) {
        self.lock().admission = Some(Box::new(judge));
    }

    /// Installs a kind: discovery of its group and version, such as `example.com/v1`, names it from now on.
    pub fn install(&self, group_version: &str, kind: &str, plural: &str, namespaced: bool) {
        let resource = json!({
            "name": plural, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": ["get", "list", "watch", "create"],
        });
        let mut state = self.lock();
        state
            .kinds
            .entry(group_version.to_owned())
            .or_default()
            .push(resource);
    }

    /// Answers requests for the output of pods from now on: `logs` returns the text for a query.
    pub fn write_logs(&self, logs: impl Fn(&str) -> String + Send + 'static) {
        self.lock().logs = Some(Box::new(logs));
    }

    /// Answers requests for the version of the server from now on, with this `Date`.
    pub fn show_date(&self, clock: impl Fn() -> String + Send + 'static) {
        self.lock().clock = Some(Box::new(clock));
    }

    /// Answers matching calls with this fault from now on, as often as the fault says.
    pub fn fail(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// The calls since the last call of this method.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.lock().calls)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Body>) -> Answer {
        let (head, body) = request.into_parts();
        let bytes = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
            .unwrap_or_default();
        let texts = |name: &str| {
            let values = head.headers.get_all(name).iter();
            let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            texts.collect::<Vec<_>>()
        };
        let call = Call {
            as_user: texts("impersonate-user").pop(),
            as_groups: texts("impersonate-group"),
            token: texts("authorization")
                .pop()
                .map(|value| value.replacen("Bearer ", "", 1)),
            method: head.method,
            path: head.uri.path().to_owned(),
            query: head.uri.query().unwrap_or_default().to_owned(),
            content_type: head
                .headers
                .get(header::CONTENT_TYPE)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
                .to_owned(),
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        };
        let disruption = {
            let mut state = self.lock();
            if state.partitioned {
                return Answer::Error;
            }
            state.calls.push(call.clone());
            state.disruption(&call)
        };
        match disruption {
            None => self.serve(&call),
            Some(Disruption::Late(span)) => {
                tokio::time::sleep(span).await;
                self.serve(&call)
            }
            Some(Disruption::Unanswered(span)) => {
                tokio::time::sleep(span).await;
                self.serve(&call);
                Answer::Silence
            }
            Some(Disruption::Lost) => Answer::Error,
            Some(Disruption::NoAnswer) => Answer::Silence,
            Some(Disruption::Meanwhile(act)) => {
                act(self);
                self.serve(&call)
            }
        }
    }

    fn serve(&self, call: &Call) -> Answer {
        let mut guard = self.lock();
        let state = &mut *guard;
        if let Some(refusal) = state.matching_fault(call) {
            return Answer::Response(respond(Err(refusal)));
        }
        if let (Some(authenticator), Some(token)) = (&state.authenticator, &call.token) {
            let status = authenticator(&json!({ "token": token }));
            if status["authenticated"] != true {
                let refusal = status_object(401, "Unauthorized", "Unauthorized");
                return Answer::Response(respond(Err((401, refusal))));
            }
            if call.path.ends_with("/selfsubjectreviews") {
                let mut review = call.body.clone();
                review["status"] = json!({ "userInfo": status["user"] });
                return Answer::Response(respond(Ok(review)));
            }
        }
        if let Some(judge) = &state.judge
            && call.path.ends_with("subjectaccessreviews")
        {
            let mut review = call.body.clone();
            review["status"] = json!({ "allowed": judge(&call.body["spec"]) });
            return Answer::Response(respond(Ok(review)));
        }
        if let Some(authenticator) = &state.authenticator
            && call.path.ends_with("/tokenreviews")
        {
            let mut review = call.body.clone();
            review["status"] = authenticator(&call.body["spec"]);
            return Answer::Response(respond(Ok(review)));
        }
        if let Some(logs) = &state.logs
            && call.path.contains("/pods/")
            && call.path.ends_with("/log")
        {
            let text = Full::new(Bytes::from(logs(&call.query)));
            return Answer::Response(Response::new(text.boxed_unsync()));
        }
        if call.path == "/version"
            && let Some(clock) = &state.clock
            && let Ok(date) = HeaderValue::from_str(&clock())
        {
            let mut response = respond(Ok(json!({"major": "1", "minor": "34"})));
            response.headers_mut().insert(header::DATE, date);
            return Answer::Response(response);
        }
        if let Some(version) = call.path.strip_prefix("/apis/")
            && version.split('/').count() == 2
        {
            let list = state.kinds.get(version).map(|resources| {
                json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources})
            });
            let absent = || {
                (
                    404,
                    status_object(
                        404,
                        "NotFound",
                        "the server could not find the requested resource",
                    ),
                )
            };
            return Answer::Response(respond(list.ok_or_else(absent)));
        }
        if let Some(watch) = Watch::requested(&call.path, &call.query) {
            return Answer::Response(json_response(state.watches.open(watch, &state.store)));
        }
        let mut after = state.store.clone();
        let outcome = after.serve(call);
        let judge = state.admission.as_ref().filter(|_| call.is_write());
        if let (Some(judge), Ok(object)) = (judge, &outcome)
            && let Some(refusal) = judge(object)
        {
            let code = refusal["code"].as_u64().and_then(|code| u16::try_from(code).ok());
            return Answer::Response(respond(Err((code.unwrap_or(422), refusal))));
        }
        if !call.is_dry_run() {
            state.store = after;
        }
        state.notify();
        Answer::Response(respond(outcome))
    }
}

/// The outcome of a request.
enum Answer {
    Response(Response<AnswerBody>),
    Error,
    Silence,
}

impl State {
    /// Sends new events to the watches.
    fn notify(&mut self) {
        self.watches.notify(&self.store);
    }

    fn disruption(&mut self, call: &Call) -> Option<Disruption> {
        let hit = |(method, part, _): &(Method, &str, Disruption)| {
            *method == call.method && call.path.contains(part)
        };
        let at = self.disruptions.iter().position(hit)?;
        Some(self.disruptions.remove(at).2)
    }

    fn matching_fault(&mut self, call: &Call) -> Option<(u16, Value)> {
        let fault = self.faults.iter_mut().find(|fault| {
            fault.times > 0 && fault.method == call.method && call.path.contains(fault.path_part)
        })?;
        fault.times -= 1;
        Some((
            fault.code,
            status_object(fault.code, fault.reason, &fault.message),
        ))
    }
}

impl Store {
    fn serve(&mut self, call: &Call) -> Result<Value, (u16, Value)> {
        let (path, status) = match call.path.strip_suffix("/status") {
            Some(path) => (path, true),
            None => (call.path.as_str(), false),
        };
        let outcome = match (&call.method, path_names_object(path)) {
            (&Method::GET, true) => self.get(path).ok_or_else(|| Refusal::not_found(path)),
            (&Method::GET, false) => self.listing(path, &call.query),
            (&Method::POST, _) => {
                let name = call.body["metadata"]["name"].as_str().unwrap_or_default();
                self.create(&format!("{path}/{name}"), call.body.clone())
            }
            (&Method::PATCH, _) if call.content_type.contains("apply-patch") => self.apply(
                path,
                status,
                call.manager().unwrap_or_default(),
                call.body.clone(),
            ),
            (&Method::PATCH, _) => self.patch(path, &call.body, call.content_type.contains("json-patch")),
            (&Method::DELETE, _) => self.delete(path, &call.body),
            _ => Err(Refusal {
                code: 405,
                reason: "MethodNotAllowed",
                message: call.line(),
            }),
        };
        outcome.map_err(|refusal| {
            (
                refusal.code,
                status_object(refusal.code, refusal.reason, &refusal.message),
            )
        })
    }

    fn listing(&mut self, path: &str, query: &str) -> Result<Value, Refusal> {
        let (version, items) = if let Some(token) = watches::parameter(query, "continue") {
            self.rest(&token)?
        } else {
            let selector = watches::selector(query);
            let mut items = self.list(path);
            items.retain(|object| watches::selects(&selector, object));
            (self.version(), items)
        };
        let limit = watches::parameter(query, "limit").and_then(|limit| limit.parse().ok());
        let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        Ok(self.page(version, items, limit))
    }
}

/// Whether the path ends with the name of an object, not with the plural of a collection.
fn path_names_object(path: &str) -> bool {
    let segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    let after_version = if segments.first() == Some(&"api") { 2 } else { 3 };
    let rest = segments.get(after_version..).unwrap_or_default();
    match rest {
        ["namespaces", _, inner @ ..] if !inner.is_empty() => inner.len() == 2,
        other => other.len() == 2,
    }
}

fn path_of<K: Resource<DynamicType = ()>>(namespace: Option<&str>, name: &str) -> String {
    format!("{}/{name}", K::url_path(&(), namespace))
}

fn status_object(code: u16, reason: &str, message: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message,
    })
}

fn json_response(body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn respond(outcome: Result<Value, (u16, Value)>) -> Response<AnswerBody> {
    let (code, value) = match outcome {
        Ok(value) => (200, value),
        Err((code, value)) => (code, value),
    };
    let body = Full::from(serde_json::to_vec(&value).unwrap_or_default());
    let mut response = json_response(body.boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
