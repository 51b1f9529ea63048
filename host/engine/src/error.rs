//! Every way a run can fail, rendered once in `main`, with the exit code each has.

use progtune_datasets::DataError;
use progtune_plugin_loader::PluginFault;
use std::{
    fmt,
    path::{Path, PathBuf},
};

/// The result of everything in the host that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failed run. Messages name the file or key, what was expected, what was found and what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bad arguments or configuration.
    #[error(transparent)]
    Config(Box<dyn std::error::Error + Send + Sync>),
    /// Arguments that do not fit the run (an output directory that is in use, for example).
    #[error("{0}")]
    Usage(String),
    /// Bad input data.
    #[error(transparent)]
    Data(Box<DataError>),
    /// A checkpoint, adapter, configuration or tokenizer that cannot be used.
    #[error("{0}")]
    Model(String),
    /// A plugin refused or failed.
    #[error(transparent)]
    Plugin(#[from] PluginFault),
    /// Training failed: a loss that is not finite, a parameter without gradient.
    #[error("{0}")]
    Training(String),
    /// A model's logits for an example are no numbers.
    #[error("{0}")]
    NotFinite(Box<NotFinite>),
    /// One of several adapters cannot be used.
    #[error("adapter {name}: {source}")]
    Adapter {
        /// How it is called.
        name: String,
        /// Why.
        source: Box<Error>,
    },
    /// The user asked to stop.
    #[error("interrupted after {steps} steps; the records so far are in {}, a result was not saved", directory.display())]
    Interrupted {
        /// Optimizer steps done.
        steps: u64,
        /// The run's directory.
        directory: PathBuf,
    },
    /// The output directory of a run is not there any more.
    #[error(
        "{}: the output directory is gone (removed, unmounted or replaced by another one) and the result would have no \
         place, so the run ends; nothing was saved: choose an --output that stays, and run it again",
        directory.display()
    )]
    OutputLost {
        /// The directory.
        directory: PathBuf,
    },
    /// A failure with something else that the user must know.
    #[error("{source}; {note}")]
    Noted {
        /// The failure.
        source: Box<Error>,
        /// What else there is to know.
        note: String,
    },
    /// The file system refused, or the user asked to stop before there was anything to keep.
    #[error(transparent)]
    Process(#[from] progtune_process::error::Error),
    /// The tensor library refused: a fault of this program or a device out of memory.
    #[error("tensor computation failed: {0}")]
    Tensor(#[from] candle_core::Error),
}

/// The example whose logits are no numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct NotFinite {
    /// What is computed: `the validation split`, or a file.
    pub split: String,
    /// The example's index in it, from 0.
    pub index: usize,
    /// The id of its question, where it has one.
    pub id: Option<String>,
    /// The first logit that is NaN or infinite.
    pub found: f32,
}

impl NotFinite {
    /// `the validation split, example 3`.
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

// Boxed, so that results stay small.
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
    /// An I/O error with its path, for `map_err`.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let with_path = progtune_process::error::Error::io(path, action);
        move |source| with_path(source).into()
    }

    /// The exit code: 2 arguments, 3 data or model, 4 plugin, 5 training, 130 interrupted.
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
            Self::Training(_) | Self::Tensor(_) => 5,
            Self::Adapter { source, .. } | Self::Noted { source, .. } => source.exit_code(),
            Self::Interrupted { .. } => 130,
        }
    }
}
