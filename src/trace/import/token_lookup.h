#pragma once

// Internal to trace/.

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>

#include "trace/import/import.h"

namespace foregate::trace {

/// Ids of strings by a model's tokenizer. A record has the strings as the vocabulary spells them or
/// as people read them, one or the other throughout.
class TokenLookup {
 public:
  explicit TokenLookup(const TokenDictionary& dictionary);

  /// A string of the record. All are to be noted before settle().
  void note(const std::string& name);
  /// Chooses the spelling that explains all strings. Throws DataError if neither does.
  void settle(const std::string& where);
  int32_t id(const std::string& name) const { return chosen_->at(name); }
  /// Strings that several ids have: bytes that are no letters alone. The lowest is taken.
  size_t ambiguous() const;

 private:
  using Ids = std::unordered_map<std::string, int32_t>;
  struct Unknown {
    size_t count = 0;
    std::string first;
  };
  static void look(const Ids& ids, const std::string& name, Unknown& unknown);

  const TokenDictionary& dictionary_;
  Ids spelled_;
  Ids decoded_;
  std::unordered_set<std::string> several_;  ///< decoded strings of several ids
  std::unordered_set<std::string> noted_;
  Unknown not_spelled_;
  Unknown not_decoded_;
  const Ids* chosen_ = nullptr;
};

}  // namespace foregate::trace
