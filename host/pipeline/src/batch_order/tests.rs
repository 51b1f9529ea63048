//! Tests both forms of the order: each example occurs once, limits hold, similar lengths share
//! batches, and the order is reproducible.

use super::*;
use progtune_engine::EncodedExample;

fn examples(lengths: &[usize]) -> Examples {
    let example = |&length: &usize| EncodedExample {
        input_ids: vec![7; length],
        token_type_ids: vec![0; length],
        target: None,
    };
    lengths.iter().map(example).collect()
}

fn lengths() -> Vec<usize> {
    (0..1003).map(|i| 3 + i * 37 % 41).collect()
}

/// The default rule of a run.
const USUAL: Rule = Rule {
    limit: BatchLimit::Examples(8),
    shuffle: true,
    group_by_length: true,
    seed: 42,
    gradient_accumulation_steps: 1,
};

fn limit(size: usize, tokens: Option<usize>) -> BatchLimit {
    tokens.map_or(BatchLimit::Examples(size), BatchLimit::Tokens)
}

/// Runs `check` on the order as a list and on the windowed one.
fn both(change: impl Fn(&mut Rule), check: impl Fn(&BatchOrder<'_>)) {
    let mut rule = USUAL;
    change(&mut rule);
    let examples = examples(&lengths());
    check(&BatchOrder::new(rule, &examples).unwrap());
    check(&BatchOrder::with_list(rule, &examples, 0).unwrap());
}

fn epoch(order: &BatchOrder<'_>, epoch: u32) -> Vec<Vec<usize>> {
    order.epoch(epoch).collect::<Result<_>>().unwrap()
}

#[test]
fn every_example_comes_once_an_epoch() {
    for (no_shuffle, group_by_length) in [(true, true), (false, false), (false, true)] {
        for batch_tokens in [None, Some(100), Some(usize::MAX)] {
            let change = |rule: &mut Rule| {
                rule.limit = limit(8, batch_tokens);
                rule.shuffle = !no_shuffle;
                rule.group_by_length = group_by_length;
            };
            both(change, |order| {
                for number in 1..=5 {
                    let batches = epoch(order, number);
                    assert_eq!(batches.len(), order.batches_per_epoch());
                    assert!(batches.iter().all(|batch| !batch.is_empty()));
                    let mut all = batches.concat();
                    all.sort_unstable();
                    assert_eq!(all, (0..1003).collect::<Vec<_>>());
                }
                assert_eq!(epoch(order, 1), epoch(order, 1));
                let same = epoch(order, 1) == epoch(order, 2);
                let one_batch = batch_tokens == Some(usize::MAX) && group_by_length;
                assert!(same == no_shuffle || one_batch);
            });
        }
    }
}

#[test]
fn without_shuffling_the_examples_stay_as_they_are() {
    for batch_tokens in [None, Some(100)] {
        let change = |rule: &mut Rule| {
            rule.shuffle = false;
            rule.limit = limit(8, batch_tokens);
        };
        both(change, |order| {
            assert_eq!(epoch(order, 2).concat(), (0..1003).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_limit_of_tokens_holds_in_every_batch_of_every_epoch() {
    let lengths = lengths();
    for (no_shuffle, group_by_length) in [(true, true), (false, false), (false, true)] {
        let change = |rule: &mut Rule| {
            rule.limit = BatchLimit::Tokens(100);
            rule.shuffle = !no_shuffle;
            rule.group_by_length = group_by_length;
        };
        both(change, |order| {
            for number in 1..=5 {
                for batch in &epoch(order, number) {
                    assert!(batch.iter().map(|&i| lengths[i]).sum::<usize>() <= 100);
                }
            }
        });
    }
}

#[test]
fn grouping_puts_similar_lengths_together() {
    let lengths = lengths();
    for batch_tokens in [None, Some(100)] {
        let spread = |group: bool, most: usize| -> usize {
            let rule = Rule {
                limit: limit(4, batch_tokens),
                group_by_length: group,
                ..USUAL
            };
            let examples = examples(&lengths);
            let order = BatchOrder::with_list(rule, &examples, most).unwrap();
            let of = |batch: &Vec<usize>| batch.iter().map(|&i| lengths[i]).collect::<Vec<_>>();
            epoch(&order, 1)
                .iter()
                .map(of)
                .map(|l| l.iter().max().unwrap_or(&0) - l.iter().min().unwrap_or(&0))
                .sum()
        };
        for most in [0, LISTED] {
            assert!(spread(true, most) * 2 < spread(false, most));
        }
    }
}

/// Batches within a window and windows are in random order, so the first batches are not the
/// longest.
#[test]
fn batches_do_not_come_by_length() {
    let lengths = lengths();
    for batch_tokens in [None, Some(200)] {
        let change = |rule: &mut Rule| {
            rule.limit = limit(8, batch_tokens);
        };
        both(change, |order| {
            let means: Vec<usize> = epoch(order, 1)
                .iter()
                .map(|batch| batch.iter().map(|&i| lengths[i]).sum::<usize>() / batch.len())
                .collect();
            assert!(!means.is_sorted_by(|a, b| a >= b) && !means.is_sorted());
        });
    }
}

#[test]
fn an_example_beyond_the_limit_is_a_batch_by_itself() {
    let limit = BatchLimit::Tokens(10);
    let lengths = [4, 20, 6, 4, 10, 1];
    let length = |example: usize| lengths[example];
    let batches = limit.cut(&[0, 1, 2, 3, 4, 5], length);
    let expected = [vec![0], vec![1], vec![2, 3], vec![4], vec![5]];
    assert_eq!(batches, expected);
    assert!(limit.cut(&[], length).is_empty());
    let all = BatchLimit::Tokens(usize::MAX).cut(&[0, 1, 2], length);
    assert_eq!(all, [vec![0, 1, 2]]);

    let rule = Rule {
        limit: BatchLimit::Tokens(10),
        shuffle: false,
        ..USUAL
    };
    for most in [0, LISTED] {
        let examples = examples(&lengths);
        let order = BatchOrder::with_list(rule, &examples, most).unwrap();
        assert_eq!(epoch(&order, 1), expected);
    }
}

#[test]
fn steps_are_counted_before_the_first() {
    let change = |rule: &mut Rule| {
        rule.limit = BatchLimit::Tokens(100);
        rule.gradient_accumulation_steps = 4;
    };
    both(change, |order| {
        let batches = epoch(order, 3).len();
        assert_eq!(order.steps_per_epoch(), batches.div_ceil(4) as u64);
    });
}

/// The order of a set that fits a list is unchanged since version 0.1, when these batches were
/// recorded.
#[test]
fn a_listed_order_stays_as_it_was() {
    let lengths: Vec<usize> = (0..40).map(|i| 3 + i * 37 % 11).collect();
    let examples = examples(&lengths);
    let first = |change: fn(&mut Rule)| {
        let mut rule = USUAL;
        change(&mut rule);
        let order = BatchOrder::new(rule, &examples).unwrap();
        epoch(&order, 2)[..2].to_vec()
    };
    let sized = first(|rule| rule.limit = BatchLimit::Examples(8));
    assert_eq!(sized, SIZED);
    let ungrouped = first(|rule| {
        rule.limit = BatchLimit::Examples(8);
        rule.group_by_length = false;
    });
    assert_eq!(ungrouped, UNGROUPED);
    let tokens = first(|rule| rule.limit = BatchLimit::Tokens(100));
    assert_eq!(tokens, TOKENS);
}

const SIZED: [[usize; 8]; 2] = [
    [19, 5, 27, 15, 9, 17, 6, 3],
    [8, 30, 16, 13, 10, 26, 31, 36],
];
const UNGROUPED: [[usize; 8]; 2] = [
    [20, 38, 23, 0, 14, 22, 39, 24],
    [34, 4, 21, 1, 25, 7, 11, 29],
];
const TOKENS: [&[usize]; 2] = [
    &[38, 2, 35, 10, 7, 37, 15, 6, 39, 3, 14, 22],
    &[19, 8, 5, 27, 13, 12, 34, 9, 17, 28, 33, 11],
];
