//! From `.proto` files to descriptors, without protoc.

use crate::text::one_line;
use prost_reflect::prost::DecodeError;
use prost_reflect::DescriptorPool;
use protox::Compiler;
use std::path::PathBuf;

/// Compiles `files` and all they import. A file is found in the first of `folders` that has it. The
/// files of google/protobuf need no folder.
pub fn compile(
    files: &[String],
    folders: impl Iterator<Item = PathBuf>,
) -> Result<DescriptorPool, String> {
    // The Debug of its errors is the text with file, line and column; their Display leaves them out.
    let told = |error: protox::Error| one_line(&format!("{error:?}"));
    let mut compiler = Compiler::new(folders).map_err(told)?;
    for file in files {
        compiler.open_file(file).map_err(told)?;
    }
    Ok(compiler.descriptor_pool())
}

/// What a decoding error says, without what all of them say.
pub fn reason(error: &DecodeError) -> String {
    let text = error.to_string();
    match text.strip_prefix("failed to decode Protobuf message: ") {
        Some(reason) => reason.to_owned(),
        None => text,
    }
}
