//! Host functions and variables by name. The module has no undefined host symbols: it looks them up
//! in the process it was loaded into.

use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::ptr;

/// A name the host does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this host lacks the symbol {}", .0.to_string_lossy())]
pub(crate) struct MissingSymbol(pub(crate) &'static CStr);

/// The address of a symbol of the host's core, null when there is none.
pub(crate) fn of_core(name: &CStr) -> *mut c_void {
    // SAFETY: dlsym reads a NUL-terminated name and has no other precondition.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    if address.is_null() {
        forget_error();
    }
    address
}

/// The address of a symbol of one loaded module, null when there is none.
///
/// # Safety
/// `handle` comes from dlopen and is still open.
pub(crate) unsafe fn of_module(handle: *mut c_void, name: &CStr) -> *mut c_void {
    if handle.is_null() {
        return ptr::null_mut();
    }
    // SAFETY: the caller promises the handle; the name is NUL-terminated.
    let address = unsafe { libc::dlsym(handle, name.as_ptr()) };
    if address.is_null() {
        forget_error();
    }
    address
}

/// The address of a symbol of the module that has `address`, null when there is none.
///
/// # Safety
/// `address` lies in a module that stays loaded.
pub(crate) unsafe fn beside(address: *const c_void, name: &CStr) -> *mut c_void {
    let mut place = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr takes any address, and fills the record when it finds it in a module,
    // whose file name lives as long as the module; a handle that is opened is closed.
    unsafe {
        if libc::dladdr(address, place.as_mut_ptr()) == 0 {
            return ptr::null_mut();
        }
        let file = place.assume_init().dli_fname;
        let handle = libc::dlopen(file, libc::RTLD_NOW | libc::RTLD_NOLOAD);
        let found = of_module(handle, name);
        match handle.is_null() {
            true => forget_error(),
            false => drop(libc::dlclose(handle)),
        }
        found
    }
}

/// The start of the module that contains `address`; null when there is none.
pub(crate) fn module_of(address: *const c_void) -> *const c_void {
    let mut place = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: dladdr takes any address, and fills the record when it finds it in a module; the
    // record is plain data.
    unsafe {
        libc::dladdr(address, place.as_mut_ptr());
        place.assume_init().dli_fbase
    }
}

/// Hosts use dlerror() as the success test of their own next call.
fn forget_error() {
    // SAFETY: dlerror has no precondition.
    unsafe { libc::dlerror() };
}

/// Declares a table of host functions and variables, each with its C type and name, and
/// `load`, which fills it from a lookup function.
macro_rules! host_symbols {
    (
        $(#[$doc:meta])*
        struct $name:ident {
            $( $(#[$field_doc:meta])* $field:ident: $kind:ty = $symbol:literal, )*
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy)]
        pub(super) struct $name {
            $( $(#[$field_doc])* pub(super) $field: $kind, )*
        }

        // The addresses point to code and variables of the host that live as long as the
        // process; who may use them from which thread is said where they are used.
        // SAFETY: an address is plain data.
        unsafe impl Send for $name {}
        // SAFETY: an address is plain data.
        unsafe impl Sync for $name {}

        impl $name {
            /// Looks every name up.
            ///
            /// # Safety
            /// `find` gives the address of the named symbol of the host, whose C type is
            /// the one declared here.
            pub(super) unsafe fn load(
                find: impl Fn(&'static ::std::ffi::CStr) -> *mut ::std::ffi::c_void,
            ) -> Result<Self, $crate::host::symbols::MissingSymbol> {
                Ok(Self {
                    $( $field: {
                        let address = find($symbol);
                        if address.is_null() {
                            return Err($crate::host::symbols::MissingSymbol($symbol));
                        }
                        // SAFETY: the caller promises the symbol's type, which is a
                        // function or data pointer and so as large as an address.
                        unsafe {
                            ::std::mem::transmute_copy::<*mut ::std::ffi::c_void, $kind>(&address)
                        }
                    }, )*
                })
            }
        }
    };
}
pub(crate) use host_symbols;
