//! Real programs from Debian's packages that some tests need.

use std::path::PathBuf;

/// The program, where it is installed. Where it is missing, the test is skipped with a message,
/// unless `CI` is set: there a skipped test is a failed one.
///
/// # Panics
/// In CI, when the program is missing.
pub fn program(name: &str, package: &str) -> Option<PathBuf> {
    let folders = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/lib/nagios/plugins"];
    let found = folders.iter().map(|folder| PathBuf::from(folder).join(name)).find(|p| p.exists());
    if found.is_none() {
        let message = format!("{name} is missing: install Debian's package {package}");
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("skipped: {message}");
    }
    found
}
