//! The order in which the embedding's backward adds rows: sorted by id, in short segments. Called
//! once for each table and batch, before `embedding_backward_segments`.

/// The most rows that one thread adds up before the sums of segments are added.
const MOST_ROWS: usize = 32;

/// Rows sorted by id. All offsets begin with 0 and end with the number of things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    /// The rows, those of the same id together and in ascending order, `[rows]`.
    pub order: Vec<u32>,
    /// The first place in `order` of each segment, `[segments + 1]`.
    pub segment_starts: Vec<u32>,
    /// The ids that occur, ascending, `[n]`.
    pub ids: Vec<u32>,
    /// The first segment of each id, `[n + 1]`.
    pub id_starts: Vec<u32>,
}

impl Segments {
    /// Sorts the rows with these ids.
    ///
    /// ```
    /// use progtune_kernels::cuda::Segments;
    ///
    /// let segments = Segments::of(&[7, 2, 7]);
    /// assert_eq!(segments.order, [1, 0, 2]);
    /// assert_eq!(segments.segment_starts, [0, 1, 3]);
    /// assert_eq!((segments.ids, segments.id_starts), (vec![2, 7], vec![0, 1, 2]));
    /// ```
    pub fn of(ids: &[u32]) -> Self {
        let mut order: Vec<u32> = (0..ids.len() as u32).collect();
        order.sort_by_key(|&row| ids[row as usize]);
        let (mut segment_starts, mut distinct, mut id_starts) = (vec![0], Vec::new(), vec![0]);
        for rows in order.chunk_by(|&a, &b| ids[a as usize] == ids[b as usize]) {
            for segment in rows.chunks(MOST_ROWS) {
                segment_starts
                    .push(segment_starts[segment_starts.len() - 1] + segment.len() as u32);
            }
            distinct.push(ids[rows[0] as usize]);
            id_starts.push(segment_starts.len() as u32 - 1);
        }
        Self {
            order,
            segment_starts,
            ids: distinct,
            id_starts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_one_segment_of_its_id() {
        let ids: Vec<u32> = (0..500u32).map(|row| row * row % 7).collect();
        let segments = Segments::of(&ids);
        let mut seen = vec![0; ids.len()];
        for (i, &id) in segments.ids.iter().enumerate() {
            for segment in segments.id_starts[i] as usize..segments.id_starts[i + 1] as usize {
                let rows = segments.segment_starts[segment]..segments.segment_starts[segment + 1];
                assert!((1..=MOST_ROWS).contains(&rows.len()));
                let rows = &segments.order[rows.start as usize..rows.end as usize];
                assert!(rows.is_sorted() && rows.iter().all(|&row| ids[row as usize] == id));
                rows.iter().for_each(|&row| seen[row as usize] += 1);
            }
        }
        assert!(seen.iter().all(|&n| n == 1));
        assert_eq!(Segments::of(&[]).id_starts, [0]);
    }
}
