use super::{content::SECTOR, *};
use crate::log::disk::read_file;

fn disk_with_file() -> (SimDisk, PathBuf, Arc<dyn DiskFile>) {
    let disk = SimDisk::new(1);
    disk.create_dir(Path::new("/d")).expect("created");
    let path = PathBuf::from("/d/f");
    let file = disk.open(&path, OpenMode::Create).expect("created");
    (disk, path, file)
}

#[test]
fn a_crash_loses_what_was_not_synced() {
    let (disk, path, file) = disk_with_file();
    file.write_all_at(&[b"synced"], 0).expect("written");
    file.sync_data().expect("synced");
    disk.sync_dir(Path::new("/d")).expect("synced");
    file.write_all_at(&[b"SYNCED and more"], 0).expect("written");
    disk.open(Path::new("/d/g"), OpenMode::Create).expect("created");
    disk.crash(Crash::LoseAll);
    assert_eq!(read_file(&disk, &path).expect("still there"), b"synced");
    assert!(!disk.exists(Path::new("/d/g")).expect("answered"));
    assert!(file.len().is_err(), "a file from before the crash");
}

#[test]
fn an_unsynced_entry_takes_its_synced_bytes_along() {
    let (disk, path, file) = disk_with_file();
    file.write_all_at(&[b"bytes"], 0).expect("written");
    file.sync_data().expect("synced");
    disk.crash(Crash::LoseAll);
    assert!(!disk.exists(&path).expect("answered"));
}

#[test]
fn a_torn_file_mixes_old_and_new_sectors() {
    let (disk, path, file) = disk_with_file();
    let (old, new) = (vec![1; 64 * SECTOR], vec![2; 64 * SECTOR]);
    file.write_all_at(&[&old], 0).expect("written");
    file.sync_data().expect("synced");
    disk.sync_dir(Path::new("/d")).expect("synced");
    file.write_all_at(&[&new], 0).expect("written");
    disk.crash(Crash::Tear);
    let bytes = read_file(&disk, &path).expect("still there");
    assert_eq!(bytes.len(), old.len());
    assert!(bytes.chunks(SECTOR).all(|sector| sector.iter().all(|byte| *byte == sector[0])));
    assert!(bytes.contains(&1) && bytes.contains(&2));
}

#[test]
fn the_chosen_call_fails_and_a_write_is_short() {
    let (disk, path, file) = disk_with_file();
    disk.fail_nth(2, 28);
    file.write_all_at(&[b"abcd"], 0).expect("the first call");
    let error = file.write_all_at(&[b"efgh"], 4).expect_err("the second call");
    assert_eq!(error.raw_os_error(), Some(28));
    assert_eq!(read_file(&disk, &path).expect("the next calls are fine"), b"abcdef");
}

#[test]
fn names_of_directories_are_lost_like_those_of_files() {
    let (disk, _, _) = disk_with_file();
    disk.create_dir(Path::new("/d/old")).expect("created");
    disk.sync_dir(Path::new("/d")).expect("synced");
    disk.rename(Path::new("/d/old"), Path::new("/d/new")).expect("renamed");
    disk.crash(Crash::LoseAll);
    assert!(disk.exists(Path::new("/d/old")).expect("answered"));
    assert!(!disk.exists(Path::new("/d/new")).expect("answered"));
    disk.remove_dir(Path::new("/d/old")).expect("removed");
    disk.crash(Crash::LoseAll);
    assert!(disk.exists(Path::new("/d/old")).expect("answered"), "a removal is lost too");
    disk.create_dir(Path::new("/d/other")).expect("created");
    disk.crash(Crash::LoseAll);
    assert!(!disk.exists(Path::new("/d/other")).expect("answered"));
}

#[test]
fn what_a_failed_sync_lost_the_next_one_does_not_write() {
    let (disk, path, file) = disk_with_file();
    disk.sync_dir(Path::new("/d")).expect("synced");
    file.write_all_at(&[&vec![1; 64 * SECTOR]], 0).expect("written");
    disk.fail_nth(1, 5);
    file.sync_data().expect_err("the chosen call");
    file.sync_data().expect("nothing to do");
    assert_eq!(read_file(&disk, &path).expect("read"), vec![1; 64 * SECTOR], "the page cache has it");
    file.drop_cached().expect("forgotten");
    assert_ne!(read_file(&disk, &path).expect("read"), vec![1; 64 * SECTOR], "the disk does not");
    disk.crash(Crash::LoseAll);
    assert_ne!(read_file(&disk, &path).expect("read"), vec![1; 64 * SECTOR]);
}

#[test]
fn from_the_chosen_call_on_everything_fails() {
    let (disk, path, file) = disk_with_file();
    disk.fail_from(2, 5);
    file.write_all_at(&[b"abcd"], 0).expect("the first call");
    assert!(!disk.has_failed());
    file.sync_data().expect_err("the second call");
    file.len().expect_err("the third call");
    assert!(disk.has_failed());
    disk.heal();
    assert_eq!(read_file(&disk, &path).expect("read"), b"abcd");
}

#[test]
fn a_disk_with_an_end_is_full_there() {
    let (disk, path, file) = disk_with_file();
    disk.set_capacity(3 * BLOCK, 4);
    let room = || disk.room(&path).expect("told").map(|room| (room.free_bytes / BLOCK, room.inodes.map(|i| i.free)));
    assert_eq!(room(), Some((3, Some(3))));
    file.write_all_at(&[&[1; 5000]], 0).expect("two blocks");
    assert_eq!(room(), Some((1, Some(3))));
    let error = file.write_all_at(&[&[2; 9000]], 5000).expect_err("two more blocks");
    assert!(crate::log::disk::is_full(&error), "{error}");
    assert_eq!(file.len().expect("told"), 3 * BLOCK, "what fitted was written");
    file.write_all_at(&[&[3; 5000]], 0).expect("what is there can be changed");
    assert!(file.allocate(3 * BLOCK + 1).is_err());
    file.set_len(1).expect("cut");
    disk.leave(BLOCK, 1);
    assert_eq!(room(), Some((1, Some(1))));
    let other = disk.open(Path::new("/d/g"), OpenMode::Create).expect("the last one");
    assert!(disk.create_dir(Path::new("/d/h")).is_err() && disk.open(Path::new("/d/h"), OpenMode::Create).is_err());
    other.allocate(100).expect("the last block");
    assert_eq!(room(), Some((0, Some(0))));
    disk.remove_file(Path::new("/d/g")).expect("removed");
    assert_eq!(room(), Some((1, Some(1))));
}
