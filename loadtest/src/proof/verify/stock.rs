//! The stock of a run, as far as its decisions tell: what was put on the shelf, what is promised of it. Kept so that no
//! reservation goes unseen that took more than there was. It knows nothing of how the engine keeps its own.
//!
//! SKUs are named after the run, so all that ever happens to one is seen, and nobody else sells it.

use sluice::wire::{DecisionLine, StockLevel, Text};

use crate::load::traffic::{RunId, sku_number};

/// A SKU in a pool.
#[derive(Clone, Copy, Debug, Default)]
struct Row {
    on_hand: i64,
    safety_stock: i64,
    /// Units reserved or committed: what orders hold, paid for or not.
    taken: i64,
    /// Units that earlier lines of the rejected order that is looked at would have taken.
    in_order: i64,
    /// When it was last changed, where that is kept.
    changed_ms: i64,
    /// Somebody asked for it in whose way no rule stood.
    wanted: bool,
}

impl Row {
    fn available(&self) -> i64 {
        self.on_hand - self.safety_stock - self.taken
    }

    /// Units for the next line of the order that is looked at. `of_lots`: so many are free in lots that it might have, where
    /// there are lots; what one lacks is no debt of the others.
    fn available_to(&self, of_lots: Option<i64>) -> i64 {
        match of_lots {
            None => self.available() - self.in_order,
            Some(free) => ((free - self.safety_stock).min(self.available()) - self.in_order).max(0),
        }
    }
}

/// What a decision says that stock does not bear out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum StockFault {
    /// More is promised than is there.
    Oversold {
        /// Which SKU.
        sku: String,
        /// Units beyond what there was.
        by: i64,
    },
    /// Something else.
    Wrong(String),
}

/// The stock of one pool of a run.
#[derive(Clone, Debug)]
pub(super) struct Stock {
    run: RunId,
    rows: Vec<Row>,
}

impl Stock {
    /// A pool that sells `skus` SKUs of a run, with nothing on the shelf yet.
    pub(super) fn new(run: RunId, skus: u32) -> Self {
        Self { run, rows: vec![Row::default(); skus as usize] }
    }

    /// A stock command took effect: what the row is now, by its decision.
    ///
    /// # Errors
    /// The engine's figures are not those that its decisions add up to.
    pub(super) fn applied(&mut self, level: &StockLevel<'_>) -> Result<(), StockFault> {
        let Some(row) = self.row(level.sku) else { return Ok(()) };
        row.on_hand += level.change;
        row.safety_stock = level.safety_stock as i64;
        let told = (level.on_hand, level.reserved as i64 + level.committed as i64);
        let known = (row.on_hand, row.taken);
        (row.on_hand, row.taken) = told;
        let (sku, short) = (level.sku, (row.taken - row.on_hand).max(0) as u64);
        if told == known && level.shortfall == short {
            return Ok(());
        }
        if told == known {
            return Err(StockFault::Wrong(format!("{sku}: short by {short}, told {}", level.shortfall)));
        }
        Err(StockFault::Wrong(format!("{sku}: on hand and taken are {told:?}, the decisions add up to {known:?}")))
    }

    /// An order was reserved: all its lines must have been there, one after the other.
    ///
    /// # Errors
    /// The first line that was not.
    pub(super) fn reserved<'a>(&mut self, lines: impl Iterator<Item = DecisionLine<'a>>) -> Result<(), StockFault> {
        let mut found = Ok(());
        for line in lines {
            let Some(row) = self.row(line.sku) else { continue };
            row.wanted = true;
            row.taken += i64::from(line.allocated);
            let by = -row.available();
            if found.is_ok() && line.allocated != line.quantity {
                found =
                    Err(StockFault::Wrong(format!("{}: {} of {} reserved", line.sku, line.allocated, line.quantity)));
            } else if found.is_ok() && by > 0 {
                found = Err(StockFault::Oversold { sku: line.sku.to_string(), by });
            }
        }
        found
    }

    /// An order was rejected for want of stock: some line must have been short, by what is told and by what is known.
    /// `of_lots` tells of a lotted SKU how much is free in lots that the order might have.
    ///
    /// # Errors
    /// There was enough, or another figure is told than was there.
    pub(super) fn rejected<'a>(
        &mut self,
        lines: impl Iterator<Item = DecisionLine<'a>> + Clone,
        of_lots: impl Fn(usize) -> Option<i64>,
    ) -> Result<(), StockFault> {
        let mut some_short = false;
        let mut found = Ok(());
        for line in lines.clone() {
            let Some(number) = self.number(line.sku) else { continue };
            let row = &mut self.rows[number];
            row.wanted = true;
            let available = row.available_to(of_lots(number));
            let quantity = i64::from(line.quantity);
            let short = (available < quantity).then_some(available);
            some_short |= short.is_some();
            if short.is_none() {
                row.in_order += quantity;
            }
            if line.available != short {
                let told = line.available;
                found =
                    Err(StockFault::Wrong(format!("{}: available to a line were {short:?}, told {told:?}", line.sku)));
            }
        }
        for line in lines {
            if let Some(row) = self.row(line.sku) {
                row.in_order = 0;
            }
        }
        if some_short { found } else { Err(StockFault::Wrong("rejected for want of stock that was there".to_owned())) }
    }

    /// An order was refused although stock was there for all of its lines, one after the other.
    ///
    /// # Errors
    /// There was too little for one of them.
    pub(super) fn refused<'a>(
        &mut self,
        lines: impl Iterator<Item = DecisionLine<'a>> + Clone,
        of_lots: impl Fn(usize) -> Option<i64>,
    ) -> Result<(), StockFault> {
        let mut found = Ok(());
        for line in lines.clone() {
            let Some(number) = self.number(line.sku) else { continue };
            let row = &mut self.rows[number];
            let (available, quantity) = (row.available_to(of_lots(number)), i64::from(line.quantity));
            row.in_order += quantity;
            if available < quantity && found.is_ok() {
                found = Err(StockFault::Wrong(format!("{}: {available} were available of {quantity}", line.sku)));
            }
        }
        for line in lines {
            if let Some(row) = self.row(line.sku) {
                row.in_order = 0;
            }
        }
        found
    }

    /// Units of the SKU with this number that may be sold.
    pub(super) fn available(&self, sku: usize) -> i64 {
        self.rows.get(sku).map_or(0, Row::available)
    }

    /// An order gave back what it held.
    ///
    /// # Errors
    /// More than was held.
    pub(super) fn released<'a>(&mut self, lines: impl Iterator<Item = DecisionLine<'a>>) -> Result<(), StockFault> {
        let mut found = Ok(());
        for line in lines {
            let Some(row) = self.row(line.sku) else { continue };
            row.taken -= i64::from(line.quantity);
            if row.taken < 0 {
                found = Err(StockFault::Wrong(format!("{}: more was released than was held", line.sku)));
            }
        }
        found
    }

    /// An order left the warehouse with what it held.
    ///
    /// # Errors
    /// More than was held, or another shortfall is told than there is.
    pub(super) fn shipped<'a>(
        &mut self,
        lines: impl Iterator<Item = DecisionLine<'a>> + Clone,
    ) -> Result<(), StockFault> {
        let mut found = Ok(());
        for line in lines.clone() {
            let Some(row) = self.row(line.sku) else { continue };
            let quantity = i64::from(line.quantity);
            row.taken -= quantity;
            row.on_hand -= quantity;
            if row.taken < 0 {
                found = Err(StockFault::Wrong(format!("{}: more was shipped than was held", line.sku)));
            }
        }
        // As it is once all of the order's lines have left.
        for line in lines {
            let Some(row) = self.row(line.sku) else { continue };
            let (due, told) = ((row.taken - row.on_hand).max(0), line.shortfall);
            if told != due as u64 && found.is_ok() {
                found = Err(StockFault::Wrong(format!("{}: short by {due} once shipped, told {told}", line.sku)));
            }
        }
        found
    }

    /// A decision changed the row of a SKU.
    pub(super) fn changed(&mut self, sku: Text<'_>, at_ms: i64) {
        if let Some(row) = self.row(sku) {
            row.changed_ms = at_ms;
        }
    }

    /// Since when there has been nothing in the row of a SKU; none if there is something, or the SKU is not the run's.
    pub(super) fn bare_since_ms(&mut self, sku: Text<'_>) -> Option<i64> {
        let row = self.row(sku)?;
        let is_bare = (row.on_hand, row.taken, row.safety_stock) == (0, 0, 0);
        is_bare.then_some(row.changed_ms)
    }

    /// SKUs that somebody asked for in whose way no rule stood.
    pub(super) fn wanted(&self) -> u64 {
        self.rows.iter().filter(|row| row.wanted).count() as u64
    }

    /// Units that orders hold now, over all SKUs.
    pub(super) fn taken(&self) -> i64 {
        self.rows.iter().map(|row| row.taken).sum()
    }

    /// None for one that is not the run's.
    fn row(&mut self, sku: Text<'_>) -> Option<&mut Row> {
        let number = self.number(sku)?;
        self.rows.get_mut(number)
    }

    fn number(&self, sku: Text<'_>) -> Option<usize> {
        let number = sku_number(self.run, sku.as_bytes())? as usize;
        (number < self.rows.len()).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use sluice::wire::lots::LotsOfLine;
    use sluice::wire::proto::Reason;

    use super::*;
    use crate::load::traffic::sku_name;

    fn run() -> RunId {
        RunId::parse("run").expect("legal")
    }

    /// Names live as long as the tests: lines borrow them.
    fn sku(number: u32) -> &'static str {
        Box::leak(sku_name(run(), number).into_boxed_str())
    }

    fn level(change: i64, on_hand: i64, reserved: u64) -> StockLevel<'static> {
        StockLevel {
            sku: sku(1).into(),
            change,
            on_hand,
            reserved,
            committed: 0,
            safety_stock: 0,
            halted: false,
            shortfall: 0,
            lot: None,
        }
    }

    fn line(quantity: u32, available: Option<i64>) -> DecisionLine<'static> {
        let (allocated, reason) = match available {
            None => (quantity, Reason::Unspecified),
            Some(_) => (0, Reason::OutOfStock),
        };
        let sku = sku(1).into();
        let (shortfall, opens_at_ms, left, rule) = (0, 0, None, 0);
        let lots = LotsOfLine::Made(&[]);
        DecisionLine { sku, quantity, allocated, available, reason, shortfall, opens_at_ms, left, rule, lots }
    }

    fn with_five() -> Stock {
        let mut stock = Stock::new(run(), 3);
        stock.applied(&level(5, 5, 0)).expect("nothing to object to");
        stock
    }

    #[test]
    fn the_unit_beyond_the_last_is_oversold() {
        let mut stock = with_five();
        assert_eq!(stock.reserved([line(2, None), line(3, None)].into_iter()), Ok(()));
        let one_more = stock.reserved([line(1, None)].into_iter());
        assert_eq!(one_more, Err(StockFault::Oversold { sku: sku(1).to_owned(), by: 1 }));
    }

    #[test]
    fn what_is_given_back_can_be_sold_again_and_no_more() {
        let mut stock = with_five();
        stock.reserved([line(5, None)].into_iter()).expect("five are there");
        stock.released([line(5, None)].into_iter()).expect("five were held");
        assert_eq!(stock.reserved([line(5, None)].into_iter()), Ok(()));
        stock.released([line(5, None)].into_iter()).expect("five were held");
        assert!(stock.released([line(1, None)].into_iter()).is_err());
    }

    #[test]
    fn what_leaves_is_no_longer_there_and_what_is_short_is_told() {
        let mut stock = with_five();
        stock.reserved([line(3, None), line(1, None)].into_iter()).expect("five are there");
        assert_eq!(stock.shipped([line(3, None), line(1, None)].into_iter()), Ok(()));
        assert_eq!(stock.reserved([line(1, None)].into_iter()), Ok(()));
        assert!(matches!(stock.reserved([line(1, None)].into_iter()), Err(StockFault::Oversold { by: 1, .. })));
        let told = |shortfall| DecisionLine { shortfall, ..line(1, None) };
        assert!(stock.clone().shipped([told(0)].into_iter()).is_err(), "one is still promised that is not there");
        assert_eq!(stock.shipped([told(1)].into_iter()), Ok(()));
        assert_eq!(stock.shipped([told(1)].into_iter()), Ok(()));
        assert!(stock.shipped([told(1)].into_iter()).is_err(), "nothing was held");
    }

    #[test]
    fn stock_that_nobody_gave_is_oversold() {
        let mut stock = with_five();
        let other = DecisionLine { sku: sku(2).into(), ..line(1, None) };
        assert!(matches!(stock.reserved([other].into_iter()), Err(StockFault::Oversold { by: 1, .. })));
        let foreign = &sku_name(RunId::parse("peak7").expect("legal"), 2);
        let foreign = DecisionLine { sku: foreign.as_str().into(), ..line(1, None) };
        assert_eq!(stock.reserved([foreign].into_iter()), Ok(()), "another run's");
        assert_eq!(stock.taken(), 1);
    }

    #[test]
    fn a_rejection_tells_what_was_available() {
        let mut stock = with_five();
        assert_eq!(stock.rejected([line(6, Some(5))].into_iter(), |_| None), Ok(()));
        // The first line takes what the second then lacks.
        assert_eq!(stock.rejected([line(4, None), line(2, Some(1))].into_iter(), |_| None), Ok(()));
        assert!(stock.rejected([line(6, Some(4))].into_iter(), |_| None).is_err(), "five were there");
        assert!(stock.rejected([line(5, Some(4))].into_iter(), |_| None).is_err(), "it would have fitted");
        assert_eq!(stock.reserved([line(5, None)].into_iter()), Ok(()), "nothing of it was taken");
    }

    #[test]
    fn the_engines_own_figures_must_be_those_of_its_decisions() {
        let mut stock = with_five();
        stock.reserved([line(2, None)].into_iter()).expect("five are there");
        assert_eq!(stock.applied(&level(1, 6, 2)), Ok(()));
        assert!(stock.applied(&level(1, 7, 3)).is_err(), "one was taken without a word");
    }
}
