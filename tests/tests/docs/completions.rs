//! `progtune completions` and `progtune man`: bash completes correctly, and every script and manual
//! page has every flag. The syntax of scripts for other shells is checked by those shells that are
//! installed.

use clap::Command as Described;
use progtune::cli;
use progtune_tests::{feed_to_success, run, run_failing};
use std::{collections::BTreeSet, fs, path::Path, process::Command};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

fn script(shell: &str) -> String {
    String::from_utf8(run(&["completions", shell]).stdout).unwrap()
}

/// Whether a program is installed.
fn is_there(program: &str) -> bool {
    let mut which = Command::new("sh");
    let which = which.args(["-c", "command -v \"$1\"", "sh", program]);
    which.output().is_ok_and(|output| output.status.success())
}

/// The command and its subcommands, each with the name of its manual page.
fn all_commands() -> Vec<(String, Described)> {
    fn add(command: &Described, list: &mut Vec<(String, Described)>) {
        let name = command.get_display_name().unwrap_or(command.get_name());
        list.push((name.into(), command.clone()));
        command.get_subcommands().for_each(|below| add(below, list));
    }
    let (mut command, mut list) = (cli::clap_command(), Vec::new());
    command.build();
    add(&command, &mut list);
    list
}

fn flags(command: &Described) -> impl Iterator<Item = &str> {
    command.get_arguments().filter_map(|arg| arg.get_long())
}

/// Bash's completions at the end of a line, by the function that the script registers.
fn completed(script: &str, line: &str) -> BTreeSet<String> {
    const ASK: &str = r#"
        registered=$(complete -p progtune)
        [[ $registered =~ -F\ ([^ ]+) ]] || { echo "not registered: $registered" >&2; exit 1; }
        COMP_WORDS=($LINE)
        [[ $LINE == *' ' ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        "${BASH_REMATCH[1]}" progtune "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-s"]).env("LINE", line);
    let offered = feed_to_success(&mut bash, &format!("{script}\n{ASK}"));
    offered
        .lines()
        .filter(|line| !line.is_empty())
        .map(String::from)
        .collect()
}

#[test]
fn bash_completes_commands_flags_and_names() {
    let script = script("bash");
    feed_to_success(Command::new("bash").arg("-n"), &script);
    for (line, expected) in [
        ("progtune pl", "plan plugins"),
        ("progtune plugins in", "install"),
        ("progtune data in", "inspect"),
        ("progtune --schedule-", "--schedule-opt"),
        (
            "progtune --schedule ",
            "auto-freeze full gradual-unfreeze grow-from-hb lisa progressive single-block top-k wo-lb",
        ),
        ("progtune train --schedule pro", "progressive"),
        (
            "progtune plan --epochs 3 --peft p",
            "parallel pfeiffer prefix",
        ),
        ("progtune --peft no", "none"),
        (
            "progtune --lr-scheduler ",
            "constant cosine linear polynomial",
        ),
        ("progtune --task squad", "squad squad_v2"),
        ("progtune evaluate --split t", "test train"),
        ("progtune merge --dtype ", "bf16 f16 f32"),
        ("progtune plugins show lo", "lora"),
        ("progtune plugins new x --kind ", "peft schedule"),
        ("progtune completions z", "zsh"),
        ("progtune plan --progress ", "auto json none plain"),
        ("progtune --color ", "always auto never"),
        // A switch takes no word after it.
        ("progtune --recompute --warm", "--warmup"),
        // Bash cannot suggest a number, and should not suggest files for one.
        ("progtune --epochs 1", "1"),
    ] {
        let expected = expected.split_whitespace().map(String::from).collect();
        assert_eq!(completed(&script, line), expected, "{line}");
    }
}

#[test]
fn every_script_has_every_flag() {
    for shell in SHELLS {
        let script = script(shell);
        for (name, command) in all_commands() {
            for flag in flags(&command) {
                // fish writes `-l batch-size`.
                let found =
                    script.contains(&format!("--{flag}")) || script.contains(&format!("-l {flag}"));
                assert!(found, "{shell}: {name} --{flag}");
            }
        }
    }
    assert!(script("zsh").contains("(linear cosine polynomial constant)"));
    assert!(script("fish").contains("linear\\t''"));
    for shell in ["zsh", "fish"].into_iter().filter(|shell| is_there(shell)) {
        feed_to_success(
            Command::new(shell).args(["-n", "/dev/stdin"]),
            &script(shell),
        );
    }
    run_failing(&["completions", "tcsh"], 2);
}

/// A page as a reader sees it: through `man` if it is installed, else without the escapes in its
/// source.
fn read_page(page: &Path) -> String {
    if !is_there("man") {
        let source = fs::read_to_string(page).unwrap();
        return source
            .replace("\\-", "-")
            .replace("\\*(Aq", "'")
            .replace("\\fR", "");
    }
    let mut man = Command::new("man");
    man.args(["--warnings", "--local-file"]).arg(page);
    // Wide enough that no flag is broken at its hyphens.
    man.env("MANWIDTH", "500")
        .env("MANPAGER", "cat")
        .env("MANROFFOPT", "-c")
        .env("LC_ALL", "C.UTF-8");
    let output = man.output().unwrap();
    let warnings = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && warnings.is_empty(),
        "{}: {warnings}",
        page.display()
    );
    let text = String::from_utf8(output.stdout).unwrap();
    // Without -P, bold text for a terminal is a letter, a backspace and the letter.
    let mut plain = String::new();
    for letter in text.chars() {
        match letter {
            '\u{8}' => drop(plain.pop()),
            '\u{2010}' => plain.push('-'),
            letter => plain.push(letter),
        }
    }
    plain
}

#[test]
fn every_command_has_a_page_with_its_flags_and_their_defaults() {
    let place = tempfile::tempdir().unwrap();
    let pages = place.path().join("new/man1");
    let said =
        String::from_utf8(run(&["man", "--output", pages.to_str().unwrap()]).stdout).unwrap();
    let commands = all_commands();
    assert!(
        said.starts_with(&format!("Wrote {} manual pages to ", commands.len())),
        "{said}"
    );
    assert_eq!(fs::read_dir(&pages).unwrap().count(), commands.len());
    for (name, command) in &commands {
        let page = read_page(&pages.join(format!("{name}.1")));
        // A flag that is accepted without effect is not shown.
        let shown = command.get_arguments().filter(|arg| !arg.is_hide_set());
        for flag in shown.filter_map(|arg| arg.get_long()) {
            assert!(
                page.contains(&format!("--{flag}")),
                "{name} --{flag}:\n{page}"
            );
        }
        let about = command
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default();
        assert!(page.contains(&about), "{name}: {about}:\n{page}");
    }
    let page = read_page(&pages.join("progtune.1"));
    for part in [
        "[default: the method's suggestion: 5e-5 full fine-tuning, 1e-3 lora",
        "progtune-plugins(1)",
        "Exit codes: 0 success",
        "progtune plan --schedule progressive --peft lora\n",
    ] {
        assert!(page.contains(part), "{part}:\n{page}");
    }
    let again = run(&["man", "--output", pages.to_str().unwrap()]);
    assert!(again.status.success());
}
