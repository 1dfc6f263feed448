//! Every cell by a real handshake: over TLS to the gateway's listener, and through its relay to that workspace's pod only.

use std::net::SocketAddr;

use futures::{SinkExt as _, StreamExt as _};
use gateway::index::Target;
use gateway::server::Limits;
use http::{HeaderMap, StatusCode};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Layout, USERS, WORKSPACES, browser, handshake_of, publish_at, workspace_at, world_of};
use crate::support::fixture::Fixture;
use crate::support::rig::Rig;

const LAYOUTS: [Layout; 3] = [Layout::Hosts, Layout::Folders, Layout::FoldersAtOnesOwnRisk];

/// Says its name to every websocket.
async fn pod(name: &'static str) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                let _ = socket.send(Message::text(name)).await;
                while let Some(Ok(_)) = socket.next().await {}
            });
        }
    });
    address
}

/// The gateway's listener, and each workspace with a pod of its own.
async fn rig(layout: Layout, fixture: &Fixture) -> Rig {
    let mut workspaces = Vec::new();
    for row in &WORKSPACES {
        workspaces.push(Target {
            endpoint: Some(pod(row.0).await),
            ..workspace_at(layout, row)
        });
    }
    publish_at(layout, fixture, workspaces);
    Rig::start(fixture.entrance.clone(), Limits::default()).await
}

/// The pod that a handshake with these headers reaches, or the status of its refusal.
async fn reached(rig: &Rig, layout: Layout, name: &str, headers: &HeaderMap) -> Result<String, StatusCode> {
    let url = layout.url(name).replacen("https", "wss", 1);
    let mut request = format!("{url}api/kernels/1/channels")
        .into_client_request()
        .unwrap();
    request
        .headers_mut()
        .extend(headers.iter().map(|(name, value)| (name.clone(), value.clone())));
    let stream = rig.connect("http/1.1").await;
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((mut socket, _)) => {
            let text = socket.next().await.unwrap().unwrap().into_text().unwrap();
            socket.close(None).await.unwrap();
            Ok(text.to_string())
        }
        Err(Error::Http(answer)) => Err(answer.status()),
        Err(other) => panic!("{name}: {other}"),
    }
}

#[tokio::test]
async fn every_user_s_websocket_reaches_the_workspaces_that_a_rule_opens_to_them_and_no_other() {
    for layout in LAYOUTS {
        let fixture = world_of(layout).await;
        let rig = rig(layout, &fixture).await;
        let browsers: Vec<_> = USERS.iter().map(|user| browser(&fixture, *user)).collect();
        for (after, now) in [(0, 0), (60, 60)] {
            fixture.pass(now);
            for browser in &browsers {
                let name = browser.claims["preferred_username"].as_str().unwrap();
                let expected = layout.expected(name, after);
                for (workspace, ..) in WORKSPACES {
                    // A ticket of before counts no longer where the right has ended.
                    if after == 0 {
                        browser.open(&layout.url(workspace)).await;
                    }
                    let handshake = handshake_of(layout, browser, workspace);
                    let reached = reached(&rig, layout, workspace, &handshake).await;
                    let cell = format!("{layout:?}: {name} at {workspace} after {after} s: {reached:?}");
                    match reached {
                        Ok(pod) => assert!(expected.contains(workspace) && pod == workspace, "{cell}"),
                        Err(status) => {
                            assert!(!expected.contains(workspace), "{cell}");
                            let had_a_ticket = layout.expected(name, 0).contains(workspace);
                            let refused = if had_a_ticket {
                                StatusCode::FORBIDDEN
                            } else {
                                StatusCode::UNAUTHORIZED
                            };
                            assert_eq!(status, refused, "{cell}");
                        }
                    }
                }
            }
        }
    }
}
