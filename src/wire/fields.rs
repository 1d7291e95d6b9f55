//! Protobuf's wire format, read from a slice: keys, varints, lengths. Rejects exactly what `prost` rejects.

use thiserror::Error;

use super::text::Text;

/// How deep messages and groups may nest below the value itself; what `prost` allows.
pub(crate) const MAX_DEPTH: u32 = 100;

/// Wire types.
pub(crate) const VARINT: u32 = 0;
const FIXED64: u32 = 1;
pub(crate) const LENGTH: u32 = 2;
const GROUP: u32 = 3;
const GROUP_END: u32 = 4;
const FIXED32: u32 = 5;

/// Why bytes are not the protobuf message that they should be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum Malformed {
    /// The bytes end within a field.
    #[error("it ends within a field")]
    Truncated,
    /// A varint has more than 64 bits, or no end.
    #[error("a varint does not end or exceeds 64 bits")]
    Varint,
    /// A key is no field number and wire type.
    #[error("a field's key is not valid")]
    Key,
    /// A known field has another wire type than its own.
    #[error("a field has the wrong wire type")]
    WireType,
    /// A group ends that did not begin, or the other way round.
    #[error("a group does not match its end")]
    Group,
    /// Groups nest too deep.
    #[error("groups nest too deep")]
    Depth,
    /// A string is not UTF-8.
    #[error("a string is not UTF-8")]
    Text,
    /// A message that may stand once stands twice.
    #[error("a message that may stand once stands twice")]
    Repeated,
    /// An enum has a value that this version does not know.
    #[error("an enum has an unknown value")]
    Enum,
    /// A field of the log that must be understood, and that this version does not know.
    #[error("{within} field {number} is not known")]
    UnknownField {
        /// The message that it stands in.
        within: Within,
        /// Its number, 1 to 99.
        number: u8,
    },
}

/// Field numbers up to this one must be understood; larger ones may be ignored.
pub(crate) const LAST_BINDING_FIELD: u32 = 99;

/// A message of the log of which every field numbered up to 99 must be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as in the .proto file")]
pub enum Within {
    LogRecord,
    Genesis,
    Link,
    LinkHeader,
    Segment,
    DeadLetterRef,
    Decision,
    LineDecision,
    StockLevel,
    Original,
    Rule,
    Counted,
    Lot,
}

impl std::fmt::Display for Within {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Within::LogRecord => "record",
            Within::Genesis => "genesis",
            Within::Link => "link",
            Within::LinkHeader => "link header",
            Within::Segment => "segment",
            Within::DeadLetterRef => "dead letter",
            Within::Decision => "decision",
            Within::LineDecision => "decision line",
            Within::StockLevel => "stock level",
            Within::Rule => "rule",
            Within::Counted => "count",
            Within::Lot => "lot",
            Within::Original => "original decision",
        })
    }
}

/// What is left of a message, field by field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    #[inline]
    pub(crate) fn new(message: &'a [u8]) -> Fields<'a> {
        Fields { rest: message }
    }

    /// What has not been read.
    #[inline]
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field's key, number and wire type together; `None` at the end of the message. A key of a field that
    /// the caller does not know goes to [`Fields::skip`], which also tells whether it was one at all.
    #[inline(always)]
    pub(crate) fn next_key(&mut self) -> Result<Option<u32>, Malformed> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = self.varint()?;
        u32::try_from(key).map(Some).map_err(|_| Malformed::Key)
    }

    /// The next field's key and the number behind it: the value of a varint, the length of bytes. 0 for any other wire
    /// type, which no message of the contract has; nothing behind its key is read then.
    #[inline(always)]
    pub(crate) fn next_head(&mut self) -> Result<Option<(u32, u64)>, Malformed> {
        match self.rest {
            // Wire types 0 and 2 are those whose other bits are 0.
            [key, number, rest @ ..] if (key | number) < 0x80 && key & 0b101 == 0 => {
                self.rest = rest;
                Ok(Some((u32::from(*key), u64::from(*number))))
            }
            [] => Ok(None),
            _ => self.long_head().map(Some),
        }
    }

    #[inline(never)]
    fn long_head(&mut self) -> Result<(u32, u64), Malformed> {
        let key = u32::try_from(self.varint()?).map_err(|_| Malformed::Key)?;
        Ok((key, if matches!(key & 7, VARINT | LENGTH) { self.varint()? } else { 0 }))
    }

    /// The bytes of a field whose length was read.
    #[inline(always)]
    pub(crate) fn take(&mut self, length: u64) -> Result<&'a [u8], Malformed> {
        match usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length)) {
            Some((bytes, rest)) => {
                self.rest = rest;
                Ok(bytes)
            }
            None => Err(Malformed::Truncated),
        }
    }

    /// The text of a field whose length was read.
    #[inline(always)]
    pub(crate) fn take_text(&mut self, length: u64) -> Result<Text<'a>, Malformed> {
        Text::new(self.take(length)?).ok_or(Malformed::Text)
    }

    #[inline(always)]
    pub(crate) fn varint(&mut self) -> Result<u64, Malformed> {
        if let [byte, rest @ ..] = self.rest
            && *byte < 0x80
        {
            self.rest = rest;
            return Ok(u64::from(*byte));
        }
        self.long_varint()
    }

    /// A varint of two bytes or more. Those of up to eight, which times and offsets are, are put together at once.
    #[inline]
    fn long_varint(&mut self) -> Result<u64, Malformed> {
        if let Some(word) = self.rest.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes)) {
            let ends = !word & 0x8080_8080_8080_8080;
            if ends != 0 {
                let last = ends.trailing_zeros();
                let digits = word & (u64::MAX >> (63 - last)) & 0x7f7f_7f7f_7f7f_7f7f;
                let pairs = digits & 0x007f_007f_007f_007f | (digits & 0x7f00_7f00_7f00_7f00) >> 1;
                let fours = pairs & 0x0000_3fff_0000_3fff | (pairs & 0x3fff_0000_3fff_0000) >> 2;
                self.rest = &self.rest[last as usize / 8 + 1..];
                return Ok(fours & 0x0fff_ffff | (fours >> 32 & 0x0fff_ffff) << 28);
            }
        }
        self.longest_varint()
    }

    #[cold]
    fn longest_varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        let mut shift = 0;
        for (i, byte) in self.rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                // The tenth byte has room for the 64th bit only.
                if i == 9 && *byte > 1 {
                    return Err(Malformed::Varint);
                }
                self.rest = &self.rest[i + 1..];
                return Ok(value);
            }
            shift += 7;
        }
        Err(Malformed::Varint)
    }

    /// The bytes of a length-delimited field.
    #[inline(always)]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.varint()?;
        self.take(length)
    }

    /// A string field.
    #[inline(always)]
    pub(crate) fn text(&mut self) -> Result<Text<'a>, Malformed> {
        Text::new(self.bytes()?).ok_or(Malformed::Text)
    }

    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(Malformed::Truncated)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    /// Skips a field of a message that knows the numbers 1 to `last_known`, and returns its number. `depth` is how many
    /// messages the field stands in, the value itself not counted. A known number is here because its wire type is not
    /// its own.
    #[cold]
    pub(crate) fn skip_unknown(&mut self, key: u32, last_known: u32, depth: u32) -> Result<u32, Malformed> {
        let number = key >> 3;
        if number == 0 || key & 7 > FIXED32 {
            return Err(Malformed::Key);
        }
        if number <= last_known {
            return Err(Malformed::WireType);
        }
        self.skip(key, MAX_DEPTH - depth)?;
        Ok(number)
    }

    /// As [`Fields::skip_unknown`], in a message of the log: an error unless the field may be ignored.
    #[cold]
    pub(crate) fn skip_ignorable(
        &mut self,
        key: u32,
        last_known: u32,
        depth: u32,
        within: Within,
    ) -> Result<(), Malformed> {
        let number = self.skip_unknown(key, last_known, depth)?;
        if number > LAST_BINDING_FIELD { Ok(()) } else { Err(Malformed::UnknownField { within, number: number as u8 }) }
    }

    /// Skips a field, known or not, of a message that was checked before.
    #[inline]
    pub(crate) fn pass(&mut self, key: u32) -> Result<(), Malformed> {
        match key & 7 {
            VARINT => self.varint().map(|_| ()),
            LENGTH => self.bytes().map(|_| ()),
            _ => self.skip(key, MAX_DEPTH),
        }
    }

    /// Skips a field whose key was read; `levels` is how many more may nest.
    fn skip(&mut self, key: u32, levels: u32) -> Result<(), Malformed> {
        if levels == 0 {
            return Err(Malformed::Depth);
        }
        let fixed = match key & 7 {
            VARINT => {
                self.varint()?;
                0
            }
            FIXED64 => 8,
            FIXED32 => 4,
            LENGTH => {
                self.bytes()?;
                0
            }
            GROUP => loop {
                let inner = self.next_key()?.ok_or(Malformed::Group)?;
                if inner >> 3 == 0 {
                    return Err(Malformed::Key);
                }
                if inner & 7 == GROUP_END {
                    if inner >> 3 != key >> 3 {
                        return Err(Malformed::Group);
                    }
                    break 0;
                }
                self.skip(inner, levels - 1)?;
            },
            GROUP_END => return Err(Malformed::Group),
            _ => return Err(Malformed::Key),
        };
        self.rest = self.rest.get(fixed..).ok_or(Malformed::Truncated)?;
        Ok(())
    }
}

/// Undoes the zigzag of a `sint64`.
#[inline]
pub(crate) fn signed(zigzag: u64) -> i64 {
    (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)
}
