//! The proxies installed on this machine.

use std::env;
use std::path::{Path, PathBuf};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Kamailio.
    Kamailio,
    /// OpenSIPS.
    OpenSips,
}

/// An installed proxy.
#[derive(Clone, Debug)]
pub struct Host {
    /// Its family.
    pub family: Family,
    /// Name for messages: `kamailio`, or the folder it is installed in.
    pub name: String,
    /// The executable.
    pub program: PathBuf,
    /// Its module folder, if it is not the one compiled in.
    pub modules: Option<PathBuf>,
}

impl Family {
    /// Name of the executable and of the folder in `cfg-examples/`.
    pub fn as_str(self) -> &'static str {
        match self {
            Family::Kamailio => "kamailio",
            Family::OpenSips => "opensips",
        }
    }

    /// Variable with colon-separated installation folders, beside the one on `PATH`.
    fn homes(self) -> &'static str {
        match self {
            Family::Kamailio => "KAMAILIO_HOME",
            Family::OpenSips => "OPENSIPS_HOME",
        }
    }

    /// All installed proxies: on `PATH`, then in the folders of `$…_HOME`.
    pub fn installed(self) -> Vec<Host> {
        let name = self.as_str();
        let path = env::var_os("PATH").unwrap_or_default();
        let system = env::split_paths(&path)
            .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
            .map(|folder| folder.join(name))
            .find(|program| program.is_file())
            .map(|program| Host {
                family: self,
                name: name.into(),
                program,
                modules: None,
            });
        let homes = env::var_os(self.homes()).unwrap_or_default();
        let more = env::split_paths(&homes).filter_map(|home| self.in_folder(&home));
        system.into_iter().chain(more).collect()
    }

    fn in_folder(self, home: &Path) -> Option<Host> {
        let program = home.join("sbin").join(self.as_str());
        let modules = ["lib64", "lib", "lib/x86_64-linux-gnu"]
            .iter()
            .map(|lib| home.join(lib).join(self.as_str()).join("modules"))
            .find(|folder| folder.is_dir())?;
        let name = home.file_name()?.to_string_lossy().into_owned();
        program.is_file().then_some(Host {
            family: self,
            name,
            program,
            modules: Some(modules),
        })
    }
}

impl Host {
    /// Whether these modules of the host are installed; prints a message when not.
    pub fn has_modules(&self, names: &[&str]) -> bool {
        let lacking: Vec<_> = names.iter().filter(|name| !self.has_module(name)).collect();
        if !lacking.is_empty() {
            eprintln!("{} has no {lacking:?}: not tried there", self.name);
        }
        lacking.is_empty()
    }

    /// The folder of its shared files.
    pub fn share(&self) -> PathBuf {
        let prefix = self.program.ancestors().nth(2).unwrap_or(Path::new("/usr"));
        prefix.join("share").join(self.family.as_str())
    }

    /// Whether this module of the host is installed.
    pub fn has_module(&self, name: &str) -> bool {
        let compiled_in = || {
            let folders = [
                "/usr/lib/x86_64-linux-gnu",
                "/usr/lib64",
                "/usr/local/lib64",
            ];
            let of = |folder: &&str| Path::new(folder).join(self.family.as_str()).join("modules");
            folders.iter().map(of).find(|it| it.is_dir())
        };
        let folder = self.modules.clone().or_else(compiled_in);
        folder.is_some_and(|folder| folder.join(format!("{name}.so")).is_file())
    }
}

/// Every proxy found. `HOSTS=kamailio,opensips-3.6` selects some by name.
pub fn found() -> Vec<Host> {
    let wanted = env::var("HOSTS").unwrap_or_default();
    [Family::Kamailio, Family::OpenSips]
        .into_iter()
        .flat_map(Family::installed)
        .filter(|host| wanted.is_empty() || wanted.split(',').any(|name| name == host.name))
        .collect()
}
