//! Encodes texts, pairs and words to ids and types. Called for examples, evaluation sets and inputs
//! of `predict`.

use super::{Tokenizer, class::Class, contain::contain};
use progtune_datasets::{Example, TaggedSentence};
use progtune_engine::{EncodedExample, Error, Result, Target};
use tokenizers::{PostProcessor, TruncationDirection};

impl Tokenizer {
    /// Tokenises examples on all threads; a pair becomes one sequence.
    ///
    /// # Errors
    /// Fails if the tokenizer refuses a text, or the maximum length is too short for these
    /// examples.
    pub fn encode(&self, examples: &[Example]) -> Result<Vec<EncodedExample>> {
        self.encode_rows(examples, 0)
    }

    /// Like [`Tokenizer::encode`], for a part of the examples; `n_before` examples precede it.
    pub fn encode_rows(
        &self,
        examples: &[Example],
        n_before: usize,
    ) -> Result<Vec<EncodedExample>> {
        let pairs = examples.iter().any(|example| example.pair.is_some());
        let inner = self.inner()?;
        self.check_length(inner, pairs)?;
        let inputs: Vec<tokenizers::EncodeInput<'_>> = examples
            .iter()
            .map(|example| match &example.pair {
                Some(pair) => (example.text.as_str(), pair.as_str()).into(),
                None => example.text.as_str().into(),
            })
            .collect();
        let text = |row: usize| examples[row].text.clone();
        let encodings = self.encode_all(inputs, n_before, text)?;
        Ok(encodings
            .iter()
            .zip(examples)
            .map(|(encoding, example)| {
                self.example(encoding, example.label.clone().map(Target::from))
            })
            .collect())
    }

    /// Tokenises sentences that are given as words (Hugging Face's `is_split_into_words`), on all
    /// threads. Each result includes the word of every token, counted from 0.
    ///
    /// # Errors
    /// Fails like [`Tokenizer::encode`].
    pub fn encode_words(
        &self,
        sentences: &[TaggedSentence],
    ) -> Result<Vec<(EncodedExample, Vec<Option<u32>>)>> {
        let inputs = sentences
            .iter()
            .map(|sentence| sentence.words.as_slice().into())
            .collect();
        let encodings = self.encode_all(inputs, 0, |row| sentences[row].words.join(" "))?;
        Ok(encodings
            .iter()
            .map(|encoding| {
                (
                    self.example(encoding, None),
                    encoding.get_word_ids().to_vec(),
                )
            })
            .collect())
    }

    /// Tokenises inputs on all threads; `n_before` inputs precede them, and `text` describes one
    /// for messages.
    fn encode_all(
        &self,
        inputs: Vec<tokenizers::EncodeInput<'_>>,
        n_before: usize,
        text: impl Fn(usize) -> String,
    ) -> Result<Vec<tokenizers::Encoding>> {
        let built = self.built()?;
        let encodings = self.run(|| {
            if built.class == Class::JapaneseBasic {
                let encode = |input| self.encode_slowly(&built.inner, input);
                inputs.into_iter().map(encode).collect()
            } else {
                built.inner.encode_batch(inputs, true)
            }
        })?;
        if let Some(row) = encodings.iter().position(|encoding| encoding.is_empty()) {
            return Err(Error::Model(format!(
                "{}: the tokenizer produces no token for example {} (`{}`): expected special tokens around every text; \
                 use the model's own tokenizer.json, with its post_processor",
                self.origin,
                n_before + row + 1,
                text(row)
            )));
        }
        for encoding in &encodings {
            self.check(encoding)?;
        }
        Ok(encodings)
    }

    /// Runs the library. A panic in it, which damaged files may cause, is an error.
    ///
    /// # Errors
    /// Fails if the library fails or panics.
    pub fn run<T>(&self, work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T> {
        let result = contain(work).map_err(|what| self.failure(&what))?;
        result.map_err(|e| self.failure(&e))
    }

    /// Truncates a pair like transformers' Python tokenizers (`truncate_sequences`): token by token
    /// from the longer text, or from the second one if both are equally long. The library's own
    /// halving gives an odd token to the other text.
    fn encode_slowly(
        &self,
        inner: &tokenizers::Tokenizer,
        input: tokenizers::EncodeInput<'_>,
    ) -> tokenizers::Result<tokenizers::Encoding> {
        let tokenizers::EncodeInput::Dual(first, second) = input else {
            return inner.encode(input, true);
        };
        let mut first = inner.encode(first, false)?;
        let mut second = inner.encode(second, false)?;
        let special = inner
            .get_post_processor()
            .map_or(0, |processor| processor.added_tokens(true));
        let room = self.max_length.saturating_sub(special);
        let (mut n, mut m) = (first.len(), second.len());
        while n + m > room {
            if n > m {
                n -= 1;
            } else {
                m -= 1;
            }
        }
        let side = inner
            .get_truncation()
            .map_or(TruncationDirection::Right, |cut| cut.direction);
        first.truncate(n, 0, side);
        second.truncate(m, 0, side);
        inner.post_process(first, Some(second), true)
    }

    /// Checks that the model has embeddings for the ids and types of an input.
    ///
    /// # Errors
    /// Fails if it does not.
    pub fn check(&self, encoding: &tokenizers::Encoding) -> Result<()> {
        let largest_type = encoding.get_type_ids().iter().max().copied();
        if self.gives_types() && largest_type >= Some(self.token_types) {
            return Err(Error::Model(format!(
                "{}: the tokenizer produces token types up to {}, but config.json says type_vocab_size {}: this model takes \
                 only single texts, or the tokenizer belongs to another model",
                self.origin,
                largest_type.unwrap_or_default(),
                self.token_types
            )));
        }
        let ids = encoding.get_ids().iter().enumerate();
        let largest = ids.max_by_key(|&(_, id)| id);
        match largest {
            Some((at, &id)) if id as usize >= self.vocabulary => Err(Error::Model(format!(
                "{}: the added token `{}` has the id {id}, but config.json says vocab_size {}: the model has no embedding \
                 for it; remove the token from the tokenizer's files, or use a model that was trained with it",
                self.origin,
                encoding.get_tokens().get(at).map_or("", String::as_str),
                self.vocabulary
            ))),
            _ => Ok(()),
        }
    }

    /// The `token_type_ids` of an input; all 0 if the model receives none.
    pub fn token_type_ids(&self, encoding: &tokenizers::Encoding) -> Vec<u32> {
        if self.gives_types() {
            encoding.get_type_ids().to_vec()
        } else {
            vec![0; encoding.len()]
        }
    }

    fn gives_types(&self) -> bool {
        self.built.get().is_some_and(|built| built.gives_types)
    }

    fn example(&self, encoding: &tokenizers::Encoding, target: Option<Target>) -> EncodedExample {
        EncodedExample {
            input_ids: encoding.get_ids().to_vec(),
            token_type_ids: self.token_type_ids(encoding),
            target,
        }
    }
}
