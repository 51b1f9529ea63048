//! Data of every kind and origin: own files, questions, tagged sentences, tokenizers, and the hub.

mod first_commands;
mod hostile_input;
mod hub;
mod own_data;
mod question_answering;
mod raw_sentences;
mod real_data;
mod sampling;
mod squad_runs;
mod tagged_data;
mod tokenizers;
