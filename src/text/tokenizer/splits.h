#pragma once

#include <string_view>
#include <vector>

#include "text/tokenizer/regex.h"
#include "text/tokenizer/words.h"

namespace foregate::text {

/// What becomes of the matches that a text is split by. MergedWithPrevious and MergedWithNext take
/// a match to its neighbour, but of several in a row only the one that touches it.
enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// Splits words by a pattern. `invert`: what lies between the matches counts as the matches.
class Split : public PreTokenizerStep {
 public:
  Split(Regex pattern, SplitBehavior behavior, bool invert);
  void apply(Words& words) const override;

 private:
  void split(std::string_view text, Regex::Searcher& searcher,
             std::vector<std::string_view>& pieces) const;

  Regex pattern_;
  SplitBehavior behavior_;
  bool invert_;
};

/// A part of a text, and whether it is what the text is split by.
struct SplitPart {
  std::string_view text;
  bool is_match;
};

/// Appends the pieces that the behavior makes of `parts`, which follow each other without gaps.
void merge_parts(const std::vector<SplitPart>& parts, SplitBehavior behavior,
                 std::vector<std::string_view>& pieces);

}  // namespace foregate::text
