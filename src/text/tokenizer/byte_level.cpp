#include "text/tokenizer/byte_level.h"

#include <array>
#include <charconv>
#include <system_error>

#include "text/unicode/utf8.h"

namespace foregate::text {
namespace {

constexpr char32_t kFirstSubstitute = 0x100;
constexpr size_t kNumSubstitutes = 68;

/// Printable characters of Latin-1 stand for themselves.
bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

struct Alphabet {
  std::array<std::string, 256> spellings;
  /// Code point - kFirstSubstitute -> byte, for the bytes that do not stand for themselves.
  std::array<unsigned char, kNumSubstitutes> substituted{};

  Alphabet() {
    size_t next = 0;
    for (unsigned byte = 0; byte < 256; ++byte) {
      char32_t code_point = byte;
      if (!stands_for_itself(byte)) {
        substituted[next] = static_cast<unsigned char>(byte);
        code_point = kFirstSubstitute + static_cast<char32_t>(next++);
      }
      append_utf8(code_point, spellings[byte]);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet instance;
  return instance;
}

}  // namespace

const std::string& byte_spelling(unsigned char byte) {
  return alphabet().spellings[byte];
}

std::optional<std::string> bytes_of_spelling(std::string_view spelled) {
  std::string bytes;
  for (size_t i = 0; i < spelled.size();) {
    const char32_t code_point = next_code_point(spelled, i);
    if (code_point < 0x100 && stands_for_itself(static_cast<unsigned>(code_point))) {
      bytes.push_back(static_cast<char>(code_point));
    } else if (code_point >= kFirstSubstitute && code_point < kFirstSubstitute + kNumSubstitutes) {
      bytes.push_back(static_cast<char>(alphabet().substituted[code_point - kFirstSubstitute]));
    } else {
      return std::nullopt;
    }
  }
  return bytes;
}

std::string bytes_of_sentencepiece(std::string_view spelled) {
  constexpr std::string_view kSpace = "\xe2\x96\x81";
  unsigned byte = 0;
  if (spelled.size() == 6 && spelled.starts_with("<0x") && spelled.back() == '>') {
    const auto [stop, error] = std::from_chars(spelled.data() + 3, spelled.data() + 5, byte, 16);
    if (error == std::errc() && stop == spelled.data() + 5) return {static_cast<char>(byte)};
  }
  std::string bytes;
  for (size_t i = 0; i < spelled.size();) {
    const bool space = spelled.substr(i).starts_with(kSpace);
    bytes += space ? ' ' : spelled[i];
    i += space ? kSpace.size() : 1;
  }
  return bytes;
}

}  // namespace foregate::text
