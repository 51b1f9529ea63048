//! Passwords and tokens from the environment: no command prints them, whatever goes wrong.

use progtune_tests::{progtune, scratch::Scratch};
use std::fs;

const PASSWORD: &str = "PASSW0RD";
const TOKEN: &str = "hf_abcdefghijklmnopqrstuvwxyzABCDEFGH";

#[test]
fn no_form_of_an_address_gives_its_password_away() {
    let scratch = Scratch::new();
    let nobody = "127.0.0.1:9";
    for address in [
        format!("http://user:{PASSWORD}@{nobody}"),
        format!("http://{PASSWORD}@{nobody}"),
        format!("https://user:{PASSWORD}@{nobody}/hub/"),
        format!("http://us%40er:{PASSWORD}%21@{nobody}"),
        format!("http://user:a/{PASSWORD}@{nobody}"),
        format!("http://user:a@{PASSWORD}@{nobody}"),
        format!("http://{nobody}?token={PASSWORD}"),
        format!("http://{nobody}/x?a=1&X-Amz-Signature={PASSWORD}"),
        format!("user:{PASSWORD}@{nobody}"),
        format!("ftp://user:{PASSWORD}@{nobody}"),
    ] {
        for variable in ["HF_ENDPOINT", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"] {
            for how in ["plain", "json"] {
                let output = scratch.path("run");
                let mut command = progtune();
                command
                    .env_remove("HF_HUB_OFFLINE")
                    .env("HF_HOME", scratch.path("hub"));
                if variable != "HF_ENDPOINT" {
                    command.env("HF_ENDPOINT", format!("http://{nobody}"));
                }
                command
                    .env(variable, &address)
                    .env("HF_TOKEN", TOKEN)
                    .env("PROGTUNE_LOG", "trace");
                command.args([
                    "--model",
                    "org/none",
                    "--max-steps",
                    "1",
                    "-vv",
                    "--progress",
                    how,
                ]);
                let said = command
                    .arg("--output")
                    .arg(&output)
                    .output()
                    .expect("it starts");
                let text = [said.stdout, said.stderr].concat();
                let text = String::from_utf8_lossy(&text);
                assert!(
                    !said.status.success() && !text.is_empty(),
                    "{variable} {address}"
                );
                assert!(
                    !text.contains(PASSWORD) && !text.contains(TOKEN),
                    "{variable} {address}: {text}"
                );
            }
        }
    }
}

#[test]
fn arguments_with_secrets_are_masked_in_messages_and_records() {
    let scratch = Scratch::new();
    let address = format!("https://user:{PASSWORD}@host/data.csv?sig={PASSWORD}");
    for flag in [
        "--model",
        "--data",
        "--train-file",
        "--init-adapter",
        "--plugin",
        "--config",
        "--lr",
        "--task",
        "--no-such",
    ] {
        let said = progtune()
            .arg("plan")
            .arg(flag)
            .arg(&address)
            .output()
            .expect("it starts");
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success(), "{flag}");
        assert!(!text.contains(PASSWORD), "{flag}: {text}");
    }
    let output = scratch.path("run");
    let secret = scratch.path(&format!("out-{TOKEN}"));
    let run = progtune()
        .args([
            "--max-steps",
            "1",
            "--max-train-samples",
            "8",
            "--max-eval-samples",
            "4",
            "--output",
        ])
        .arg(&secret)
        .output()
        .expect("it starts");
    assert!(run.status.success());
    let log = fs::read_to_string(secret.join("log.txt")).expect("a log");
    let config = fs::read_to_string(secret.join("config.toml")).expect("a configuration");
    let text = String::from_utf8_lossy(&run.stdout);
    for (what, text) in [
        ("log", log),
        ("config", config),
        ("report", text.into_owned()),
    ] {
        assert!(!text.contains(TOKEN), "{what}: {text}");
    }
    assert!(!output.exists());
}
