//! The errors with which a run can fail, and their exit codes. `main` prints them.

use progtune_datasets::DataError;
use progtune_plugin_loader::PluginFault;
use progtune_process::Signal;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// The result of every function in the host that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that ends a command. Its message names the file or key, then says what was expected,
/// what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bad arguments or configuration.
    #[error(transparent)]
    Config(Box<dyn std::error::Error + Send + Sync>),
    /// Arguments that do not fit the run, for example an output directory that is in use.
    #[error("{0}")]
    Usage(String),
    /// Bad input data.
    #[error(transparent)]
    Data(Box<DataError>),
    /// A checkpoint, adapter, configuration or tokenizer that cannot be used.
    #[error("{0}")]
    Model(String),
    /// A failure that a plugin reported or caused.
    #[error(transparent)]
    Plugin(#[from] PluginFault),
    /// A failure of training: a loss that is not finite, or a parameter without a gradient.
    #[error("{0}")]
    Training(String),
    /// An example whose logits are not finite.
    #[error("{0}")]
    NotFinite(Box<NotFinite>),
    /// A failure of one of several adapters.
    #[error("adapter {name}: {source}")]
    Adapter {
        /// The name of the adapter.
        name: String,
        /// The reason.
        source: Box<Error>,
    },
    /// The user interrupted a training run.
    #[error("interrupted after {steps} steps; {}", after_interruption(*saved, directory))]
    Interrupted {
        /// Number of optimizer steps that were completed.
        steps: u64,
        /// The step of the last checkpoint; 0 if there is none.
        saved: u64,
        /// The run's directory.
        directory: PathBuf,
        /// The signal that asked to stop.
        signal: Signal,
    },
    /// The output directory of the run has disappeared.
    #[error(
        "{}: the output directory is gone (removed, unmounted or replaced), so the run cannot save its result; \
         nothing was saved: choose an --output directory that stays, and run it again",
        directory.display()
    )]
    OutputLost {
        /// The directory.
        directory: PathBuf,
    },
    /// A failure together with something else that the user must know.
    #[error("{source}; {note}")]
    Noted {
        /// The underlying failure.
        source: Box<Error>,
        /// The additional information.
        note: String,
    },
    /// An error of the file system, or the user interrupted a command that had nothing to save yet.
    #[error(transparent)]
    Process(#[from] progtune_process::Error),
    /// A GPU that is out of memory.
    #[error(
        "the GPU has no memory left; use a smaller --batch-size with --gradient-accumulation-steps, a shorter --max-length, \
         --recompute, or --precision bf16"
    )]
    GpuMemory,
    /// An internal error of the tensor library, or a failure of its device.
    #[error("tensor computation failed: {0}")]
    Tensor(candle_core::Error),
}

impl From<candle_core::Error> for Error {
    fn from(error: candle_core::Error) -> Self {
        if error.to_string().contains("CUDA_ERROR_OUT_OF_MEMORY") {
            Self::GpuMemory
        } else {
            Self::Tensor(error)
        }
    }
}

/// An example whose logits are not finite.
#[derive(Debug, Clone, PartialEq)]
pub struct NotFinite {
    /// The input of the computation: `the validation split`, or a file.
    pub split: String,
    /// The index of the example in this input, counted from 0.
    pub index: usize,
    /// The id of its question, if it has one.
    pub id: Option<String>,
    /// The first logit that is NaN or infinite.
    pub found: f32,
}

impl NotFinite {
    /// The input and the example in words: `the validation split, example 4`.
    pub fn example(&self) -> String {
        match &self.id {
            Some(id) => format!("{}, question {id:?}", self.split),
            None => format!("{}, example {}", self.split, self.index + 1),
        }
    }
}

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected finite logits, found {}; the model's weights are damaged, or its training diverged: check the checkpoint \
             and the adapter, or train again with a lower --lr",
            self.example(),
            self.found
        )
    }
}

/// The rest of the message about an interrupted run.
fn after_interruption(saved: u64, directory: &Path) -> String {
    let directory = directory.display();
    match saved {
        0 => format!("the records so far are in {directory}, but no result was saved"),
        step => format!("`progtune resume {directory}` continues after step {step}"),
    }
}

// Boxed to keep `Result` small.
impl From<progtune_hub::Error> for Error {
    fn from(error: progtune_hub::Error) -> Self {
        Self::Model(error.to_string())
    }
}

impl From<DataError> for Error {
    fn from(error: DataError) -> Self {
        Self::Data(Box::new(error))
    }
}

impl Error {
    /// Wraps an I/O error with its path and action, for `map_err`.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let with_path = progtune_process::Error::io(path, action);
        move |source| with_path(source).into()
    }

    /// The exit code: 2 for arguments, 3 for data or models, 4 for plugins, 5 for training, and the
    /// signal's own for an interruption.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Usage(_) => 2,
            Self::Data(e) => match **e {
                DataError::UnknownTask { .. } | DataError::NoSuchSplit { .. } => 2,
                _ => 3,
            },
            Self::Model(_) | Self::NotFinite(_) | Self::OutputLost { .. } => 3,
            Self::Process(error) => error.exit_code(),
            Self::Plugin(fault) => fault.exit_code(),
            Self::Training(_) | Self::GpuMemory | Self::Tensor(_) => 5,
            Self::Adapter { source, .. } | Self::Noted { source, .. } => source.exit_code(),
            Self::Interrupted { signal, .. } => signal.exit_code(),
        }
    }
}
