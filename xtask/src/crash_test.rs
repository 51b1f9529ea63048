//! `cargo xtask crash-test` kills training runs with SIGKILL at random moments, resumes them, and
//! compares everything that they leave with runs that were left alone. Called by `main` and by
//! `.ci/run`, which kills a few times only.

use crate::arguments::{Arguments, Others};
use crate::result_files::contents;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const HELP: &str = "\
cargo xtask crash-test [--kills N] [--seed N] [--build DIR] [--only NAME] [--record FILE]
  --kills N      number of kills, over all jobs (200)
  --seed N       of the random moments (1)
  --build DIR    directory with `progtune` and its plugins (target/release)
  --only NAME    run only the jobs whose names contain NAME
  --record FILE  write what was seen to this file
";

/// The methods and the schedules; each pair is a job.
const METHODS: [&str; 4] = ["none", "lora", "adapter", "bitfit"];
const SCHEDULES: [&str; 4] = ["progressive", "grow-from-hb", "lisa", "auto-freeze"];

/// The flags of every job: a few seconds of training with a checkpoint every other step.
const COMMON: &str = "--progress none --token-cache off --epochs 3 --batch-size 16 --max-train-samples 192 \
                      --max-eval-samples 64 --save-steps 2 --save-total-limit 2 --load-best-model-at-end";

/// The longest time that a run of a job may take.
const LONGEST: Duration = Duration::from_secs(900);

/// A job: its name and its flags.
struct Job {
    name: String,
    flags: Vec<String>,
}

/// The outcome of one series of kills.
struct Series {
    kills: usize,
    resumed_at: Vec<u64>,
}

/// Runs the task.
///
/// # Errors
/// If a run fails, or leaves something else than one that was left alone.
pub(crate) fn run(root: &Path, words: &[String]) -> Result<(), String> {
    let Some(arguments) = Arguments::read(HELP, Others::Refused, words)? else {
        return Ok(());
    };
    let kills = arguments.number("--kills", 1)?.unwrap_or(200usize);
    let seed = arguments.number("--seed", 0)?.unwrap_or(1u64);
    let only = arguments.value("--only").unwrap_or_default();
    let build = arguments
        .path("--build")
        .unwrap_or_else(|| root.join("target/release"));
    let jobs: Vec<Job> = jobs()
        .into_iter()
        .filter(|job| job.name.contains(only))
        .collect();
    let scratch = tempfile::tempdir().map_err(|error| format!("temporary directory: {error}"))?;
    let mut random = Random(seed | 1);
    let mut text = String::new();
    let mut done = 0;
    for (at, job) in jobs.iter().enumerate() {
        let share = (kills - done).div_ceil(jobs.len() - at);
        if share == 0 {
            continue;
        }
        let program = build.join("progtune");
        let crashes = Crashes {
            program: &program,
            job,
            scratch: scratch.path(),
        };
        let series = crashes.run(share, &mut random)?;
        done += series.kills;
        let resumed: Vec<String> = series.resumed_at.iter().map(u64::to_string).collect();
        let line = format!(
            "{:<26} {:>3} kills, identical; resumed after steps {}",
            job.name,
            series.kills,
            resumed.join(" ")
        );
        println!("{line}");
        text += &format!("{line}\n");
    }
    let line = format!("{done} kills in {} jobs, seed {seed}", jobs.len());
    println!("{line}");
    if let Some(path) = arguments.path("--record") {
        fs::write(&path, text + &line + "\n").map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}

fn jobs() -> Vec<Job> {
    let pairs = METHODS
        .iter()
        .flat_map(|method| SCHEDULES.map(|schedule| (method, schedule)));
    pairs
        .map(|(method, schedule)| {
            let own = format!("--peft {method} --schedule {schedule}");
            Job {
                name: format!("{method} {schedule}"),
                flags: COMMON
                    .split_whitespace()
                    .chain(own.split(' '))
                    .map(str::to_owned)
                    .collect(),
            }
        })
        .collect()
}

/// The kills of one job.
struct Crashes<'a> {
    program: &'a Path,
    job: &'a Job,
    scratch: &'a Path,
}

impl Crashes<'_> {
    /// Kills the job `kills` times at least, over as many runs as it takes, and compares each run
    /// with one that was left alone.
    fn run(&self, kills: usize, random: &mut Random) -> Result<Series, String> {
        let whole = self.directory("whole");
        let start = Instant::now();
        self.finish(self.train(&whole))?;
        let secs = start.elapsed().as_secs_f64();
        let expected = everything(&whole)?;
        let mut series = Series {
            kills: 0,
            resumed_at: Vec::new(),
        };
        while series.kills < kills {
            let cut = self.directory("cut");
            let mut command = self.train(&cut);
            // A run is killed a few times before it may finish.
            for _ in 0..(kills - series.kills).min(6) {
                let after = Duration::from_secs_f64(secs * random.share() * 1.05);
                if !self.kill_after(command, after)? {
                    command = self.resume(&cut, random);
                    break;
                }
                series.kills += 1;
                command = self.again(&cut, random, &mut series);
            }
            self.finish(command)?;
            self.compare(&cut, &expected)?;
            fs::remove_dir_all(&cut).map_err(|e| format!("{}: {e}", cut.display()))?;
        }
        Ok(series)
    }

    fn directory(&self, name: &str) -> PathBuf {
        self.scratch
            .join(format!("{}-{name}", self.job.name.replace(' ', "-")))
    }

    fn train(&self, output: &Path) -> Command {
        let mut command = Command::new(self.program);
        command
            .arg("train")
            .args(&self.job.flags)
            .arg("--output")
            .arg(output);
        command
    }

    /// The command that continues a run: `resume`, or the same command line if it had no
    /// checkpoint yet.
    fn again(&self, cut: &Path, random: &mut Random, series: &mut Series) -> Command {
        let Some(step) = last_checkpoint(cut) else {
            return self.train(cut);
        };
        series.resumed_at.push(step);
        self.resume(cut, random)
    }

    fn resume(&self, cut: &Path, random: &mut Random) -> Command {
        if last_checkpoint(cut).is_none() {
            return self.train(cut);
        }
        let threads = if random.share() < 0.5 { "1" } else { "2" };
        let mut command = Command::new(self.program);
        if random.share() < 0.5 {
            command.arg("resume").arg(cut).args(["--progress", "none"]);
        } else {
            command = self.train(cut);
            command.args(["--resume", "auto"]);
        }
        command.args(["--threads", threads]);
        command
    }

    /// Kills a command after a while; false if it had ended by itself.
    fn kill_after(&self, mut command: Command, after: Duration) -> Result<bool, String> {
        let mut child = start(&mut command)?;
        sleep(after);
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            let said = said(child);
            return if status.success() {
                Ok(false)
            } else {
                Err(format!("{}: {status}\n{said}", self.job.name))
            };
        }
        child
            .kill()
            .and_then(|()| child.wait())
            .map_err(|e| e.to_string())?;
        Ok(true)
    }

    /// Waits for a command, which must succeed.
    fn finish(&self, mut command: Command) -> Result<(), String> {
        let mut child = start(&mut command)?;
        let begun = Instant::now();
        loop {
            match child.try_wait().map_err(|e| e.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(format!(
                        "{}: {command:?}: {status}\n{}",
                        self.job.name,
                        said(child)
                    ));
                }
                None if begun.elapsed() > LONGEST => {
                    let _ = child.kill();
                    return Err(format!("{}: {command:?}: it hangs", self.job.name));
                }
                None => sleep(Duration::from_millis(5)),
            }
        }
    }

    fn compare(&self, cut: &Path, expected: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
        let found = everything(cut)?;
        let names = expected.keys().chain(found.keys());
        let mut differing: Vec<&String> = names
            .filter(|name| expected.get(*name) != found.get(*name))
            .collect();
        differing.dedup();
        let Some(first) = differing.first() else {
            return Ok(());
        };
        let text = |files: &BTreeMap<String, Vec<u8>>| match files.get(*first) {
            Some(bytes) if !first.ends_with(".safetensors") => {
                String::from_utf8_lossy(bytes).into_owned()
            }
            Some(bytes) => format!("{} bytes", bytes.len()),
            None => "absent".into(),
        };
        let kept = std::env::temp_dir().join("progtune-crash-test");
        let _ = fs::create_dir_all(&kept);
        let _ = fs::write(kept.join("expected"), text(expected));
        let _ = fs::write(kept.join("found"), text(&found));
        Err(format!(
            "{}: differing after kills: {differing:?}; the first of them is in {}",
            self.job.name,
            kept.display()
        ))
    }
}

/// Everything that a run left, without what differs between equal runs. The names of temporary
/// files would be a difference.
fn everything(run: &Path) -> Result<BTreeMap<String, Vec<u8>>, String> {
    let files = contents(run)?.into_iter();
    let mut files: BTreeMap<_, _> = files
        .map(|(name, file)| (name, file.into_bytes()))
        .collect();
    let log = run.join("log.txt");
    let text = fs::read_to_string(&log).map_err(|e| format!("{}: {e}", log.display()))?;
    files.insert("log.txt".into(), log_lines(&text).into_bytes());
    let states: Vec<String> = files
        .keys()
        .filter(|name| is_state(name))
        .cloned()
        .collect();
    for name in states {
        let path = run.join(&name);
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        files.insert(name, state(&text)?.into_bytes());
    }
    Ok(files)
}

fn is_state(name: &str) -> bool {
    name.starts_with("checkpoints/") && name.ends_with(".json")
}

/// The state in a checkpoint without durations, and without the hashes of records that contain
/// durations.
fn state(text: &str) -> Result<String, String> {
    let (_, body) = text.split_once('\n').unwrap_or(("", text));
    let mut state: Value = serde_json::from_str(body).map_err(|e| format!("checkpoint: {e}"))?;
    for key in ["spent", "metrics", "log", "config", "working_directory"] {
        state[key] = Value::Null;
    }
    crate::result_files::forget_volatile(&mut state);
    Ok(state.to_string())
}

/// The lines of a log about training itself, without their times. Other lines tell of the start of
/// each process and of the prefix cache, which a process fills anew.
fn log_lines(text: &str) -> String {
    let is_of_training = |line: &&str| {
        let starts = [": stage ", " stage ", "evaluation", "the best model"];
        starts.iter().any(|part| line.contains(part))
            && !line.contains("prefix cache")
            && !line.contains(" run version")
    };
    let without_time =
        |line: &str| line.split_once(' ').map_or("", |(_, rest)| rest).to_owned() + "\n";
    let lines = text.lines().filter(is_of_training);
    lines
        .map(without_time)
        .map(|line| without_numbers_of_time(&line))
        .collect()
}

/// A line of the log without the values of evaluations that are durations.
fn without_numbers_of_time(line: &str) -> String {
    let mut kept = Vec::new();
    for part in line.split(',') {
        if !part.contains("runtime") && !part.contains("per_second") {
            kept.push(part);
        }
    }
    kept.join(",")
}

/// The step of the newest checkpoint.
fn last_checkpoint(run: &Path) -> Option<u64> {
    let entries = fs::read_dir(run.join("checkpoints")).ok()?.flatten();
    let steps = entries.filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        name.strip_prefix("step-")?
            .strip_suffix(".json")?
            .parse()
            .ok()
    });
    steps.max()
}

fn start(command: &mut Command) -> Result<Child, String> {
    let command = command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
        .spawn()
        .map_err(|error| format!("{command:?}: {error}"))
}

fn said(child: Child) -> String {
    let output = child.wait_with_output();
    output.map_or_else(
        |e| e.to_string(),
        |o| String::from_utf8_lossy(&o.stderr).into_owned(),
    )
}

/// Random numbers (xorshift64*).
struct Random(u64);

impl Random {
    /// A number from 0 to below 1.
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1u64 << 53) as f64
    }
}
