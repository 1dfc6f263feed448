//! Values, as `helm --set` takes them -> the release under test with these and those that it was installed with (IO). The test run
//! calls it between its stages.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let values: Vec<String> = std::env::args().skip(1).collect();
    let values: Vec<_> = values.iter().map(String::as_str).collect();
    e2e::release::upgrade(&values).await
}
