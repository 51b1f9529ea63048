//! Archives in place of CUDA's libraries: each function opens the real library at its first call
//! and goes on there. A program that is linked with them starts where there is no CUDA. Called by
//! `build_cuda`.
//!
//! cudarc offers the same by a feature, but candle-core switches on its `dynamic-linking`, which
//! excludes that. The jump is assembly because it must not touch the arguments, whatever they are.

use std::{fmt::Write as _, fs, path::Path, process::Command};

/// A library that is opened late.
pub(super) struct Library {
    /// Its name for the linker.
    pub(super) name: &'static str,
    /// The files to try, in order.
    pub(super) files: &'static [&'static str],
    /// The functions that candle, cudarc and progtune call, one a line.
    pub(super) symbols: &'static str,
    /// The error that they return, without any other effect, if the library is absent. It must be
    /// one of the library's own.
    pub(super) absent: u32,
}

/// Writes `libNAME.a` into a directory.
///
/// # Errors
/// If the compiler or the archiver fails.
pub(super) fn write_archive(directory: &Path, library: &Library) -> Result<(), String> {
    let symbols: Vec<&str> = library.symbols.split_whitespace().collect();
    let name = library.name;
    let mut objects = Vec::new();
    for (file, text) in [
        (format!("{name}_jump.s"), jumps(name, &symbols)),
        (format!("{name}_find.c"), finder(library, &symbols)),
    ] {
        let source = directory.join(&file);
        let object = directory.join(format!("{file}.o"));
        fs::write(&source, text).map_err(|error| format!("{}: {error}", source.display()))?;
        run(Command::new("cc")
            .args(["-O2", "-fPIC", "-c", "-o"])
            .arg(&object)
            .arg(&source))?;
        objects.push(object);
    }
    let archive = directory.join(format!("lib{name}.a"));
    let _ = fs::remove_file(&archive);
    run(Command::new("ar").arg("rcs").arg(&archive).args(&objects))
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}"))
    }
}

/// A jump through a slot for each function. A slot leads to the search until its first call.
fn jumps(name: &str, symbols: &[&str]) -> String {
    let mut text = String::from(".text\n");
    for (at, symbol) in symbols.iter().enumerate() {
        let _ = write!(
            text,
            ".globl {symbol}\n.type {symbol}, @function\n{symbol}: jmp *slot_{at}(%rip)\n\
             first_{at}: push %rax\n mov ${at}, %eax\n jmp progtune_enter_{name}\n"
        );
    }
    // Every register that may carry an argument is kept while the function is searched for.
    let save = "rdi rsi rdx rcx r8 r9 rbp".split(' ');
    let restore = "rbp r9 r8 rcx rdx rsi rdi".split(' ');
    let _ = writeln!(text, "progtune_enter_{name}:");
    for register in save {
        let _ = writeln!(text, " push %{register}");
    }
    text += " mov %rsp, %rbp\n sub $128, %rsp\n and $-16, %rsp\n";
    for register in 0..8 {
        let _ = writeln!(text, " movups %xmm{register}, {}(%rsp)", 16 * register);
    }
    let _ = writeln!(
        text,
        " mov %eax, %edi\n call progtune_resolve_{name}\n mov %rax, %r11"
    );
    for register in 0..8 {
        let _ = writeln!(text, " movups {}(%rsp), %xmm{register}", 16 * register);
    }
    text += " mov %rbp, %rsp\n";
    for register in restore {
        let _ = writeln!(text, " pop %{register}");
    }
    let _ = write!(
        text,
        " pop %rax\n jmp *%r11\n.data\n.align 8\n.globl progtune_slots_{name}\n.hidden progtune_slots_{name}\n\
         progtune_slots_{name}:\n"
    );
    for at in 0..symbols.len() {
        let _ = writeln!(text, "slot_{at}: .quad first_{at}");
    }
    text + ".section .note.GNU-stack,\"\",@progbits\n"
}

/// The search for a function: opens the library once and puts the address into the slot.
fn finder(library: &Library, symbols: &[&str]) -> String {
    let quoted = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        names.join(", ")
    };
    let (names, files) = (quoted(symbols), quoted(library.files));
    let Library { name, absent, .. } = library;
    format!(
        r#"#include <dlfcn.h>
#include <stddef.h>

extern void *progtune_slots_{name}[] __attribute__((visibility("hidden")));
static const char *const names[] = {{{names}}};
static const char *const files[] = {{{files}, NULL}};

static int absent(void) {{ return {absent}; }}

__attribute__((visibility("hidden"))) void *progtune_resolve_{name}(int at) {{
    static void *library;
    static int tried;
    if (!tried) {{
        for (int file = 0; files[file] && !library; file++)
            library = dlopen(files[file], RTLD_NOW | RTLD_LOCAL);
        tried = 1;
    }}
    void *found = library ? dlsym(library, names[at]) : NULL;
    if (!found)
        found = (void *)absent;
    return progtune_slots_{name}[at] = found;
}}
"#
    )
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests {
    use super::*;

    const LIBRARY: Library = Library {
        name: "late",
        files: &["./liblate.so"],
        symbols: "late_sum late_missing",
        absent: 34,
    };

    /// Ten arguments and two floating-point numbers: those in registers and those on the stack.
    const PROGRAM: &str = r#"
#include <stdio.h>
double late_sum(int, int, int, int, int, int, int, int, double, double);
int late_missing(void);
int main(void) {
    for (int i = 0; i < 2; i++)
        printf("%.2f %d\n", late_sum(1, 2, 3, 4, 5, 6, 7, 8, 0.25, 0.5), late_missing());
    return 0;
}"#;

    const SOURCE: &str = r#"
double late_sum(int a, int b, int c, int d, int e, int f, int g, int h, double x, double y) {
    return a - b + c - d + e - f + g * h + x - y;
}"#;

    #[test]
    fn a_program_starts_without_the_library_and_finds_it_later() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path();
        write_archive(directory, &LIBRARY).unwrap();
        fs::write(directory.join("main.c"), PROGRAM).unwrap();
        fs::write(directory.join("late.c"), SOURCE).unwrap();
        let mut link = Command::new("cc");
        let words = "-o main main.c -L. -llate -ldl".split(' ');
        run(link.args(words).current_dir(directory)).unwrap();
        let said = || {
            let output = Command::new("./main")
                .current_dir(directory)
                .output()
                .unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        // What a function that returns a number would say is not defined without its library.
        assert!(said().lines().all(|line| line.ends_with(" 34")));
        let mut build = Command::new("cc");
        let words = "-shared -fPIC -o liblate.so late.c".split(' ');
        run(build.args(words).current_dir(directory)).unwrap();
        assert_eq!(said(), "52.75 34\n52.75 34\n");
    }
}
