//! The driver as a program.
#![allow(clippy::unwrap_used, reason = "a test fails where it cannot go on")]

use std::process::Command;

#[test]
fn every_target_takes_its_corpus() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let mut driver = Command::new(env!("CARGO_BIN_EXE_weir-fuzz"));
    let output = driver.current_dir(root).args(["--seconds", "0"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
