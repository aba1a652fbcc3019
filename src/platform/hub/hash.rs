//! The hashes that files are published with.

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A published hash, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hash {
    /// Of the content: large files on the hub.
    Sha256(String),
    /// Git's, SHA-1 over a header and the content: small files on the hub.
    GitBlob(String),
    /// Of the content: archives from before there was better. It shows accidents, not attacks.
    Md5(String),
}

impl Hash {
    /// What is published.
    pub fn digits(&self) -> &str {
        match self {
            Self::Sha256(digits) | Self::GitBlob(digits) | Self::Md5(digits) => digits,
        }
    }

    /// What it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Sha256(_) => "SHA-256",
            Self::GitBlob(_) => "git hash",
            Self::Md5(_) => "MD5",
        }
    }

    /// Begins to hash content of this many bytes in the same way.
    pub fn begin(&self, bytes: u64) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha256(Sha256::new()),
            Self::GitBlob(_) => Hasher::GitBlob(Sha1::new_with_prefix(format!("blob {bytes}\0"))),
            Self::Md5(_) => Hasher::Md5(Md5::new()),
        }
    }
}

/// A hash in the making.
pub enum Hasher {
    /// See [`Hash::Sha256`].
    Sha256(Sha256),
    /// See [`Hash::GitBlob`].
    GitBlob(Sha1),
    /// See [`Hash::Md5`].
    Md5(Md5),
}

impl Hasher {
    /// Takes in more of the content.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::GitBlob(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
        }
    }

    /// The digits.
    pub fn finish(self) -> String {
        let bytes = match self {
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
            Self::GitBlob(hasher) => hasher.finalize().to_vec(),
            Self::Md5(hasher) => hasher.finalize().to_vec(),
        };
        crate::hash::hex(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against `sha256sum`, `git hash-object` and `md5sum`.
    #[test]
    fn hashes_are_those_of_the_usual_tools() {
        for (hash, digits) in [
            (Hash::Sha256(String::new()), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
            (Hash::GitBlob(String::new()), "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"),
            (Hash::Md5(String::new()), "5d41402abc4b2a76b9719d911017c592"),
        ] {
            let mut hasher = hash.begin(5);
            hasher.update(b"hel");
            hasher.update(b"lo");
            assert_eq!(hasher.finish(), digits);
        }
    }
}
