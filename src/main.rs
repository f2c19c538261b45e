//! `openstack-release-operator`: see `--help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    match openstack_release_operator::cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
