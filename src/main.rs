//! Hands the arguments over and returns the exit code.

fn main() -> std::process::ExitCode {
    rxpulse::cli::main()
}
