//! The ledger as the lane drives it: commands looked up ahead, some at a time.

use sluice::ledger::{Foresight, Ledger, Moment, READ_AHEAD};
use sluice::wire::{Command, Decision};

/// Applies `commands` at the same instant.
pub(crate) fn decide(
    ledger: &mut Ledger,
    commands: &[Command<'_>],
    at: Moment,
    mut decided: impl FnMut(&Decision<'_>),
) {
    let mut foreseen = [Foresight::default(); READ_AHEAD];
    for commands in commands.chunks(READ_AHEAD) {
        for (foresight, command) in foreseen.iter_mut().zip(commands) {
            *foresight = ledger.foresee(command);
        }
        ledger.fetch(&mut foreseen[..commands.len()]);
        for (foresight, command) in foreseen.iter().zip(commands) {
            decided(&ledger.apply_foreseen(command, foresight, at));
        }
    }
}
