//! Finds the rows from which a batch starts. They come from the cache, or from the frozen blocks
//! for examples that it does not hold. On the way they are saved at the boundary of the epoch.
//! Called for every batch by the recipe and the evaluator, through the prefix cache.

use super::PrefixCache;
use progtune_engine::{
    Batch, Result,
    model::{Hidden, Model, Start},
};
use progtune_pipeline::token_store::Examples;
use std::collections::BTreeMap;

/// Sequences of a batch that were brought from one boundary to the common one.
struct Part {
    /// The positions of the sequences in the batch, ascending.
    positions: Vec<usize>,
    /// The rows of the sequences, one sequence after the other.
    hidden: Hidden,
}

/// A batch whose sequences are brought to a common boundary.
struct Climb<'a> {
    model: &'a Model,
    examples: &'a Examples,
    batch: &'a Batch,
    /// The entry of the split's first example.
    first_entry: usize,
    /// The boundary where all sequences meet.
    meet: usize,
}

impl PrefixCache {
    /// The rows from which `batch` starts; `None` means at the embeddings. `examples` are those of
    /// the split with index `split`.
    ///
    /// A cached example starts at its boundary. All examples are brought up to the highest boundary
    /// among theirs and the one saved in this epoch. Examples from the same boundary form one
    /// sub-batch.
    ///
    /// # Errors
    /// Fails if the frozen blocks cannot be computed.
    pub fn start(
        &mut self,
        model: &Model,
        split: usize,
        examples: &Examples,
        batch: &Batch,
    ) -> Result<Option<Start>> {
        let Some(store) = &self.store else {
            return Ok(None);
        };
        let first_entry = self.first_entries[split];
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (position, example) in batch.examples.iter().enumerate() {
            let boundary = store.boundary(first_entry + example);
            groups.entry(boundary).or_default().push(position);
        }
        self.lookups += batch.sequences();
        let highest = groups.keys().next_back().copied().unwrap_or(0);
        let climb = Climb {
            model,
            examples,
            batch,
            first_entry,
            meet: highest.max(self.save_at),
        };
        if climb.meet == 0 {
            return Ok(None);
        }
        let mut parts = Vec::new();
        // The loop starts at the top, so that entries that cannot be read join the sequences
        // without entries.
        while let Some((from, positions)) = groups.pop_last() {
            if from == 0 {
                parts.push(self.compute(&climb, positions, None)?);
                continue;
            }
            let (found, lost, hidden) = self.load(&climb, from, positions)?;
            self.hits += found.len();
            if !found.is_empty() {
                let start = Start {
                    block: from,
                    hidden,
                };
                parts.push(self.compute(&climb, found, Some(start))?);
            }
            if !lost.is_empty() {
                let group = groups.entry(0).or_default();
                group.extend(lost);
                group.sort_unstable();
            }
        }
        Ok(Some(Start {
            block: climb.meet,
            hidden: climb.merge(parts)?,
        }))
    }

    /// Reads the sequences at one `boundary`. Returns the positions that were read, those that
    /// could not be read, and the rows.
    fn load(
        &mut self,
        climb: &Climb<'_>,
        boundary: usize,
        positions: Vec<usize>,
    ) -> Result<(Vec<usize>, Vec<usize>, Hidden)> {
        let Some(store) = &mut self.store else {
            return Ok((Vec::new(), positions, climb.model.hidden(Vec::new())?));
        };
        let entries = positions.iter().map(|&position| climb.entry(position));
        if let Some(hidden) = store.read_on_gpu(entries) {
            return Ok((positions, Vec::new(), hidden?));
        }
        let mut rows = Vec::with_capacity(climb.batch.tokens() * climb.hidden_size());
        let (found, lost) = positions.into_iter().partition(|&position| {
            let start = rows.len();
            let is_read = store.read(climb.entry(position), &mut rows);
            // Rows of a checkpoint may have another count, if somebody changed it.
            let is_whole = is_read && rows.len() - start == climb.numbers(position, boundary);
            if !is_whole {
                rows.truncate(start);
            }
            is_whole
        });
        Ok((found, lost, climb.model.hidden(rows)?))
    }

    /// Brings sequences from one boundary (`None`: the embeddings) to the common one, and saves
    /// them on the way.
    fn compute(
        &mut self,
        climb: &Climb<'_>,
        positions: Vec<usize>,
        mut start: Option<Start>,
    ) -> Result<Part> {
        let is_part = positions.len() < climb.batch.sequences();
        let sub_batch = is_part.then(|| climb.part(&positions)).transpose()?;
        let batch = sub_batch.as_ref().unwrap_or(climb.batch);
        for target in [self.save_at, climb.meet] {
            if start.as_ref().map_or(0, |start| start.block) < target {
                let hidden = climb.model.prefix(batch, start.take(), target)?;
                if target == self.save_at {
                    self.save(climb, &positions, &hidden)?;
                }
                start = Some(Start {
                    block: target,
                    hidden,
                });
            }
        }
        let hidden = match start {
            Some(start) => start.hidden,
            None => climb.model.prefix(batch, None, climb.meet)?,
        };
        Ok(Part { positions, hidden })
    }

    /// Saves rows at the boundary of this epoch.
    fn save(&mut self, climb: &Climb<'_>, positions: &[usize], hidden: &Hidden) -> Result<()> {
        let boundary = self.save_at;
        let Some(store) = &mut self.store else {
            return Ok(());
        };
        let sizes = positions.iter().map(|&position| {
            let numbers = climb.numbers(position, boundary);
            (climb.entry(position), numbers)
        });
        let sizes: Vec<(usize, usize)> = sizes.collect();
        let outcome = match store.write_on_gpu(&sizes, boundary, hidden) {
            Some(written) => Ok(written?),
            None => hidden.with_numbers(|mut rows| {
                sizes.iter().try_for_each(|&(entry, numbers)| {
                    let (own, rest) = rows.split_at(numbers);
                    rows = rest;
                    store.write(entry, boundary, own)
                })
            })?,
        };
        let is_saved = |&&(entry, _): &&(usize, usize)| store.boundary(entry) == boundary;
        self.saved += sizes.iter().filter(is_saved).count();
        if let Err(error) = outcome {
            self.turn_off(&error);
        }
        Ok(())
    }
}

impl Climb<'_> {
    /// The entry of the sequence at a position.
    fn entry(&self, position: usize) -> usize {
        self.first_entry + self.batch.examples[position]
    }

    /// A batch of only the sequences at these positions.
    fn part(&self, positions: &[usize]) -> Result<Batch> {
        let example = |&position: &usize| self.batch.examples[position];
        let indices: Vec<usize> = positions.iter().map(example).collect();
        let first_position = self.model.config.first_position();
        self.examples.batch(&indices, first_position)
    }

    fn hidden_size(&self) -> usize {
        self.model.config.encoder.hidden_size
    }

    /// Count of numbers that a sequence has at a boundary.
    fn numbers(&self, position: usize, boundary: usize) -> usize {
        let offsets = &self.batch.offsets;
        let tokens = (offsets[position + 1] - offsets[position]) as usize;
        self.model.rows_at(boundary, tokens) * self.hidden_size()
    }

    /// Merges the parts into the rows of the whole batch, in its order.
    fn merge(&self, mut parts: Vec<Part>) -> Result<Hidden> {
        if parts.len() == 1
            && let Some(part) = parts.pop()
        {
            return Ok(part.hidden);
        }
        let mut offsets = vec![0];
        for position in 0..self.batch.sequences() {
            offsets.push(offsets[position] + self.numbers(position, self.meet));
        }
        let mut merged = vec![0f32; offsets[self.batch.sequences()]];
        for part in parts {
            part.hidden.with_numbers(|mut rows| {
                for position in part.positions {
                    let place = &mut merged[offsets[position]..offsets[position + 1]];
                    let (own, rest) = rows.split_at(place.len());
                    place.copy_from_slice(own);
                    rows = rest;
                }
            })?;
        }
        self.model.hidden(merged)
    }
}
