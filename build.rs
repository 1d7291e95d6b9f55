//! Compiles the wire contract in `proto/` without an installed protoc: prost's types, and the keys of all fields.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use protox::prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

const FILES: [&str; 2] = ["sluice/v1/commands.proto", "sluice/v1/decisions.proto"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(FILES, [Path::new("proto")])?;
    let mut keys = String::new();
    for message in DescriptorPool::from_file_descriptor_set(descriptors.clone())?.all_messages() {
        write_keys(&mut keys, &message)?;
    }
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("keys.rs"), keys)?;
    prost_build::Config::new().compile_fds(descriptors)?;
    Ok(())
}

/// Appends the module that `src/wire/keys.rs` describes.
fn write_keys(out: &mut String, message: &MessageDescriptor) -> Result<(), Box<dyn Error>> {
    let name = message.full_name();
    let (mut last, mut shaped) = (0_u32, true);
    let (mut texts, mut varints, mut messages) = (0_u64, 0_u64, 0_u64);
    writeln!(out, "pub mod {} {{", snake_case(&name[message.package_name().len() + 1..]))?;
    for field in message.fields() {
        if field.number() != last + 1 {
            // A number up to the last that has no field would be read as a field of the wrong wire type.
            return Err(format!("{name}: field {} follows {last}; numbers have no gap", field.number()).into());
        }
        last = field.number();
        let kind = field.kind();
        match &kind {
            _ if last >= u32::BITS => shaped = false,
            Kind::Message(_) => messages |= 1 << last,
            _ if field.is_list() => shaped = false,
            Kind::String => texts |= 1 << last,
            kind if kind.wire_type() as u32 == 0 => varints |= 1 << last,
            _ => shaped = false,
        }
        let key = last << 3 | wire_type(&field)?;
        writeln!(out, "    pub const {}_{}: u32 = {key};", field.name().to_uppercase(), kind_name(&kind))?;
    }
    writeln!(out, "    pub const LAST: u32 = {last};")?;
    if shaped {
        let masks = format!("texts: {texts}, varints: {varints}, messages: {messages}");
        writeln!(out, "    pub const SHAPE: super::Shape = super::Shape {{ {masks}, last: LAST }};")?;
    }
    writeln!(out, "}}")?;
    Ok(())
}

fn wire_type(field: &FieldDescriptor) -> Result<u32, Box<dyn Error>> {
    if field.is_packed() {
        // Protobuf allows it under two keys, packed and one by one.
        return Err(format!("{}: no key can be given to a repeated number", field.full_name()).into());
    }
    Ok(field.kind().wire_type() as u32)
}

/// As the .proto file has it, but that messages and enums are named so.
fn kind_name(kind: &Kind) -> String {
    match kind {
        Kind::Message(_) => "MESSAGE".to_owned(),
        Kind::Enum(_) => "ENUM".to_owned(),
        scalar => format!("{scalar:?}").to_uppercase(),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        match letter {
            '.' => continue,
            'A'..='Z' if !snake.is_empty() => snake.push('_'),
            _ => {}
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}
