//! Management commands as RPC methods: `msrp_conference.list` and so on.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

use super::MODULE;
use super::abi::{self, kamailio_rpc, kamailio_rpc_method, kamailio_text};
use crate::host::guard::{c_string, guard};
use crate::host::numbered::numbered;
use crate::host::{management, text};
use crate::management::{Argument, COMMANDS, Fault, Value};

/// The host passes no argument of ours, so each command has its own function.
const METHODS: [abi::RpcMethod; COMMANDS.len()] = numbered!(run);

/// The table for the host, ended by an empty row; never freed.
pub(super) fn table() -> *mut c_void {
    let mut rows = Vec::new();
    for (entry, method) in COMMANDS.iter().zip(METHODS) {
        let about = format!("{}: {}", entry.usage(), entry.doc);
        let documentation = [c_string(about).into_raw().cast_const(), ptr::null()];
        rows.push(kamailio_rpc_method {
            name: c_string(format!("msrp_conference.{}", entry.name)).into_raw(),
            function: method as *mut c_void,
            documentation: Box::leak(Box::new(documentation)).as_mut_ptr(),
            flags: if entry.lists { abi::RETURNS_ARRAY } else { 0 },
        });
    }
    rows.push(kamailio_rpc_method::default());
    Box::leak(rows.into_boxed_slice()).as_mut_ptr().cast()
}

unsafe extern "C" fn run<const NUMBER: usize>(rpc: *const kamailio_rpc, context: *mut c_void) {
    guard((), || {
        // SAFETY: the host passes the functions of the interface that took the command, and
        // its context for them; both live through the call.
        let Some(rpc) = (unsafe { Rpc::new(rpc, context) }) else {
            return;
        };
        let (Some(module), Some(entry)) = (MODULE.get(), COMMANDS.get(NUMBER)) else {
            return rpc.fault(&Fault::new(500, "the module did not start"));
        };
        // One more than allowed, to detect too many.
        let arguments = rpc.arguments(entry.parameters.len() + 1);
        let answer =
            arguments.and_then(|given| management::ask(&module.bridge, entry.command, given));
        match answer {
            Ok(value) => rpc.answer(&value),
            Err(fault) => rpc.fault(&fault),
        }
    });
}

/// One running command, and the interface's functions for it.
struct Rpc {
    context: *mut c_void,
    fault: abi::RpcFault,
    scan: abi::RpcVariadic,
    add: abi::RpcVariadic,
    add_to_struct: abi::RpcVariadic,
    add_to_array: abi::RpcVariadic,
}

/// The container a value is added to.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// The answer itself.
    Top,
    /// A record, under this name.
    Record(*mut c_void, &'a str),
    /// A list.
    List(*mut c_void),
}

impl Rpc {
    /// # Safety
    /// `rpc` and `context` are what the host called a method with, which still runs.
    unsafe fn new(rpc: *const kamailio_rpc, context: *mut c_void) -> Option<Self> {
        // SAFETY: the caller's promise.
        let rpc = unsafe { rpc.as_ref()? };
        let all = [
            rpc.fault,
            rpc.scan,
            rpc.add,
            rpc.add_to_struct,
            rpc.add_to_array,
        ];
        if all.iter().any(|function| function.is_null()) {
            return None;
        }
        // SAFETY: the interface fills these slots with functions of these types.
        unsafe {
            let variadic =
                |function| std::mem::transmute::<*mut c_void, abi::RpcVariadic>(function);
            Some(Self {
                context,
                fault: std::mem::transmute::<*mut c_void, abi::RpcFault>(rpc.fault),
                scan: variadic(rpc.scan),
                add: variadic(rpc.add),
                add_to_struct: variadic(rpc.add_to_struct),
                add_to_array: variadic(rpc.add_to_array),
            })
        }
    }

    fn fault(&self, fault: &Fault) {
        let text = c_string(fault.text.as_str());
        let code = c_int::from(fault.code);
        // SAFETY: the text is an argument of the format; the host copies it.
        unsafe { (self.fault)(self.context, code, c"%s".as_ptr(), text.as_ptr()) };
    }

    /// The command's arguments, strings and numbers alike.
    fn arguments(&self, most: usize) -> Result<Vec<Argument>, Fault> {
        let mut arguments = Vec::new();
        for _ in 0..most {
            let mut found = kamailio_text::default();
            // SAFETY: `*` takes what is missing for an end, `.` a number for its digits; `S`
            // wants a counted text, which the host fills and keeps until the next scan.
            let (scanned, value) = unsafe {
                let scanned = (self.scan)(self.context, c"*.S".as_ptr(), &raw mut found);
                (scanned, text::octets(found.s, found.len))
            };
            if scanned < 0 {
                return Err(Fault::new(400, "a parameter is neither string nor number"));
            }
            if scanned == 0 || found.s.is_null() {
                break;
            }
            arguments.push(Argument::positional(text::lossy(value)));
        }
        Ok(arguments)
    }

    /// A list at the top becomes several values: the interfaces have no other form.
    fn answer(&self, value: &Value) {
        match value {
            Value::List(values) => values.iter().for_each(|value| self.put(Place::Top, value)),
            value => self.put(Place::Top, value),
        }
    }

    fn put(&self, place: Place<'_>, value: &Value) {
        match value {
            // binrpc has no null.
            Value::Null => self.put_text(place, ""),
            Value::Text(text) => self.put_text(place, text),
            // SAFETY: the format's letter is that of the argument's type.
            Value::Flag(flag) => unsafe { self.put_with(place, c"b", c_int::from(*flag)) },
            Value::Number(number) => match c_int::try_from(*number) {
                // SAFETY: as above.
                Ok(number) => unsafe { self.put_with(place, c"d", number) },
                // Larger numbers have no letter that every series knows but this one.
                // SAFETY: as above.
                Err(_) => unsafe { self.put_with(place, c"f", *number as f64) },
            },
            Value::Record(fields) => {
                let handle = self.open(place, c"{");
                for (name, value) in fields.iter().filter(|_| !handle.is_null()) {
                    self.put(Place::Record(handle, name), value);
                }
            }
            Value::List(values) => {
                let handle = self.open(place, c"[");
                for value in values.iter().filter(|_| !handle.is_null()) {
                    self.put(Place::List(handle), value);
                }
            }
        }
    }

    fn put_text(&self, place: Place<'_>, text: &str) {
        let text = c_string(text);
        // SAFETY: `s` wants a C string, which the host copies.
        unsafe { self.put_with(place, c"s", text.as_ptr()) };
    }

    /// Opens a record or a list; null when the host has no memory left.
    fn open(&self, place: Place<'_>, format: &'static std::ffi::CStr) -> *mut c_void {
        let mut handle: *mut c_void = ptr::null_mut();
        // SAFETY: these letters want a place for the handle, which is good until the answer
        // is sent.
        unsafe { self.put_with(place, format, &raw mut handle) };
        handle
    }

    /// # Safety
    /// `argument` is of the type that the letter in `format` wants.
    unsafe fn put_with<T: Variadic>(
        &self,
        place: Place<'_>,
        format: &'static std::ffi::CStr,
        argument: T,
    ) {
        let format = format.as_ptr();
        match place {
            // SAFETY: the caller's promise; the handle is one this interface gave.
            Place::Top => unsafe { argument.pass(self.add, self.context, format) },
            // SAFETY: as above.
            Place::List(handle) => unsafe { argument.pass(self.add_to_array, handle, format) },
            Place::Record(handle, name) => {
                let name: CString = c_string(name);
                // SAFETY: as above; the name comes first, and the host copies it.
                unsafe { argument.pass_named(self.add_to_struct, handle, format, name.as_ptr()) };
            }
        }
    }
}

/// A value passed to a C variadic function as the argument of a format.
trait Variadic: Copy {
    /// # Safety
    /// `function` takes a handle, a format, and an argument of this type for it.
    unsafe fn pass(self, function: abi::RpcVariadic, handle: *mut c_void, format: *const c_char);

    /// # Safety
    /// The same, with a name in front of the argument.
    unsafe fn pass_named(
        self,
        function: abi::RpcVariadic,
        handle: *mut c_void,
        format: *const c_char,
        name: *const c_char,
    );
}

macro_rules! variadic {
    ($($type:ty),*) => {$(
        impl Variadic for $type {
            unsafe fn pass(
                self,
                function: abi::RpcVariadic,
                handle: *mut c_void,
                format: *const c_char,
            ) {
                // SAFETY: the caller's promise.
                unsafe { function(handle, format, self) };
            }

            unsafe fn pass_named(
                self,
                function: abi::RpcVariadic,
                handle: *mut c_void,
                format: *const c_char,
                name: *const c_char,
            ) {
                // SAFETY: the caller's promise.
                unsafe { function(handle, format, name, self) };
            }
        }
    )*};
}

variadic!(c_int, f64, *const c_char, *mut *mut c_void);
