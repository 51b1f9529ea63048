//! A run continues only with what it began with, and never begins anew by accident.

use super::*;
use std::fs;

fn cut(scratch: &Scratch) -> PathBuf {
    let whole = trained(scratch, "whole", "--schedule progressive --peft lora");
    let cut = scratch.path("cut");
    killed_after(&whole, 7, &cut);
    cut
}

#[test]
fn a_changed_setting_is_named() {
    let scratch = Scratch::new();
    let cut = cut(&scratch);
    let message = scratch.hide_path(&resume(&cut, "--lr 2e-3 --weight-decay 0.1").fail(2));
    assert!(
        message.contains("the run cannot continue after step 7, because"),
        "{message}"
    );
    assert!(message.contains("lr was 0.001 and is 0.002"), "{message}");
    assert!(
        message.contains("--allow-changed lr,weight_decay"),
        "{message}"
    );
    assert_eq!(steps(&cut).pop(), Some(7), "nothing was written");
    let message = resume(&cut, "--lr 2e-3 --weight-decay 0.1 --allow-changed lr").fail(2);
    assert!(
        message.contains("--allow-changed weight_decay "),
        "{message}"
    );
    let (_, said) = CommandLine::new("resume")
        .words(&cut.display().to_string())
        .words("--lr 2e-3 --allow-changed lr")
        .output();
    assert!(
        said.contains("since step 7, lr was 0.001 and is 0.002"),
        "{said}"
    );
    assert!(said.contains("will differ"), "{said}");
}

#[test]
fn flags_that_a_run_already_has_are_refused() {
    let scratch = Scratch::new();
    let cut = cut(&scratch);
    let message = resume(&cut, "--output elsewhere").fail(2);
    assert!(
        message.contains("`resume` writes to the directory of the run"),
        "{message}"
    );
    let other = resume(&cut, "").path("--config", cut.join("config.toml"));
    let message = other.fail(2);
    assert!(message.contains("give changes as flags"), "{message}");
}

#[test]
fn changed_data_is_named() {
    let scratch = Scratch::new();
    let data = scratch.copy("data", "data");
    let run = scratch.path("run");
    let train =
        CommandLine::new("train --task mrpc --quiet --max-length 64 --epochs 2 --save-steps 2")
            .path("--model", progtune_tests::fixture("parity").join("bert"))
            .path("--data", &data)
            .path("--output", &run);
    train.run();
    fs::remove_file(run.join("all_results.json")).unwrap();
    let file = data.join("train.tsv");
    let text = fs::read_to_string(&file).unwrap();
    let last = text.trim_end().rfind('\n').unwrap();
    fs::write(&file, &text[..=last]).unwrap();
    let message = resume(&run, "").fail(2);
    assert!(message.contains("data_train was"), "{message}");
}

#[test]
fn an_unfinished_run_is_not_replaced_by_accident() {
    let scratch = Scratch::new();
    let cut = cut(&scratch);
    let flags = "--schedule progressive --peft lora";
    let message = scratch.hide_path(&train(&cut, flags).fail(2));
    assert!(
        message.contains("an unfinished run is here, with a checkpoint after step 7")
            && message.contains("progtune resume")
            && message.contains("--overwrite-output"),
        "{message}"
    );
    let expected = everything(&scratch.path("whole"));
    train(&cut, flags).words("--resume auto").run();
    assert_same(&cut, &expected, "--resume auto");

    // Finished: the same line again has nothing to do.
    let before = fs::metadata(cut.join("all_results.json"))
        .unwrap()
        .modified()
        .unwrap();
    let (_, said) = CommandLine::talking_train("bert", &cut)
        .words("--epochs 3 --batch-size 4 --lr 1e-3 --save-steps 1 --save-total-limit 100")
        .words(flags)
        .words("--resume auto")
        .output();
    assert!(said.contains("this run is finished"), "{said}");
    let after = fs::metadata(cut.join("all_results.json"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after);

    let whole = scratch.path("whole");
    killed_after(&whole, 3, &cut);
    train(&cut, flags).words("--overwrite-output").run();
    assert_same(&cut, &expected, "--overwrite-output");
}

#[test]
fn records_that_were_changed_are_named() {
    let scratch = Scratch::new();
    let cut = cut(&scratch);
    let metrics = cut.join("metrics.jsonl");
    let text = fs::read_to_string(&metrics).unwrap();
    fs::write(&metrics, text.replacen("\"step\":2", "\"step\":3", 1)).unwrap();
    let message = unrecorded(&resume(&cut, ""), 3);
    assert!(
        message.contains("metrics.jsonl: the file was changed"),
        "{message}"
    );
    fs::write(&metrics, &text[..10]).unwrap();
    let message = unrecorded(&resume(&cut, ""), 3);
    assert!(
        message.contains("a part of the file is missing"),
        "{message}"
    );
}
