//! How the program is linked.
//!
//! Every host runs it all the time, and two thirds of what it holds of a host's memory is itself.
//! So functions that came out alike are kept once, and relocations are written in the short form.

use std::env::var;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| var(name).is_ok_and(|is| is == value);
    // Where the toolchain brings its own linker, which knows these options.
    let knows = is("TARGET", "x86_64-unknown-linux-gnu");
    if knows && is("PROFILE", "release") {
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
