//! Developer tasks of this repository, run as `cargo xtask NAME` (the alias is in
//! `.cargo/config.toml`). Called by developers and by `.ci/run`; users of progtune never run it.

mod arguments;
mod bench_checkpoints;
mod bench_large;
mod bench_peer;
mod build_cuda;
mod check_dist;
mod check_fake_gpu;
mod check_gpu;
mod check_kernels;
mod check_peft;
mod check_tokenizers;
mod compare_builds;
mod crash_test;
mod dist;
mod fault_test;
mod fuzz;
mod module_cycles;
mod python;
mod result_files;
mod rust_text;
mod soak;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// A task: its name, one line of help, and the function that runs it, given the repository's root
/// and the further arguments.
struct Task {
    name: &'static str,
    help: &'static str,
    run: fn(&Path, &[String]) -> Result<(), String>,
}

const TASKS: &[Task] = &[
    Task {
        name: "bench-checkpoints",
        help: "time checkpoints, and runs with and without them (`bench-checkpoints --help`)",
        run: bench_checkpoints::run,
    },
    Task {
        name: "bench-large",
        help: "train on a generated file of ten million rows: time to the first step, peak memory (`bench-large --help`)",
        run: bench_large::run,
    },
    Task {
        name: "bench-peer",
        help: "time whole jobs against PyTorch, Transformers and PEFT (installs PyTorch; `bench-peer --help`)",
        run: bench_peer::run,
    },
    Task {
        name: "build-cuda",
        help: "build with CUDA kernels on a machine without a GPU (`build-cuda --help`)",
        run: build_cuda::run,
    },
    Task {
        name: "check-dist",
        help: "run the archive of `dist` where the repository is hidden, and print sizes (`check-dist --help`)",
        run: check_dist::run,
    },
    Task {
        name: "check-fake-gpu",
        help: "train with the program of build-cuda on a GPU that is the CPU, and compare (`check-fake-gpu --help`)",
        run: check_fake_gpu::run,
    },
    Task {
        name: "check-gpu",
        help: "compare, sanitize and time the program of build-cuda on a real GPU (`check-gpu --help`)",
        run: check_gpu::run,
    },
    Task {
        name: "check-kernels",
        help: "compile the CUDA kernels with nvcc, and list registers, shared memory and spills (`check-kernels --help`)",
        run: check_kernels::run,
    },
    Task {
        name: "check-peft",
        help: "load progtune's saved models in PEFT and Transformers, and the reverse, and compare logits (`check-peft --help`)",
        run: check_peft::run,
    },
    Task {
        name: "check-tokenizers",
        help: "read random tokenizer files with AutoTokenizer and progtune, and compare ids (`check-tokenizers --help`)",
        run: check_tokenizers::run,
    },
    Task {
        name: "compare-builds",
        help: "run the same jobs with two builds and compare every number (`compare-builds --help`)",
        run: compare_builds::run,
    },
    Task {
        name: "crash-test",
        help: "kill training runs at random moments, resume them, and compare with runs that were left alone (`crash-test --help`)",
        run: crash_test::run,
    },
    Task {
        name: "dist",
        help: "build and pack the program, its plugins, licences, completions, manual pages (`dist --help`)",
        run: dist::run,
    },
    Task {
        name: "fault-test",
        help: "let each operation of the file system fail in a training run, and fill its disk (`fault-test --help`)",
        run: fault_test::run,
    },
    Task {
        name: "fuzz",
        help: "look for bytes that break a reader, guided by coverage (`fuzz --help`)",
        run: fuzz::run,
    },
    Task {
        name: "module-cycles",
        help: "list the modules of each crate that import each other in a circle; with --imports who imports whom",
        run: module_cycles::run,
    },
    Task {
        name: "soak",
        help: "train 2,000 steps with stages, evaluations and checkpoints, and watch memory and open files (`soak --help`)",
        run: soak::run,
    },
    Task {
        name: "tidy",
        help: "check the house rules of CONTRIBUTING.md in every tracked file",
        run: tidy::run,
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some(name) = arguments.first() else {
        print!("{}", list_tasks());
        return ExitCode::SUCCESS;
    };
    let Some(task) = TASKS.iter().find(|task| task.name == name) else {
        eprintln!("xtask: there is no task {name:?}\n\n{}", list_tasks());
        return ExitCode::from(2);
    };
    match find_root().and_then(|root| (task.run)(&root, &arguments[1..])) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("xtask {name}: {message}");
            ExitCode::FAILURE
        }
    }
}

fn list_tasks() -> String {
    let mut list = String::from("cargo xtask NAME, where NAME is one of\n");
    for task in TASKS {
        list.push_str(&format!("  {:<16} {}\n", task.name, task.help));
    }
    list
}

/// The repository's root: the folder above this crate's. Cargo passes the crate's folder when it
/// runs this program.
fn find_root() -> Result<PathBuf, String> {
    let crate_dir = std::env::var_os("CARGO_MANIFEST_DIR")
        .ok_or("CARGO_MANIFEST_DIR is not set: run me as `cargo xtask NAME`")?;
    let root = Path::new(&crate_dir)
        .parent()
        .ok_or("the xtask crate has no parent folder")?;
    Ok(root.to_path_buf())
}
