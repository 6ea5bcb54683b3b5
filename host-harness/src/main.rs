//! The `harness` command.

fn main() -> std::process::ExitCode {
    host_harness::cli::main()
}
