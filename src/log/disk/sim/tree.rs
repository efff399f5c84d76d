//! Directories and what is in them. Names and things are apart, as in a file system: a crash decides name by name.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{Crash, content::Content, random::Random};

/// Everything on the disk.
#[derive(Clone, Default)]
pub(super) struct Tree {
    nodes: BTreeMap<u64, Node>,
    /// Directories that lie in none. What is above the data directory is taken for durable.
    roots: BTreeMap<PathBuf, u64>,
}

#[derive(Clone)]
pub(super) enum Node {
    Dir(Dir),
    File(Content),
}

#[derive(Clone, Default)]
pub(super) struct Dir {
    /// The entries that programs see.
    pub(super) live: BTreeMap<String, u64>,
    /// Those that a crash leaves.
    durable: BTreeMap<String, u64>,
    /// What leads from these to those.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Link(String, u64),
    Unlink(String),
    Rename(String, String),
}

impl Tree {
    pub(super) fn find(&self, path: &Path) -> io::Result<u64> {
        if let Some(id) = self.roots.get(path) {
            return Ok(*id);
        }
        let (parent, name) = split(path)?;
        let parent = self.find(parent)?;
        match self.nodes.get(&parent) {
            Some(Node::Dir(dir)) => dir.live.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into()),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    pub(super) fn dir(&mut self, path: &Path) -> io::Result<&mut Dir> {
        let id = self.find(path)?;
        match self.nodes.get_mut(&id) {
            Some(Node::Dir(dir)) => Ok(dir),
            _ => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// The file of an id that [`Tree::file_id`] gave out.
    pub(super) fn file(&mut self, id: u64) -> &mut Content {
        match self.nodes.get_mut(&id) {
            Some(Node::File(content)) => content,
            _ => panic!("{id} is no file"),
        }
    }

    pub(super) fn file_id(&self, path: &Path) -> io::Result<u64> {
        let id = self.find(path)?;
        match self.nodes.get(&id) {
            Some(Node::File(_)) => Ok(id),
            _ => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    pub(super) fn create_file(&mut self, path: &Path) -> io::Result<u64> {
        self.create(path, Node::File(Content::default()))
    }

    pub(super) fn create_dir(&mut self, path: &Path) -> io::Result<()> {
        match self.find(path) {
            Ok(_) => self.dir(path).map(|_| ()),
            Err(_) if path.parent().is_some_and(|parent| self.dir(parent).is_ok()) => {
                self.create(path, Node::Dir(Dir::default())).map(|_| ())
            }
            Err(_) => {
                let id = self.add(Node::Dir(Dir::default()));
                self.roots.insert(path.to_owned(), id);
                Ok(())
            }
        }
    }

    fn add(&mut self, node: Node) -> u64 {
        let id = self.nodes.last_key_value().map_or(0, |(last, _)| last + 1);
        self.nodes.insert(id, node);
        id
    }

    fn create(&mut self, path: &Path, node: Node) -> io::Result<u64> {
        let (parent, name) = split(path)?;
        self.dir(parent)?;
        let id = self.add(node);
        let dir = self.dir(parent)?;
        dir.live.insert(name.to_owned(), id);
        dir.pending.push(Change::Link(name.to_owned(), id));
        Ok(id)
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let ((from_dir, from_name), (to_dir, to_name)) = (split(from)?, split(to)?);
        if from_dir != to_dir {
            return Err(io::ErrorKind::CrossesDevices.into());
        }
        self.find(from)?;
        if self.dir(to).is_ok_and(|dir| !dir.live.is_empty()) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let dir = self.dir(from_dir)?;
        let id = dir.live.remove(from_name).ok_or(io::ErrorKind::NotFound)?;
        dir.live.insert(to_name.to_owned(), id);
        dir.pending.push(Change::Rename(from_name.to_owned(), to_name.to_owned()));
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file_id(path)?;
        self.unlink(path)
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        if !self.dir(path)?.live.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.unlink(path)
    }

    fn unlink(&mut self, path: &Path) -> io::Result<()> {
        let (parent, name) = split(path)?;
        let dir = self.dir(parent)?;
        dir.live.remove(name);
        dir.pending.push(Change::Unlink(name.to_owned()));
        Ok(())
    }

    /// The length of a file, nothing for a directory.
    pub(super) fn file_len(&self, id: u64) -> Option<u64> {
        match self.nodes.get(&id) {
            Some(Node::File(content)) => Some(content.live.len() as u64),
            _ => None,
        }
    }

    /// Bytes of all files that have a name, each in whole blocks of `block` bytes, and how many names there are.
    pub(super) fn usage(&self, block: u64) -> (u64, u64) {
        let mut usage = (0, 0);
        let mut dirs: Vec<u64> = self.roots.values().copied().collect();
        while let Some(id) = dirs.pop() {
            let Some(Node::Dir(dir)) = self.nodes.get(&id) else { continue };
            usage.1 += dir.live.len() as u64;
            for id in dir.live.values() {
                match self.file_len(*id) {
                    Some(len) => usage.0 += len.next_multiple_of(block),
                    None => dirs.push(*id),
                }
            }
        }
        usage
    }

    pub(super) fn sync(&mut self) {
        for node in self.nodes.values_mut() {
            match node {
                Node::Dir(dir) => dir.sync(),
                Node::File(content) => content.sync(),
            }
        }
    }

    /// Names stay as they were, bytes get lost.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        for node in self.nodes.values_mut() {
            if let Node::File(content) = node {
                content.fail_sync(random);
            }
        }
    }

    pub(super) fn crash(&mut self, crash: Crash, random: &mut Random) {
        for node in self.nodes.values_mut() {
            match node {
                Node::Dir(dir) => dir.crash(crash, random),
                Node::File(content) => content.crash(crash, random),
            }
        }
    }
}

impl Dir {
    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.live);
        self.pending.clear();
    }

    fn crash(&mut self, crash: Crash, random: &mut Random) {
        let kept = match crash {
            Crash::KeepAll => return,
            Crash::LoseAll => 0,
            Crash::Tear => random.below(self.pending.len() + 1),
        };
        for change in self.pending.drain(..).take(kept) {
            change.apply(&mut self.durable);
        }
        self.live.clone_from(&self.durable);
    }
}

impl Change {
    fn apply(self, entries: &mut BTreeMap<String, u64>) {
        match self {
            Self::Link(name, id) => drop(entries.insert(name, id)),
            Self::Unlink(name) => drop(entries.remove(&name)),
            Self::Rename(from, to) => {
                if let Some(id) = entries.remove(&from) {
                    entries.insert(to, id);
                }
            }
        }
    }
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent().zip(name).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
