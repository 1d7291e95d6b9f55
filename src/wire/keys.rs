//! The keys of the contract's fields, taken from `proto/` when the engine is built: a module for each message, named
//! after it, with a constant for each field.
//!
//! A constant is a field's key as it stands in the bytes, number and wire type together, and its name ends with the
//! field's type (`place::PLACED_AT_MS_INT64`). So a number that changes changes everywhere, and a field whose type
//! changes is a name that is not found wherever the engine reads or writes it. `LAST` is the message's last number; a
//! message that has nothing but messages, and strings and varints that are not repeated, also has a [`Shape`].

use super::fields::{Fields, LENGTH, Malformed, VARINT};

/// The fields of a message: a bit for each number.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Numbers of its strings.
    pub texts: u32,
    /// Numbers of its varints.
    pub varints: u32,
    /// Numbers of its messages, repeated ones too.
    pub messages: u32,
    /// Its last number.
    pub last: u32,
}

impl Shape {
    /// The bit of the field with this key; none if the message does not know its number.
    #[inline(always)]
    pub(super) fn bit(&self, key: u32) -> u32 {
        if key >> 3 <= self.last { 1 << (key >> 3) } else { 0 }
    }
}

/// Passes over the field that comes next, which is none of those numbered up to the last that is known; `depth` is how
/// many messages it stands in.
pub(super) type Unknown<'u, 'a> = &'u mut dyn FnMut(Fields<'a>, u32, u32) -> Result<Fields<'a>, Malformed>;

impl Shape {
    /// Walks a message of this shape and checks all of it.
    pub(super) fn walk<'a>(&self, body: &'a [u8], depth: u32, unknown: Unknown<'_, 'a>) -> Result<(), Malformed> {
        let mut fields = Fields::new(body);
        loop {
            let field = fields;
            let Some((key, number)) = fields.next_head()? else { break };
            let bit = self.bit(key);
            match key & 7 {
                LENGTH if self.texts & bit != 0 => {
                    fields.take_text(number)?;
                }
                VARINT if self.varints & bit != 0 => {}
                _ => fields = unknown(field, self.last, depth)?,
            }
        }
        Ok(())
    }
}

/// A key as the byte that it takes.
///
/// # Panics
/// If it takes more than one: of a constant, when the engine is built.
pub const fn one_byte(key: u32) -> u8 {
    assert!(key < 0x80, "the key has one byte");
    key as u8
}

#[allow(missing_docs, reason = "generated; the comments are those of the .proto files")]
mod generated {
    use super::Shape;

    include!(concat!(env!("OUT_DIR"), "/keys.rs"));
}

pub use generated::*;
