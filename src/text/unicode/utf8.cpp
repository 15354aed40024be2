#include "text/unicode/utf8.h"

#include <cstdint>
#include <cstring>

namespace foregate::text {
namespace {

struct Sequence {
  size_t length;  ///< of the valid sequence, or of the maximal invalid part
  bool valid;
};

bool is_continuation(unsigned char byte) {
  return (byte & 0xc0) == 0x80;
}

/// Reads one sequence at the start of `bytes`, which are not empty.
Sequence read_sequence(const unsigned char* bytes, size_t size) {
  const unsigned char lead = bytes[0];
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte's range rules out overlong forms, surrogates and what lies above U+10FFFF.
  const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (size < 2 || bytes[1] < low || bytes[1] > high) return {1, false};
  for (size_t i = 2; i < length; ++i) {
    if (i >= size || !is_continuation(bytes[i])) return {i, false};
  }
  return {length, true};
}

/// Length of the valid prefix of `bytes`.
size_t valid_prefix(std::string_view bytes) {
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  size_t i = 0;
  while (i < bytes.size()) {
    uint64_t word = 0;
    if (i + sizeof word <= bytes.size()) {
      std::memcpy(&word, data + i, sizeof word);
      if ((word & 0x8080808080808080ULL) == 0) {
        i += sizeof word;
        continue;
      }
    }
    const Sequence sequence = read_sequence(data + i, bytes.size() - i);
    if (!sequence.valid) return i;
    i += sequence.length;
  }
  return i;
}

}  // namespace

bool is_valid_utf8(std::string_view bytes) {
  return valid_prefix(bytes) == bytes.size();
}

std::string replace_invalid_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (true) {
    const size_t good = valid_prefix(bytes);
    text.append(bytes.substr(0, good));
    bytes.remove_prefix(good);
    if (bytes.empty()) return text;
    const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
    bytes.remove_prefix(read_sequence(data, bytes.size()).length);
    append_utf8(0xfffd, text);
  }
}

char32_t next_code_point(std::string_view text, size_t& position) {
  const auto byte = [&](size_t i) -> char32_t {
    return static_cast<unsigned char>(text[position + i]);
  };
  const char32_t lead = byte(0);
  if (lead < 0x80) {
    position += 1;
    return lead;
  }
  char32_t code_point = 0;
  if (lead < 0xe0) {
    code_point = (lead & 0x1f) << 6 | (byte(1) & 0x3f);
    position += 2;
  } else if (lead < 0xf0) {
    code_point = (lead & 0x0f) << 12 | (byte(1) & 0x3f) << 6 | (byte(2) & 0x3f);
    position += 3;
  } else {
    code_point =
        (lead & 0x07) << 18 | (byte(1) & 0x3f) << 12 | (byte(2) & 0x3f) << 6 | (byte(3) & 0x3f);
    position += 4;
  }
  return code_point;
}

void append_utf8(char32_t code_point, std::string& text) {
  const auto push = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    push(code_point);
    return;
  }
  if (code_point < 0x800) {
    push(0xc0 | code_point >> 6);
  } else {
    if (code_point < 0x10000) {
      push(0xe0 | code_point >> 12);
    } else {
      push(0xf0 | code_point >> 18);
      push(0x80 | (code_point >> 12 & 0x3f));
    }
    push(0x80 | (code_point >> 6 & 0x3f));
  }
  push(0x80 | (code_point & 0x3f));
}

bool is_white_space(char32_t code_point) {
  switch (code_point) {
    case 0x20:
    case 0x85:
    case 0xa0:
    case 0x1680:
    case 0x2028:
    case 0x2029:
    case 0x202f:
    case 0x205f:
    case 0x3000:
      return true;
    default:
      return (code_point >= 0x09 && code_point <= 0x0d) ||
             (code_point >= 0x2000 && code_point <= 0x200a);
  }
}

bool is_blank(std::string_view text) {
  return trimmed(text).empty();
}

std::string_view trimmed(std::string_view text) {
  size_t begin = 0;
  for (size_t next = 0; begin < text.size(); begin = next) {
    next = begin;
    if (!is_white_space(next_code_point(text, next))) break;
  }
  size_t end = text.size();
  while (end > begin) {
    size_t start = end - 1;
    while (is_continuation(static_cast<unsigned char>(text[start]))) --start;
    size_t position = start;
    if (!is_white_space(next_code_point(text, position))) break;
    end = start;
  }
  return text.substr(begin, end - begin);
}

}  // namespace foregate::text
