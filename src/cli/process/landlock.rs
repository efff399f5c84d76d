//! Landlock: the kernel refuses the process every file and port that its settings do not name, whoever has come to command it.
//!
//! What is allowed is decided once, from the settings and from what is on the disk at the start. All the broker needs beside
//! its data is the files that it reads again: certificates, whose directories may be read, so that a file can be replaced by
//! another. A process that is confined looks up no names and connects to nobody. Best effort: what the kernel's version does
//! not offer stays as it was.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, Scope, make_bitflags, path_beneath_rules,
};

use crate::{
    config::{broker::BrokerConfig, security::Pem},
    network::Endpoint,
};

/// The version whose rights are given up: each of them was looked at, and none is needed beyond the rules below.
const VERSION: ABI = ABI::V10;

/// What the broker does in its data directory. No devices, sockets or links, and nothing to execute.
const KEEP_DATA: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | MakeDir | RemoveFile | RemoveDir | Refer
});
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});

/// What is asked about the machine: by `available_parallelism`, by the C library's allocator, and for a panic's backtrace.
const OF_THE_MACHINE: [&str; 4] =
    ["/proc/self", "/proc/sys/vm/overcommit_memory", "/sys/fs/cgroup", "/sys/devices/system/cpu"];

/// What a confined process may still do.
#[derive(Debug, PartialEq, Eq)]
struct Permissions {
    data: PathBuf,
    read: BTreeSet<PathBuf>,
    /// Where it may listen; `None` for wherever it likes.
    ports: Option<BTreeSet<u16>>,
}

/// Confines this thread, and those that it starts from now on. Says what came of it.
pub(super) fn confine(config: &BrokerConfig, endpoints: &[Endpoint]) -> String {
    // What is not there cannot be named to the kernel. Where it cannot be made, the start says why.
    if let Err(error) = fs::create_dir_all(&config.data_dir) {
        return format!("not confined by Landlock: {}: {error}", config.data_dir.display());
    }
    match Permissions::new(config, endpoints).enforce() {
        Ok(Some(version)) => format!("confined by Landlock, version {version}"),
        Ok(None) => "not confined by Landlock: the system does not offer it".to_owned(),
        Err(error) => format!("not confined by Landlock: {error}"),
    }
}

impl Permissions {
    fn new(config: &BrokerConfig, endpoints: &[Endpoint]) -> Self {
        let mut read: BTreeSet<PathBuf> = OF_THE_MACHINE.iter().map(PathBuf::from).collect();
        read.extend(env::current_exe());
        let tls = config.listeners.iter().filter_map(|listener| listener.security.tls.as_ref());
        for pem in tls.flat_map(|tls| tls.pems()) {
            if let Pem::File(path) = pem {
                read.extend(places(path));
            }
        }
        Self { data: config.data_dir.clone(), read, ports: ports(endpoints) }
    }

    /// The version of Landlock that is in force then, if any is.
    fn enforce(&self) -> Result<Option<ABI>, RulesetError> {
        let mut ports = AccessNet::from_all(VERSION);
        if self.ports.is_none() {
            ports.remove(AccessNet::BindTcp);
        }
        let listening = self.ports.iter().flatten().map(|port| NetPort::new(*port, AccessNet::BindTcp));
        let status = Ruleset::default()
            .handle_access(AccessFs::from_all(VERSION))?
            .handle_access(ports)?
            .scope(Scope::from_all(VERSION))?
            .create()?
            .add_rules(path_beneath_rules([&self.data], KEEP_DATA))?
            .add_rules(path_beneath_rules(&self.read, READ))?
            .add_rules(listening.map(Ok::<_, RulesetError>))?
            .restrict_self()?;
        Ok(match (status.ruleset, status.landlock) {
            (RulesetStatus::NotEnforced, _) => None,
            (_, LandlockStatus::Available { effective_abi, .. }) => Some(effective_abi),
            (_, LandlockStatus::NotEnabled | LandlockStatus::NotImplemented) => None,
        })
    }
}

/// The ports of the listeners. A listener at any port that is free, of a name with several addresses, takes the first one's at
/// all of them: nobody knows which that will be.
fn ports(endpoints: &[Endpoint]) -> Option<BTreeSet<u16>> {
    let is_unknown = |endpoint: &Endpoint| endpoint.port == 0 && endpoint.addresses.len() > 1;
    (!endpoints.iter().any(is_unknown)).then(|| endpoints.iter().map(|endpoint| endpoint.port).collect())
}

/// Where a file lies, and may lie once it was replaced: its directory, and of each symbolic link on the way to it the
/// directory in which the link's target lies, for what replaces a target mostly stands beside it. Of the root directory, only
/// the file itself.
fn places(path: &Path) -> BTreeSet<PathBuf> {
    let (mut places, mut seen, mut ahead) = (BTreeSet::new(), BTreeSet::new(), vec![path.to_owned()]);
    while let Some(path) = ahead.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        places.extend(directory(&path).filter(|directory| directory != Path::new("/")));
        for link in path.ancestors() {
            if let Ok(target) = fs::read_link(link) {
                ahead.push(link.parent().unwrap_or_else(|| Path::new("")).join(target));
            }
        }
    }
    if places.is_empty() {
        places.insert(path.to_owned());
    }
    places
}

/// The directory of a path, without links.
fn directory(path: &Path) -> Option<PathBuf> {
    let parent = path.parent()?;
    let parent = if parent == Path::new("") { Path::new(".") } else { parent };
    parent.canonicalize().ok()
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
        os::unix::fs::symlink,
        thread,
    };

    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint::look_up("PLAINTEXT".to_owned(), host.to_owned(), port).expect("an address")
    }

    #[test]
    fn a_listener_at_an_unknown_port_of_several_addresses_may_be_anywhere() {
        let of_two = |port| {
            let addresses = ["127.0.0.1", "::1"].map(|address| address.parse().expect("an address")).to_vec();
            Endpoint { addresses, ..endpoint("127.0.0.1", port) }
        };
        assert_eq!(ports(&[of_two(9092), endpoint("::", 0)]), Some(BTreeSet::from([0, 9092])));
        assert_eq!(ports(&[of_two(0), endpoint("::", 9092)]), None);
    }

    #[test]
    fn a_file_may_be_replaced_by_one_beside_it_or_beside_what_a_link_leads_to() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path().canonicalize().expect("there");
        for directory in ["plain", "mounted/..1", "live", "archive/host", "releases/1/certs", "other"] {
            fs::create_dir_all(root.join(directory)).expect("made");
        }
        for (link, target) in [
            ("mounted/..data", "..1"),
            ("mounted/server.pem", "..data/server.pem"),
            ("live/server.pem", "../archive/host/server1.pem"),
            ("current", "releases/1"),
            ("absolute.pem", root.join("other/server.pem").to_str().expect("text")),
            ("itself", "itself"),
        ] {
            symlink(target, root.join(link)).expect("made");
        }
        for (path, expected) in [
            ("plain/server.pem", vec!["plain"]),
            ("mounted/server.pem", vec!["mounted", "mounted/..1"]),
            ("live/server.pem", vec!["archive/host", "live"]),
            ("current/certs/server.pem", vec!["releases", "releases/1/certs"]),
            ("absolute.pem", vec!["", "other"]),
            ("itself", vec![""]),
        ] {
            let expected = expected.into_iter().map(|directory| match directory {
                "" => root.clone(),
                directory => root.join(directory),
            });
            assert_eq!(places(&root.join(path)), expected.collect(), "{path}");
        }
        let here = env::current_dir().expect("there").canonicalize().expect("there");
        assert_eq!(places(Path::new("server.pem")), BTreeSet::from([here]));
        assert_eq!(places(Path::new("/server.pem")), BTreeSet::from([PathBuf::from("/server.pem")]));
    }

    /// Does something in a thread of its own that has these permissions. `None` where the system has no Landlock.
    fn confined<T: Send>(permissions: &Permissions, work: impl FnOnce(ABI) -> T + Send) -> Option<T> {
        let confined = || {
            let version = permissions.enforce().expect("the rules are sound");
            if version.is_none() {
                println!("skipped: the system offers no Landlock");
            }
            version.map(work)
        };
        thread::scope(|scope| scope.spawn(confined).join().expect("no panic"))
    }

    fn is_denied<T>(outcome: io::Result<T>) -> bool {
        outcome.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
    }

    #[test]
    fn nothing_can_be_had_but_the_data_and_what_may_be_read() {
        let root = tempfile::tempdir().expect("a directory");
        let [data, read, other] = ["data", "read", "other"].map(|name| root.path().join(name));
        for directory in [&data, &read, &other] {
            fs::create_dir(directory).expect("made");
            fs::write(directory.join("file"), "text").expect("written");
        }
        symlink(&other, data.join("out")).expect("made");
        let permissions = Permissions { data: data.clone(), read: BTreeSet::from([read.clone()]), ports: None };
        confined(&permissions, |_| {
            fs::create_dir(data.join("t-0")).expect("made");
            fs::write(data.join("t-0/new"), "more").expect("written");
            fs::rename(data.join("t-0"), data.join("t-0.deleted")).expect("renamed");
            fs::File::open(&data).and_then(|directory| directory.sync_all()).expect("synced");
            fs::remove_file(data.join("t-0.deleted/new")).expect("removed");
            fs::remove_dir(data.join("t-0.deleted")).expect("removed");
            fs::read(read.join("file")).expect("read");
            assert!(is_denied(fs::write(read.join("file"), "")));
            assert!(is_denied(symlink("file", data.join("link"))));
            for outside in [&other, &data.join("out")] {
                assert!(is_denied(fs::read(outside.join("file"))));
                assert!(is_denied(fs::read_dir(outside)));
                assert!(is_denied(fs::write(outside.join("new"), "")));
                assert!(is_denied(fs::remove_file(outside.join("file"))));
            }
            assert!(is_denied(fs::read("/etc/passwd")));
            assert!(is_denied(std::process::Command::new("/bin/true").status()));
        });
        assert!(other.join("file").exists());
    }

    #[test]
    fn nothing_is_listened_on_but_the_ports_of_listeners_and_nobody_is_connected_to() {
        /// Of this machine, and of nobody else.
        const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 83, 1);
        let listen = |port| TcpListener::bind((HOST, port));
        let [outside, first, second] = [(); 3].map(|()| listen(0).expect("a free port"));
        let address = |listener: &TcpListener| listener.local_addr().expect("an address");
        let [own, another] = [first, second].map(|listener| address(&listener).port());
        let data = tempfile::tempdir().expect("a directory");
        let with = |ports| Permissions { data: data.path().to_owned(), read: BTreeSet::new(), ports };
        confined(&with(Some(BTreeSet::from([own]))), |version| {
            if version < ABI::V4 {
                return println!("skipped: version {version} of Landlock knows no ports");
            }
            listen(own).expect("its own port");
            assert!(is_denied(listen(another)) && is_denied(listen(0)));
            assert!(is_denied(TcpStream::connect(address(&outside))));
            assert_eq!(is_denied(UdpSocket::bind((HOST, 0))), version >= ABI::V10);
        });
        confined(&with(Some(BTreeSet::from([0]))), |_| drop(listen(0).expect("any port that is free")));
        confined(&with(None), |_| drop(listen(another).expect("anywhere")));
    }
}
