//! Compiles the wire contract in `proto/` without an installed protoc.

use std::path::Path;

const FILES: [&str; 2] = ["sluice/v1/commands.proto", "sluice/v1/decisions.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, [Path::new("proto")])?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}
