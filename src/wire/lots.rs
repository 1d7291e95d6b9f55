//! Lots of a stock row, as commands name them and decisions tell of them: borrowed, and walked again by whoever looks at a
//! list.

#[cfg(test)]
pub(super) mod tests;

use super::command::StockChange;
use super::fields::{Fields, Malformed, Within, signed};
use super::keys::{
    Unknown, adjust, count, halt, line_decision, lot_level, lot_units, receive, resume, set_freshness, ship,
    shipped_lot,
};
use super::put::{self, zigzagged};
use super::selling::{Listed, put_text};
use super::text::Text;
use super::view::pass_unknown;

/// The lot that a stock command names, if it names one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NamedLot<'a> {
    /// Empty: none is named.
    pub lot: Text<'a>,
    /// Its last day of use, yyyymmdd; 0: not told.
    pub expiry: u32,
}

impl NamedLot<'_> {
    /// Whether nothing of a lot is said.
    #[inline]
    pub fn is_none(&self) -> bool {
        self.lot.is_empty() && self.expiry == 0
    }
}

impl<'a> StockChange<'a> {
    /// The lot that it names; of what is about no lot, none.
    pub fn lot(&self) -> NamedLot<'a> {
        match *self {
            StockChange::Receive { lot, .. } | StockChange::Adjust { lot, .. } | StockChange::Count { lot, .. } => lot,
            StockChange::Halt { lot, .. } | StockChange::Resume { lot, .. } => NamedLot { lot, expiry: 0 },
            _ => NamedLot::default(),
        }
    }

    /// The lowest number of a field that says something of a lot.
    pub(super) fn lot_field(&self) -> Option<u32> {
        let (lot, expiry) = match self {
            StockChange::Receive { .. } => (receive::LOT_STRING, receive::EXPIRY_UINT32),
            StockChange::Adjust { .. } => (adjust::LOT_STRING, adjust::EXPIRY_UINT32),
            StockChange::Count { .. } => (count::LOT_STRING, count::EXPIRY_UINT32),
            StockChange::Halt { .. } => (halt::LOT_STRING, 0),
            StockChange::Resume { .. } => (resume::LOT_STRING, 0),
            _ => return None,
        };
        let named = self.lot();
        let key = if named.lot.is_empty() { expiry } else { lot };
        (!named.is_none()).then_some(key >> 3)
    }
}

/// `SetFreshness`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct Freshness<'a> {
    pub sku: Text<'a>,
    pub least_days: u32,
}

impl<'a> Freshness<'a> {
    /// Bytes of its message beside those of the SKU, at the most.
    pub(super) const FIXED_BYTES: usize = 1 + 5 + 1 + 5;

    /// A message that was walked before: what is not known in it is passed over.
    pub(super) fn read(message: &'a [u8]) -> Result<Freshness<'a>, Malformed> {
        let mut freshness = Freshness { sku: Text::EMPTY, least_days: 0 };
        let mut fields = Fields::new(message);
        while let Some(key) = fields.next_key()? {
            match key {
                set_freshness::SKU_STRING => freshness.sku = fields.text()?,
                set_freshness::LEAST_DAYS_UINT32 => freshness.least_days = fields.varint()? as u32,
                _ => fields.pass(key)?,
            }
        }
        Ok(freshness)
    }

    /// Whether it removes the rule that stands.
    pub fn removes(&self) -> bool {
        self.least_days == 0
    }

    pub(super) fn put(&self, fields: &mut dyn put::Fields) {
        fields.text(set_freshness::SKU_STRING, self.sku.as_bytes());
        fields.number(set_freshness::LEAST_DAYS_UINT32, self.least_days.into());
    }

    pub(super) fn define(&self, out: &mut Vec<u8>) {
        put_text(out, self.sku);
        out.extend_from_slice(&self.least_days.to_le_bytes());
    }
}

/// Walks a `Ship` and checks all of it.
pub(super) fn walk_ship<'a>(body: &'a [u8], depth: u32, unknown: Unknown<'_, 'a>) -> Result<(), Malformed> {
    let mut fields = Fields::new(body);
    loop {
        let field = fields;
        let Some((key, number)) = fields.next_head()? else { break };
        match key {
            ship::ORDER_ID_STRING => _ = fields.take_text(number)?,
            ship::ATTEMPT_UINT32 => {}
            ship::LOTS_MESSAGE => shipped_lot::SHAPE.walk(fields.take(number)?, depth + 1, unknown)?,
            _ => fields = unknown(field, ship::LAST, depth)?,
        }
    }
    Ok(())
}

/// The lots that were taken in fact, as a `Ship` names them. Of one made without a record there are none.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShippedLots<'a>(Listed<'a>);

/// Units that left out of one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct ShippedLot<'a> {
    pub sku: Text<'a>,
    pub lot: Text<'a>,
    pub units: u32,
}

impl<'a> ShippedLots<'a> {
    /// Of a Ship that was walked before.
    pub(super) fn of(message: &'a [u8]) -> ShippedLots<'a> {
        ShippedLots(Listed::all(message, ship::LOTS_MESSAGE))
    }

    /// Whether none is named.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The lots, in the order given.
    pub fn iter(&self) -> impl Iterator<Item = ShippedLot<'a>> + Clone + use<'a> {
        self.0.entries().map(|message| {
            let mut made = ShippedLot { sku: Text::EMPTY, lot: Text::EMPTY, units: 0 };
            let mut fields = Fields::new(message);
            while let Ok(Some(key)) = fields.next_key() {
                match key {
                    shipped_lot::SKU_STRING => made.sku = fields.text().unwrap_or(Text::EMPTY),
                    shipped_lot::LOT_STRING => made.lot = fields.text().unwrap_or(Text::EMPTY),
                    shipped_lot::UNITS_UINT32 => made.units = fields.varint().unwrap_or(0) as u32,
                    _ if fields.pass(key).is_err() => break,
                    _ => {}
                }
            }
            made
        })
    }
}

/// A part of an order: what one line takes from one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LotPart {
    /// Place of the line, from 0.
    pub line: u32,
    /// The lot and its units.
    pub of: LotUnits,
}

/// Units of a line that are of one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct LotUnits {
    pub lot: u32,
    pub units: u32,
    pub shortfall: u64,
}

impl LotUnits {
    pub(super) fn put(&self, fields: &mut dyn put::Fields) {
        fields.number(lot_units::LOT_UINT32, self.lot.into());
        fields.number(lot_units::UNITS_UINT32, self.units.into());
        fields.number(lot_units::SHORTFALL_UINT64, self.shortfall);
    }

    pub(super) fn read(message: &[u8]) -> Result<LotUnits, Malformed> {
        let mut made = LotUnits { lot: 0, units: 0, shortfall: 0 };
        let mut fields = Fields::new(message);
        loop {
            let field = fields;
            let Some((key, number)) = fields.next_head()? else { break };
            match key {
                lot_units::LOT_UINT32 => made.lot = number as u32,
                lot_units::UNITS_UINT32 => made.units = number as u32,
                lot_units::SHORTFALL_UINT64 => made.shortfall = number,
                _ => fields = pass_unknown(field, lot_units::LAST, 3, Within::Lot)?,
            }
        }
        Ok(made)
    }
}

/// The lots that a line takes from, from wherever they already stand.
#[derive(Clone, Copy, Debug)]
pub enum LotsOfLine<'a> {
    /// As the ledger made them.
    Made(&'a [LotPart]),
    /// Read from a link: the bytes of the LineDecision message.
    Logged(Listed<'a>),
}

impl Default for LotsOfLine<'_> {
    fn default() -> Self {
        LotsOfLine::Made(&[])
    }
}

impl<'a> LotsOfLine<'a> {
    /// Of a line that was walked before.
    pub(super) fn logged(line: &'a [u8]) -> LotsOfLine<'a> {
        LotsOfLine::Logged(Listed::all(line, line_decision::LOTS_MESSAGE))
    }

    /// The lots, in the order in which they were taken.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = LotUnits> + use<'a> {
        let (made, logged) = match *self {
            LotsOfLine::Made(made) => (made, Listed::default()),
            LotsOfLine::Logged(logged) => (&[][..], logged),
        };
        made.iter().map(|part| part.of).chain(logged.entries().filter_map(|message| LotUnits::read(message).ok()))
    }
}

impl PartialEq for LotsOfLine<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for LotsOfLine<'_> {}

/// One lot of a stock row after a stock command that named it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "documented once, in the .proto file")]
pub struct LotLevel<'a> {
    pub number: u32,
    pub lot: Text<'a>,
    pub expiry: u32,
    pub on_hand: i64,
    pub reserved: u64,
    pub committed: u64,
    pub halted: bool,
    pub shortfall: u64,
}

impl<'a> LotLevel<'a> {
    pub(super) fn put(&self, fields: &mut dyn put::Fields) {
        fields.number(lot_level::NUMBER_UINT32, self.number.into());
        fields.text(lot_level::LOT_STRING, self.lot.as_bytes());
        fields.number(lot_level::EXPIRY_UINT32, self.expiry.into());
        fields.number(lot_level::ON_HAND_SINT64, zigzagged(self.on_hand));
        fields.number(lot_level::RESERVED_UINT64, self.reserved);
        fields.number(lot_level::COMMITTED_UINT64, self.committed);
        fields.number(lot_level::HALTED_BOOL, self.halted.into());
        fields.number(lot_level::SHORTFALL_UINT64, self.shortfall);
    }

    pub(super) fn read(message: &'a [u8]) -> Result<LotLevel<'a>, Malformed> {
        let lot = Text::EMPTY;
        let mut level =
            LotLevel { number: 0, lot, expiry: 0, on_hand: 0, reserved: 0, committed: 0, halted: false, shortfall: 0 };
        let mut fields = Fields::new(message);
        while let Some(key) = fields.next_key()? {
            match key {
                lot_level::NUMBER_UINT32 => level.number = fields.varint()? as u32,
                lot_level::LOT_STRING => level.lot = fields.text()?,
                lot_level::EXPIRY_UINT32 => level.expiry = fields.varint()? as u32,
                lot_level::ON_HAND_SINT64 => level.on_hand = signed(fields.varint()?),
                lot_level::RESERVED_UINT64 => level.reserved = fields.varint()?,
                lot_level::COMMITTED_UINT64 => level.committed = fields.varint()?,
                lot_level::HALTED_BOOL => level.halted = fields.varint()? != 0,
                lot_level::SHORTFALL_UINT64 => level.shortfall = fields.varint()?,
                _ => fields.skip_ignorable(key, lot_level::LAST, 3, Within::Lot)?,
            }
        }
        Ok(level)
    }
}
