//! Pod and request -> answers of the front or of the proxy, by HTTP/1.1 on one connection (IO).

use anyhow::Context as _;
use e2e::cluster;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use reqwest::StatusCode;
use serde::Serialize;
use serde_json::json;

/// Sends the request so often, with other claims about the client each time; prints the statuses.
const SEND: &str = r#"
import http.client, json, socket, ssl, sys
ask = json.loads(sys.argv[1])
context = ssl._create_unverified_context()
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.create_connection((ask["address"], ask["port"]), 10)
        if ask["tls"]:
            self.sock = context.wrap_socket(self.sock, server_hostname=ask["host"])
connection, statuses = Connection(ask["host"], timeout=10), []
for number in range(ask["times"]):
    claimed = f"203.0.113.{number % 250 + 1}"
    headers = {"Host": ask["authority"], "X-Forwarded-For": claimed, "X-Real-Ip": claimed, "Forwarded": f"for={claimed}"}
    headers["X-Forwarded-Proto"] = "https"
    connection.request("GET", "/", headers=headers)
    answer = connection.getresponse()
    answer.read()
    statuses.append(answer.status)
print(json.dumps(statuses))
"#;

/// Requests for the first page of the sign-in host.
#[derive(Debug, Serialize)]
pub(crate) struct Requests<'a> {
    pub(crate) address: &'a str,
    pub(crate) port: u16,
    pub(crate) tls: bool,
    /// The requested host.
    pub(crate) host: &'a str,
    /// The same, as browsers write it.
    pub(crate) authority: &'a str,
    pub(crate) times: u16,
}

/// The statuses that a pod gets.
pub(crate) async fn send(
    pods: &Api<Pod>,
    pod: &str,
    requests: &Requests<'_>,
) -> anyhow::Result<Vec<StatusCode>> {
    let command = ["python3", "-c", SEND, &json!(requests).to_string()];
    let printed = cluster::exec(pods, pod, &command).await?;
    let statuses: Vec<u16> =
        serde_json::from_str(&printed).with_context(|| format!("no statuses: {printed}"))?;
    let statuses = statuses.into_iter().map(StatusCode::from_u16);
    Ok(statuses.collect::<Result<_, _>>()?)
}
