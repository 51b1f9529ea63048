//! Transfers that go wrong (cut, corrupt, refused, raced), and which servers receive the token.

use super::*;

const WEIGHTS: &str = "model.safetensors";

impl Place {
    /// Fetches the whole model by a run.
    fn fetch(&self) -> Outcome {
        outcome(&mut self.train("--model org/tiny --task mrpc --overwrite-output"))
    }

    fn weights(&self) -> PathBuf {
        self.cached("models--org--tiny", &commit("1a"), WEIGHTS)
    }

    fn blob(&self, end: &str) -> PathBuf {
        let blobs = self.scratch.path("hf/hub/models--org--tiny/blobs");
        blobs.join(format!("{}{end}", tiny().etag(WEIGHTS)))
    }

    #[track_caller]
    fn assert_whole(&self) {
        let fixture = fs::read(fixture("parity/bert").join(WEIGHTS)).unwrap();
        assert!(fs::read(self.weights()).unwrap() == fixture, "the contents");
        assert!(!self.blob(".incomplete").exists());
    }

    /// The byte ranges in the requests for the weights.
    fn ranges(&self) -> Vec<String> {
        let requests = self.server.requests();
        let to_cdn = requests.iter().filter(|r| r.to_cdn);
        let of_weights = to_cdn.filter(|r| r.path.ends_with(&tiny().etag(WEIGHTS)));
        of_weights.map(|r| r.range.clone()).collect()
    }
}

#[test]
fn the_token_goes_to_the_hub_alone() {
    let place = Place::new();
    let mut train = place.train("--model org/tiny --task mrpc");
    outcome(train.env("HF_TOKEN", "hf_secret")).good();
    let requests = place.server.requests();
    for request in &requests {
        let expected = if request.to_cdn {
            ""
        } else {
            "Bearer hf_secret"
        };
        assert_eq!(request.authorization, expected, "{request:?}");
    }
    assert!(requests.iter().any(|r| r.to_cdn), "{requests:?}");
}

#[test]
fn a_cut_connection_is_resumed() {
    let place = Place::new();
    place.server.trouble(WEIGHTS, Trouble::Cut(50_000));
    place.server.trouble(WEIGHTS, Trouble::Cut(30_000));
    place.fetch().good();
    place.assert_whole();
    assert_eq!(place.ranges(), ["", "bytes=50000-", "bytes=80000-"]);
}

#[test]
fn a_server_without_ranges_sends_all_again() {
    let place = Place::new();
    place.server.trouble(WEIGHTS, Trouble::Cut(50_000));
    place.server.trouble(WEIGHTS, Trouble::Whole);
    place.fetch().good();
    place.assert_whole();
    assert_eq!(place.ranges(), ["", "bytes=50000-"]);
}

#[test]
fn what_an_ended_process_left_is_gone_on_from() {
    let place = Place::new();
    let whole = fs::read(fixture("parity/bert").join(WEIGHTS)).unwrap();
    fs::create_dir_all(place.blob("").parent().unwrap()).unwrap();
    fs::write(place.blob(".incomplete"), &whole[..100_000]).unwrap();
    place.fetch().good();
    place.assert_whole();
    assert_eq!(place.ranges(), ["bytes=100000-"]);
    // If it does not belong to this file, the whole file is fetched again.
    for left in [
        vec![0; 100_000],
        vec![0; whole.len()],
        vec![0; whole.len() + 1],
    ] {
        fs::remove_file(place.weights()).unwrap();
        fs::remove_file(place.blob("")).unwrap();
        fs::write(place.blob(".incomplete"), &left).unwrap();
        place.fetch().good();
        place.assert_whole();
        assert_eq!(place.ranges().last().unwrap(), "", "from the beginning");
    }
}

#[test]
fn corrupt_contents_get_no_name() {
    for (name, folder) in [(WEIGHTS, "of 64 digits"), ("config.json", "of 40 digits")] {
        let place = Place::new();
        place.server.trouble(name, Trouble::Corrupt);
        let etag = tiny().etag(name);
        place.fetch().bad(3);
        let blobs = place.scratch.path("hf/hub/models--org--tiny/blobs");
        assert!(!blobs.join(&etag).exists(), "{folder}");
        assert!(!blobs.join(format!("{etag}.incomplete")).exists());
        assert!(
            !place
                .cached("models--org--tiny", &commit("1a"), name)
                .exists()
        );
        place.fetch().good();
    }
}

#[test]
fn a_size_that_is_not_kept_is_corrupt() {
    let place = Place::new();
    let size = fs::metadata(fixture("parity/bert").join(WEIGHTS))
        .unwrap()
        .len();
    place.server.trouble(WEIGHTS, Trouble::Size(size - 10));
    place.fetch().bad(3);
}

#[test]
fn a_busy_server_is_asked_again() {
    let place = Place::new();
    place.server.trouble(WEIGHTS, Trouble::Busy);
    place.fetch().good();
    place.assert_whole();
}

#[test]
fn a_full_disk_is_seen_ahead() {
    let place = Place::new();
    place.server.trouble(WEIGHTS, Trouble::Size(1 << 60));
    place.fetch().bad(3);
}

#[test]
fn a_cache_that_cannot_be_written_to() {
    let place = Place::new();
    fs::write(place.scratch.path("file"), "").unwrap();
    let mut plan = place.command("plan --model org/tiny --task mrpc");
    plan.env("HF_HUB_CACHE", place.scratch.path("file/hub"));
    outcome(&mut plan).bad(3);
}

#[test]
fn two_processes_fetch_a_file_once() {
    let place = Place::new();
    let words = "plan --model org/tiny --task mrpc --quiet";
    let children: Vec<_> = (0..4)
        .map(|_| place.command(words).spawn().expect("the binary starts"))
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let requests = place.server.requests();
    assert_eq!(fetched(&requests, "/config.json").len(), 1, "{requests:?}");
}

/// Without links a blob moves into the snapshot, where the others find it.
#[test]
fn two_processes_fetch_a_file_once_without_links() {
    let place = Place::new();
    let words = "plan --model org/tiny --task mrpc --quiet";
    let start = || {
        let mut plan = place.command(words);
        plan.env("HF_HUB_DISABLE_SYMLINKS", "1").spawn()
    };
    let children: Vec<_> = (0..6).map(|_| start().expect("it starts")).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let requests = place.server.requests();
    assert_eq!(fetched(&requests, "/config.json").len(), 1, "{requests:?}");
}

#[test]
fn without_links_a_snapshot_has_the_files() {
    let place = Place::new();
    let mut train = place.train("--model org/tiny --task mrpc");
    outcome(train.env("HF_HUB_DISABLE_SYMLINKS", "1")).good();
    assert!(!place.weights().is_symlink());
    place.assert_whole();
    let mut again = place.train("--model org/tiny --task mrpc --offline --overwrite-output");
    outcome(&mut again).good();
}
