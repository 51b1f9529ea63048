//! A part of the model in an epoch as a square: trained, frozen, or read from the prefix cache. The
//! table and the picture of a plan draw it.

use super::Stage;

/// The state of a part of the model in an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Square {
    /// Trained.
    Trained,
    /// Computed and not changed.
    Frozen,
    /// Frozen, with its output read from the prefix cache.
    Cached,
}

impl Square {
    /// The square as a character of a terminal.
    pub(super) fn glyph(self) -> char {
        match self {
            Self::Trained => '■',
            Self::Frozen => '·',
            Self::Cached => '░',
        }
    }

    /// The square as a colour of the picture.
    pub(super) fn colour(self) -> &'static str {
        match self {
            Self::Trained => "#2f6fb5",
            Self::Frozen => "#d5d9de",
            Self::Cached => "#f0dca8",
        }
    }

    /// The square in words.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Trained => "trained",
            Self::Frozen => "frozen",
            Self::Cached => "frozen, from the prefix cache",
        }
    }
}

/// The squares of the embeddings and of `blocks` blocks, from the input, in an epoch that begins
/// with `stage`. Its forwards start at block `start`; 0 stands for the embeddings.
pub(super) fn column(stage: &Stage, blocks: usize, start: usize) -> (Square, Vec<Square>) {
    let spared = |is_trained: bool, below: bool| match (is_trained, below) {
        (true, _) => Square::Trained,
        (false, true) => Square::Cached,
        (false, false) => Square::Frozen,
    };
    let embeddings = spared(stage.embeddings, start > 0);
    let block = |block: usize| spared(stage.blocks.contains(&block), block < start);
    (embeddings, (0..blocks).map(block).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(blocks: &[usize], embeddings: bool) -> Stage {
        Stage {
            blocks: blocks.to_vec(),
            embeddings,
            ..Stage::default()
        }
    }

    #[test]
    fn squares_say_what_becomes_of_a_block() {
        let glyphs = |stage: &Stage, start: usize| {
            let (embeddings, blocks) = column(stage, 4, start);
            let blocks: String = blocks.iter().map(|square| square.glyph()).collect();
            format!("{} {blocks}", embeddings.glyph())
        };
        assert_eq!(glyphs(&stage(&[0, 1, 2, 3], true), 0), "■ ■■■■");
        assert_eq!(glyphs(&stage(&[2, 3], false), 0), "· ··■■");
        assert_eq!(glyphs(&stage(&[3], false), 2), "░ ░░·■");
    }
}
