//! What a broker that is confined by Landlock does, and what it is kept from, seen from the outside.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    thread,
};

use landlock::{ABI, Access, AccessFs, Ruleset, RulesetAttr, RulesetStatus};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use tempfile::TempDir;

use crate::{
    secured::{Authority, Issued},
    support::{BrokerProcess, client_config, consume_with_librdkafka, produce_with_librdkafka, within},
};

/// Whether this system offers it, tried in a thread that ends.
fn is_offered() -> bool {
    let tried = thread::spawn(|| {
        let ruleset = Ruleset::default().handle_access(AccessFs::from_all(ABI::V1))?.create()?;
        ruleset.restrict_self().map(|status| status.ruleset != RulesetStatus::NotEnforced)
    });
    let is_offered = tried.join().expect("no panic").is_ok_and(|is_enforced| is_enforced);
    if !is_offered {
        println!("skipped: the system offers no Landlock");
    }
    is_offered
}

/// A broker whose certificate is in a file.
fn start(data: &Path, certificate: &Path, more: &[&str]) -> BrokerProcess {
    let certificate = certificate.to_str().expect("text");
    let mut process =
        BrokerProcess::spawn(data, &[&["--listen", "SSL://127.0.0.1:0", "--tls", certificate], more].concat());
    process.hear("ready: ").expect("it starts");
    process
}

fn write(path: &Path, Issued { certificate, key }: &Issued) {
    fs::write(path, format!("{certificate}{key}")).expect("written");
}

/// Puts a link in the place of whatever is there, at once.
fn link(target: &Path, path: &Path) {
    let new = path.with_file_name("new");
    symlink(target, &new).expect("made");
    fs::rename(new, path).expect("the same directory");
}

/// A directory with a certificate in it, and another elsewhere.
fn certificates(authority: &Authority) -> (TempDir, TempDir, PathBuf) {
    let [own, elsewhere] = [(); 2].map(|()| TempDir::new().expect("a directory"));
    let path = own.path().join("server.pem");
    write(&path, &authority.server());
    write(&elsewhere.path().join("server.pem"), &authority.server());
    (own, elsewhere, path)
}

#[test]
fn a_confined_broker_reads_no_certificate_from_elsewhere() {
    if !is_offered() {
        return;
    }
    let (authority, data) = (Authority::new(), TempDir::new().expect("a directory"));
    let (_own, elsewhere, path) = certificates(&authority);
    let mut broker = start(data.path(), &path, &[]);
    link(&elsewhere.path().join("server.pem"), &path);
    let said = broker.hear("certificates").expect("it runs");
    assert!(said.contains("changed certificates are not used") && said.contains("Permission denied"), "{said}");
    let beside = path.with_file_name("another.pem");
    write(&beside, &authority.server());
    link(&beside, &path);
    let said = broker.hear("certificates").expect("it runs");
    assert!(said.contains("new certificates"), "the other was said once: {said}");
    broker.terminate();
    assert_eq!(broker.wait().0, Some(0));
}

#[test]
fn a_broker_that_is_not_to_be_confined_reads_what_its_user_may() {
    let (authority, data) = (Authority::new(), TempDir::new().expect("a directory"));
    let (_own, elsewhere, path) = certificates(&authority);
    let mut broker = start(data.path(), &path, &["--override", "ottla.landlock=false"]);
    link(&elsewhere.path().join("server.pem"), &path);
    let said = broker.hear("certificates").expect("it runs");
    assert!(said.contains("new certificates"), "{said}");
}

#[test]
fn certificates_are_replaced_as_kubernetes_does() {
    let (authority, data) = (Authority::new(), TempDir::new().expect("a directory"));
    let mounted = TempDir::new().expect("a directory");
    for version in ["..1", "..2"] {
        fs::create_dir(mounted.path().join(version)).expect("made");
        write(&mounted.path().join(version).join("server.pem"), &authority.server());
    }
    let path = mounted.path().join("server.pem");
    link(Path::new("..1"), &mounted.path().join("..data"));
    link(Path::new("..data/server.pem"), &path);
    let mut broker = start(data.path(), &path, &[]);
    link(Path::new("..2"), &mounted.path().join("..data"));
    fs::remove_dir_all(mounted.path().join("..1")).expect("removed");
    let said = broker.hear("certificates").expect("it runs");
    assert!(said.contains("new certificates"), "{said}");
}

/// The data directory is a link, the listener has a name, and there is all that a broker does with files.
#[tokio::test]
async fn a_confined_broker_does_what_brokers_do() {
    let root = TempDir::new().expect("a directory");
    fs::create_dir(root.path().join("elsewhere")).expect("made");
    let data = root.path().join("data");
    symlink("elsewhere", &data).expect("made");
    let records: Vec<_> = (0..10).map(|i| (format!("key {i}"), format!("value {i}"))).collect();
    for round in 1..=3 {
        let mut broker = BrokerProcess::spawn(&data, &["--listen", "localhost:0"]);
        broker.hear("ready: ").expect("it starts");
        let address = broker.address();
        let admin: AdminClient<_> = client_config(address, &[]).create().expect("a client");
        let passing = NewTopic::new("passing", 3, TopicReplication::Fixed(1));
        let created = within(admin.create_topics([&passing], &AdminOptions::new())).await.expect("it answers");
        created[0].as_ref().expect("created");
        produce_with_librdkafka(address, &[], "t", &records);
        assert_eq!(consume_with_librdkafka(address, "t", 10 * round).len(), 10 * round);
        let deleted = within(admin.delete_topics(&["passing"], &AdminOptions::new())).await.expect("it answers");
        deleted[0].as_ref().expect("deleted");
        if round == 1 {
            broker.kill();
        } else {
            broker.terminate();
            let (code, said) = broker.wait();
            assert_eq!(code, Some(0), "{said}");
            assert!(!said.contains("ERROR") && !said.contains("denied"), "{said}");
        }
    }
}
