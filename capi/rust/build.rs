//! Passes the folder and the name of the library to cargo. It reads three variables:
//!
//! - `GALLOC_LIB_DIR`: the folder, such as `PREFIX/lib`; by default, /usr/local/lib or /usr/lib;
//! - `GALLOC_LIB`: the name without "lib" and ending; by default, `galloc`;
//! - `GALLOC_LIB_KIND`: `static`, the default, or `dylib`.

use std::env;
use std::path::Path;
use std::process::exit;

const HELP: &str = "`make capi PREFIX=/usr/local` in the folder of galloc builds and installs the library, \
                    and GALLOC_LIB_DIR=/usr/local/lib says where it is";

fn main() {
    for name in ["GALLOC_LIB_DIR", "GALLOC_LIB", "GALLOC_LIB_KIND"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    println!("cargo:rerun-if-changed=build.rs");
    let name = env::var("GALLOC_LIB").unwrap_or("galloc".into());
    let kind = env::var("GALLOC_LIB_KIND").unwrap_or("static".into());
    let ending = match kind.as_str() {
        "static" => "a",
        "dylib" if env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("macos") => "dylib",
        "dylib" => "so",
        _ => fail(&format!("GALLOC_LIB_KIND={kind}: write static or dylib")),
    };
    let file = format!("lib{name}.{ending}");
    let folders = match env::var("GALLOC_LIB_DIR") {
        Ok(dir) => vec![dir],
        Err(_) => vec!["/usr/local/lib".to_string(), "/usr/lib".to_string()],
    };
    match folders.iter().find(|dir| Path::new(dir).join(&file).exists()) {
        Some(dir) => {
            println!("cargo:rustc-link-search=native={dir}");
            // Without it, cargo would not link again when the library has changed.
            println!("cargo:rerun-if-changed={dir}/{file}");
        }
        None if env::var("GALLOC_LIB_DIR").is_ok() => {
            fail(&format!("there is no {file} in GALLOC_LIB_DIR={}: {HELP}", folders[0]))
        }
        // The linker may find it by other flags.
        None => println!("cargo:warning=there is no {file} in {}: {HELP}", folders.join(" or ")),
    }
    println!("cargo:rustc-link-lib={kind}={name}");
}

fn fail(why: &str) -> ! {
    eprintln!("galloc: {why}");
    exit(1)
}
