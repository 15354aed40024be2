#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace foregate::engine {

/// A text that arrives in pieces of bytes, and what of it can be shown already: whole characters,
/// and nothing that may turn out to begin a stop string.
class TextStream {
 public:
  explicit TextStream(std::vector<std::string> stop_strings = {});

  /// Adds bytes, unless a stop string was found. Returns what can be shown now, valid UTF-8.
  std::string add(std::string_view bytes);
  /// No more is coming: the rest of what can be shown. What is not UTF-8 is U+FFFD.
  std::string finish();

  /// The stop string that ended the text; empty if none did.
  const std::string& stopped_by() const { return stopped_by_; }
  /// All that was shown.
  const std::string& text() const { return text_; }

 private:
  std::string show(size_t count);

  std::vector<std::string> stop_strings_;
  std::string waiting_;  ///< bytes that were not shown
  std::string text_;
  std::string stopped_by_;
};

}  // namespace foregate::engine
