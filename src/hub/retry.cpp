#include "hub/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <thread>

namespace foregate::hub {
namespace {

std::optional<int64_t> number_at(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end == text.data() || value < 0) return std::nullopt;
  return value;
}

/// `"api";r=0;t=55`: r requests remain, the limit is reset in t seconds.
std::optional<int64_t> parameter(std::string_view text, std::string_view key) {
  const size_t found = text.find(key);
  if (found == std::string_view::npos) return std::nullopt;
  return number_at(text.substr(found + key.size()));
}

}  // namespace

bool is_temporary(int status) {
  constexpr std::array kTemporary{408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524};
  return std::ranges::find(kTemporary, status) != kTemporary.end();
}

std::optional<std::chrono::seconds> requested_wait(const Headers& headers, int64_t now) {
  if (const auto found = headers.find("retry-after"); found != headers.end()) {
    if (const auto seconds = number_at(found->second)) return std::chrono::seconds(*seconds);
    const int64_t date = curl_getdate(found->second.c_str(), nullptr);
    if (date >= 0) return std::chrono::seconds(std::max<int64_t>(date - now, 0));
  }
  if (const auto found = headers.find("ratelimit"); found != headers.end()) {
    const auto reset = parameter(found->second, ";t=");
    if (parameter(found->second, ";r=") == 0 && reset) return std::chrono::seconds(*reset);
  }
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> Backoff::next(
    std::optional<std::chrono::seconds> requested) {
  if (++failures_ >= kMaxTries) return std::nullopt;
  if (!requested) return std::chrono::milliseconds(1000 << (failures_ - 1));
  if (*requested > kLongestWait) return std::nullopt;
  return *requested;
}

void wait_for(std::chrono::milliseconds time, const StopToken& stop) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!stop.stop_requested() && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

}  // namespace foregate::hub
