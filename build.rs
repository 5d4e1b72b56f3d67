//! Binds the host structures we declare in `include/` and links the module so that it
//! keeps its own symbols.

use std::env;
use std::panic;
use std::path::{Path, PathBuf};
use std::process;

fn main() {
    // Some host modules load themselves RTLD_GLOBAL; without this our constructor
    // would fill *their* `exports`.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic");

    let output = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    for host in ["opensips", "kamailio"] {
        bind(host, &output);
    }
}

/// Turns `include/<host>.h` into `<host>.rs`, with layout tests.
fn bind(host: &str, output: &Path) {
    let header = format!("include/{host}.h");
    println!("cargo:rerun-if-changed={header}");
    let builder = bindgen::Builder::default()
        .header(&header)
        .allowlist_type(format!("{host}_.*"))
        .derive_default(true)
        .layout_tests(true)
        .generate_comments(false)
        .raw_line("// Written by bindgen from include/.");
    let said = panic::take_hook();
    panic::set_hook(Box::new(|_| ()));
    let bindings = panic::catch_unwind(panic::AssertUnwindSafe(|| builder.generate()));
    panic::set_hook(said);
    match bindings {
        Ok(Ok(bindings)) => bindings
            .write_to_file(output.join(format!("{host}.rs")))
            .expect("OUT_DIR is writable"),
        Ok(Err(error)) => give_up(&format!("{header}: {error}")),
        // bindgen panics when it finds no libclang to load.
        Err(_) => give_up("libclang is missing: install the Debian package libclang-dev"),
    }
}

fn give_up(line: &str) -> ! {
    eprintln!("msrp_conference: {line}");
    process::exit(1);
}
