//! This machine's configuration of name look-ups: `/etc/resolv.conf` and `/etc/hosts`, read again
//! when they have changed.

use std::fs::{self, Metadata};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::SystemTime;

use domain::resolv::stub::conf::{ResolvConf, Transport};

/// Search domains that are tried (glibc's limit before 2.26).
const MAX_SEARCH: usize = 6;

/// Places of the configuration.
#[derive(Clone, Debug)]
pub struct System {
    /// The name servers.
    pub name_servers: NameServers,
    /// Names that this machine knows itself, in the form of `/etc/hosts`.
    pub hosts: PathBuf,
}

/// The name servers to query.
#[derive(Clone, Debug)]
pub enum NameServers {
    /// Those of a file like `/etc/resolv.conf`.
    File(PathBuf),
    /// These.
    These(Vec<SocketAddr>),
}

impl Default for System {
    fn default() -> Self {
        Self {
            name_servers: NameServers::File("/etc/resolv.conf".into()),
            hosts: "/etc/hosts".into(),
        }
    }
}

/// The name servers, and the rules for completing names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) servers: Vec<SocketAddr>,
    /// By TCP alone (`options use-vc`).
    pub(super) only_tcp: bool,
    /// Domains, without the root.
    search: Vec<String>,
    /// Names with fewer dots are completed first, and tried as they are last.
    dots: usize,
}

/// A stamp that differs when the file has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Option<(SystemTime, u64)>);

impl System {
    /// A value that changes when the name servers may have changed.
    pub(super) fn stamp(&self) -> Stamp {
        let NameServers::File(path) = &self.name_servers else {
            return Stamp(None);
        };
        let of = |file: Metadata| Some((file.modified().ok()?, file.len()));
        Stamp(fs::metadata(path).ok().and_then(of))
    }

    /// Skips a line that cannot be read; without any server it uses this machine, as the C library
    /// does.
    pub(super) fn settings(&self) -> Settings {
        let mut conf = ResolvConf::new();
        let path = match &self.name_servers {
            NameServers::These(servers) => {
                return Settings {
                    servers: servers.clone(),
                    dots: 1,
                    ..Settings::default()
                };
            }
            NameServers::File(path) => path,
        };
        for line in fs::read_to_string(path).unwrap_or_default().lines() {
            let _ = conf.parse(&mut line.as_bytes());
        }
        conf.finalize();
        let suffixes = conf.options.search.as_slice().iter();
        let suffixes = suffixes.map(|it| it.to_string().trim_end_matches('.').to_owned());
        let servers = conf.servers.iter();
        Settings {
            only_tcp: conf.options.use_vc
                || servers.clone().all(|it| it.transport == Transport::Tcp),
            servers: servers.map(|server| server.addr).collect(),
            search: suffixes
                .filter(|suffix| !suffix.is_empty())
                .take(MAX_SEARCH)
                .collect(),
            dots: conf.options.ndots,
        }
    }

    /// The addresses of a name in the hosts file; empty when the file does not have it.
    pub(super) fn known(&self, name: &str) -> Vec<IpAddr> {
        let text = fs::read_to_string(&self.hosts).unwrap_or_default();
        let lines = text.lines().filter_map(|line| {
            let line = line.split('#').next()?;
            let (address, names) = line.trim().split_once(char::is_whitespace)?;
            let mut names = names.split_whitespace();
            let named = names.any(|known| known.eq_ignore_ascii_case(name));
            address.parse().ok().filter(|_| named)
        });
        lines.collect()
    }
}

impl Settings {
    /// The full names to try for a host's name, in order.
    pub(super) fn complete(&self, name: &str) -> Vec<String> {
        let suffixes = self.search.iter();
        let mut names: Vec<_> = suffixes.map(|it| format!("{name}.{it}")).collect();
        let dots = name.bytes().filter(|octet| *octet == b'.').count();
        let place = if dots >= self.dots { 0 } else { names.len() };
        names.insert(place, name.to_owned());
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("written");
        path
    }

    fn reading(text: &str) -> Settings {
        let folder = tempfile::tempdir().expect("a folder");
        let system = System {
            name_servers: NameServers::File(file(&folder, "resolv.conf", text)),
            ..System::default()
        };
        system.settings()
    }

    #[test]
    fn the_servers_of_resolv_conf_are_asked() {
        let settings = reading(
            "# a comment\nlookup file bind\nnameserver 192.0.2.1\nnameserver 2001:db8::1\n\
             search corp.test example.test\noptions ndots:2 timeout:1\n",
        );
        let servers: Vec<_> = settings.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert!(!settings.only_tcp);
        let few = ["a.b.corp.test", "a.b.example.test", "a.b"];
        assert_eq!(settings.complete("a.b"), few);
        let many = ["a.b.c", "a.b.c.corp.test", "a.b.c.example.test"];
        assert_eq!(settings.complete("a.b.c"), many);
        assert!(reading("nameserver 192.0.2.1\noptions use-vc").only_tcp);
    }

    #[test]
    fn without_a_server_this_machine_is_asked() {
        let settings = reading("");
        assert_eq!(
            settings.servers,
            ["127.0.0.1:53".parse().expect("an address")]
        );
        assert_eq!(settings.complete("h"), ["h"]);
        let missing = System {
            name_servers: NameServers::File("/does/not/exist".into()),
            ..System::default()
        };
        assert_eq!(missing.settings(), settings);
    }

    #[test]
    fn a_changed_file_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let system = System {
            name_servers: NameServers::File(file(&folder, "resolv.conf", "")),
            ..System::default()
        };
        let before = system.stamp();
        assert_eq!(system.stamp(), before);
        file(&folder, "resolv.conf", "nameserver 192.0.2.7\n");
        assert_ne!(system.stamp(), before);
    }

    #[test]
    fn the_hosts_file_knows_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = "127.0.0.1 localhost\n192.0.2.1\tp.test P2.test # proxy\n::1 localhost\n\
                    #192.0.2.9 p.test\nnonsense p.test\n";
        let system = System {
            hosts: file(&folder, "hosts", text),
            ..System::default()
        };
        let known = |name: &str| {
            let known = system.known(name).into_iter();
            known.map(|it| it.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(known("localhost"), "127.0.0.1 ::1");
        assert_eq!(known("p2.test"), "192.0.2.1");
        assert_eq!(known("p.test"), "192.0.2.1");
        assert_eq!(known("other.test"), "");
    }
}
