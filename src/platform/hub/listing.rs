//! What a repository holds, as the hub says: names, lengths, hashes.

use serde::Deserialize;

use super::{Client, Hash, Kind, Tell, Wish, cache::is_inside};
use crate::{Error, Result};

/// More than any list of files is long.
const LONGEST: u64 = 1 << 26;

/// A file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its path in the repository.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// The name of its content in the cache, which is the digits of its hash.
    pub blob: String,
    /// What its content must hash to.
    pub hash: Hash,
}

/// The files of a commit.
#[derive(Debug, Clone)]
pub struct Listing {
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// All of its files.
    pub files: Vec<Listed>,
}

/// The hub's answer, as far as it is used.
#[derive(Deserialize)]
struct Answer {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    blob_id: Option<String>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: u64,
}

/// Asks the hub for the files of a revision.
///
/// # Errors
/// No answer, a refusal, or an answer that cannot be what the hub says.
pub fn ask(client: &Client, wish: &Wish<'_>, tell: &mut Tell<'_>) -> Result<Listing> {
    let (endpoint, kind) = (client.endpoint(), wish.kind.plural());
    let url = format!("{endpoint}/api/{kind}/{}/revision/{}?blobs=true", wish.repository, escaped(wish.revision, ""));
    let body = client.read(&url, wish.repository, LONGEST, tell)?;
    let wrong = |why: &str| {
        Error::Failed(format!(
            "{}: {endpoint} answers with no list of files ({why}); check HF_ENDPOINT",
            wish.repository
        ))
    };
    let answer: Answer = serde_json::from_slice(&body).map_err(|error| wrong(&error.to_string()))?;
    if !is_hexadecimal(&answer.sha, 40) {
        return Err(wrong("its commit is none"));
    }
    let files =
        answer.siblings.into_iter().map(|file| listed(file).map_err(|why| wrong(&why))).collect::<Result<_>>()?;
    Ok(Listing { commit: answer.sha, files })
}

/// A file whose name and hash may be used as names of files here.
fn listed(file: Sibling) -> Result<Listed, String> {
    let Sibling { rfilename: name, size, blob_id, lfs } = file;
    if !is_inside(&name) {
        return Err(format!("'{name}' leads out of the repository"));
    }
    let (bytes, blob, hash) = match (lfs, blob_id, size) {
        (Some(Lfs { sha256, size }), _, _) if is_hexadecimal(&sha256, 64) => {
            (size, sha256.clone(), Hash::Sha256(sha256))
        }
        (None, Some(blob), Some(size)) if is_hexadecimal(&blob, 40) => (size, blob.clone(), Hash::GitBlob(blob)),
        _ => return Err(format!("'{name}' has no hash or no size")),
    };
    Ok(Listed { name, bytes, blob, hash })
}

fn is_hexadecimal(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Where a file of a commit is.
pub fn address(endpoint: &str, kind: Kind, repository: &str, commit: &str, name: &str) -> String {
    let prefix = match kind {
        Kind::Model => "",
        Kind::Dataset => "datasets/",
    };
    format!("{endpoint}/{prefix}{repository}/resolve/{commit}/{}", escaped(name, "/"))
}

/// Percent-encoded but for letters, digits, `-_.~` and what is in `kept`.
fn escaped(text: &str, kept: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) || kept.as_bytes().contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_hub() {
        let address = |kind, name| address("https://h", kind, "a/b", "c0", name);
        assert_eq!(address(Kind::Model, "unet/config.json"), "https://h/a/b/resolve/c0/unet/config.json");
        assert_eq!(address(Kind::Dataset, "a b#?.zip"), "https://h/datasets/a/b/resolve/c0/a%20b%23%3F.zip");
        assert_eq!(escaped("refs/pr/1", ""), "refs%2Fpr%2F1");
    }

    #[test]
    fn a_list_that_would_write_elsewhere_is_refused() {
        for (name, blob) in
            [("../config.json", "0"), ("/config.json", "0"), ("config.json", "../0"), ("a\\b", "0"), ("", "0")]
        {
            let blob_id = Some(format!("{blob:0<40}"));
            let file = Sibling { rfilename: name.into(), size: Some(1), blob_id, lfs: None };
            assert!(listed(file).is_err(), "{name} {blob}");
        }
        let file = Sibling { rfilename: "a/b.json".into(), size: Some(1), blob_id: Some("0".repeat(40)), lfs: None };
        assert!(listed(file).is_ok());
    }
}
