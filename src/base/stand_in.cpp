#include "base/stand_in.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <optional>

#include "base/error.h"
#include "base/number_text.h"

namespace foregate {
namespace {

/// No pointer is larger: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
constexpr size_t kMaxPointerBytes = 1024;
constexpr std::string_view kLfs = "version https://git-lfs.github.com/spec/";
constexpr std::string_view kOldLfs = "version https://hawser.github.com/spec/";
constexpr std::string_view kAnnex = "/annex/objects/";

/// The number that follows `key`.
std::optional<int64_t> number_behind(std::string_view text, std::string_view key) {
  const size_t found = text.find(key);
  if (found == std::string_view::npos) return std::nullopt;
  const std::string_view digits = text.substr(found + key.size());
  int64_t number = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || number < 0) return std::nullopt;
  return number;
}

[[noreturn]] void fail(std::string_view content, const std::string& where, const char* kind,
                       std::optional<int64_t> size, const char* remedy) {
  throw DataError(fmt::format("{} is a {} pointer ({} bytes), not the file{}; fetch it: {}", where,
                              kind, content.size(),
                              size ? fmt::format(" of {} bytes", with_commas(*size)) : "", remedy));
}

}  // namespace

void refuse_pointer(std::string_view content, const std::string& where) {
  if (content.size() > kMaxPointerBytes) return;
  if ((content.starts_with(kLfs) || content.starts_with(kOldLfs)) &&
      content.find("\noid ") != std::string_view::npos) {
    fail(content, where, "Git LFS", number_behind(content, "\nsize "),
         "git lfs pull, or foregate pull");
  }
  // SHA256E-s5453296--abab.safetensors
  if (content.starts_with(kAnnex)) {
    fail(content, where, "git-annex", number_behind(content, "-s"), "git annex get");
  }
}

void refuse_web_page(std::string_view content, const std::string& where) {
  std::string start(content.substr(0, 256));
  std::ranges::transform(start, start.begin(), [](unsigned char c) { return std::tolower(c); });
  if (start.starts_with("\xef\xbb\xbf")) start.erase(0, 3);
  start.erase(0, std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  const bool is_html = start.starts_with("<!doctype html") || start.starts_with("<html");
  if (!is_html && !start.starts_with("<?xml")) return;
  throw DataError(
      fmt::format("{} is {}, not the data; download the file itself (of the hub: foregate pull)",
                  where, is_html ? "a web page" : "XML, perhaps a server's error message"));
}

}  // namespace foregate
