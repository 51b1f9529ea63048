//! The program as `cargo install` leaves it: by itself, without any plugin.

use super::*;
use progtune_tests::profile_dir;

impl User {
    /// Runs the program from its own directory, with these words.
    fn alone(&self, words: &[&str]) -> Said {
        let there = self.path("bin/progtune");
        if !there.exists() {
            fs::create_dir(self.path("bin")).unwrap();
            let built = self.command();
            fs::copy(built.get_program(), &there).unwrap();
        }
        let mut command = Command::new(there);
        progtune_tests::same_environment(&mut command, &self.command());
        self.finish(command.current_dir(self.path("work")).args(words))
    }
}

#[test]
fn a_program_without_plugins_says_how_it_gets_them_and_gets_them_so() {
    let user = User::new();
    let install = "progtune plugins install target/release/libprogtune_*.so";
    let says = [
        "no plugin was found",
        "cargo build --release -p 'progtune-schedule-*'",
        install,
    ];
    let trained = user.alone(&["--schedule", "progressive", "--peft", "lora"]);
    let trained = trained.badly(2, &says);
    assert!(
        trained
            .error
            .starts_with("error: there is no method 'lora': no plugin was found")
            && trained
                .error
                .contains(&*user.path("bin/plugins").to_string_lossy())
            && !trained.error.contains("did you mean"),
        "{}",
        trained.error
    );
    assert!(!user.path("work/runs").exists());
    user.alone(&["plugins", "show", "lora"]).badly(2, &says);
    user.alone(&["plugins", "list"]).well().says(&says);
    let wide = trained
        .error
        .lines()
        .find(|line| line.chars().count() > 80 && !line.contains('/'));
    assert_eq!(wide, None);

    // The printed command, on the files of this build.
    let files: Vec<PathBuf> = fs::read_dir(profile_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("libprogtune_") && name.ends_with(".so")
        })
        .collect();
    assert!(files.len() >= 17, "{files:?}");
    let mut words = vec!["plugins", "install"];
    words.extend(files.iter().map(|file| file.to_str().unwrap()));
    let said = user.alone(&words).well();
    let last = format!(
        "{} libraries installed; next: progtune plugins list\n",
        files.len()
    );
    assert!(said.out.ends_with(&last), "{}", said.out);
    assert_eq!(said.out.matches("installed progtune-").count(), files.len());
    user.alone(&["plugins", "list"])
        .well()
        .says(&["lora", "progressive"]);
    user.alone(&["plan", "--schedule", "progressive", "--peft", "lora"])
        .well()
        .says(&["■■■■■■"]);

    // A misspelt name is a different case.
    user.alone(&["plan", "--schedule", "progresive"]).badly(
        2,
        &["there is no schedule 'progresive'; did you mean 'progressive'? Available: "],
    );
    user.alone(&["plugins", "remove", "loar"])
        .badly(2, &["did you mean 'lora'?"]);
}

#[test]
fn of_several_files_those_before_the_wrong_one_are_installed() {
    let user = User::new();
    let good = profile_dir().join("libprogtune_peft_lora.so");
    let wrong = user.write("wrong.so", b"a text");
    let words = [
        "plugins",
        "install",
        good.to_str().unwrap(),
        wrong.to_str().unwrap(),
    ];
    let said = user
        .alone(&words)
        .badly(4, &["wrong.so: expected a dynamic library"]);
    assert!(
        said.out.contains("installed progtune-peft-lora"),
        "{}",
        said.out
    );
    user.alone(&["plugins", "list"]).well().says(&["lora"]);
}
