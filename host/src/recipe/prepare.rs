//! Prepares a training run: reads everything that it needs and changes nothing. Called by the
//! recipe. `plan` and the commands that use a result share parts of it.

use crate::{
    best_model::BestModel,
    config::{Decided, InputsConfig, RunConfig, ScheduleAndMethod, TrainingConfig, max_length},
    evaluations::EvalTimes,
    fetch::{Fetcher, ModelFiles, warn_of_another_base},
    memory_forecast::budget::{explained, settle_memory},
    model_tokenizer::open_tokenizer,
    run_examples::{load_data, load_test},
    split_remarks,
    task_data::TaskData,
};
use progtune_datasets::Task;
use progtune_engine::{
    Assembly, Error, HeadKind, InitialValues, ModelSource, Result,
    adapter::Adapter,
    model::{Model, ModelConfig, weights::HeadPolicy},
    open_device,
    optim::LrShape,
    plan::{ModelPlan, RunPlan},
    plugin::{self, LoadedMethod, LoadedSchedule, Plugins},
};
use progtune_hub::NamedPath;
use progtune_pipeline::{
    EvalSplit, batch_order::BatchOrder, class_weights::loss_weighting, token_store::Examples,
    tokenizer::Tokenizer,
};
use progtune_process::Phase;

/// Learning rate of full fine-tuning if none is given: Hugging Face's default.
const FULL_LR: f64 = 5e-5;

/// The model of a run before its weights are read, and the method that trains it.
pub(crate) struct ModelSide {
    /// The source of the model.
    pub source: ModelSource,
    /// The model's configuration, with the run's dropout.
    pub config: ModelConfig,
    /// The adapter that training starts from.
    pub adapter: Option<Adapter>,
    /// The PEFT method, or `None` for full fine-tuning.
    pub method: Option<LoadedMethod>,
}

impl ModelSide {
    /// Reads the configuration and the adapter, whose paths in `inputs` are local, and loads the
    /// method.
    ///
    /// # Errors
    /// Fails if a file cannot be read, or the method rejects its options or the adapter.
    pub(crate) fn read(
        config: &RunConfig,
        inputs: &InputsConfig,
        plugins: &Plugins,
    ) -> Result<Self> {
        let source = ModelSource::new(inputs.model.as_ref())?;
        let mut model_config = source.config()?;
        if let Some(p) = config.training.dropout {
            model_config.override_dropout(p);
        }
        let adapter = inputs
            .init_adapter
            .as_ref()
            .map(|directory| Adapter::read(directory.path(), &model_config))
            .transpose()?;
        let start = inputs.init_adapter.as_ref().map(NamedPath::path);
        warn_of_another_base(start.into_iter(), &source)?;
        let method = load_method(plugins, &config.schedule_and_method, adapter.as_ref())?;
        Ok(Self {
            source,
            config: model_config,
            adapter,
            method,
        })
    }
}

/// Everything that is read before the schedule is asked: the model's description, the method's plan
/// and the data.
pub(crate) struct Inputs<'a> {
    /// The run's configuration.
    pub config: &'a RunConfig,
    /// The run's inputs as local paths, with the detected columns of the user's own files.
    pub local: InputsConfig,
    /// The task and its data.
    pub data: TaskData,
    /// The model and the method.
    pub model: ModelSide,
    /// The parameters that may be trained.
    pub model_plan: ModelPlan,
    /// The maximum length of an input in tokens, as requested or as suits the task. The model may
    /// allow less.
    pub longest: usize,
    /// The model's tokenizer.
    pub tokenizer: Tokenizer,
    /// The training set.
    pub examples: Examples,
    /// The evaluation splits that are measured in each evaluation of the run.
    pub eval_splits: Vec<EvalSplit>,
    /// Remarks on oddities in these examples.
    pub remarks: Vec<String>,
    /// The labelled test splits, on which the result is measured.
    pub test_splits: Vec<EvalSplit>,
    plugins: Plugins,
}

impl<'a> Inputs<'a> {
    /// Reads all inputs.
    ///
    /// # Errors
    /// Fails if something is absent, damaged, or inconsistent with the rest.
    pub(crate) fn read(config: &'a RunConfig) -> Result<Self> {
        open_device(config.machine.device)?;
        let plugins = plugin::find(&config.plugins)?;
        let fetcher = Fetcher::new(&config.hub);
        let task = &config.data.task;
        let local = fetcher.run(&config.inputs, task, ModelFiles::All, true)?;
        let token_cache = config.caching.token_cache;
        let data = TaskData::of_run(&config.data, &local, token_cache)?;
        let local = data.settle(local);
        let task = data.task();
        let mut model = ModelSide::read(config, &local, &plugins)?;
        let (head, method) = (HeadKind::of(task), model.method.as_ref());
        let model_plan = ModelPlan::new(
            &model.config,
            head,
            method,
            config.schedule_and_method.train_pooler,
        )?;
        model.config.position_shift = model_plan.position_shift;
        let longest = max_length(config.batching.max_length, task.problem_type);
        let tokenizer = open_tokenizer(&model.source, &model.config, longest)?;
        let tokenizer = tokenizer.for_task(task.problem_type);
        let (examples, eval_splits) = load_data(&config.data, &data, &tokenizer, token_cache)?;
        let remarks = split_remarks::remarks(data.task(), &examples, &eval_splits)?;
        let test_splits = load_test(&config.data, &data, &tokenizer, token_cache)?;
        Ok(Self {
            config,
            local,
            longest,
            data,
            model,
            model_plan,
            tokenizer,
            examples,
            eval_splits,
            remarks,
            test_splits,
            plugins,
        })
    }

    /// The task.
    pub(crate) fn task(&self) -> &Task {
        self.data.task()
    }
}

/// A run that is ready to train.
pub(crate) struct Prepared<'a> {
    /// The inputs that were read.
    pub inputs: &'a Inputs<'a>,
    /// The values that the run's configuration leaves open.
    pub decided: Decided,
    /// The batches of each epoch.
    pub order: BatchOrder<'a>,
    /// The schedule.
    pub schedule: LoadedSchedule,
    /// The schedule's plan, computed before the first epoch.
    pub run_plan: RunPlan,
    /// The decision about memory, as text.
    pub(crate) memory_note: Option<String>,
    /// The shape of the learning-rate curve.
    pub(crate) lr_shape: LrShape,
    /// The times of evaluations.
    pub(crate) eval_times: EvalTimes,
    /// The keeper of the best parameters, if it was requested.
    pub best: Option<BestModel>,
    /// The first bias of a new head's last layer.
    head_bias: Option<Vec<f32>>,
    /// The model with its weights.
    pub model: Model,
}

impl<'a> Prepared<'a> {
    /// Orders the batches, loads the schedule, settles learning rate and memory, and builds the
    /// model.
    ///
    /// # Errors
    /// Fails if the schedule refuses, the run does not fit its memory budget, or weights cannot be
    /// read.
    pub(crate) fn new(inputs: &'a Inputs<'a>) -> Result<Self> {
        let (config, task, model_plan) = (inputs.config, inputs.task(), &inputs.model_plan);
        let (examples, eval_splits) = (&inputs.examples, &inputs.eval_splits);
        let training = &config.training;
        let order = BatchOrder::new(config.batching.rule(training.seed), examples)?;
        let steps_per_epoch = order.steps_per_epoch();
        let schedule = load_schedule(&inputs.plugins, config, model_plan, steps_per_epoch)?;
        let (weights, smoothing) = (&config.loss.class_weights, config.loss.label_smoothing);
        let weighting = loss_weighting(weights, smoothing, task, examples)?;
        let run_plan = RunPlan::new(model_plan, &schedule, training.epochs, steps_per_epoch)?;
        let lr = config
            .optimizer
            .lr
            .or(model_plan.suggested_lr)
            .unwrap_or(FULL_LR);
        let lr_shape = config.optimizer.lr_shape(lr)?;
        let settled = settle_memory(
            config,
            &inputs.model.config,
            HeadKind::of(task),
            model_plan,
            &run_plan.stages,
            (examples, eval_splits),
        )?;
        let adapter = inputs.model.adapter.as_ref();
        let decided = Decided {
            max_length: inputs.longest,
            lr,
            peft_opt: merged_options(&config.schedule_and_method.peft_opt, adapter),
            recompute: settled.recompute,
            prefix_cache_budget: settled.prefix_cache_budget,
        };
        let best = training.best_model_metric.as_ref();
        let best = best
            .map(|metric| BestModel::told_by(metric, task))
            .transpose()?;
        let head_bias = training.head_init.bias(task, examples)?;
        let built = build(inputs, head_bias.as_deref(), decided.recompute);
        let mut model = built.map_err(|error| explain(error, inputs, &run_plan))?;
        model.loss_weighting = weighting;
        let last_step = training.last_step(steps_per_epoch);
        Ok(Self {
            inputs,
            decided,
            order,
            schedule,
            run_plan,
            memory_note: settled.note,
            lr_shape,
            eval_times: config
                .evaluating
                .evaluations
                .times(steps_per_epoch, last_step),
            best,
            head_bias,
            model,
        })
    }

    /// An error of the run, with the forecast of its memory if a GPU has too little.
    pub(crate) fn explain(&self, error: Error) -> Error {
        explain(error, self.inputs, &self.run_plan)
    }

    /// The first values of the model's parameters, which are read again.
    ///
    /// # Errors
    /// Fails if the checkpoint cannot be opened.
    pub(crate) fn initial_values(&self) -> Result<InitialValues<'_>> {
        InitialValues::open(assembly(self.inputs, self.head_bias.as_deref()))
    }

    /// The number of the run's last step.
    pub(crate) fn last_step(&self) -> u64 {
        self.eval_times.last_step
    }

    /// The number of steps in all epochs, including those after the last step.
    pub(crate) fn total_steps(&self) -> u64 {
        self.order.steps_per_epoch() * u64::from(self.training().epochs)
    }

    /// The number of epochs that run; the last one may be incomplete.
    pub(crate) fn epochs(&self) -> u32 {
        let steps = self.training().max_steps.unwrap_or(u64::MAX);
        let epochs = steps.div_ceil(self.order.steps_per_epoch().max(1));
        epochs.min(self.training().epochs.into()) as u32
    }

    fn training(&self) -> &'a TrainingConfig {
        &self.inputs.config.training
    }
}

fn explain(error: Error, inputs: &Inputs<'_>, run_plan: &RunPlan) -> Error {
    explained(
        error,
        inputs.config,
        (&inputs.model.config, HeadKind::of(inputs.task())),
        &inputs.model_plan,
        &run_plan.stages,
        (&inputs.examples, &inputs.eval_splits),
    )
}

fn build(inputs: &Inputs<'_>, head_bias: Option<&[f32]>, recompute: bool) -> Result<Model> {
    let mut model = assembly(inputs, head_bias).build()?;
    model.frozen_dropout = inputs.config.training.frozen_dropout;
    model.recompute = recompute;
    Ok(model)
}

/// Everything that determines the first values of the model.
fn assembly<'a>(inputs: &'a Inputs<'_>, head_bias: Option<&'a [f32]>) -> Assembly<'a> {
    let (config, task) = (inputs.config, inputs.task());
    Assembly {
        source: &inputs.model.source,
        config: inputs.model.config.clone(),
        head: HeadKind::of(task),
        labels: &task.labels,
        model_plan: &inputs.model_plan,
        adapter: inputs.model.adapter.as_ref(),
        policy: HeadPolicy::MakeNew,
        head_bias,
        seed: config.training.seed,
        device: config.machine.device,
        kernels: config.machine.kernels,
        precision: config.machine.precision,
    }
}

/// Loads the method of the run. The user's options take precedence over those of the initial
/// adapter.
///
/// # Errors
/// Fails if the adapter's method is another one, or the method rejects its options.
fn load_method(
    plugins: &Plugins,
    config: &ScheduleAndMethod,
    adapter: Option<&Adapter>,
) -> Result<Option<LoadedMethod>> {
    let Some(id) = config.peft.as_deref() else {
        return Ok(None);
    };
    if let Some(adapter) = adapter.filter(|adapter| adapter.method != id) {
        return Err(Error::Usage(format!(
            "--init-adapter {}: the adapter's method is {}, but the run uses --peft {id}; use the same method",
            adapter.origin, adapter.method
        )));
    }
    if let Some(adapter) = adapter.filter(|adapter| !adapter.unsaid.is_empty()) {
        return Err(Error::Usage(format!(
            "--init-adapter {}: the method {id} has no option for parts of the adapter: {}; merge it into the model \
             (progtune merge), and train the merged model",
            adapter.origin,
            adapter.unsaid.join("; ")
        )));
    }
    let phase = Phase::begin("plugin", format!("loading the method {id}"), "", None);
    let method = plugins.method(id, &merged_options(&config.peft_opt, adapter))?;
    phase.finish();
    if let Some(adapter) = adapter {
        adapter.warn_if_made_by_another(method.source());
    }
    Ok(Some(method))
}

fn merged_options(
    peft_opt: &[(String, String)],
    adapter: Option<&Adapter>,
) -> Vec<(String, String)> {
    let mut options = peft_opt.to_vec();
    for (key, value) in adapter.iter().flat_map(|adapter| &adapter.options) {
        if !options.iter().any(|(given, _)| given == key) {
            options.push((key.clone(), value.clone()));
        }
    }
    options
}

fn load_schedule(
    plugins: &Plugins,
    config: &RunConfig,
    model_plan: &ModelPlan,
    steps_per_epoch: u64,
) -> Result<LoadedSchedule> {
    let (schedule_and_method, training) = (&config.schedule_and_method, &config.training);
    let method = schedule_and_method.peft.as_deref().unwrap_or_default();
    let run = model_plan.run_record(training.epochs, steps_per_epoch, training.seed, method);
    let what = format!("loading the schedule {}", schedule_and_method.schedule);
    let phase = Phase::begin("plugin", what, "", None);
    let schedule = plugins.schedule(
        &schedule_and_method.schedule,
        &schedule_and_method.schedule_opt,
        run,
    )?;
    phase.finish();
    Ok(schedule)
}
