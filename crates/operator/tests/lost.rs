//! Status writes without an answer: Events are written at most once.

use std::time::Duration;

use http::Method;
use testkit::api_server::Hindrance;

use crate::stage::Stage;

async fn loses_answer(stage: &mut Stage) {
    let unanswered = Hindrance::Unanswered(Duration::ZERO);
    stage.server.hinder(Method::PATCH, "/status", unanswered);
    stage.pass().await.unwrap_err();
    assert_eq!(stage.server.unmet(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_status_without_an_answer_has_no_event_and_the_next_one_has() {
    let mut stage = Stage::with_demo();
    loses_answer(&mut stage).await;
    assert!(stage.status().run_id.is_some(), "it was written");
    stage.pass().await.unwrap();
    assert_eq!(stage.events(), [""; 0]);
    stage.cluster();
    stage.get_ready();
    stage.pass().await.unwrap();
    stage.pass().await.unwrap();
    assert_eq!(stage.events(), ["Ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_was_not_written_is_told_once_it_is() {
    let mut stage = Stage::with_demo();
    stage.fail(Method::PATCH, "/status", 500, "no", 2);
    for _ in 0..2 {
        stage.pass().await.unwrap_err();
        assert_eq!(stage.events(), [""; 0]);
    }
    stage.pass().await.unwrap();
    assert_eq!(stage.events(), ["Starting"]);
}
