#include "engine/generation/text_stream.h"

#include <algorithm>

#include "text/unicode/utf8.h"

namespace foregate::engine {
namespace {

// Bytes at the end that begin a character and do not end it.
size_t unfinished_bytes(std::string_view bytes) {
  for (size_t back = 1; back <= std::min<size_t>(3, bytes.size()); ++back) {
    const auto byte = static_cast<unsigned char>(bytes[bytes.size() - back]);
    if ((byte & 0xc0) == 0x80) continue;  // in the middle of a character
    const size_t size = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return size > back ? back : 0;
  }
  return 0;
}

// Bytes at the end that begin `wanted`.
size_t begun(std::string_view bytes, std::string_view wanted) {
  for (size_t size = std::min(bytes.size(), wanted.size() - 1); size > 0; --size) {
    if (bytes.ends_with(wanted.substr(0, size))) return size;
  }
  return 0;
}

}  // namespace

TextStream::TextStream(std::vector<std::string> stop_strings)
    : stop_strings_(std::move(stop_strings)) {
  std::erase(stop_strings_, "");
}

std::string TextStream::show(size_t count) {
  const std::string shown = text::replace_invalid_utf8(std::string_view(waiting_).substr(0, count));
  waiting_.erase(0, count);
  text_ += shown;
  return shown;
}

std::string TextStream::add(std::string_view bytes) {
  if (!stopped_by_.empty()) return {};
  waiting_ += bytes;
  // Nothing that was shown can be part of a stop string: its beginning would have been kept back.
  size_t first = std::string::npos;
  for (const std::string& wanted : stop_strings_) {
    const size_t place = waiting_.find(wanted);
    if (place < first) {
      first = place;
      stopped_by_ = wanted;
    }
  }
  if (first != std::string::npos) {
    const std::string shown = show(first);
    waiting_.clear();
    return shown;
  }
  size_t kept = unfinished_bytes(waiting_);
  for (const std::string& wanted : stop_strings_) kept = std::max(kept, begun(waiting_, wanted));
  size_t count = waiting_.size() - kept;
  // What is kept back must not begin in the middle of a character.
  count -= unfinished_bytes(std::string_view(waiting_).substr(0, count));
  return show(count);
}

std::string TextStream::finish() {
  return show(waiting_.size());
}

}  // namespace foregate::engine
