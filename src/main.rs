//! `openstack-release-operator`: see `--help`.

use std::process::ExitCode;

/// Gives back what a busy hour needed: see `hack/adr/0012`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match openstack_release_operator::cli::main() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
