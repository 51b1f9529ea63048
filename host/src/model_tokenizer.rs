//! The tokenizer of a model, for inputs that the model can take. Called by the recipe and by every
//! command that reads texts.

use progtune_engine::{Error, ModelSource, Result, model::ModelConfig};
use progtune_pipeline::tokenizer::Tokenizer;

/// Number of positions needed for a pair of texts: RoBERTa's four special tokens and a word.
const SHORTEST_MODEL: usize = 5;

/// Opens the tokenizer of a model for inputs of at most `max_length` tokens, or fewer if the
/// model's limit is lower.
pub fn open_tokenizer(
    source: &ModelSource,
    config: &ModelConfig,
    max_length: usize,
) -> Result<Tokenizer> {
    let longest = config.max_tokens();
    if longest < SHORTEST_MODEL {
        return Err(Error::Model(format!(
            "{}/config.json: keys `max_position_embeddings` {} and `pad_token_id` {}{}: expected room for inputs of at least \
             {SHORTEST_MODEL} tokens, found room for {longest}; correct them",
            source.name(),
            config.encoder.max_position_embeddings,
            config.encoder.pad_token_id,
            match config.position_shift {
                0 => String::new(),
                shift => format!(" and the {shift} positions that the method takes"),
            }
        )));
    }
    let length = max_length.min(longest);
    if max_length > longest {
        tracing::info!(
            "--max-length {max_length} exceeds the model's limit: inputs are truncated to {longest} tokens"
        );
    }
    Tokenizer::of_model(source, config, length)
}
