#pragma once

namespace foregate {

/// Makes SIGINT and SIGTERM ask for an orderly stop instead of ending the process; a second signal
/// ends it at once. Called once, by the program's main.
void install_interrupt_handler();

/// Whether an orderly stop has been asked for.
bool interrupted();

/// Throws InterruptedError if an orderly stop has been asked for. `kept` says what the user still
/// has
/// ("3 of 10 shards are kept; run the same command again to continue").
void check_interrupted(const char* kept);

}  // namespace foregate
