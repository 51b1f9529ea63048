//! Every fault of a question, with its message, and that the question may be left out.

use super::*;

/// A fault, the text in [`OFFICIAL`] and its replacement that cause it, and the message.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    (
        "an answer at the wrong offset",
        r#""a cat", "answer_start": 6}]},"#,
        r#""a cat", "answer_start": 7}]},"#,
        "f, question `q1` (data[0].paragraphs[0].qas[0]): answer 2 of 2: expected \"a cat\" at code point 7 of the context, \
         found \" cat \"; it is at 6: correct `answer_start`",
    ),
    (
        "an offset in bytes",
        r#""a cat", "answer_start": 6}]},"#,
        r#""a cat", "answer_start": 9}]},"#,
        "it is there when counting bytes, but `answer_start` counts code points: write 6",
    ),
    (
        "an answer that is nowhere",
        r#""a cat", "answer_start": 6}]},"#,
        r#""a dog", "answer_start": 6}]},"#,
        "expected \"a dog\" at code point 6 of the context, found \"a cat\"; it does not occur in the context: correct the answer",
    ),
    (
        "an offset behind the end",
        r#""a cat", "answer_start": 6}]},"#,
        r#""a cat", "answer_start": 600}]},"#,
        "found the end of the context, which has 18 code points; it is at 6",
    ),
    (
        "an offset below 0",
        r#""answer_start": 0}"#,
        r#""answer_start": -1}"#,
        "key `answer_start`: expected a number of code points from 0, found the number -1",
    ),
    (
        "an empty answer",
        r#""text": "Zoë""#,
        r#""text": """#,
        "answer 1 of 2: expected a text, found an empty one",
    ),
    (
        "the same id twice",
        r#""id": "q2""#,
        r#""id": "q1""#,
        "f, question `q1` (data[0].paragraphs[0].qas[1]): expected a unique id, found that of f, question `q1` \
         (data[0].paragraphs[0].qas[0]); rename or delete one of the two",
    ),
    (
        "no id",
        r#""id": "q2", "#,
        "",
        "f, data[0].paragraphs[0].qas[1]: expected an `id`, found none",
    ),
    (
        "no question",
        r#""question": "Who ran?""#,
        r#""qestion": "Who ran?""#,
        "question `q2` (data[0].paragraphs[0].qas[1]): expected the key `question`, found the keys `id`, `qestion`, \
         `is_impossible`, `answers`, `plausible_answers`; did you mean 'qestion'? Add it",
    ),
    (
        "a blank question",
        "\"Who ran?\"",
        "\"  \"",
        "question `q2` (data[0].paragraphs[0].qas[1]): key `question`: expected a text, found an empty one",
    ),
    (
        "a question that is a number",
        "\"Who ran?\"",
        "7",
        "key `question`: expected a string, found the number 7",
    ),
    (
        "impossible, with answers",
        r#""is_impossible": false"#,
        r#""is_impossible": true"#,
        "question `q1` (data[0].paragraphs[0].qas[0]): expected answers if and only if the question can be answered, found 2 \
         answers and that `is_impossible` is true",
    ),
    (
        "possible, without answers",
        r#""is_impossible": true"#,
        r#""is_impossible": false"#,
        "found 0 answers and that `is_impossible` is false",
    ),
    (
        "is_impossible in words",
        r#""is_impossible": true"#,
        r#""is_impossible": "yes""#,
        "key `is_impossible`: expected true or false, found the string \"yes\"",
    ),
    (
        "nothing about answers",
        r#""is_impossible": true, "answers": [],"#,
        "",
        "expected an answer, found nothing about answers; add `answers`",
    ),
    (
        "an answer that is a text",
        r#""is_impossible": true, "answers": []"#,
        r#""answers": "a cat""#,
        "key `answers`: expected a list of {text, answer_start}, or an object with a list for each of the two, found the \
         string \"a cat\"",
    ),
];

#[test]
fn every_fault_of_a_question_has_its_message_and_may_be_skipped() {
    for (fault, before, after, message) in FAULTS {
        let text = OFFICIAL.replacen(before, after, 1);
        assert_ne!(text, OFFICIAL, "{fault}");
        let found = read(&text);
        let found = found.unwrap_err();
        println!("{fault}: {found}");
        assert!(found.contains(message), "{fault}: {found}");
        let bytes = text.as_bytes();
        let rest = read_as(bytes, Format::Jsonl, AnswerRule::OrNone, OnBadRow::Skip).unwrap();
        assert_eq!(rest.questions.len(), 1, "{fault}");
        assert_eq!((rest.skipped.n_rows, rest.skipped.reasons.len()), (1, 1));
        assert!(rest.skipped.reasons[0].contains(message));
    }
    let uneven = FLAT[0].replace("[0, 6]", "[0]") + "\n" + FLAT[1];
    let message = read(&uneven).unwrap_err();
    assert!(
        message.starts_with(
            "f, line 1, question `q1`: key `answers`: expected as many `answer_start` as `text`, found 1 and 2"
        ),
        "{message}"
    );
}
