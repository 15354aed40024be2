#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace foregate::text {

/// What a byte-level tokenizer does before its merges. Files that hold ranks alone do not say it;
/// GGUF files name it (`tokenizer.ggml.pre`).
struct NamedSplit {
  std::vector<std::string_view> names{};  ///< as GGUF files have them
  /// Patterns that the text is split by, one after the other, in tokenizer.json's dialect.
  std::vector<std::string_view> patterns{};
  bool digits_alone = false;  ///< then every digit by itself
  bool gpt2 = false;          ///< then by GPT-2's pattern
  bool nfc = false;           ///< texts are brought to NFC first
  bool whole_words = false;   ///< a word that is a token is taken as it is
  bool begins_with_bos = false;

  /// The components of a tokenizer.json that do the same.
  Json normalizer() const;
  Json pre_tokenizer() const;
};

/// Nullptr if there is none of that name.
const NamedSplit* find_named_split(std::string_view name);
/// For messages.
std::string known_split_names();

}  // namespace foregate::text
