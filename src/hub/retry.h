#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "base/run_context.h"

namespace foregate::hub {

/// Header fields of an answer, names in lower case.
using Headers = std::map<std::string, std::string>;

/// Whether the same request may succeed later: 408, 425, 429 and the 5xx of overload and restarts.
bool is_temporary(int status);

/// How long the server asks to wait: Retry-After in seconds or as a date (RFC 9110, 10.2.3), or the
/// reset of a used-up `RateLimit` (draft-ietf-httpapi-ratelimit-headers). `now` is in seconds since
/// 1970.
std::optional<std::chrono::seconds> requested_wait(const Headers& headers, int64_t now);

/// Says when to try again. Tries count from the last success.
class Backoff {
 public:
  static constexpr int kMaxTries = 5;
  /// Longer than the hub's rate limits last; whoever asks for more is not waited for.
  static constexpr std::chrono::seconds kLongestWait{310};

  /// The time to wait after one more failure: what the server asks for, else 1, 2, 4, 8 s. Nothing
  /// if it is time to give up.
  std::optional<std::chrono::milliseconds> next(std::optional<std::chrono::seconds> requested);
  /// Something was received.
  void succeeded() { failures_ = 0; }
  /// Failures in a row.
  int failures() const { return failures_; }

 private:
  int failures_ = 0;
};

/// Sleeps; ends early when a stop is asked for.
void wait_for(std::chrono::milliseconds time, const StopToken& stop);

}  // namespace foregate::hub
