//! Directories that earlier steps of the format left: each of them opens, with what is in it. `tests/fixtures/directories`
//! has one for each step, as the release of the time wrote it.

use std::{fs, path::Path};

use ottla::{metadata::level::MetadataLevel, protocol::messages::MetadataRequest};
use tempfile::TempDir;

use crate::support::{BrokerProcess, RawClient, TestTopic, records};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("created");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("copied");
        }
    }
}

/// Before directories were formatted: no snapshot, no quorum-state, `metadata.version` 20.
#[tokio::test]
async fn one_that_was_not_formatted_opens_and_is_completed() {
    let directory = TempDir::new().expect("a temporary directory");
    copy(Path::new("tests/fixtures/directories/4-unformatted"), directory.path());
    for start in 0..2 {
        let broker = BrokerProcess::start(directory.path());
        let mut client = RawClient::connect(broker.address()).await;
        let all = client.call(&MetadataRequest { topics: None, ..MetadataRequest::default() }, 12).await;
        assert_eq!(all.cluster_id.as_deref(), Some("4L6g3nShT-eMCtK--X86sw"));
        assert_eq!(all.topics.len(), 1);
        let id = all.topics[0].topic_id;
        assert_eq!(id.to_string(), "bcd39d92-3196-4f11-80dc-16070bfe5645");
        let topic = TestTopic { name: "old".to_owned(), id };
        let expected = ["1", "2", "3", "more"].into_iter().take(3 + start);
        let expected: Vec<_> = (0..).zip(expected.map(str::to_owned)).collect();
        assert_eq!(records(&client.fetch(&topic, 0, 0).await), expected);
        client.append(&topic, 0, &["more"]).await;
        broker.terminate();
        assert_eq!(broker.wait().0, Some(0));
    }
    let metadata = directory.path().join("__cluster_metadata-0");
    assert!(metadata.join("00000000000000000000-0000000000.checkpoint").exists());
    assert!(fs::read_to_string(metadata.join("quorum-state")).expect("is there").contains("\"leaderEpoch\":3,"));
    let log = fs::read(metadata.join("00000000000000000000.log")).expect("readable");
    let level = [b"metadata.version\0".as_slice(), &[u8::try_from(MetadataLevel::LATEST.number()).expect("small")]];
    let level = level.concat();
    assert_eq!(log.windows(level.len()).filter(|bytes| *bytes == level).count(), 1, "written once");
}
