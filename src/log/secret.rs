//! `.ottla-secret`: 32 random bytes that belong to a data directory, in hexadecimal, for its owner alone.
//!
//! What is made of them lasts over restarts and cannot be foreseen. Nothing that is stored depends on them, so that a
//! directory without them, or with others, is as good: no trouble with the file keeps a broker from starting.

use std::{io, path::Path};

use super::disk::{Disk, OpenMode, read_file};

/// The file's name. Apache Kafka leaves it alone.
pub const FILE_NAME: &str = ".ottla-secret";
/// How the next one is called until it is on disk.
const TEMPORARY: &str = ".ottla-secret.tmp";

const LEN: usize = 32;

/// What the file of a directory says; `fresh`, which is written down, where there is none or it says nothing.
pub fn read_or_make(disk: &dyn Disk, dir: &Path, fresh: [u8; LEN]) -> [u8; LEN] {
    let path = dir.join(FILE_NAME);
    match read(disk, &path) {
        Ok(Some(secret)) => return secret,
        Ok(None) => tracing::warn!(path = %path.display(), "it is damaged and made anew"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => tracing::warn!(path = %path.display(), %error, "it cannot be read and is made anew"),
    }
    if let Err(error) = write(disk, dir, &fresh) {
        tracing::warn!(path = %path.display(), %error, "it cannot be written, and will be another after a restart");
    }
    fresh
}

/// `None` if it is no secret.
fn read(disk: &dyn Disk, path: &Path) -> io::Result<Option<[u8; LEN]>> {
    let text = read_file(disk, path)?;
    if disk.make_private(path)? {
        tracing::warn!(path = %path.display(), "others could read it; now only its owner can");
    }
    Ok(std::str::from_utf8(&text).ok().and_then(parse))
}

fn parse(text: &str) -> Option<[u8; LEN]> {
    let digits = text.trim_end_matches('\n');
    if digits.len() != 2 * LEN || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut secret = [0; LEN];
    for (at, byte) in secret.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(secret)
}

/// Nobody else can have the file open at any time: it is new, and private from the start.
fn write(disk: &dyn Disk, dir: &Path, secret: &[u8; LEN]) -> io::Result<()> {
    let temporary = dir.join(TEMPORARY);
    match disk.remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let text: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let file = disk.open(&temporary, OpenMode::CreatePrivate)?;
    file.write_all_at(&[text.as_bytes(), b"\n"], 0)?;
    file.sync_data()?;
    drop(file);
    disk.rename(&temporary, &dir.join(FILE_NAME))?;
    disk.sync_dir(dir)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;
    use crate::log::disk::{
        RealDisk,
        sim::{Crash, SimDisk},
    };

    const DIR: &str = "/d";

    #[test]
    fn the_first_one_stays() {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new(DIR)).expect("created");
        assert_eq!(read_or_make(&disk, Path::new(DIR), [1; LEN]), [1; LEN]);
        disk.crash(Crash::LoseAll);
        assert_eq!(read_or_make(&disk, Path::new(DIR), [2; LEN]), [1; LEN]);
    }

    #[test]
    fn one_that_is_damaged_or_cannot_be_written_keeps_nobody_from_starting() {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new(DIR)).expect("created");
        for text in ["", "12", &"0g".repeat(LEN), &"é".repeat(LEN), &"00".repeat(LEN + 1)] {
            let file = disk.open(&Path::new(DIR).join(FILE_NAME), OpenMode::CreateEmpty).expect("opened");
            file.write_all_at(&[text.as_bytes()], 0).expect("written");
            assert_eq!(read_or_make(&disk, Path::new(DIR), [3; LEN]), [3; LEN], "{text}");
            assert_eq!(read_or_make(&disk, Path::new(DIR), [4; LEN]), [3; LEN], "{text}");
        }
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new(DIR)).expect("created");
        disk.fail_nth(3, 28);
        assert_eq!(read_or_make(&disk, Path::new(DIR), [5; LEN]), [5; LEN]);
        disk.heal();
        assert_eq!(read_or_make(&disk, Path::new(DIR), [6; LEN]), [6; LEN], "what was half made is in nobody's way");
        assert_eq!(read_or_make(&disk, Path::new(DIR), [7; LEN]), [6; LEN]);
    }

    #[test]
    fn only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(FILE_NAME);
        let mode = || fs::metadata(&path).expect("there").permissions().mode() & 0o777;
        assert_eq!(read_or_make(&RealDisk, dir.path(), [8; LEN]), [8; LEN]);
        assert_eq!(mode(), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("set");
        assert_eq!(read_or_make(&RealDisk, dir.path(), [9; LEN]), [8; LEN]);
        assert_eq!(mode(), 0o600);
    }
}
