#pragma once

#include <forward_list>
#include <string>
#include <string_view>
#include <vector>

namespace foregate::text {

/// A text cut into words, in order; none is empty. Views of the text, or of `storage` where a step
/// changed it.
struct Words {
  std::vector<std::string_view> views;
  /// The first word is the beginning of the whole text, not of what follows an added token.
  bool begins_text = false;
  std::forward_list<std::string> storage;  ///< nodes keep their address
};

/// One component of a pre-tokenizer, working on the words of the one before it. Texts are valid
/// UTF-8.
class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual void apply(Words& words) const = 0;
};

}  // namespace foregate::text
