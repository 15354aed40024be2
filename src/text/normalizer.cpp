#include "text/normalizer.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "text/utf8.h"

namespace foregate {
namespace {

struct Range {
  char32_t first, last;
};

/// Characters that NFC leaves alone whatever stands beside them: they have no canonical
/// decomposition that changes them, combining class 0, and never compose with what precedes.
constexpr std::array<Range, 11> kInertRanges{{{0x0000, 0x02ff},
                                              {0x0388, 0x0482},
                                              {0x048a, 0x0590},
                                              {0x2002, 0x20cf},
                                              {0x2190, 0x2328},
                                              {0x232b, 0x2adb},
                                              {0x3000, 0x3029},
                                              {0x3030, 0x3098},
                                              {0x309b, 0x9fff},
                                              {0xac00, 0xd7a3},
                                              {0x1f000, 0x1faff}}};

bool is_inert(char32_t code_point) {
  for (const Range& range : kInertRanges) {
    if (code_point <= range.last) return code_point >= range.first;
  }
  return false;
}

std::string to_nfc(std::string_view text) {
  utf8proc_uint8_t* output = nullptr;
  const auto size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &output,
                   static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(output, &std::free);
  if (size == UTF8PROC_ERROR_NOMEM) throw std::bad_alloc();
  if (size < 0) {
    throw DataError(fmt::format("a text of {} bytes cannot be normalized to NFC: {}", text.size(),
                                utf8proc_errmsg(size)));
  }
  return {reinterpret_cast<const char*>(output), static_cast<size_t>(size)};
}

}  // namespace

bool is_surely_nfc(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    if (static_cast<unsigned char>(text[i]) < 0x80) {
      ++i;
    } else if (!is_inert(next_code_point(text, i))) {
      return false;
    }
  }
  return true;
}

Normalizer Normalizer::from_json(const Json& json, const std::string& where) {
  Normalizer normalizer;
  if (json.is_null()) return normalizer;
  const JsonReader reader(json, where + ": normalizer");
  const std::string type = reader.string("type");
  if (type == "NFC") {
    normalizer.nfc_ = true;
  } else if (type == "Sequence") {
    for (const Json& part : reader.array("normalizers")) {
      normalizer.nfc_ |= from_json(part, where).nfc_;
    }
  } else {
    reader.fail("type", "one of those implemented: NFC, Sequence, or no normalizer");
  }
  return normalizer;
}

std::string_view Normalizer::normalize(std::string_view text, std::string& storage) const {
  if (!nfc_ || is_surely_nfc(text)) return text;
  storage = to_nfc(text);
  return storage;
}

}  // namespace foregate
