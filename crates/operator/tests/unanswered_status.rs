//! Status writes without an answer: Events are written at most once.

use std::time::Duration;

use http::Method;
use testkit::api_server::Disruption;

use crate::stage::Stage;

async fn loses_answer(stage: &mut Stage) {
    let unanswered = Disruption::Unanswered(Duration::ZERO);
    stage.server.disrupt(Method::PATCH, "/status", unanswered);
    stage.reconcile().await.unwrap_err();
    assert_eq!(stage.server.unmet(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_status_without_an_answer_has_no_event_and_the_next_one_has() {
    let mut stage = Stage::with_demo();
    loses_answer(&mut stage).await;
    assert!(stage.status().run_id.is_some(), "it was written");
    stage.reconcile().await.unwrap();
    assert_eq!(stage.events(), [""; 0]);
    stage.cluster();
    stage.get_ready();
    stage.reconcile().await.unwrap();
    stage.reconcile().await.unwrap();
    assert_eq!(stage.events(), ["Ready"]);
}

#[tokio::test(start_paused = true)]
async fn a_status_whose_write_failed_has_its_events_once_it_is_written() {
    let mut stage = Stage::with_demo();
    stage.fail(Method::PATCH, "/status", 500, "no", 2);
    for _ in 0..2 {
        stage.reconcile().await.unwrap_err();
        assert_eq!(stage.events(), [""; 0]);
    }
    stage.reconcile().await.unwrap();
    assert_eq!(stage.events(), ["Starting"]);
}
