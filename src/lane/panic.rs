//! The words of a panic.

use std::any::Any;

/// What it said, as far as that is text.
pub(super) fn words(panic: &(dyn Any + Send)) -> String {
    let words = panic.downcast_ref::<String>().map(String::as_str);
    words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words").to_owned()
}
