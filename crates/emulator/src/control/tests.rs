use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;

use super::*;

#[test]
fn requests_are_lines_that_a_person_can_type() {
    let read = |line: &str| Request::read(line.as_bytes());
    assert_eq!(read(r#"{"do":"show"}"#), Ok(Request::Show {}));
    let set = read(r#"{"do":"set","link":"a-b","direction":"up","set":"rate=2mbit"}"#);
    let expected = Request::Set {
        link: Some("a-b".into()),
        direction: Some(Direction::Up),
        set: "rate=2mbit".into(),
    };
    assert_eq!(set, Ok(expected));
}

#[test]
fn other_lines_are_refused_with_an_example() {
    for line in ["", "show", "{}", r#"{"do":"fly"}"#, r#"{"do":"set","sett":"x"}"#, "\u{0}"] {
        let why = Request::read(line.as_bytes()).expect_err(line);
        assert!(why.starts_with("expected a request such as {\"do\":\"show\"}"), "{why}");
    }
}

#[test]
fn sockets_of_processes_that_are_gone_are_removed_and_others_stay() {
    let folder = std::env::temp_dir().join(format!("weir-place-{}", std::process::id()));
    std::fs::DirBuilder::new().mode(0o700).create(&folder).expect("it is new");
    let [dead, alive, other] = ["link-1.sock", "link-2.sock", "notes.txt"].map(|n| folder.join(n));
    drop(UnixListener::bind(&dead).expect("it is free"));
    let listener = UnixListener::bind(&alive).expect("it is free");
    std::fs::write(&other, "mine").expect("there is room");
    place::sweep(&folder);
    assert!(!dead.exists() && alive.exists() && other.exists());
    assert_eq!(place::sockets(&folder), [alive]);
    drop(listener);
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let folder = std::env::temp_dir().join(format!("weir-open-{}", std::process::id()));
    std::fs::create_dir(&folder).expect("it is new");
    let open = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&folder, open).expect("it is ours");
    let refused = place::make(&folder).expect_err("anybody could put a socket there");
    assert!(refused.to_string().contains("does not belong to this user alone"), "{refused}");
    std::fs::remove_dir(&folder).expect("it is ours");
}
