//! Compiles the .proto files with `protox`, a compiler in Rust: no `protoc` has to be installed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=devicestate");
    let files = protox::compile(["devicestate/v1/device.proto"], ["."])?;
    prost_build::Config::new().compile_fds(files)?;
    Ok(())
}
