//! Stopping when asked to: Ctrl-C, or a scheduler's SIGTERM.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, Ordering},
};

use signal_hook::{consts::TERM_SIGNALS, flag};

static ASKED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From now on SIGINT and SIGTERM only set a flag; the second one ends the program at once.
pub fn listen() {
    ASKED.get_or_init(|| {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in TERM_SIGNALS {
            // Where a signal cannot be listened to, it ends the program as always, which costs only what is since the last
            // checkpoint. The order matters: the first signal finds the flag unset.
            let _ = flag::register_conditional_shutdown(*signal, 130, Arc::clone(&asked));
            let _ = flag::register(*signal, Arc::clone(&asked));
        }
        asked
    });
}

/// From now on SIGINT and SIGTERM end the program at once, as done: for what has no other end.
pub fn end() {
    for signal in TERM_SIGNALS {
        // Where a signal cannot be listened to, it ends the program anyway, only not with exit code 0.
        let _ = flag::register_conditional_shutdown(*signal, 0, Arc::new(AtomicBool::new(true)));
    }
}

/// Whether the program was asked to stop.
pub fn asked() -> bool {
    ASKED.get().is_some_and(|asked| asked.load(Ordering::Relaxed))
}
