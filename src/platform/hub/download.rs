//! One file from an address to a place on disk: gone on with where it broke off, checked before it gets its name.

use std::{
    fs::{self, File},
    io::{Read, Seek, Write},
    path::{Path, PathBuf},
};

use ureq::{
    Body,
    http::{HeaderMap, Response, header},
};

use super::{
    Client, Event, Hash, Tell,
    client::{Trouble, persist_with, place},
    hash::Hasher,
};
use crate::{Error, Result, platform::native};

/// How much is read and written at once.
const PIECE: usize = 1 << 18;

/// A file as its publisher describes it.
#[derive(Debug, Clone, Copy)]
pub struct Remote<'a> {
    /// What it is called in messages.
    pub name: &'a str,
    /// Where it is.
    pub url: &'a str,
    /// What its content must hash to.
    pub hash: &'a Hash,
    /// Its length, where that is known.
    pub bytes: Option<u64>,
}

/// What has arrived of a file.
struct Partial {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    done: u64,
    /// The most that it ever was, because a server that always begins anew and always breaks off makes no progress.
    furthest: u64,
}

/// Fetches a file. What arrives is kept in a file beside it, whose name ends in `.incomplete`, and the next call goes on from there.
/// The file gets its own name when its hash has been found right. Only one process at a time may fetch to the same place.
///
/// # Errors
/// It does not arrive, is twice in a row not what was published, or cannot be written.
pub fn download(client: &Client, remote: &Remote<'_>, path: &Path, tell: &mut Tell<'_>) -> Result<()> {
    let mut partial = Partial::open(path, remote)?;
    for is_last in [false, true] {
        persist_with(&mut partial, tell, |partial, tell| fetch(client, remote, partial, tell))?;
        let found = std::mem::replace(&mut partial.hasher, remote.hash.begin(0)).finish();
        if found == remote.hash.digits() {
            return partial.finish(path);
        }
        // What was here before or a line on the way may be at fault: once more, all of it.
        partial.clear(remote)?;
        if !is_last {
            tell(Event::Note(format!("{}: not what was published; fetching all of it once more", remote.name)));
        }
    }
    // Nothing of it is kept; a file that cannot be removed is empty.
    let _ = fs::remove_file(&partial.path);
    let (name, kind, host) = (remote.name, remote.hash.name(), place(remote.url));
    Err(Error::Failed(format!(
        "{name}: what {host} sends does not have the published {kind}; nothing of it is kept: try again later"
    )))
}

/// Fetches what is missing.
fn fetch(client: &Client, remote: &Remote<'_>, partial: &mut Partial, tell: &mut Tell<'_>) -> Result<(), Trouble> {
    let name = remote.name;
    let say = |partial: &Partial, tell: &mut Tell<'_>| tell(Event::File { name: name.to_owned(), done: partial.done });
    if remote.bytes == Some(partial.done) {
        return Ok(());
    }
    let mut response = client.file(remote.url, name, partial.done)?;
    match (response.status().as_u16(), partial.done) {
        (206, from) if starts_at(response.headers()) == Some(from) => {}
        (200, 0) => {}
        // It sends all, or something else than was asked for.
        (200, _) => partial.clear(remote)?,
        (status, _) => {
            partial.clear(remote)?;
            return Err(Trouble::passing(
                format!("{name}: {} sends another part than was asked for ({status})", place(remote.url)),
                false,
            ));
        }
    }
    let expected = remote.bytes.or_else(|| whole_length(&response));
    let mut body = response.body_mut().as_reader();
    let mut piece = vec![0; PIECE];
    loop {
        // More than was published is not taken: the hash decides what it is worth.
        let room = expected.map_or(PIECE, |expected| PIECE.min((expected - partial.done.min(expected)) as usize));
        let read = match body.read(&mut piece[..room]) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => {
                let why = format!("{name}: {} broke off after {} bytes ({error})", place(remote.url), partial.done);
                return Err(Trouble::passing(why, partial.advanced()));
            }
        };
        partial.take(&piece[..read])?;
        say(partial, tell);
    }
    match expected {
        Some(expected) if partial.done < expected => {
            let why = format!("{name}: {} ended after {} of {expected} bytes", place(remote.url), partial.done);
            Err(Trouble::passing(why, partial.advanced()))
        }
        _ => Ok(()),
    }
}

impl Partial {
    /// What is here already. Its hash is computed again, because nothing says how the last try ended.
    fn open(path: &Path, remote: &Remote<'_>) -> Result<Self> {
        if let Some(folder) = path.parent() {
            native::create_folder(folder)?;
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(".incomplete");
        let path = path.with_file_name(name);
        let failed = |source| Error::write(&path, source);
        let mut file =
            File::options().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let mut hasher = remote.hash.begin(remote.bytes.unwrap_or(0));
        let mut piece = vec![0; PIECE];
        let mut done = 0;
        loop {
            let read = file.read(&mut piece).map_err(|source| Error::read(&path, source))?;
            if read == 0 {
                break;
            }
            hasher.update(&piece[..read]);
            done += read as u64;
        }
        let mut partial = Self { path, file, hasher, done, furthest: done };
        if remote.bytes.is_some_and(|bytes| done > bytes) {
            partial.clear(remote)?;
        }
        Ok(partial)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|source| Error::write(&self.path, source))?;
        self.hasher.update(bytes);
        self.done += bytes.len() as u64;
        Ok(())
    }

    /// Whether it is longer than it ever was.
    fn advanced(&mut self) -> bool {
        let advanced = self.done > self.furthest;
        self.furthest = self.furthest.max(self.done);
        advanced
    }

    /// Begins again from nothing.
    fn clear(&mut self, remote: &Remote<'_>) -> Result<()> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|source| Error::write(&self.path, source))?;
        self.hasher = remote.hash.begin(remote.bytes.unwrap_or(0));
        self.done = 0;
        Ok(())
    }

    /// Gives the file its name.
    fn finish(self, path: &Path) -> Result<()> {
        let Self { path: partial, file, .. } = self;
        let synced = file.sync_all();
        drop(file);
        synced.and_then(|()| fs::rename(partial, path)).map_err(|source| Error::write(path, source))
    }
}

/// The first byte of a part, from `Content-Range: bytes 5-9/10`.
fn starts_at(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.trim().strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// The length of the whole file as the server has it, where nobody else has said so.
fn whole_length(response: &Response<Body>) -> Option<u64> {
    let headers = response.headers();
    match headers.get(header::CONTENT_RANGE) {
        Some(range) => range.to_str().ok()?.rsplit('/').next()?.trim().parse().ok(),
        None => response.body().content_length(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_where_it_starts() {
        for (range, start) in [("bytes 5-9/10", Some(5)), ("bytes 0-0/*", Some(0)), ("bytes */10", None), ("5-9", None)]
        {
            let headers = HeaderMap::from_iter([(header::CONTENT_RANGE, range.parse().unwrap())]);
            assert_eq!(starts_at(&headers), start, "{range}");
        }
        assert_eq!(starts_at(&HeaderMap::new()), None);
    }
}
