//! `kubectl openstack`: see `--help`. A program of its own, so that the operator's image need not carry it.

use std::process::ExitCode;

fn main() -> ExitCode {
    openstack_release_operator::cli::plugin::main()
}
