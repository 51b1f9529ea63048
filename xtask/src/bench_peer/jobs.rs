//! The jobs of `cargo xtask bench-peer`, in one table. Read by [`super`] and its other modules.
//!
//! A job is the same work on both sides: model, data, method, batch size, learning rate, decay,
//! clipping, dropout, length grouping. The sides differ only in the padding, schedule and
//! precision of the peer that the job names.

/// The data on which a job trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Data {
    /// GLUE's MRPC: pairs of sentences, 53 tokens on average.
    Mrpc,
    /// GLUE's SST-2: short phrases, 13 tokens on average.
    Sst2,
    /// Generated sentences, each truncated at 128 tokens, for a random model with BERT-base's shape
    /// (110 M parameters).
    Base,
}

/// The peer's way to make a batch rectangular; progtune never pads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Padding {
    /// To the longest sequence in the batch, with similar lengths grouped.
    Dynamic,
    /// To 128 tokens, as in the usual script.
    Full,
}

/// The precision of the peer's matrix products; progtune's side is in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PeerPrecision {
    /// PyTorch's default.
    F32,
    /// `torch.autocast("cpu", dtype=torch.bfloat16)`: the Trainer's `--bf16 --use_cpu`.
    Bf16,
}

/// The part of the job that is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The first steps, without evaluation: throughput, memory, time to the first step.
    Steps,
    /// Every epoch with evaluation, which is the time that a user waits.
    Whole,
}

/// One comparison.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    /// Its name for `--job`.
    pub(crate) name: &'static str,
    /// Model and data.
    pub(crate) data: Data,
    /// `none` or `lora`; both sides use the same name.
    pub(crate) peft: &'static str,
    /// progtune's schedule.
    pub(crate) schedule: &'static str,
    /// The peer's schedule: `full` is PEFT's; any other one freezes per epoch in the peer too.
    pub(crate) peer_schedule: &'static str,
    /// The number of epochs, T.
    pub(crate) epochs: u32,
    /// The number of examples per step.
    pub(crate) batch_size: u32,
    /// The peer's padding.
    pub(crate) padding: Padding,
    /// The peer's precision.
    pub(crate) peer_precision: PeerPrecision,
    /// A few steps or everything.
    pub(crate) extent: Extent,
}

/// A job with a few steps of every block on MiniLM with batches of 32.
const fn steps(name: &'static str, data: Data, peft: &'static str, padding: Padding) -> Job {
    Job {
        name,
        data,
        peft,
        schedule: "full",
        peer_schedule: "full",
        epochs: 3,
        batch_size: match data {
            Data::Base => 16,
            Data::Mrpc | Data::Sst2 => 32,
        },
        padding,
        peer_precision: PeerPrecision::F32,
        extent: Extent::Steps,
    }
}

/// The same job against PyTorch in bf16.
const fn against_bf16(name: &'static str, data: Data, peft: &'static str) -> Job {
    Job {
        peer_precision: PeerPrecision::Bf16,
        ..steps(name, data, peft, Padding::Dynamic)
    }
}

/// A job with LoRA on MRPC to the end, progressive in progtune.
const fn whole(
    name: &'static str,
    epochs: u32,
    peer_schedule: &'static str,
    padding: Padding,
) -> Job {
    Job {
        name,
        data: Data::Mrpc,
        peft: "lora",
        schedule: "progressive",
        peer_schedule,
        epochs,
        batch_size: 32,
        padding,
        peer_precision: PeerPrecision::F32,
        extent: Extent::Whole,
    }
}

/// Every job, in the order in which they are run and listed.
pub(crate) const JOBS: &[Job] = &[
    steps("mrpc-full", Data::Mrpc, "none", Padding::Dynamic),
    steps("mrpc-lora", Data::Mrpc, "lora", Padding::Dynamic),
    steps("sst2-full", Data::Sst2, "none", Padding::Dynamic),
    steps("sst2-lora", Data::Sst2, "lora", Padding::Dynamic),
    steps("mrpc-lora-padded", Data::Mrpc, "lora", Padding::Full),
    steps("sst2-lora-padded", Data::Sst2, "lora", Padding::Full),
    steps("base-full", Data::Base, "none", Padding::Dynamic),
    steps("base-lora", Data::Base, "lora", Padding::Dynamic),
    against_bf16("mrpc-full-bf16", Data::Mrpc, "none"),
    against_bf16("mrpc-lora-bf16", Data::Mrpc, "lora"),
    against_bf16("sst2-full-bf16", Data::Sst2, "none"),
    against_bf16("sst2-lora-bf16", Data::Sst2, "lora"),
    against_bf16("base-full-bf16", Data::Base, "none"),
    against_bf16("base-lora-bf16", Data::Base, "lora"),
    whole("mrpc-lora-t3", 3, "full", Padding::Dynamic),
    whole("mrpc-lora-t3-padded", 3, "full", Padding::Full),
    whole("mrpc-lora-t3-same", 3, "progressive", Padding::Dynamic),
    whole("mrpc-lora-t12", 12, "full", Padding::Dynamic),
    whole("mrpc-lora-t12-padded", 12, "full", Padding::Full),
];

impl Job {
    /// The job with this name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        JOBS.iter().find(|job| job.name == name)
    }

    /// The task's name, the same on both sides.
    pub(crate) fn task(&self) -> &'static str {
        match self.data {
            Data::Mrpc => "mrpc",
            Data::Sst2 | Data::Base => "sst2",
        }
    }

    /// The learning rate: progtune's default for the method.
    pub(crate) fn lr(&self) -> &'static str {
        match self.peft {
            "none" => "5e-5",
            _ => "5e-4",
        }
    }

    /// The job in words, for the list and the record.
    pub(crate) fn describe(&self) -> String {
        let model = match self.data {
            Data::Mrpc => "MRPC, MiniLM",
            Data::Sst2 => "SST-2, MiniLM",
            Data::Base => "128-token sentences, BERT-base shape",
        };
        let method = match self.peft {
            "none" => "full fine-tuning",
            _ => "LoRA r=8",
        };
        let padding = match self.padding {
            Padding::Dynamic => "dynamic padding, grouped by length",
            Padding::Full => "padding to 128",
        };
        let blocks = match (self.schedule, self.peer_schedule) {
            ("full", _) => String::new(),
            (own, "full") => format!(", T={}, {own} against all blocks", self.epochs),
            (own, _) => format!(", T={}, {own} on both sides", self.epochs),
        };
        let precision = match self.peer_precision {
            PeerPrecision::F32 => "",
            PeerPrecision::Bf16 => ", bf16",
        };
        format!(
            "{model}, {method}, batch {}{blocks}; peer: {padding}{precision}",
            self.batch_size
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        for job in JOBS {
            let same = JOBS.iter().filter(|other| other.name == job.name).count();
            assert_eq!(same, 1, "{}", job.name);
        }
        assert_eq!(
            Job::find("mrpc-lora-t3").unwrap().describe(),
            "MRPC, MiniLM, LoRA r=8, batch 32, T=3, progressive against all blocks; peer: dynamic padding, grouped by length"
        );
    }
}
