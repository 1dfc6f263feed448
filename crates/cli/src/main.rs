//! Arguments -> a workspace, and output like kubectl's (IO).

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = cli::args::Args::parse();
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    match Box::pin(cli::run::run(&args, &mut out, &mut err)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
