//! Made-up bytes for one intake, the one that `HEARTEN_FUZZ` names; `tests/fuzz/run` runs them all.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tests::intakes::{Intake, named};

/// What is tried.
static INTAKE: LazyLock<Intake> = LazyLock::new(|| {
    let name = std::env::var("HEARTEN_FUZZ").unwrap_or_default();
    named(&name).unwrap_or_else(|| {
        panic!("HEARTEN_FUZZ={name:?} names no intake: they stand in tests/src/intakes.rs")
    })
});

fuzz_target!(|bytes: &[u8]| {
    (INTAKE.take)(bytes);
});
