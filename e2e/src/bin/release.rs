//! Values for `helm --set` -> release under test, upgraded with them (IO).
//!
//! The release keeps the values of its installation, too. The test run calls this between its stages.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let values: Vec<String> = std::env::args().skip(1).collect();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    e2e::release::upgrade(&values).await
}
