//! Numbers against references: PyTorch, Transformers and PEFT through committed fixtures, the two
//! compute paths against each other, and the paper's figures. Results must also repeat bit for bit.

mod configurations;
mod gpu_path;
mod graph_operations;
mod initial_values;
mod merging;
mod paper_figures;
mod parity_curves;
mod parity_gradients;
mod parity_heads;
mod parity_methods;
mod peft_matrix;
mod precision;
mod prefix_cache;
mod real_minilm;
mod schedules;
mod shared_parameters;
mod trainable_sets;
mod wide_model;
