//! Values for `helm --set` -> release under test, upgraded with them (IO).
//!
//! The release keeps the values of its installation, too. The test run calls this between its stages.

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let values: Vec<String> = std::env::args().skip(1).collect();
    let mut values: Vec<_> = values.iter().map(String::as_str).collect();
    if !values.is_empty() {
        // The CRDs are those of the release, and the Job that would look takes seconds.
        values.push("crds.upgrade=false");
    }
    e2e::installation::release::upgrade(&values).await
}
