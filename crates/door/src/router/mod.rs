//! Request -> who answers it: the door, ssh or the application (IO).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use assertion::names::{DOOR_ACTIVITY, DOOR_HEADER, LAST_ACTIVITY_HEADER, OUT_OF_MEMORY_HEADER};
use http::header::HeaderValue;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use jiff::Timestamp;
use serde_json::json;

use crate::activity::Activity;
use crate::announcement::Announcement;
use crate::answers::{Body, empty, json, not_attested, problem};
use crate::caller::{Assertions, Caller};
use crate::disk::Disk;
use crate::memory::Memory;
use crate::proxy::Proxy;
use crate::ssh::Ssh;
use crate::usage::Background;

/// Decides who answers.
#[derive(Debug)]
pub(crate) struct Router {
    paths: Paths,
    background: Background,
    assertions: Assertions,
    pod: Pod,
    proxy: Proxy,
    ssh: Ssh,
    announcement: Announcement,
    /// The application has answered once.
    answered: AtomicBool,
}

/// What the door knows of the pod that it runs in.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) activity: Arc<Activity>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) disk: Disk,
}

/// Paths with a meaning, each below the base path.
#[derive(Debug)]
pub(crate) struct Paths {
    ready: String,
    activity: String,
    ssh: String,
    /// What the operator asks the application for.
    asked: Vec<String>,
    /// What the application is asked for to see whether it answers.
    probe: String,
}

impl Paths {
    /// `base`: with `/` at both ends. `asked`: below it, with `/` at the beginning.
    pub(crate) fn new(base: &str, asked: &[String]) -> Self {
        let own = |name| format!("{base}jupyter-k8s/{name}");
        let activity = format!("{base}{DOOR_ACTIVITY}");
        let asked: Vec<_> = asked
            .iter()
            .map(|path| format!("{base}{}", path.trim_start_matches('/')))
            .collect();
        Self {
            ready: own("ready"),
            activity,
            ssh: own("ssh"),
            // Requests for these are not use, so an application does not take the door's own for use.
            probe: asked.first().map_or(base, String::as_str).to_owned(),
            asked,
        }
    }

    fn is_asked(&self, path: &str) -> bool {
        path == self.activity || self.asked.iter().any(|asked| asked == path)
    }
}

impl Router {
    pub(crate) fn new(
        paths: Paths,
        background: Background,
        assertions: Assertions,
        pod: Pod,
        proxy: Proxy,
        ssh: Ssh,
    ) -> Self {
        Self {
            paths,
            background,
            assertions,
            pod,
            proxy,
            ssh,
            announcement: Announcement::default(),
            answered: AtomicBool::new(false),
        }
    }

    /// The answer to a request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        if request.uri().path() == self.paths.ready {
            return self.ready(request.method()).await;
        }
        let now = Timestamp::now().as_second();
        let Ok(caller) = self.assertions.caller(request.headers(), now) else {
            return not_attested();
        };
        let is_user = matches!(caller, Caller::User { .. });
        let mut answer = self.answer_to(caller, request).await;
        // Without assertions nobody knows who asks, and this is no secret.
        if !is_user {
            answer
                .headers_mut()
                .insert(DOOR_HEADER, HeaderValue::from_static("1"));
        }
        answer
    }

    async fn answer_to(&self, caller: Caller, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path();
        if request.method() == Method::CONNECT {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        // The operator reads activity, announces a stop, and does nothing else.
        let asks = request.method() == Method::GET && self.paths.is_asked(path);
        if caller == Caller::Operator {
            if !asks {
                return not_attested();
            }
            self.announcement.take(request.headers());
        }
        let mut answer = if path == self.paths.activity {
            self.state(request.method()).await
        } else if path == self.paths.ssh {
            self.ssh.answer(request, &caller).await
        } else {
            if !asks {
                let usage = self.background.sort(request.method(), path, request.headers());
                self.pod.activity.application_used(usage);
            }
            self.proxy.pass(request, caller != Caller::Anyone).await
        };
        // Without assertions nobody knows who asks, and the times are no secret.
        if asks && !matches!(caller, Caller::User { .. }) {
            for (name, time) in [
                (LAST_ACTIVITY_HEADER, self.pod.activity.last_ssh()),
                (OUT_OF_MEMORY_HEADER, self.pod.memory.last_kill()),
            ] {
                if let Some(time) = time.and_then(|time| HeaderValue::try_from(time).ok()) {
                    answer.headers_mut().insert(name, time);
                }
            }
        }
        answer
    }

    /// The answer to readiness probes. The kubelet cannot sign in, so it learns nothing else.
    async fn ready(&self, method: &Method) -> Response<Body> {
        if method != Method::GET && method != Method::HEAD {
            return empty(StatusCode::METHOD_NOT_ALLOWED);
        }
        let ready = if self.answered.load(Ordering::Relaxed) {
            self.proxy.accepts().await
        } else {
            // It may accept connections before it answers. Asked once, it does not fill its log.
            self.proxy.answers(&self.paths.probe).await
        };
        self.answered.fetch_or(ready, Ordering::Relaxed);
        empty(if ready {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        })
    }

    /// What the door knows of the workspace's use, memory, disk and next stop.
    async fn state(&self, method: &Method) -> Response<Body> {
        if method != Method::GET {
            let message = "This address must be requested with GET.";
            return problem(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message);
        }
        let stop = self.announcement.stop(&self.pod.activity);
        let state = json!({
            "lastActivity": self.pod.activity.last(),
            "user": self.pod.activity.last_user(),
            "presence": self.pod.activity.last(),
            "activityPaths": self.paths.asked,
            "outOfMemory": self.pod.memory.last_kill(),
            "memoryLimitBytes": self.pod.memory.limit(),
            "disk": self.pod.disk.figures().await,
            "stopsAt": stop.as_ref().map(|stop| &stop.at),
            "stopsBecause": stop.as_ref().map(|stop| &stop.because),
            "losesFiles": stop.as_ref().map(|stop| stop.loses_files),
        });
        json(StatusCode::OK, &state)
    }
}

#[cfg(test)]
mod tests;
