//! Client -> client that retries 429 and 503, and limits its concurrent requests (IO).
//!
//! It is hand-written: kube's retry layer makes fifteen attempts and waits as long as `Retry-After` says.
//! Tower's concurrency limit would delay watches and leases. Callers have their own deadlines, so there are few attempts.
//! Each request in flight has a connection with about 20 KiB of buffers, which stay allocated for 90 s.

use std::{
    hash::{BuildHasher as _, Hasher as _, RandomState},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response, StatusCode, Uri, header::RETRY_AFTER};
use kube::{Client, client::Body};
use tokio::sync::Semaphore;
use tower::service_fn;

/// Number of retries.
const RETRIES: u32 = 2;
/// Wait before a retry when the server gives no `Retry-After`.
const DEFAULT_WAIT: Duration = Duration::from_millis(250);
/// If the server asks for a longer wait, the client returns the error instead.
const LONGEST: Duration = Duration::from_secs(3);

/// Adds retries to `client`, and a limit of `at_a_time` requests in flight. Watches and requests for leases do not count.
pub(crate) fn with_retries(client: Client, at_a_time: usize) -> Client {
    let (namespace, valid_until) = (client.default_namespace().to_owned(), *client.valid_until());
    let permits = Arc::new(Semaphore::new(at_a_time.min(Semaphore::MAX_PERMITS)));
    let service = service_fn(move |request| send(client.clone(), permits.clone(), request));
    Client::new(service, namespace).with_valid_until(valid_until)
}

async fn send(
    client: Client,
    permits: Arc<Semaphore>,
    request: Request<Body>,
) -> Result<Response<Body>, kube::Error> {
    let is_limited = !skips_limit(request.uri());
    let ask = async |request| {
        // An error would mean that the semaphore is closed. That never happens.
        let _permit = if is_limited {
            permits.acquire().await.ok()
        } else {
            None
        };
        client.send(request).await
    };
    let (head, mut body) = request.into_parts();
    for _ in 0..RETRIES {
        // A body that can be sent only once is not retried.
        let Some(again) = body.try_clone() else { break };
        let response = ask(Request::from_parts(head.clone(), body)).await?;
        let Some(wait) = wait(&response) else {
            return Ok(response);
        };
        tokio::time::sleep(with_jitter(wait)).await;
        body = again;
    }
    ask(Request::from_parts(head, body)).await
}

/// Whether a request skips the limit. A watch stays open, and a late renewal loses the lease.
fn skips_limit(uri: &Uri) -> bool {
    let mut query = uri.query().unwrap_or_default().split('&');
    query.any(|part| part == "watch=true") || uri.path().starts_with("/apis/coordination.k8s.io/")
}

/// Time to wait before a retry; `None`: no retry.
fn wait(response: &Response<Body>) -> Option<Duration> {
    // The server sends both answers before it changes anything.
    if !matches!(
        response.status(),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    ) {
        return None;
    }
    let named = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok());
    let wait = named.map_or(Some(DEFAULT_WAIT), |named| {
        named.parse().ok().map(Duration::from_secs)
    })?;
    (wait <= LONGEST).then_some(wait)
}

/// Adds up to 50 % of jitter, so that clients that were rejected together do not return together.
fn with_jitter(wait: Duration) -> Duration {
    let bits = RandomState::new().build_hasher().finish();
    let fraction = f64::from(u32::try_from(bits >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX);
    wait.mul_f64(1.0 + fraction / 2.0)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::Api;
    use tokio::{
        sync::{mpsc, oneshot},
        time::Instant,
    };

    use super::*;

    /// A server that gives these answers in turn, then 200. It records the times of its requests.
    fn server(answers: Vec<(u16, Option<&'static str>)>) -> (Client, Arc<Mutex<Vec<Instant>>>) {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answers, times) = (Arc::new(Mutex::new(answers.into_iter())), asked.clone());
        let service = service_fn(move |_: Request<Body>| {
            times.lock().unwrap().push(Instant::now());
            let answer = answers.lock().unwrap().next();
            async move {
                let Some((code, retry_after)) = answer else {
                    let body = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}"#;
                    return Ok::<_, std::io::Error>(Response::new(Body::from(body.as_bytes().to_vec())));
                };
                let mut response = Response::new(Body::from(b"Too many requests".to_vec()));
                *response.status_mut() = StatusCode::from_u16(code).unwrap();
                if let Some(seconds) = retry_after {
                    response
                        .headers_mut()
                        .insert(RETRY_AFTER, seconds.parse().unwrap());
                }
                Ok(response)
            }
        });
        (with_retries(Client::new(service, "team"), 1), asked)
    }

    async fn get(client: &Client) -> Result<ConfigMap, kube::Error> {
        Api::default_namespaced(client.clone()).get("a").await
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_to_an_overloaded_server_is_retried_after_the_time_that_it_names() {
        let (client, asked) = server(vec![(429, Some("1")), (503, None)]);
        get(&client).await.unwrap();
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 3);
        let first = asked[1] - asked[0];
        assert!(
            first >= Duration::from_secs(1) && first <= Duration::from_millis(1600),
            "{first:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_sent_at_most_three_times_within_ten_seconds() {
        let (client, asked) = server(vec![(429, Some("3")); 20]);
        let error = get(&client).await.unwrap_err();
        assert!(matches!(error, kube::Error::Api(status) if status.code == 429));
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 3);
        assert!(asked[2] - asked[0] <= Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_wait_and_other_failures_are_returned_to_the_caller() {
        for answer in [(429, Some("60")), (500, None), (504, None), (409, None)] {
            let (client, asked) = server(vec![answer]);
            get(&client).await.unwrap_err();
            assert_eq!(asked.lock().unwrap().len(), 1, "{answer:?}");
        }
    }

    #[tokio::test]
    async fn the_limit_applies_to_requests_but_not_to_watches_and_leases() {
        let (sender, mut asked) = mpsc::unbounded_channel::<(String, oneshot::Sender<()>)>();
        let service = service_fn(move |request: Request<Body>| {
            let (answer, answered) = oneshot::channel();
            sender.send((request.uri().to_string(), answer)).unwrap();
            async move {
                let _ = answered.await;
                Ok::<_, std::io::Error>(Response::new(Body::empty()))
            }
        });
        let client = with_retries(Client::new(service, "team"), 2);
        let ask = |uri: &str| {
            let request = Request::get(uri).body(Vec::new()).unwrap();
            let client = client.clone();
            tokio::spawn(async move { client.request_text(request).await })
        };
        let waiting = ["/1", "/2", "/3", "/4"].map(|uri| {
            let task = ask(uri);
            (uri, task)
        });
        let first = asked.recv().await.unwrap();
        let _second = asked.recv().await.unwrap();
        for uri in [
            "/api/v1/pods?watch=true&timeoutSeconds=290",
            "/apis/coordination.k8s.io/v1/namespaces/team/leases/a",
        ] {
            let answered = ask(uri);
            let (text, answer) = asked.recv().await.unwrap();
            assert_eq!(text, uri);
            answer.send(()).unwrap();
            answered.await.unwrap().unwrap();
        }
        asked.try_recv().unwrap_err();
        first.1.send(()).unwrap();
        let third = asked.recv().await.unwrap();
        asked.try_recv().unwrap_err();
        // A cancelled request releases its permit.
        for (uri, task) in waiting {
            if uri == third.0 {
                task.abort();
            }
        }
        asked.recv().await.unwrap();
    }
}
