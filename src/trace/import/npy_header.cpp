#include <fmt/format.h>

#include <charconv>
#include <optional>

#include "base/error.h"
#include "trace/import/npy.h"

namespace foregate::trace {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxDimensions = 32;  // As in NumPy before 2.0; routing needs three.

/// The header is a Python dict literal of a string, a bool and a tuple of integers; anything else
/// is refused. NumPy itself writes nothing else.
class DictParser {
 public:
  DictParser(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyHeader parse() {
    NpyHeader header;
    bool has_descr = false;
    bool has_order = false;
    bool has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = string();
      expect(':');
      if (key == "descr") {
        header.descr = descr();
        has_descr = true;
      } else if (key == "fortran_order") {
        header.fortran_order = boolean();
        has_order = true;
      } else if (key == "shape") {
        header.shape = tuple();
        has_shape = true;
      } else {
        fail();
      }
      if (!accept(',') && peek() != '}') fail();
    }
    if (!has_descr || !has_order || !has_shape || peek() != '\0') fail();
    return header;
  }

 private:
  [[noreturn]] void fail() const {
    throw DataError(
        fmt::format("{}: the npy header is not valid at byte {} of it; save the array again with "
                    "numpy.save",
                    where_, position_));
  }

  /// The next character that is no space; 0 at the end.
  char peek() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n')) {
      ++position_;
    }
    return position_ < text_.size() ? text_[position_] : '\0';
  }

  bool accept(char c) {
    if (peek() != c || position_ >= text_.size()) return false;
    ++position_;
    return true;
  }

  void expect(char c) {
    if (!accept(c)) fail();
  }

  std::string_view string() {
    const char quote = peek();
    if (quote != '\'' && quote != '"') fail();
    const size_t end = text_.find(quote, position_ + 1);
    if (end == std::string_view::npos) fail();
    const std::string_view content = text_.substr(position_ + 1, end - position_ - 1);
    position_ = end + 1;
    return content;
  }

  std::string descr() {
    if (peek() != '[') return std::string(string());
    throw DataError(
        fmt::format("{}: an array of structures; expected a plain array of numbers", where_));
  }

  bool boolean() {
    peek();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (!text_.substr(position_).starts_with(word)) continue;
      position_ += word.size();
      return value;
    }
    fail();
  }

  std::vector<int64_t> tuple() {
    std::vector<int64_t> values;
    expect('(');
    while (!accept(')')) {
      if (values.size() == kMaxDimensions) fail();
      values.push_back(dimension());
      if (!accept(',') && peek() != ')') fail();
    }
    return values;
  }

  int64_t dimension() {
    peek();
    int64_t value = 0;
    const char* begin = text_.data() + position_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc() || value < 0) fail();
    position_ += static_cast<size_t>(end - begin);
    return value;
  }

  std::string_view text_;
  const std::string& where_;
  size_t position_ = 0;
};

uint32_t little_endian(std::string_view bytes) {
  uint32_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

}  // namespace

NpyHeader parse_npy_header(std::string_view bytes, const std::string& where) {
  if (bytes.empty()) throw DataError(fmt::format("{}: the file is empty; expected npy", where));
  if (!bytes.starts_with(kMagic)) {
    throw DataError(fmt::format("{}: not an npy file (it does not begin with \\x93NUMPY)", where));
  }
  const auto cut_off = [&] {
    return DataError(
        fmt::format("{}: the file ends inside the npy header ({} bytes)", where, bytes.size()));
  };
  // The magic, a major and a minor version, the header's length in 2 bytes (version 1) or 4.
  if (bytes.size() < kMagic.size() + 2) throw cut_off();
  const int major = static_cast<uint8_t>(bytes[kMagic.size()]);
  if (major < 1 || major > 3) {
    throw DataError(fmt::format("{}: npy version {}; expected 1 to 3", where, major));
  }
  const size_t length_offset = kMagic.size() + 2;
  const size_t length_width = major == 1 ? 2 : 4;
  if (bytes.size() < length_offset + length_width) throw cut_off();
  const size_t length = little_endian(bytes.substr(length_offset, length_width));
  const size_t header_offset = length_offset + length_width;
  if (length > bytes.size() - header_offset) throw cut_off();
  NpyHeader header = DictParser(bytes.substr(header_offset, length), where).parse();
  header.data_offset = header_offset + length;
  return header;
}

}  // namespace foregate::trace
