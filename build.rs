//! Binds the host structures we declare in `include/` and links the module so that it
//! keeps its own symbols.

fn main() {
    // Some host modules load themselves RTLD_GLOBAL; without this our constructor
    // would fill *their* `exports`.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-Bsymbolic");
}
