//! Management commands as MI commands: `msrp_conference:list` and so on.

use std::ffi::{CString, c_char, c_int, c_void};
use std::ptr;

use super::MODULE;
use super::abi::{self, opensips_arguments, opensips_json, opensips_management_prefix};
use super::series::Series;
use crate::host::guard::{c_string, guard};
use crate::host::numbered::numbered;
use crate::host::symbols::host_symbols;
use crate::host::{management, text};
use crate::management::{Answer, Argument, COMMANDS, CommandInfo, Fault, Value};

/// The host passes no argument of ours, so each command has its own function.
const RUNS: [abi::ManagementCommand; COMMANDS.len()] = numbered!(run);

host_symbols! {
    /// Functions that build answers.
    struct Answers {
        record: abi::BeginAnswer = c"init_mi_result_object",
        list: abi::BeginAnswer = c"init_mi_result_array",
        text: abi::AnswerText = c"init_mi_result_string",
        error: abi::AnswerError = c"init_mi_error_extra",
        add_text: abi::AddText = c"add_mi_string",
        add_number: abi::AddNumber = c"add_mi_number",
        add_flag: abi::AddFlag = c"add_mi_bool",
        add_null: abi::AddNull = c"add_mi_null",
        add_record: abi::AddItem = c"add_mi_object",
        add_list: abi::AddItem = c"add_mi_array",
    }
}

impl Answers {
    /// Looks the functions up.
    pub(super) fn of_core() -> Result<Self, crate::host::symbols::MissingSymbol> {
        // SAFETY: the types are those of the host's mi/item.h in every supported series.
        unsafe { Self::load(crate::host::symbols::of_core) }
    }
}

/// The table for the host, ended by an empty record; never freed.
pub(super) fn table(series: &Series) -> *mut c_void {
    let size = series.management_size;
    // Made of words, so that every record is aligned.
    let words = size / size_of::<u64>() * (COMMANDS.len() + 1);
    let table = Box::leak(vec![0u64; words].into_boxed_slice()).as_mut_ptr();
    for (number, (entry, run)) in COMMANDS.iter().zip(RUNS).enumerate() {
        // SAFETY: the table has room for a record of this series for every command, and one
        // of zeros behind them.
        unsafe { fill(table.cast::<u8>().add(number * size), series, entry, run) };
    }
    table.cast()
}

/// # Safety
/// `record` points to the zeroed record of a command, as large as in this series.
unsafe fn fill(record: *mut u8, series: &Series, entry: &CommandInfo, run: abi::ManagementCommand) {
    // Where there are aliases, the host itself adds the module's name in front.
    let bare = series.management_aliases != 0;
    let name = match bare {
        true => entry.name.to_owned(),
        false => format!("msrp_conference:{}", entry.name),
    };
    let prefix = opensips_management_prefix {
        name: c_string(name).into_raw(),
        help: c_string(format!("{}: {}", entry.usage(), entry.doc)).into_raw(),
        ..opensips_management_prefix::default()
    };
    // SAFETY: the caller's room; recipes and aliases lie where this series has them, and
    // there is room for 48 recipes of 10 names, of which we have three of three at most.
    unsafe {
        record.cast::<opensips_management_prefix>().write(prefix);
        // Optional parameters come last: there is a recipe for every number of them. The host takes
        // parameters by position only where no two recipes have the same number.
        for (number, count) in (entry.required()..=entry.parameters.len()).enumerate() {
            let recipe =
                record.add(series.management_recipes + number * series.management_recipe_size);
            recipe.cast::<abi::ManagementCommand>().write(run);
            let names = recipe
                .add(size_of::<*const c_void>())
                .cast::<*const c_char>();
            for (place, parameter) in entry.parameters.iter().take(count).enumerate() {
                names.add(place).write(c_string(parameter.name).into_raw());
            }
        }
        if bare {
            let alias = c_string(format!("msrp_conference_{}", entry.name)).into_raw();
            record
                .add(series.management_aliases)
                .cast::<*const c_char>()
                .write(alias);
        }
    }
}

unsafe extern "C" fn run<const NUMBER: usize>(
    arguments: *const opensips_arguments,
    _later: *mut c_void,
) -> *mut c_void {
    guard(ptr::null_mut(), || {
        let (Some(module), Some(entry)) = (MODULE.get(), COMMANDS.get(NUMBER)) else {
            return ptr::null_mut();
        };
        // SAFETY: the host passes what it parsed, which lives through the call.
        let given = unsafe { read(arguments) };
        let answer = management::ask(&module.bridge, entry.command, given);
        module.answers.answer(&answer)
    })
}

/// # Safety
/// `arguments` is what the host called a command with, which still runs.
unsafe fn read(arguments: *const opensips_arguments) -> Vec<Argument> {
    let mut read = Vec::new();
    // SAFETY: the caller's promise: an object or array whose children are linked, or null.
    unsafe {
        let Some(all) = arguments
            .as_ref()
            .and_then(|it| it.item.cast::<opensips_json>().as_ref())
        else {
            return read;
        };
        let mut next = all.child.cast_const();
        while let Some(item) = next.as_ref() {
            let value = match item.kind & abi::JSON_KINDS {
                abi::JSON_TEXT => Some(text::of_c(item.text)),
                // A double holds every whole number that is a plausible argument.
                abi::JSON_NUMBER => Some(format!("{}", item.number)),
                _ => None,
            };
            let name = (!item.name.is_null()).then(|| text::of_c(item.name));
            read.push(Argument { name, value });
            next = item.next.cast_const();
        }
    }
    read
}

impl Answers {
    /// Null when the host has no memory left, which it logs itself.
    fn answer(&self, answer: &Answer) -> *mut c_void {
        match answer {
            Ok(value) => self.value(value),
            Err(fault) => self.fault(fault),
        }
    }

    fn fault(&self, fault: &Fault) -> *mut c_void {
        let (text, length) = counted(&fault.text);
        // SAFETY: the host copies the text.
        unsafe { (self.error)(fault.code.into(), text, length, ptr::null(), 0) }
    }

    fn value(&self, value: &Value) -> *mut c_void {
        let mut place = ptr::null_mut();
        match value {
            Value::Record(fields) => {
                // SAFETY: the host makes an answer and gives the place to add to.
                let answer = unsafe { (self.record)(&mut place) };
                self.put_fields(place, fields);
                answer
            }
            Value::List(values) => {
                // SAFETY: as above.
                let answer = unsafe { (self.list)(&mut place) };
                self.put_values(place, values);
                answer
            }
            Value::Text(text) => self.text(text),
            Value::Number(number) => self.text(&number.to_string()),
            Value::Flag(flag) => self.text(if *flag { "yes" } else { "no" }),
            Value::Null => self.text(""),
        }
    }

    fn text(&self, text: &str) -> *mut c_void {
        let (text, length) = counted(text);
        // SAFETY: the host copies the text.
        unsafe { (self.text)(text, length) }
    }

    fn put_fields(&self, place: *mut c_void, fields: &[(std::borrow::Cow<'static, str>, Value)]) {
        for (name, value) in fields {
            self.put(place, name, value);
        }
    }

    fn put_values(&self, place: *mut c_void, values: &[Value]) {
        for value in values {
            self.put(place, "", value);
        }
    }

    /// Adds a value, with a name in a record and without one in a list.
    fn put(&self, place: *mut c_void, name: &str, value: &Value) {
        if place.is_null() {
            return;
        }
        let owned: CString = c_string(name);
        let (name, length) = match name {
            "" => (ptr::null_mut(), 0),
            name => (owned.as_ptr().cast_mut(), name.len() as c_int),
        };
        // SAFETY: the place is one the host gave for an answer that is not sent yet; it copies
        // names and texts.
        unsafe {
            match value {
                Value::Null => {
                    (self.add_null)(place, name, length);
                }
                Value::Flag(flag) => {
                    (self.add_flag)(place, name, length, c_int::from(*flag));
                }
                Value::Number(number) => {
                    (self.add_number)(place, name, length, *number as f64);
                }
                Value::Text(text) => {
                    let (text, text_length) = counted(text);
                    (self.add_text)(place, name, length, text, text_length);
                }
                Value::Record(fields) => {
                    self.put_fields((self.add_record)(place, name, length), fields);
                }
                Value::List(values) => {
                    self.put_values((self.add_list)(place, name, length), values);
                }
            }
        }
    }
}

fn counted(text: &str) -> (*const c_char, c_int) {
    let length = c_int::try_from(text.len()).unwrap_or(c_int::MAX);
    (text.as_ptr().cast(), length)
}
