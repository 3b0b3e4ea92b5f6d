//! User names and passwords that do not stand in an address: in the environment, or in a file of
//! their own, as systemd's credentials are.

use std::fmt;
use std::path::{Path, PathBuf};

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Its `Debug` shows nothing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    pub user: Option<String>,
    pub password: Option<String>,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<login>")
    }
}

impl Login {
    /// `DEVICESTATE_<peer>_USER`, and the password from `DEVICESTATE_<peer>_PASSWORD`, or else from
    /// the file that `DEVICESTATE_<peer>_PASSWORD_FILE` or the setting names.
    pub fn find(env: Env<'_>, peer: &str, setting: &str, file: &Path) -> Result<Login, String> {
        let variable = |what: &str| format!("DEVICESTATE_{peer}_{what}");
        let password = match env(&variable("PASSWORD")) {
            Some(password) => Some(password),
            None => {
                let named = variable("PASSWORD_FILE");
                match env(&named).filter(|path| !path.is_empty()) {
                    Some(path) => Some(read(&named, &PathBuf::from(path))?),
                    None if file.as_os_str().is_empty() => None,
                    None => Some(read(setting, file)?),
                }
            }
        };
        Ok(Login {
            user: env(&variable("USER")),
            password,
        })
    }

    /// This login, and what it leaves open from `other`.
    pub fn or(self, other: Login) -> Login {
        Login {
            user: self.user.or(other.user),
            password: self.password.or(other.password),
        }
    }
}

/// A line end after the password is none of it.
fn read(setting: &str, file: &Path) -> Result<String, String> {
    let shown = crate::text::one_line(&file.to_string_lossy());
    let text = std::fs::read_to_string(file).map_err(|e| format!("{setting}: {shown}: {e}"))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if password.is_empty() || password.contains('\n') {
        return Err(format!(
            "{setting}: {shown} is not one line with a password"
        ));
    }
    Ok(password.to_owned())
}
