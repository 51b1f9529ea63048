//! Which imports are cycles, on crates of a few lines. Run by `cargo test`.

use super::*;

/// The cycles of a crate made of these files.
fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    find(&folder.path().join("lib.rs")).unwrap()
}

#[test]
fn imports_one_way_are_no_cycle() {
    let none: Vec<String> = vec![];
    let files = [
        ("lib.rs", "mod a; mod b; pub use b::B;"),
        ("a.rs", "use crate::b::B; fn f() { crate::b::g() }"),
        (
            "b.rs",
            "pub struct B; #[cfg(test)] mod tests { use crate::a::f; }",
        ),
    ];
    assert_eq!(cycles_of(&files), none);
    // Tests in the middle of code, and of a platform.
    let tests = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        (
            "b.rs",
            "impl B { #[cfg(test)] fn f() { crate::a::g() } } #[cfg(test)] use crate::a::{A}; pub struct B; \
             #[cfg(all(test, unix))] mod tests { use crate::a::A; }",
        ),
    ];
    assert_eq!(cycles_of(&tests), none);
    // A folder and what is in it may name each other.
    let folder = [
        ("lib.rs", "mod a;"),
        ("a.rs", "mod inner; pub use inner::X; pub struct Y;"),
        ("a/inner.rs", "use super::Y; pub struct X(Y);"),
    ];
    assert_eq!(cycles_of(&folder), none);
}

#[test]
fn cycles_are_found_in_every_form() {
    for (what, a, b) in [
        ("use", "use crate::b::B;", "use crate::a::A;"),
        (
            "group",
            "use crate::{b::{self, B}};",
            "use super::a::{A as C};",
        ),
        ("path", "fn f() { crate::b::g() }", "type A = crate::a::A;"),
        (
            "macro",
            "fn f() { println!(\"{}\", crate::b::g()) }",
            "use crate::a;",
        ),
        ("re-export", "use crate::B;", "use crate::a::A;"),
    ] {
        let root = "mod a; mod b; pub use b::B;";
        let found = cycles_of(&[("lib.rs", root), ("a.rs", a), ("b.rs", b)]);
        assert_eq!(found.len(), 1, "{what}: {found:?}");
        assert!(
            found[0].starts_with("2 modules of the crate's root"),
            "{found:?}"
        );
    }
    let nested = cycles_of(&[
        ("lib.rs", "mod m;"),
        ("m/mod.rs", "mod x; mod y;"),
        ("m/x.rs", "use super::y::Y;"),
        ("m/y.rs", "use crate::m::x::X;"),
    ]);
    assert_eq!(nested.len(), 1, "{nested:?}");
    assert!(nested[0].starts_with("2 modules of m import"), "{nested:?}");
    let through_parent = cycles_of(&[
        ("lib.rs", "mod m;"),
        ("m/mod.rs", "mod x; mod y { use super::x::X; }"),
        ("m/x.rs", "use crate::m; fn f() { m::y::g() }"),
    ]);
    assert_eq!(through_parent.len(), 1, "{through_parent:?}");
}
