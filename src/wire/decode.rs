//! Record values to [`Command`]s, in two passes: [`validate`] walks the whole value and promises that all of it can be
//! read, then [`Validated::commands`] hands out views that borrow from it. Nothing of a record that fails the first
//! pass is ever applied.
//!
//! What is accepted, and what it says, is exactly what `prost` makes of the same bytes with the generated types; a
//! property test holds the two together. Beyond that, a value is refused that is empty, holds no command, too many or
//! too many bytes, or has a field beside its commands that must be understood.

mod read;
mod walk;

#[cfg(test)]
mod tests;

use prost::Message;
use thiserror::Error;

use self::walk::walk_command;
use super::command::Command;
use super::fields::{Fields, LENGTH, key};
use super::framing::{self, FramingError};
use super::limits::{MAX_COMMANDS, MAX_RECORD_BYTES};
use super::proto::{self, Input};

pub use super::fields::Malformed;

/// Field numbers up to this one must be understood; larger ones may be ignored.
const LAST_BINDING_FIELD: u32 = 99;
/// `commands` of `Commands` and of `StockCommands`.
const COMMANDS: u32 = key(1, LENGTH);

/// Why nothing of a record can be read: it goes whole to `dead-letters`.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Poison {
    /// No value, or an empty one.
    #[error("the record has no value")]
    Empty,
    /// Longer than [`MAX_RECORD_BYTES`].
    #[error("the value has {bytes} bytes; {MAX_RECORD_BYTES} are allowed")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It begins like schema-registry framing and is none.
    #[error("{0}")]
    Framing(#[from] FramingError),
    /// Not protobuf, or not the messages that it should be.
    #[error("command {command} cannot be read: {what}")]
    Malformed {
        /// Commands that could be read before the trouble.
        command: u32,
        /// What is wrong.
        what: Malformed,
    },
    /// A field beside the commands that this engine does not know and may not ignore.
    #[error("field {number} beside the commands is not known and must be understood")]
    UnknownField {
        /// Its number, 1 to 99.
        number: u32,
    },
    /// A message without a command.
    #[error("the value holds no command")]
    NoCommands,
    /// More than [`MAX_COMMANDS`].
    #[error("the value holds more than {MAX_COMMANDS} commands")]
    TooManyCommands,
}

impl Poison {
    /// The stage of reading that failed, in a word, for the header of the dead letter.
    pub fn stage(&self) -> &'static str {
        match self {
            Poison::Empty => "value",
            Poison::Framing(_) => "framing",
            Poison::Malformed { .. } => "protobuf",
            Poison::UnknownField { .. } | Poison::NoCommands => "commands",
            Poison::TooLong { .. } | Poison::TooManyCommands => "limits",
        }
    }
}

/// Room for what does not stand in a record's own bytes; used for the rare record only. Keeps its capacity.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The value written anew, where messages had to be merged.
    merged: Vec<u8>,
    /// For each command the field that was not understood; empty if there is none in the whole record.
    unsupported: Vec<Option<u32>>,
}

/// A record whose whole value has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Validated<'a> {
    body: &'a [u8],
    unsupported: &'a [Option<u32>],
    count: u32,
    input: Input,
}

impl<'a> Validated<'a> {
    /// How many commands; at least one.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The commands, in order.
    pub fn commands(&self) -> Commands<'a> {
        Commands { fields: Fields::new(self.body), unsupported: self.unsupported, left: self.count, input: self.input }
    }
}

/// The commands of a record, read as they are walked.
#[derive(Clone, Debug)]
pub struct Commands<'a> {
    fields: Fields<'a>,
    unsupported: &'a [Option<u32>],
    left: u32,
    input: Input,
}

impl<'a> Iterator for Commands<'a> {
    type Item = Command<'a>;

    #[inline]
    fn next(&mut self) -> Option<Command<'a>> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let body = next_command(&mut self.fields).expect("validated before: as many commands as were counted");
        let mut command = match self.input {
            Input::Stock => read::stock_command(body),
            Input::Orders | Input::Unspecified => read::command(body),
        }
        .expect("validated before: every command can be read");
        if let Some((first, rest)) = self.unsupported.split_first() {
            command.unsupported = *first;
            self.unsupported = rest;
        }
        Some(command)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Commands<'_> {}

/// The body of the next command of a validated value.
#[inline]
fn next_command<'a>(fields: &mut Fields<'a>) -> Option<&'a [u8]> {
    loop {
        match fields.next_key().ok()?? {
            COMMANDS => return fields.bytes().ok(),
            other => fields.skip_unknown(other, 1, 0).ok()?,
        };
    }
}

/// Checks the whole value of a record of `input` (`orders` or `stock`), framing included. `scratch` is used for the rare
/// record whose commands cannot be borrowed from its own bytes, and lent out with the result.
///
/// # Panics
/// If `input` is unspecified.
pub fn validate<'a>(value: Option<&'a [u8]>, input: Input, scratch: &'a mut Scratch) -> Result<Validated<'a>, Poison> {
    assert_ne!(input, Input::Unspecified, "a record comes from orders or from stock");
    let value = value.filter(|value| !value.is_empty()).ok_or(Poison::Empty)?;
    if value.len() > MAX_RECORD_BYTES {
        return Err(Poison::TooLong { bytes: value.len() });
    }
    let body = framing::payload(value)?;
    scratch.unsupported.clear();
    let mut count = 0;
    let mut merge = false;
    let mut fields = Fields::new(body);
    let malformed = |command| move |what| Poison::Malformed { command, what };
    while let Some(key) = fields.next_key().map_err(malformed(count))? {
        if key == COMMANDS {
            if count as usize == MAX_COMMANDS {
                return Err(Poison::TooManyCommands);
            }
            let command = fields.bytes().map_err(malformed(count))?;
            let found = walk_command(command, input).map_err(malformed(count))?;
            merge |= found.merge;
            if found.unsupported.is_some() || !scratch.unsupported.is_empty() {
                scratch.unsupported.resize(count as usize, None);
                scratch.unsupported.push(found.unsupported);
            }
            count += 1;
        } else {
            let number = fields.skip_unknown(key, 1, 0).map_err(malformed(count))?;
            if number <= LAST_BINDING_FIELD {
                return Err(Poison::UnknownField { number });
            }
        }
    }
    if count == 0 {
        return Err(Poison::NoCommands);
    }
    let body = if merge { merged(body, input, &mut scratch.merged) } else { body };
    Ok(Validated { body, unsupported: &scratch.unsupported, count, input })
}

/// Writes the value anew. Protobuf merges a message that stands twice in one field; nothing can be borrowed from the
/// halves, and only a strange client or a broken one produces them.
#[cold]
fn merged<'a>(body: &[u8], input: Input, out: &'a mut Vec<u8>) -> &'a [u8] {
    const SAME: &str = "prost accepts what validate accepts";
    out.clear();
    match input {
        Input::Stock => proto::StockCommands::decode(body).expect(SAME).encode(out),
        Input::Orders | Input::Unspecified => proto::Commands::decode(body).expect(SAME).encode(out),
    }
    .expect("a Vec has room");
    out
}
