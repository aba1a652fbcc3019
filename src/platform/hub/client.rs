//! Requests: redirects, who may see the token, what is worth another try, and what a refusal means to the user.

use std::{
    fmt,
    io::{self, Read},
    thread,
    time::Duration,
};

use ureq::{
    Agent, Body, Proxy,
    config::RedirectAuthHeaders,
    http::{HeaderMap, Response, Uri, header},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{Environment, Event, Tell};
use crate::{Error, Result, platform::native};

/// How often something is tried without any of it arriving.
const TRIES: u32 = 5;
/// The first pause between two tries; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How many redirects a file may be behind.
const REDIRECTS: usize = 10;

/// Why something did not arrive.
#[derive(Debug)]
pub enum Trouble {
    /// It may the next time.
    Passing {
        /// What happened, to be shown.
        why: String,
        /// When the server wants to be asked again.
        pause: Option<Duration>,
        /// Whether some of it did arrive, so that there is no end of patience.
        progress: bool,
    },
    /// There is no way to the server at the moment.
    Unreachable {
        /// What happened, to be shown.
        why: String,
    },
    /// It will not.
    Lasting(Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Lasting(error)
    }
}

impl Trouble {
    /// Something that may go better the next time.
    pub fn passing(why: impl fmt::Display, progress: bool) -> Self {
        Self::Passing { why: why.to_string(), pause: None, progress }
    }
}

/// A hub that is spoken to over HTTP.
pub struct Client {
    agent: Agent,
    endpoint: String,
    token: Option<String>,
    answer_timeout: Duration,
    stall_timeout: Duration,
}

impl Client {
    /// A client as the environment wants it. Proxies are those of `HTTPS_PROXY` and its kin.
    ///
    /// # Errors
    /// The file of certificates cannot be read.
    pub fn new(environment: &Environment) -> Result<Self> {
        let mut tls = TlsConfig::builder();
        if let Some(path) = &environment.certificates {
            let found = native::read(path)?;
            let certificates = parse_pem(&found).filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            });
            tls = tls.root_certs(RootCerts::Specific(std::sync::Arc::new(certificates.collect())));
        }
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            // Followed here, because the token must not follow.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::Never)
            .timeout_connect(Some(environment.answer_timeout))
            .timeout_per_read(Some(environment.stall_timeout))
            // A hub on this machine is behind no proxy, and NO_PROXY seldom says so.
            .proxy(Proxy::try_from_env().filter(|_| !is_here(&environment.endpoint)))
            .user_agent(concat!("lowshot/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build())
            .build()
            .new_agent();
        Ok(Self {
            agent,
            endpoint: environment.endpoint.clone(),
            token: environment.token.clone(),
            answer_timeout: environment.answer_timeout,
            stall_timeout: environment.stall_timeout,
        })
    }

    /// The hub's address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// A whole answer of at most `limit` bytes; `what` is it to the user.
    ///
    /// # Errors
    /// What the hub refused, after several tries where that is worth it.
    pub fn read(&self, url: &str, what: &str, limit: u64, tell: &mut Tell<'_>) -> Result<Vec<u8>> {
        persist(tell, || {
            // Where nothing has come yet, there is nothing to save by patience.
            let answer = self.get(url, what, 0, self.answer_timeout).map_err(|trouble| match trouble {
                Trouble::Unreachable { why } => {
                    Error::Failed(format!("{why}; is there a network? HF_HUB_OFFLINE=1 uses what is here")).into()
                }
                trouble => trouble,
            });
            let mut response = answer?;
            let mut body = Vec::new();
            let read = response.body_mut().as_reader().take(limit).read_to_end(&mut body);
            read.map_err(|error| Trouble::passing(format!("{} {error}", place(url)), false))?;
            Ok(body)
        })
    }

    /// Asks for a file from its byte `from` on.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub fn file(&self, url: &str, what: &str, from: u64) -> Result<Response<Body>, Trouble> {
        self.get(url, what, from, self.stall_timeout)
    }

    fn get(&self, url: &str, what: &str, from: u64, timeout: Duration) -> Result<Response<Body>, Trouble> {
        let mut url = url.to_owned();
        for _ in 0..REDIRECTS {
            let mut request = self.agent.get(&url).header(header::ACCEPT_ENCODING, "identity");
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            if let Some(token) = self.token.as_ref().filter(|_| origin(&url) == origin(&self.endpoint)) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
            }
            let answer = request.config().timeout_recv_response(Some(timeout)).build().call();
            let response = answer.map_err(|error| no_answer(&url, what, &error))?;
            let status = response.status();
            if status.is_redirection() && status.as_u16() != 304 {
                url = target(&url, response.headers())?;
            } else if status.is_success() || status.as_u16() == 416 {
                return Ok(response);
            } else {
                let asked = Asked {
                    url: &url,
                    what,
                    is_hub: origin(&url) == origin(&self.endpoint),
                    has_token: self.token.is_some(),
                };
                return Err(asked.refused(status.as_u16(), response.headers()));
            }
        }
        Err(Error::Failed(format!("{what}: {} redirects in a circle; try again later", place(&url))).into())
    }
}

/// Tries until something is done, or nothing has arrived several times in a row.
///
/// # Errors
/// What will not pass, or has not.
pub fn persist<T>(tell: &mut Tell<'_>, mut attempt: impl FnMut() -> Result<T, Trouble>) -> Result<T> {
    persist_with(&mut (), tell, |(), _| attempt())
}

/// [`persist`] for attempts that tell of their progress and keep a state.
///
/// # Errors
/// As there.
pub fn persist_with<S, T>(
    state: &mut S,
    tell: &mut Tell<'_>,
    mut attempt: impl FnMut(&mut S, &mut Tell<'_>) -> Result<T, Trouble>,
) -> Result<T> {
    let mut tries = 0;
    loop {
        let (why, asked, progress) = match attempt(state, tell) {
            Ok(done) => return Ok(done),
            Err(Trouble::Lasting(error)) => return Err(error),
            Err(Trouble::Unreachable { why }) => (why, None, false),
            Err(Trouble::Passing { why, pause, progress }) => (why, pause, progress),
        };
        tries = if progress { 1 } else { tries + 1 };
        let pause = asked.unwrap_or(PAUSE * 2_u32.pow(tries - 1));
        if tries >= TRIES || pause > LONGEST_PAUSE {
            return Err(Error::Failed(format!("{why}; what has arrived is kept: run the same command again later")));
        }
        tell(Event::Note(format!("{why}; trying again in {:.1} s", pause.as_secs_f32())));
        thread::sleep(pause);
    }
}

/// The host of an address, for messages.
pub fn place(url: &str) -> String {
    let uri = url.parse::<Uri>().ok();
    uri.and_then(|uri| Some(uri.authority()?.as_str().to_owned())).unwrap_or_else(|| url.to_owned())
}

/// What two addresses of one server have in common.
fn origin(url: &str) -> Option<(String, String, Option<u16>)> {
    let uri = url.parse::<Uri>().ok()?;
    Some((uri.scheme_str()?.to_owned(), uri.host()?.to_lowercase(), uri.port_u16()))
}

/// Whether an address is one of this machine's own.
fn is_here(url: &str) -> bool {
    origin(url).is_some_and(|(_, host, _)| matches!(&*host, "localhost" | "127.0.0.1" | "[::1]"))
}

/// Where a redirect leads; never from an encrypted connection to an open one.
fn target(url: &str, headers: &HeaderMap) -> Result<String, Trouble> {
    let nonsense = || Error::Failed(format!("{} redirects to nowhere; try again later", place(url)));
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).ok_or_else(nonsense)?;
    let from = url.parse::<Uri>().map_err(|_| nonsense())?;
    let (scheme, authority) = (from.scheme_str().ok_or_else(nonsense)?, from.authority().ok_or_else(nonsense)?);
    let target = if location.starts_with("https://") || location.starts_with("http://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{scheme}://{rest}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    if scheme == "https" && !target.starts_with("https://") {
        return Err(Error::Failed(format!(
            "{} redirects to {target}, which is not encrypted: not followed",
            place(url)
        ))
        .into());
    }
    Ok(target)
}

/// What it means that there is no answer.
fn no_answer(url: &str, what: &str, error: &ureq::Error) -> Trouble {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, InvalidData, UnexpectedEof};
    let host = place(url);
    let no_trust = |error: &ureq::Error| {
        let advice = "where a proxy opens connections, name its certificates by SSL_CERT_FILE";
        Error::Failed(format!("{what}: no trusted connection to {host} ({error}); {advice}")).into()
    };
    match error {
        ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::InvalidProxyUrl => {
            Error::Usage(format!("{what}: {url} is no usable address ({error}); check HF_ENDPOINT and HTTPS_PROXY"))
                .into()
        }
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) => no_trust(error),
        // What rustls says while it shakes hands.
        ureq::Error::Io(inner) if inner.kind() == InvalidData => no_trust(error),
        ureq::Error::Timeout(_) => Trouble::passing(format!("{what}: {host} does not answer in time"), false),
        // A server that hangs up is there.
        ureq::Error::Io(error)
            if matches!(error.kind(), ConnectionReset | ConnectionAborted | UnexpectedEof | BrokenPipe) =>
        {
            Trouble::passing(format!("{what}: {host} hung up ({error})"), false)
        }
        error => Trouble::Unreachable { why: format!("{what}: no connection to {host} ({error})") },
    }
}

/// A request that was refused.
struct Asked<'a> {
    url: &'a str,
    what: &'a str,
    /// Whether it is the hub that refuses, not one that it redirects to.
    is_hub: bool,
    has_token: bool,
}

impl Asked<'_> {
    /// What a refusal means. The hub says 401 for what does not exist too, so as not to tell private from absent.
    fn refused(&self, status: u16, headers: &HeaderMap) -> Trouble {
        let (host, what) = (place(self.url), self.what);
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let usage = |why: String| Trouble::Lasting(Error::Usage(format!("{what}: {why}")));
        let token = if self.has_token {
            "a token (HF_TOKEN) of somebody who may read it"
        } else {
            "your token (HF_TOKEN, or 'hf auth login')"
        };
        match (status, header("x-error-code")) {
            (408 | 425 | 429 | 500..=599, _) => {
                let pause = header(header::RETRY_AFTER.as_str()).trim().parse().ok().map(Duration::from_secs);
                let why = match status {
                    429 => format!("{what}: {host} is asked too often (429)"),
                    _ => format!("{what}: {host} has trouble ({status})"),
                };
                Trouble::Passing { why, pause, progress: false }
            }
            // Where the hub redirects to, a link is good for a while only; the next try gets another.
            (400..=499, _) if !self.is_hub => Trouble::passing(format!("{what}: {host} refuses it ({status})"), false),
            (_, "GatedRepo") | (403, _) => usage(format!(
                "{host} gives it only to those who have accepted its terms: open its page there, accept, and give {token}"
            )),
            (_, "RevisionNotFound") => usage(format!("{host} has no such revision: check --revision")),
            (401, _) | (404 | 410, "RepoNotFound" | "") => {
                usage(format!("{host} has nothing of that name, or it is private: check the name, or give {token}"))
            }
            (404 | 410, _) => usage(format!("{host} no longer has this file: run the same command again")),
            _ => Error::Failed(format!("{what}: {host} answers {status}; try again later")).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say_but_never_out_of_encryption() {
        let to = |from: &str, location: &str| {
            let headers = HeaderMap::from_iter([(header::LOCATION, location.parse().unwrap())]);
            target(from, &headers).ok()
        };
        assert_eq!(to("https://a/b/c?d", "https://e/f").unwrap(), "https://e/f");
        assert_eq!(to("https://a/b/c?d", "//e/f").unwrap(), "https://e/f");
        assert_eq!(to("https://a:1/b/c?d", "/e?f").unwrap(), "https://a:1/e?f");
        assert_eq!(to("https://a/b/c?d", "e").unwrap(), "https://a/b/e");
        assert_eq!(to("http://a/b", "http://c/").unwrap(), "http://c/");
        assert_eq!(to("https://a/b", "http://a/b"), None);
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        assert_eq!(origin("https://a.b/c"), origin("https://A.B/d?e"));
        for other in ["http://a.b/c", "https://a.b:8443/c", "https://b/c", "https://a.b.evil.org/c"] {
            assert_ne!(origin("https://a.b/c"), origin(other));
        }
        assert!(is_here("http://localhost:80/a") && is_here("http://127.0.0.1") && is_here("http://[::1]:8/"));
        assert!(!is_here("http://localhost.evil.org"));
    }
}
