//! Names of stock rows: short ones in place, so that they share the row's cache line, the others on the heap.

use super::slab::Slab;
use crate::wire::Text;

/// Longest name in place, bytes: article numbers (EAN, UPC: 13) and most SKUs.
const SHORT_BYTES: usize = 15;
/// In place of a length: the first four bytes are the slot of a longer name.
const LONG: u8 = u8::MAX;

/// A name, or where it stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Name {
    bytes: [u8; SHORT_BYTES],
    length: u8,
}

/// The names that are too long to stand in place.
#[derive(Debug, Default)]
pub(crate) struct Names {
    long: Slab<Box<str>>,
    /// Bytes of them all.
    bytes: usize,
}

impl Names {
    /// Bytes set aside.
    pub(crate) fn bytes(&self) -> usize {
        self.long.bytes() + self.bytes
    }

    pub(crate) fn keep(&mut self, name: Text<'_>) -> Name {
        let mut bytes = [0; SHORT_BYTES];
        if let Some(room) = bytes.get_mut(..name.len()) {
            room.copy_from_slice(name.as_bytes());
            return Name { bytes, length: name.len() as u8 };
        }
        let slot = self.long.put(name.as_str().into());
        self.bytes += name.len();
        bytes[..4].copy_from_slice(&slot.to_le_bytes());
        Name { bytes, length: LONG }
    }

    #[inline]
    pub(crate) fn text<'a>(&'a self, name: &'a Name) -> Text<'a> {
        match name.bytes.get(..usize::from(name.length)) {
            Some(short) => Text::seen(short),
            None => (&*self.long[slot(name)]).into(),
        }
    }

    /// The name is of no row any more.
    pub(crate) fn forget(&mut self, name: Name) {
        if name.length == LONG {
            self.bytes -= std::mem::take(&mut self.long[slot(&name)]).len();
            self.long.free(slot(&name));
        }
    }
}

fn slot(name: &Name) -> u32 {
    u32::from_le_bytes(*name.bytes.first_chunk().expect("a name has more than four bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_any_length_is_what_it_was() {
        let mut names = Names::default();
        let all: Vec<String> = (0..40).map(|length| "\u{e9}x".repeat(length)).collect();
        let kept: Vec<Name> = all.iter().map(|name| names.keep((&**name).into())).collect();
        for (name, kept) in all.iter().zip(&kept) {
            assert_eq!(names.text(kept), &**name);
        }
        for name in kept {
            names.forget(name);
        }
        let again = names.keep("longer than stands in place".into());
        assert_eq!(names.text(&again), "longer than stands in place");
    }
}
