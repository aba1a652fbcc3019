//! What every answer says about what the page may do, and what kind of file it is.

use hyper::header::{
    CONTENT_SECURITY_POLICY, HeaderMap, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};

/// The page's own files, and the hub that models come from: nothing else is loaded, nothing is sent anywhere.
const CONTENT: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
    img-src 'self' blob: data:; media-src 'self' blob:; worker-src 'self'; \
    connect-src 'self' blob: https://huggingface.co https://*.huggingface.co https://*.hf.co; \
    object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The camera for the page itself; nothing for what it does not use.
const PERMISSIONS: &str = "camera=(self), microphone=(), geolocation=(), payment=(), usb=(), serial=()";

/// Adds the headers that everything is answered with.
pub fn add(headers: &mut HeaderMap) {
    let named = HeaderName::from_static;
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, CONTENT),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // Both together let Workers share memory, which is what threads are made of in a browser.
        (named("cross-origin-opener-policy"), "same-origin"),
        (named("cross-origin-embedder-policy"), "require-corp"),
        (named("cross-origin-resource-policy"), "same-origin"),
        (named("permissions-policy"), PERMISSIONS),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// The media type of a file by its name. A browser believes it (`nosniff`), and compiles WebAssembly as it arrives only if told so.
pub fn media_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        // safetensors among them.
        _ => "application/octet-stream",
    }
}
