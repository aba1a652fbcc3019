//! A request's answer: which form of which file, or why not.

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Bytes,
    header::{
        ACCEPT_ENCODING, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap,
        HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
    },
};

use super::{
    page::{Found, Page},
    policy,
};

/// The compressed forms that may lie beside a file: what they are called on the wire, and the end of their names; best first.
const FORMS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// Answers a request for a file of the page.
pub fn answer<B>(page: &Page, request: &Request<B>) -> Response<Full<Bytes>> {
    let mut response = match *request.method() {
        Method::GET | Method::HEAD => file(page, request),
        _ => {
            let mut refused = message(StatusCode::METHOD_NOT_ALLOWED, "This server only gives files away.");
            refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            refused
        }
    };
    policy::add(response.headers_mut());
    if request.method() == Method::HEAD {
        *response.body_mut() = Full::default();
    }
    response
}

/// The file that a request names, in the best form that its browser takes.
fn file<B>(page: &Page, request: &Request<B>) -> Response<Full<Bytes>> {
    let missing = || message(StatusCode::NOT_FOUND, "There is no such file here. The page is at <a href=\"/\">/</a>.");
    let Some(name) = decode(request.uri().path().trim_start_matches('/')) else { return missing() };
    let name = if name.is_empty() { "index.html" } else { name.as_str() };
    let accepted = accepted(request.headers());
    let mut forms = FORMS.iter().filter(|(encoding, _)| accepted.iter().any(|accepted| accepted == encoding));
    let compressed =
        forms.find_map(|(encoding, ending)| Some((Some(*encoding), page.find(&format!("{name}{ending}"))?)));
    let Some((encoding, found)) = compressed.or_else(|| Some((None, page.find(name)?))) else { return missing() };
    let Found { bytes, hash } = found;

    // The hash is of the form's own bytes, so each form has a tag of its own.
    let tag = format!("\"{hash}\"");
    let unchanged = listed(request.headers(), &IF_NONE_MATCH).any(|known| known == "*" || bare(known) == tag);
    let mut response = Response::new(Full::default());
    let headers = response.headers_mut();
    if let Ok(tag) = HeaderValue::try_from(tag) {
        headers.insert(ETAG, tag);
    }
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    let caching = if is_hashed(name) { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(caching));
    if unchanged {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(policy::media_type(name)));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    *response.body_mut() = Full::new(bytes);
    response
}

/// A small page that says what is wrong.
fn message(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>lowshot: {status}</title><h1>{status}</h1><p>{text}</p></html>\n"
    );
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(policy::media_type("index.html")));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(html.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    *response.body_mut() = Full::from(html);
    response
}

/// An address with its `%20`s as the characters they mean; none when that is no text.
fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digit = |place: usize| char::from(*after.get(place)?).to_digit(16);
            bytes.push((digit(0)? * 16 + digit(1)?) as u8);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The encodings that a browser takes, without those that it gives no weight.
fn accepted(headers: &HeaderMap) -> Vec<String> {
    let encodings = listed(headers, &ACCEPT_ENCODING).filter_map(|entry| {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        weight.is_ok_and(|weight| weight > 0.0).then_some(name)
    });
    encodings.collect()
}

/// The entries of a header that is a list.
fn listed<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// A tag without the mark that a cache has given it for changing the form.
fn bare(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Whether a file has its content's hash in its name, as Vite writes it (`assets/index-B1x_9aZq.js`), so that it never changes.
fn is_hashed(name: &str) -> bool {
    let stem = name.strip_prefix("assets/").and_then(|name| Some(name.rsplit_once('.')?.0));
    stem.filter(|stem| stem.is_ascii() && stem.len() > 9).is_some_and(|stem| {
        let (before, hash) = stem.split_at(stem.len() - 8);
        before.ends_with('-') && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}
