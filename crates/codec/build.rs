//! Finds out whether openh264 is built with its assembly, so that the program can say so.
//!
//! The crate that builds openh264 takes nasm when it finds one, and otherwise goes on without a
//! word. This looks in the same places, at the same time: neither looks again when `PATH` changes.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=WEIR_OPENH264_ASSEMBLY={}", assembly());
}

fn assembly() -> &'static str {
    match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("aarch64" | "arm") => "neon",
        Ok("x86" | "x86_64") if env::var_os("OPENH264_NO_ASM").is_none() && has_nasm() => "nasm",
        _ => "none",
    }
}

/// Whether a nasm answers, in `NASM` or in `PATH`.
fn has_nasm() -> bool {
    if let Some(nasm) = env::var_os("NASM") {
        return answers(&nasm.into());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| answers(&folder.join("nasm")))
}

fn answers(nasm: &PathBuf) -> bool {
    Command::new(nasm).arg("-v").output().is_ok_and(|output| output.status.success())
}
