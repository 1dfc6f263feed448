//! Answers to writes of a status that never come: what the status says is told all the same, and once.

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
async fn a_start_is_told_although_the_answer_to_its_status_was_lost() {
    let mut stage = Stage::with_demo();
    loses_answer(&mut stage).await;
    assert!(stage.status().run_id.is_some(), "it was written");
    assert_eq!(stage.events(), [""; 0]);
    stage.pass().await.unwrap();
    assert_eq!(stage.events(), ["Starting"]);
    stage.cluster();
    stage.get_ready();
    stage.pass().await.unwrap();
    stage.pass().await.unwrap();
    assert_eq!(stage.events(), ["Starting", "Ready"]);
}

#[tokio::test(start_paused = true)]
async fn what_happened_between_lost_answers_is_told_when_one_comes() {
    let mut stage = Stage::with_demo();
    loses_answer(&mut stage).await;
    stage.cluster();
    stage.get_ready();
    loses_answer(&mut stage).await;
    for _ in 0..2 {
        stage.pass().await.unwrap();
        assert_eq!(
            stage.events(),
            ["Ready"],
            "a start that is over is told by its end"
        );
    }
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
