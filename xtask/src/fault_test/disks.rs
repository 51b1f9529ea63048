//! Full and read-only disks: small file systems in memory. Called by [`super`].
//!
//! Mounting needs rights that not every user has. A process of its own, in a mount namespace of its
//! own, does it, so that nothing stays mounted.

use super::check;
use super::job::{Job, Start, all_files};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Number of sizes between nothing and enough.
const SIZES: u64 = 12;

/// Starts this task again in a mount namespace, to check disks only.
///
/// # Errors
/// If the task cannot be started.
pub(super) fn check_in_namespace(program: &Path, findings: &mut Vec<String>) -> Result<(), String> {
    let task = std::env::current_exe().map_err(|error| error.to_string())?;
    let place = tempfile::tempdir().map_err(|error| error.to_string())?;
    let may_mount = Command::new("unshare")
        .args(["-m", "mount", "-t", "tmpfs", "tmpfs"])
        .arg(place.path())
        .output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        println!(
            "SKIPPED: full and read-only disks: this user may not mount a file system (unshare -m mount -t tmpfs); run it as root"
        );
        return Ok(());
    }
    let status = Command::new("unshare")
        .arg("-m")
        .arg(task)
        .args(["fault-test", "--only-disks", "--program"])
        .arg(program)
        .status();
    if !status.is_ok_and(|status| status.success()) {
        findings.push("full and read-only disks: see above".into());
    }
    Ok(())
}

/// Runs the job on disks of growing sizes and on a read-only one.
///
/// # Errors
/// If nothing can be mounted.
pub(super) fn check(job: &Job, findings: &mut Vec<String>) -> Result<(), String> {
    job.prepare(Start::Empty)?;
    job.train(None, false)?;
    let files = all_files(&job.output());
    let pages = files
        .values()
        .map(|bytes| bytes.len().div_ceil(4096) as u64);
    // While it runs, it has the best model and the prefix cache as well.
    let enough = 4 * 2 * pages.sum::<u64>();
    let mut failed = 0;
    for step in 1..=SIZES {
        let kilobytes = enough * step / SIZES;
        let found = check_full(job, kilobytes, &mut failed)?;
        findings.extend(found.into_iter().map(|found| {
            let finding = format!("a disk of {kilobytes} kB: {found}");
            println!("{finding}");
            finding
        }));
    }
    println!("fault-test: {failed} of {SIZES} sizes of disks were too small");
    if failed == 0 || failed == SIZES {
        findings.push(format!("{failed} of {SIZES} disks were too small"));
    }
    let found = check_read_only(job)?;
    findings.extend(
        found
            .into_iter()
            .map(|found| format!("a read-only disk: {found}")),
    );
    Ok(())
}

fn check_full(job: &Job, kilobytes: u64, failed: &mut u64) -> Result<Vec<String>, String> {
    job.prepare(Start::Empty)?;
    let place = job.place();
    fs::create_dir(&place).map_err(|error| error.to_string())?;
    mount(
        &["-t", "tmpfs", "-o", &format!("size={kilobytes}k"), "tmpfs"],
        &place,
    )?;
    let outcome = job.train(None, false)?;
    let mut found = check::outcome(&outcome, "a small disk");
    if !outcome.status.success() {
        *failed += 1;
        if !outcome.said.contains("No space left on device") {
            found.push(format!(
                "the message does not say why: {}",
                outcome.messages()
            ));
        }
    }
    found.extend(check::state(job, Start::Empty, &outcome));
    super::after_fault(job, &mut found);
    mount(&["-o", "remount,size=1g"], &place)?;
    found.extend(check::again(job, &job.train(None, true)?));
    unmount(&place)?;
    Ok(found)
}

fn check_read_only(job: &Job) -> Result<Vec<String>, String> {
    job.prepare(Start::Empty)?;
    let place = job.place();
    fs::create_dir(&place).map_err(|error| error.to_string())?;
    mount(&["-t", "tmpfs", "tmpfs"], &place)?;
    mount(&["-o", "remount,ro"], &place)?;
    let outcome = job.train(None, false)?;
    let mut found = check::outcome(&outcome, "read-only");
    if outcome.status.code() != Some(2) || !outcome.said.contains("Read-only file system") {
        found.push(format!(
            "expected code 2 and the reason: {}",
            outcome.messages()
        ));
    }
    found.extend(check::state(job, Start::Empty, &outcome));
    mount(&["-o", "remount,rw"], &place)?;
    found.extend(check::again(job, &job.train(None, true)?));
    unmount(&place)?;
    Ok(found)
}

fn mount(arguments: &[&str], place: &Path) -> Result<(), String> {
    succeed(Command::new("mount").args(arguments).arg(place))
}

fn unmount(place: &Path) -> Result<(), String> {
    succeed(Command::new("umount").arg(place))
}

fn succeed(command: &mut Command) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    ))
}
