//! Tells where the library is and what it is called, for cargo. It reads three variables:
//!
//! - `GALLOC_LIB_DIR`: its folder, such as `PREFIX/lib`; without it, the linker looks where it always does;
//! - `GALLOC_LIB`: its name without "lib" and ending; `galloc` without it;
//! - `GALLOC_LIB_KIND`: `static`, which is what it is without it, or `dylib`.

use std::env;

fn main() {
    for name in ["GALLOC_LIB_DIR", "GALLOC_LIB", "GALLOC_LIB_KIND"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    if let Ok(dir) = env::var("GALLOC_LIB_DIR") {
        println!("cargo:rustc-link-search=native={dir}");
    }
    let name = env::var("GALLOC_LIB").unwrap_or("galloc".into());
    let kind = env::var("GALLOC_LIB_KIND").unwrap_or("static".into());
    println!("cargo:rustc-link-lib={kind}={name}");
}
