#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/tokenizer/words.h"

namespace foregate::text {

/// SentencePiece's way with spaces: they become a visible character ("▁"), one is put before the
/// text, and every word begins with it.
class Metaspace : public PreTokenizerStep {
 public:
  enum class Prepend { kAlways, kFirst, kNever };

  /// Throws DataError for a setting that is not known.
  explicit Metaspace(const JsonReader& json);
  void apply(Words& words) const override;

  /// Puts its character only where the whole text begins.
  bool prepends_at_first() const { return prepend_ == Prepend::kFirst; }

 private:
  void split(std::string_view piece, std::vector<std::string_view>& words) const;

  std::string replacement_;
  Prepend prepend_;
  bool split_;
};

}  // namespace foregate::text
