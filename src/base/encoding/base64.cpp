#include "base/encoding/base64.h"

#include <array>
#include <cstdint>

namespace foregate {
namespace {

constexpr int8_t kNoDigit = -1;

constexpr std::array<int8_t, 256> digits() {
  std::array<int8_t, 256> values{};
  values.fill(kNoDigit);
  int8_t next = 0;
  for (unsigned char c = 'A'; c <= 'Z'; ++c) values[c] = next++;
  for (unsigned char c = 'a'; c <= 'z'; ++c) values[c] = next++;
  for (unsigned char c = '0'; c <= '9'; ++c) values[c] = next++;
  values['+'] = values['-'] = 62;
  values['/'] = values['_'] = 63;
  return values;
}

constexpr std::array<int8_t, 256> kDigits = digits();

bool is_padding(char c) {
  return c == '=' || c == '\n' || c == '\r';
}

}  // namespace

std::optional<std::string> decode_base64(std::string_view text) {
  while (!text.empty() && is_padding(text.back())) text.remove_suffix(1);
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3 + 3);
  uint32_t buffer = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '\n' || c == '\r') continue;
    const int8_t digit = kDigits[static_cast<unsigned char>(c)];
    if (digit == kNoDigit) return std::nullopt;
    buffer = buffer << 6 | static_cast<uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(buffer >> bits & 0xff);
  }
  // A digit alone, or bits that belong to no byte: the text was cut.
  const bool whole = bits < 6 && (buffer & ((1U << bits) - 1)) == 0;
  return whole ? std::optional(std::move(bytes)) : std::nullopt;
}

}  // namespace foregate
