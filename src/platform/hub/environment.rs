//! What the environment says about the hub, in the variables of `huggingface_hub`.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use crate::{Error, Result};

/// The hub that everybody means.
const HUB: &str = "https://huggingface.co";
/// How long `huggingface_hub` waits for an answer, and for the next bytes of a file.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the hub is, where its files are kept, and how it is spoken to.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Its address, without a slash at the end.
    pub endpoint: String,
    /// Who is asking.
    pub token: Option<String>,
    /// The folder of the cache.
    pub cache: Option<PathBuf>,
    /// Nothing is to be fetched.
    pub offline: bool,
    /// How long to wait for an answer.
    pub answer_timeout: Duration,
    /// How long to wait for the next bytes of a file.
    pub stall_timeout: Duration,
    /// A file of root certificates that are trusted in place of Mozilla's.
    pub certificates: Option<PathBuf>,
}

impl Environment {
    /// Reads the process's environment, and the token that `hf auth login` has left.
    ///
    /// # Errors
    /// A value that makes no sense.
    pub fn read() -> Result<Self> {
        Self::from(&|name| std::env::var_os(name))
    }

    /// The same from any source of variables.
    ///
    /// # Errors
    /// As above.
    pub fn from(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        let text = |name: &str| {
            let value = variable(name)?.to_string_lossy().trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        let is_set =
            |name: &str| text(name).is_some_and(|value| matches!(&*value.to_lowercase(), "1" | "on" | "yes" | "true"));
        let path = |name: &str| text(name).map(|value| without_tilde(&value, variable("HOME")));

        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| HUB.into()).trim_end_matches('/').to_owned();
        if !endpoint.starts_with("https://") && !endpoint.starts_with("http://") {
            return Err(Error::Usage(format!(
                "HF_ENDPOINT is '{endpoint}', but must be an address that begins with https://"
            )));
        }
        let home = path("HF_HOME")
            .or_else(|| Some(path("XDG_CACHE_HOME")?.join("huggingface")))
            .or_else(|| Some(directories::BaseDirs::new()?.home_dir().join(".cache/huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| home.as_ref().map(|home| home.join("hub")));
        let token_file = path("HF_TOKEN_PATH").or_else(|| home.map(|home| home.join("token")));
        let token = text("HF_TOKEN").or_else(|| text("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
            let stored = std::fs::read_to_string(token_file?).ok()?.trim().to_owned();
            (!stored.is_empty() && !is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN")).then_some(stored)
        });
        let seconds = |name: &str| match text(name).map(|value| value.parse::<u64>()) {
            None => Ok(PATIENCE),
            Some(Ok(seconds)) if seconds > 0 => Ok(Duration::from_secs(seconds)),
            Some(_) => Err(Error::Usage(format!("{name} must be a number of seconds of at least 1"))),
        };
        Ok(Self {
            endpoint,
            token,
            cache,
            offline: is_set("HF_HUB_OFFLINE") || is_set("TRANSFORMERS_OFFLINE"),
            answer_timeout: seconds("HF_HUB_ETAG_TIMEOUT")?,
            stall_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT")?,
            certificates: path("SSL_CERT_FILE"),
        })
    }
}

/// A path in which `~` stands for the home folder, as a shell leaves it in a variable that was set between quotes.
fn without_tilde(path: &str, home: Option<OsString>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Result<Environment> {
        Environment::from(&|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into()))
    }

    #[test]
    fn the_cache_is_where_huggingface_hub_looks_for_it() {
        let places = [
            (&[("HF_HUB_CACHE", "/a"), ("HF_HOME", "/b")][..], "/a"),
            (&[("HUGGINGFACE_HUB_CACHE", "/a"), ("HF_HOME", "/b")], "/a"),
            (&[("HF_HOME", "/b"), ("XDG_CACHE_HOME", "/c")], "/b/hub"),
            (&[("HF_HOME", "~/b"), ("HOME", "/home/someone")], "/home/someone/b/hub"),
            (&[("XDG_CACHE_HOME", "/c"), ("HF_HUB_CACHE", "")], "/c/huggingface/hub"),
        ];
        for (variables, place) in places {
            assert_eq!(environment(variables).unwrap().cache, Some(place.into()), "{variables:?}");
        }
    }

    #[test]
    fn values_without_sense_are_refused() {
        for variables in [("HF_ENDPOINT", "hub"), ("HF_HUB_ETAG_TIMEOUT", "0"), ("HF_HUB_DOWNLOAD_TIMEOUT", "soon")] {
            let message = environment(&[variables]).unwrap_err().to_string();
            assert!(message.contains(variables.0), "{message}");
        }
    }

    #[test]
    fn a_stored_token_is_used_unless_that_is_forbidden() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("token"), "stored\n").unwrap();
        let home = ("HF_HOME", home.path().to_str().unwrap());
        assert_eq!(environment(&[home]).unwrap().token.as_deref(), Some("stored"));
        assert_eq!(environment(&[home, ("HF_TOKEN", "given")]).unwrap().token.as_deref(), Some("given"));
        assert_eq!(environment(&[home, ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")]).unwrap().token, None);
    }
}
