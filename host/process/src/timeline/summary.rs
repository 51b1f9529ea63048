//! The use of time in a run's steps, from its timeline: a table for people.

use super::Slice;
use std::collections::BTreeMap;

/// Intervals of time that do not overlap, in order.
type Intervals = Vec<(u64, u64)>;

/// The table, one line for each kind of work on the thread of the steps, the longest first; empty
/// without steps.
///
/// The time of a kind is its own, without that of the kinds inside it. Beside it is the part in
/// which no task runs on any thread, so that further threads cannot help. The last line is the
/// share in which the threads that run tasks are busy, of the time in which some do.
pub(super) fn table(slices: &[Slice], steps: &str) -> String {
    let steps: Vec<&Slice> = slices.iter().filter(|slice| slice.name == steps).collect();
    let Some(thread) = steps.first().map(|step| step.thread) else {
        return String::new();
    };
    let intervals: Intervals = steps.iter().map(|step| (step.start, step.end)).collect();
    let total = length(&intervals).max(1);
    let tasks = |thread: Option<u32>| {
        let tasks = slices.iter();
        let tasks = tasks.filter(|s| s.is_task && thread.is_none_or(|thread| s.thread == thread));
        union(tasks.map(|s| (s.start, s.end)).collect())
    };
    let in_tasks = tasks(None);
    let own = own_intervals(slices, thread, &intervals);
    let mut kinds: Vec<(&str, u64, u64)> = own
        .into_iter()
        .map(|(name, own)| (name, length(&own), length(&own) - overlap(&own, &in_tasks)))
        .collect();
    kinds.sort_by_key(|&(_, time, _)| std::cmp::Reverse(time));
    let millis = total as f64 / 1e6 / steps.len() as f64;
    let mut text = format!(
        "{:<30}{:>8}{:>13}\n",
        format!("{} steps of {millis:.1} ms", steps.len()),
        "time",
        "not divided"
    );
    let percent = |time: u64| 100.0 * time as f64 / total as f64;
    let undivided = kinds.iter().map(|(_, _, undivided)| undivided).sum();
    for (name, time, undivided) in kinds.into_iter().chain([("all", total, undivided)]) {
        text += &format!(
            "  {name:<28}{:>6.1} %{:>11.1} %\n",
            percent(time),
            percent(undivided)
        );
    }
    let mut threads: Vec<u32> = slices
        .iter()
        .filter(|s| s.is_task)
        .map(|s| s.thread)
        .collect();
    threads.sort_unstable();
    threads.dedup();
    let busy = |&thread: &u32| overlap(&tasks(Some(thread)), &intervals);
    let busy: u64 = threads.iter().map(busy).sum();
    let most = (threads.len() as u64 * overlap(&in_tasks, &intervals)).max(1);
    text += &format!(
        "while work is divided, {} threads are busy for {:.1} % of the time\n",
        threads.len(),
        100.0 * busy as f64 / most as f64
    );
    text
}

/// The times of each kind of work on a thread inside the steps, without those of the kinds inside
/// it.
fn own_intervals<'s>(
    slices: &'s [Slice],
    thread: u32,
    steps: &Intervals,
) -> BTreeMap<&'s str, Intervals> {
    let is_inside = |slice: &&Slice| {
        let at = steps.partition_point(|step| step.0 <= slice.start);
        at.checked_sub(1).is_some_and(|at| slice.end <= steps[at].1)
    };
    let slices = slices.iter().filter(|s| !s.is_task && s.thread == thread);
    let mut inside: Vec<&Slice> = slices.filter(is_inside).collect();
    // Whoever begins earlier, or ends later, is around the others.
    inside.sort_by_key(|slice| (slice.start, std::cmp::Reverse(slice.end)));
    let mut own: BTreeMap<&str, Intervals> = BTreeMap::new();
    let mut open: Vec<&Slice> = Vec::new();
    let mut at = 0;
    let mut give = |to: &'s str, from: u64, until: u64| {
        if from < until {
            own.entry(to).or_default().push((from, until));
        }
    };
    for slice in inside {
        while let Some(outer) = open.pop_if(|outer| outer.end <= slice.start) {
            give(outer.name, at, outer.end);
            at = at.max(outer.end);
        }
        if let Some(outer) = open.last() {
            give(outer.name, at, slice.start);
        }
        at = slice.start;
        open.push(slice);
    }
    while let Some(outer) = open.pop() {
        give(outer.name, at, outer.end);
        at = at.max(outer.end);
    }
    own
}

/// The union of intervals.
fn union(mut intervals: Intervals) -> Intervals {
    intervals.sort_unstable();
    let mut merged = Intervals::new();
    for (start, end) in intervals {
        match merged.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => merged.push((start, end)),
        }
    }
    merged
}

fn length(intervals: &Intervals) -> u64 {
    intervals.iter().map(|(start, end)| end - start).sum()
}

/// The length of the time that is in both.
fn overlap(one: &Intervals, other: &Intervals) -> u64 {
    let (mut sum, mut i, mut j) = (0, 0, 0);
    while let (Some(a), Some(b)) = (one.get(i), other.get(j)) {
        sum += a.1.min(b.1).saturating_sub(a.0.max(b.0));
        if a.1 < b.1 { i += 1 } else { j += 1 }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(name: &'static str, thread: u32, start: u64, end: u64) -> Slice {
        Slice {
            name,
            number: None,
            is_task: name == "task",
            thread,
            start: start * 1_000_000,
            end: end * 1_000_000,
        }
    }

    #[test]
    fn times_are_those_inside_the_steps() {
        let slices = [
            slice("step", 1, 0, 100),
            slice("forward", 1, 10, 60),
            slice("head", 1, 40, 50),
            slice("task", 1, 10, 30),
            slice("task", 2, 10, 42),
            slice("evaluation", 1, 100, 200),
            slice("task", 2, 100, 190),
            slice("step", 1, 200, 300),
            slice("task", 2, 292, 320),
            slice("assemble", 3, 0, 300),
        ];
        let expected = "\
2 steps of 100.0 ms               time  not divided
  step                          75.0 %       71.0 %
  forward                       20.0 %        5.0 %
  head                           5.0 %        4.0 %
  all                          100.0 %       80.0 %
while work is divided, 2 threads are busy for 75.0 % of the time
";
        assert_eq!(table(&slices, "step"), expected);
        assert_eq!(table(&slices[1..5], "step"), "");
    }
}
