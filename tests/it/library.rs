//! The library has no errors, each module checked as if it were a user's file.

use crate::support::{errors, root};

#[test]
fn every_module_checks() {
    let mut faults = vec![];
    for (name, text) in nnm_stdlib::modules() {
        let found = errors(&root().join(format!("stdlib/std/{name}.nnm")), text);
        if !found.is_empty() {
            faults.push(format!("std.{name}: {found:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_module_can_be_used_whole() {
    for (name, _) in nnm_stdlib::modules() {
        let found = errors(&root().join("tests/ui/all.nnm"), &format!("use std.{name}.*\n"));
        assert!(found.is_empty(), "std.{name}: {found:?}");
    }
}
