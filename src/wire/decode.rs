//! Record values to [`Command`]s, in two passes: [`validate`] walks the whole value and notes where what stands and which
//! commands can be read, then [`Validated::commands`] hands out views that borrow from it. Nothing of a record that
//! fails the first pass is ever applied, and no Place is parsed twice.
//!
//! A record fails if its own framing is broken: if it is not clear where its commands begin and end, if it is empty,
//! holds no command, too many or too many bytes, or has a field beside its commands that must be understood. A command
//! that is broken within is [`Kind::Malformed`](super::command::Kind::Malformed), and its neighbours are what they are
//! without it. Which commands these are, and what all others say, is exactly what `prost` makes of the same bytes with
//! the generated types; a property test holds the two together.

mod walk; // the first pass: every byte is looked at
mod read; // the second: commands as views

#[cfg(test)]
mod tests;

use prost::Message;
use prost::encoding::encode_varint;
use thiserror::Error;

use self::walk::{Note, Walk};
use super::command::{Command, LineAt};
use super::fields::{Fields, LAST_BINDING_FIELD};
use super::framing::{self, FramingError};
use super::keys;
use super::limits::{MAX_COMMANDS, MAX_RECORD_BYTES};
use super::proto::{self, Input};

pub use super::fields::{Malformed, Within};

// The values of both inputs are walked by the same code.
const _: () = assert!(keys::commands::COMMANDS_MESSAGE == keys::stock_commands::COMMANDS_MESSAGE);
const _: () = assert!(keys::commands::LAST == keys::stock_commands::LAST);

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
    /// Not protobuf, or its commands are no messages: where the next one begins is not known.
    #[error("after {commands} commands it is not clear what follows: {what}")]
    Malformed {
        /// Commands that were found before the trouble.
        commands: u32,
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

/// What the first pass found out about a record. Keeps its capacity.
#[derive(Debug, Default)]
pub struct Scratch {
    /// What each command is.
    commands: Vec<Note>,
    /// The lines of all of them.
    lines: Vec<LineAt>,
    /// For each command the field that was not understood; empty if there is none in the whole record.
    unsupported: Vec<Option<u32>>,
    /// The value written anew, where messages had to be merged.
    merged: Vec<u8>,
}

/// A record whose whole value has been walked: every command is known to be read or to be malformed.
#[derive(Clone, Copy, Debug)]
pub struct Validated<'a> {
    body: &'a [u8],
    commands: &'a [Note],
    lines: &'a [LineAt],
    unsupported: &'a [Option<u32>],
    input: Input,
}

impl<'a> Validated<'a> {
    /// How many commands, malformed ones too; at least one.
    pub fn count(&self) -> u32 {
        self.commands.len() as u32
    }

    /// Command `i`, counted from 0.
    ///
    /// # Panics
    /// If there are no more than `i`.
    #[inline]
    pub fn command(&self, i: u32) -> Command<'a> {
        // The list is empty for all records but those of a newer contract.
        let unsupported = self.unsupported.get(i as usize).copied().flatten();
        read::command(&self.commands[i as usize], self, unsupported)
    }

    /// The commands, in order.
    pub fn commands(&self) -> impl ExactSizeIterator<Item = Command<'a>> + Clone + use<'a> {
        let record = *self;
        (0..self.commands.len()).map(move |i| record.command(i as u32))
    }
}

/// Checks the whole value of a record of `input` (`orders` or `stock`), framing included. What it finds stands in
/// `scratch`, which is lent out with the result.
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
    let merge = walk_all(body, input, scratch)?;
    if merge {
        write_merged(body, input, scratch);
    }
    let Scratch { commands, lines, unsupported, merged } = scratch;
    Ok(Validated { body: if merge { merged } else { body }, commands, lines, unsupported, input })
}

/// The first pass. True if some command has messages that protobuf merges.
#[inline]
fn walk_all(body: &[u8], input: Input, scratch: &mut Scratch) -> Result<bool, Poison> {
    let Scratch { commands, lines, unsupported, .. } = scratch;
    commands.clear();
    lines.clear();
    unsupported.clear();
    let mut walk = Walk { body, lines, merge: false, unsupported: None };
    let mut fields = Fields::new(body);
    loop {
        let malformed = |what| Poison::Malformed { commands: commands.len() as u32, what };
        let Some(key) = fields.next_key().map_err(malformed)? else { break };
        if key == keys::commands::COMMANDS_MESSAGE {
            if commands.len() == MAX_COMMANDS {
                return Err(Poison::TooManyCommands);
            }
            let (body, first_line) = (fields.bytes().map_err(malformed)?, walk.lines.len());
            match walk.command(body, input) {
                Ok(note) => commands.push(note),
                Err(_) => commands.push(walk.malformed(body, input, first_line)),
            }
            if walk.unsupported.is_some() || !unsupported.is_empty() {
                unsupported.resize(commands.len() - 1, None);
                unsupported.push(walk.unsupported.take());
            }
        } else {
            let number = fields.skip_unknown(key, keys::commands::LAST, 0).map_err(malformed)?;
            if number <= LAST_BINDING_FIELD {
                return Err(Poison::UnknownField { number });
            }
        }
    }
    if commands.is_empty() { Err(Poison::NoCommands) } else { Ok(walk.merge) }
}

/// Writes the value anew and walks that. Protobuf merges a message that stands twice in one field; nothing can be
/// borrowed from the halves, and only a strange client or a broken one produces them. What is malformed stays as it is.
#[cold]
fn write_merged(body: &[u8], input: Input, scratch: &mut Scratch) {
    const WALKED: &str = "it was walked before";
    const SAME: &str = "prost accepts what is not malformed";
    let (mut out, unsupported) = (std::mem::take(&mut scratch.merged), std::mem::take(&mut scratch.unsupported));
    out.clear();
    let mut notes = scratch.commands.iter();
    let mut fields = Fields::new(body);
    while let Some(key) = fields.next_key().expect(WALKED) {
        if key != keys::commands::COMMANDS_MESSAGE {
            fields.pass(key).expect(WALKED);
            continue;
        }
        let command = fields.bytes().expect(WALKED);
        encode_varint(u64::from(key), &mut out);
        match (notes.next().expect("a note for each command"), input) {
            (Note::Malformed { .. }, _) => {
                encode_varint(command.len() as u64, &mut out);
                out.extend_from_slice(command);
                Ok(())
            }
            (_, Input::Stock) => proto::StockCommand::decode(command).expect(SAME).encode_length_delimited(&mut out),
            (_, Input::Orders | Input::Unspecified) => {
                proto::Command::decode(command).expect(SAME).encode_length_delimited(&mut out)
            }
        }
        .expect("a Vec has room");
    }
    walk_all(&out, input, scratch).expect("what was written can be walked");
    // What was not understood is not written anew.
    (scratch.merged, scratch.unsupported) = (out, unsupported);
}
