//! Links, read: a record of the decision log as what it says, borrowed from its bytes.
//!
//! Whoever replays or audits the log reads each value with [`LogEntry::parse`], shows it to
//! [`ChainCheck`](super::chain::ChainCheck), and walks [`LinkView::decisions`].

use prost::Message;
use thiserror::Error;

use super::decision::{Decision, Source};
use super::fields::{Fields, Malformed, Within};
use super::keys::{dead_letter_ref, genesis, link, link_header, log_record, segment};
use super::proto;
use super::view;

/// A record of the log.
#[derive(Clone, Debug)]
pub enum LogEntry<'a> {
    /// The log's first record.
    Genesis(proto::Genesis),
    /// Somebody took the shard.
    Fence(proto::Fence),
    /// Decisions.
    Link(LinkView<'a>),
}

/// Why the value of a record of the log cannot be read.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EntryError {
    /// A record without a value, or an empty one.
    #[error("the record has no value")]
    Empty,
    /// Neither genesis, nor fence, nor link.
    #[error("the record is of kind {number}, which is not known")]
    UnknownKind {
        /// The field number of its kind.
        number: u32,
    },
    /// Not a message of the contract.
    #[error("the record cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// The genesis, fence or header is not a message of the contract; `prost`'s words.
    #[error("the record cannot be read: {0}")]
    Message(String),
    /// A link without a header.
    #[error("the link has no header")]
    NoHeader,
    /// The link does not hold as many decisions as it says.
    #[error("the link says that it has {stated} decisions and has {found}")]
    Count {
        /// As its header says.
        stated: u32,
        /// As found.
        found: u32,
    },
    /// A decision's sequence is not the one due.
    #[error("a decision has sequence {found} where {due} was due")]
    Sequence {
        /// The one after the decision before.
        due: u64,
        /// As found.
        found: u64,
    },
}

impl From<prost::DecodeError> for EntryError {
    fn from(error: prost::DecodeError) -> EntryError {
        EntryError::Message(error.to_string())
    }
}

/// A link, borrowed from its record.
#[derive(Clone, Debug)]
pub struct LinkView<'a> {
    /// What its decisions follow from.
    pub header: proto::LinkHeader,
    /// The Link message, its structure checked, its decisions not.
    body: &'a [u8],
}

impl<'a> LogEntry<'a> {
    /// Reads the value of a record of `decisions`. Of a link the header and the number of decisions are checked here,
    /// each decision as it is walked.
    pub fn parse(value: &'a [u8]) -> Result<LogEntry<'a>, EntryError> {
        let mut fields = Fields::new(value);
        let key = fields.next_key()?.ok_or(EntryError::Empty)?;
        if !is_kind(key) {
            let number = fields.skip_unknown(key, log_record::LAST, 0)?;
            return Err(EntryError::UnknownKind { number });
        }
        let body = fields.bytes()?;
        while let Some(more) = fields.next_key()? {
            if is_kind(more) {
                return Err(Malformed::Repeated.into());
            }
            fields.skip_ignorable(more, log_record::LAST, 0, Within::LogRecord)?;
        }
        match key {
            log_record::GENESIS_MESSAGE => {
                let genesis = proto::Genesis::decode(body)?;
                check_known(body, genesis::LAST, Within::Genesis)?;
                Ok(LogEntry::Genesis(genesis))
            }
            log_record::FENCE_MESSAGE => Ok(LogEntry::Fence(proto::Fence::decode(body)?)),
            _ => LinkView::parse(body).map(LogEntry::Link),
        }
    }
}

fn is_kind(key: u32) -> bool {
    matches!(key, log_record::GENESIS_MESSAGE | log_record::FENCE_MESSAGE | log_record::LINK_MESSAGE)
}

impl<'a> LinkView<'a> {
    fn parse(body: &'a [u8]) -> Result<LinkView<'a>, EntryError> {
        let mut header = None;
        let mut found = 0_u32;
        let mut fields = Fields::new(body);
        while let Some(key) = fields.next_key()? {
            match key {
                link::DECISIONS_MESSAGE => {
                    fields.bytes()?;
                    found += 1;
                }
                link::HEADER_MESSAGE => {
                    if header.replace(fields.bytes()?).is_some() {
                        return Err(Malformed::Repeated.into());
                    }
                }
                _ => fields.skip_ignorable(key, link::LAST, 1, Within::Link)?,
            }
        }
        let header = header.ok_or(EntryError::NoHeader)?;
        check_header(header)?;
        let header = proto::LinkHeader::decode(header)?;
        if header.count != found {
            return Err(EntryError::Count { stated: header.count, found });
        }
        Ok(LinkView { header, body })
    }

    /// The decisions, in order of sequence, each with the command that it answers. An error ends the walk: nothing after
    /// it may be believed.
    pub fn decisions(&self) -> Decisions<'a> {
        Decisions { fields: Fields::new(self.body), due: self.header.first_sequence }
    }
}

/// Finds what must be understood in a header and is not: `prost` passes over it.
fn check_header(header: &[u8]) -> Result<(), Malformed> {
    let mut fields = Fields::new(header);
    while let Some(key) = fields.next_key()? {
        match key {
            link_header::SEGMENTS_MESSAGE => check_known(fields.bytes()?, segment::LAST, Within::Segment)?,
            link_header::DEAD_LETTERS_MESSAGE => {
                check_known(fields.bytes()?, dead_letter_ref::LAST, Within::DeadLetterRef)?
            }
            _ if key >> 3 <= link_header::LAST => fields.pass(key)?,
            _ => fields.skip_ignorable(key, link_header::LAST, 2, Within::LinkHeader)?,
        }
    }
    Ok(())
}

/// The same in a genesis, or in a message within a header.
fn check_known(message: &[u8], last_known: u32, within: Within) -> Result<(), Malformed> {
    let mut fields = Fields::new(message);
    while let Some(key) = fields.next_key()? {
        if key >> 3 <= last_known {
            fields.pass(key)?;
        } else {
            fields.skip_ignorable(key, last_known, 3, within)?;
        }
    }
    Ok(())
}

/// Iterator of [`LinkView::decisions`].
#[derive(Clone, Debug)]
pub struct Decisions<'a> {
    fields: Fields<'a>,
    due: u64,
}

impl<'a> Decisions<'a> {
    fn read(&mut self) -> Result<Option<(Decision<'a>, Source)>, EntryError> {
        while let Some(key) = self.fields.next_key()? {
            if key != link::DECISIONS_MESSAGE {
                self.fields.pass(key)?;
                continue;
            }
            let (decision, source) = view::decision(self.fields.bytes()?)?;
            if decision.sequence != self.due {
                return Err(EntryError::Sequence { due: self.due, found: decision.sequence });
            }
            self.due = self.due.wrapping_add(1);
            return Ok(Some((decision, source)));
        }
        Ok(None)
    }
}

impl<'a> Iterator for Decisions<'a> {
    type Item = Result<(Decision<'a>, Source), EntryError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read().transpose();
        if let Some(Err(_)) = item {
            self.fields = Fields::new(&[]);
        }
        item
    }
}
