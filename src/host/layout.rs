//! Checks of the host's memory layout, common to both hosts. Before anything is read or written
//! through a place, its content is compared with a value that the host itself gives.

use std::ffi::{c_char, c_int, c_void};
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};

use super::logging;
use super::memory;
use super::symbols::MissingSymbol;

/// A place in the host's memory that is not what the declarations say.
#[derive(Debug, thiserror::Error)]
#[error(
    "the memory of this host is not laid out as in the releases that were measured: {what}: {why}"
)]
pub(crate) struct LayoutError {
    /// The place.
    pub(crate) what: &'static str,
    /// The value found there.
    why: String,
}

impl LayoutError {
    pub(crate) fn new(what: &'static str, why: impl ToString) -> Self {
        let why = why.to_string();
        Self { what, why }
    }

    /// Logs the error once per process, with its consequence for requests.
    pub(crate) fn say_once(&self) {
        static SAID: AtomicBool = AtomicBool::new(false);
        if !SAID.swap(true, Ordering::Relaxed) {
            logging::error(format_args!("{self}; requests are answered 503"));
        }
    }
}

impl From<MissingSymbol> for LayoutError {
    fn from(missing: MissingSymbol) -> Self {
        Self::new("its functions", missing)
    }
}

/// Checks that both are the same.
pub(crate) fn same<T: PartialEq + Debug>(
    what: &'static str,
    found: T,
    wanted: T,
) -> Result<(), LayoutError> {
    match found == wanted {
        true => Ok(()),
        false => Err(LayoutError::new(
            what,
            format_args!("{found:?} instead of {wanted:?}"),
        )),
    }
}

/// Reads a place.
///
/// # Safety
/// Any octets are a `T`.
pub(crate) unsafe fn see<T>(what: &'static str, address: usize) -> Result<T, LayoutError> {
    // SAFETY: the caller's promise.
    unsafe { memory::read(address) }.map_err(|error| LayoutError::new(what, error))
}

/// Reads a counted text.
pub(crate) fn see_text(
    what: &'static str,
    start: *const c_char,
    length: c_int,
) -> Result<String, LayoutError> {
    memory::text(start, length).map_err(|error| LayoutError::new(what, error))
}

/// Reads a C string.
pub(crate) fn see_c_text(what: &'static str, start: *const c_char) -> Result<String, LayoutError> {
    memory::c_text(start).map_err(|error| LayoutError::new(what, error))
}

/// Rows to read before a table counts as endless.
const MOST_ROWS: usize = 512;

/// The row with this name in another module's table, which ends with a row without a name. Rows
/// must have the same size in the host as here, or their names are not found.
///
/// # Safety
/// Any octets are a `T`.
pub(crate) unsafe fn row<T>(
    what: &'static str,
    table: *const c_void,
    name_of: impl Fn(&T) -> *const c_char,
    wanted: &str,
) -> Result<T, LayoutError> {
    for number in 0..MOST_ROWS {
        // SAFETY: the caller's promise.
        let row: T = unsafe { see(what, table as usize + number * size_of::<T>())? };
        let name = name_of(&row);
        if name.is_null() {
            break;
        }
        if see_c_text(what, name)? == wanted {
            return Ok(row);
        }
    }
    Err(LayoutError::new(
        what,
        format_args!("no {wanted:?} in tm's"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(C)]
    struct Row(*const c_char, u64);

    #[test]
    fn a_row_is_found_by_its_name_and_a_wrong_size_is_not() {
        let table = [
            Row(c"first".as_ptr(), 0),
            Row(c"second".as_ptr(), 7),
            Row(std::ptr::null(), 0),
        ];
        let at = table.as_ptr().cast();
        // SAFETY: any octets are such a row.
        let find = |name| unsafe { row::<Row>("rows", at, |row| row.0, name) };
        assert_eq!(find("second").expect("a row").1, 7);
        let error = find("third").err().expect("no such row").to_string();
        assert!(error.ends_with("rows: no \"third\" in tm's"), "{error}");
        // SAFETY: as above.
        let wide =
            unsafe { row::<[usize; 3]>("rows", at, |row| row[0] as *const c_char, "second") };
        assert!(wide.is_err());
    }

    #[test]
    fn what_differs_is_named() {
        same("a place", 1, 1).expect("the same");
        let error = same("a place", 1, 2).expect_err("another").to_string();
        assert!(error.ends_with("a place: 1 instead of 2"), "{error}");
        // SAFETY: any octets are a number.
        let error = unsafe { see::<u64>("a place", 0x10) }.expect_err("no memory");
        assert_eq!(error.what, "a place");
    }
}
