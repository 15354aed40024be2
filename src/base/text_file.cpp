#include "base/text_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/temporary_file.h"
#include "base/unpack.h"

namespace foregate {
namespace {

using std::literals::operator""sv;

constexpr std::string_view kUtf8Mark = "\xef\xbb\xbf";
/// A file that was compressed twice is common (a server's and one's own); more is a bomb.
constexpr int kMaxLayers = 3;

enum class Order { kLittle, kBig };

/// Whether the text is UTF-16: by its byte-order mark, or, as every table begins with some ASCII,
/// by zeros in half of every other of the first bytes, and in hardly any of those between.
std::optional<Order> utf16_order(std::string_view text) {
  if (text.starts_with("\xff\xfe")) return Order::kLittle;
  if (text.starts_with("\xfe\xff")) return Order::kBig;
  const size_t size = std::min<size_t>(text.size(), 64) & ~size_t{1};
  if (size < 8) return std::nullopt;
  size_t zeros[2] = {0, 0};
  for (size_t i = 0; i < size; ++i) zeros[i % 2] += text[i] == '\0' ? 1 : 0;
  const auto is_high = [&](size_t high, size_t low) {
    return zeros[high] * 2 >= size / 2 && zeros[low] * 8 <= zeros[high];
  };
  if (is_high(1, 0)) return Order::kLittle;
  if (is_high(0, 1)) return Order::kBig;
  return std::nullopt;
}

void append_as_utf8(uint32_t code, std::string& text) {
  const auto continuation = [&](int shift) {
    text += static_cast<char>(0x80 | ((code >> shift) & 0x3f));
  };
  if (code < 0x80) {
    text += static_cast<char>(code);
  } else if (code < 0x800) {
    text += static_cast<char>(0xc0 | (code >> 6));
    continuation(0);
  } else if (code < 0x10000) {
    text += static_cast<char>(0xe0 | (code >> 12));
    continuation(6), continuation(0);
  } else {
    text += static_cast<char>(0xf0 | (code >> 18));
    continuation(12), continuation(6), continuation(0);
  }
}

/// UTF-16 to UTF-8; halves of surrogate pairs, and half a unit at the end, become U+FFFD.
std::filesystem::path convert_to_temporary(std::string_view text, Order order) {
  constexpr uint32_t kReplacement = 0xfffd;
  constexpr size_t kPieceBytes = 1 << 20;
  const auto unit_at = [&](size_t i) -> uint32_t {
    const auto first = static_cast<unsigned char>(text[i]);
    const auto second = static_cast<unsigned char>(text[i + 1]);
    return order == Order::kLittle ? first + second * 256U : first * 256U + second;
  };
  TemporaryFile output;
  std::string piece;
  size_t i = 0;
  while (i + 1 < text.size()) {
    uint32_t code = unit_at(i);
    i += 2;
    if (code >= 0xd800 && code < 0xdc00 && i + 1 < text.size() && unit_at(i) >= 0xdc00 &&
        unit_at(i) < 0xe000) {
      code = 0x10000 + ((code - 0xd800) << 10) + (unit_at(i) - 0xdc00);
      i += 2;
    } else if (code >= 0xd800 && code < 0xe000) {
      code = kReplacement;
    }
    append_as_utf8(code, piece);
    if (piece.size() < kPieceBytes) continue;
    output.write(piece);
    piece.clear();
  }
  if (i < text.size()) append_as_utf8(kReplacement, piece);
  output.write(piece);
  return output.keep();
}

}  // namespace

TextFile::TextFile(const std::filesystem::path& path) : path_(path) {
  file_.emplace(path);
  text_ = file_->text();
  for (int layer = 0; is_compressed(text_); ++layer) {
    if (layer == kMaxLayers) {
      throw DataError(fmt::format("{}: compressed more than {} times", where(), kMaxLayers));
    }
    replace(unpack_to_temporary(text_, where()));
  }
  refuse_archive(text_, where());
  if (text_.starts_with("\xff\xfe\0\0"sv) || text_.starts_with("\0\0\xfe\xff"sv)) {
    throw DataError(fmt::format(
        "{}: the file is UTF-32; expected UTF-8; convert it first (iconv -f UTF-32 -t UTF-8)",
        where()));
  }
  if (const auto order = utf16_order(text_)) replace(convert_to_temporary(text_, *order));
  // Tools that each put a mark in front leave several.
  while (text_.starts_with(kUtf8Mark)) text_.remove_prefix(kUtf8Mark.size());
}

void TextFile::replace(const std::filesystem::path& temporary) {
  // The mapping keeps the content until it is given up, however the program ends.
  const auto remove = [&] { std::filesystem::remove(temporary); };
  try {
    file_.emplace(temporary);
  } catch (const Error&) {
    remove();
    throw;
  }
  remove();
  text_ = file_->text();
}

std::string_view next_line(std::string_view text, size_t& position) {
  const size_t end = std::min(text.find('\n', position), text.size());
  std::string_view line = text.substr(position, end - position);
  position = std::min(end + 1, text.size());
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace foregate
