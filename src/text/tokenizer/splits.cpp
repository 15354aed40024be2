#include "text/tokenizer/splits.h"

#include <optional>
#include <utility>

namespace foregate::text {
namespace {

/// The text from the start of `first` to the end of `last`, which lie in one text.
std::string_view span_of(std::string_view first, std::string_view last) {
  return {first.data(), static_cast<size_t>(last.data() + last.size() - first.data())};
}

void keep_parts(const std::vector<SplitPart>& parts, bool with_matches,
                std::vector<std::string_view>& pieces) {
  for (const SplitPart& part : parts) {
    if (with_matches || !part.is_match) pieces.push_back(part.text);
  }
}

void merge_with_previous(const std::vector<SplitPart>& parts,
                         std::vector<std::string_view>& pieces) {
  bool previous_is_match = false;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && parts[i].is_match && !previous_is_match) {
      pieces.back() = span_of(pieces.back(), parts[i].text);
    } else {
      pieces.push_back(parts[i].text);
    }
    previous_is_match = parts[i].is_match;
  }
}

void merge_with_next(const std::vector<SplitPart>& parts, std::vector<std::string_view>& pieces) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && parts[i - 1].is_match && !parts[i].is_match) {
      pieces.back() = span_of(pieces.back(), parts[i].text);
    } else {
      pieces.push_back(parts[i].text);
    }
  }
}

void merge_contiguous(const std::vector<SplitPart>& parts, std::vector<std::string_view>& pieces) {
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0 && parts[i - 1].is_match == parts[i].is_match) {
      pieces.back() = span_of(pieces.back(), parts[i].text);
    } else {
      pieces.push_back(parts[i].text);
    }
  }
}

}  // namespace

void merge_parts(const std::vector<SplitPart>& parts, SplitBehavior behavior,
                 std::vector<std::string_view>& pieces) {
  switch (behavior) {
    case SplitBehavior::kRemoved:
      return keep_parts(parts, false, pieces);
    case SplitBehavior::kIsolated:
      return keep_parts(parts, true, pieces);
    case SplitBehavior::kMergedWithPrevious:
      return merge_with_previous(parts, pieces);
    case SplitBehavior::kMergedWithNext:
      return merge_with_next(parts, pieces);
    case SplitBehavior::kContiguous:
      return merge_contiguous(parts, pieces);
  }
}

Split::Split(Regex pattern, SplitBehavior behavior, bool invert)
    : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

void Split::apply(Words& words) const {
  if (words.views.empty()) return;
  Regex::Searcher searcher(pattern_);
  std::vector<std::string_view> pieces;
  pieces.reserve(2 * words.views.size() + words.views.front().size() / 4);
  for (const std::string_view word : words.views) split(word, searcher, pieces);
  words.begins_text &= !pieces.empty() && pieces.front().data() == words.views.front().data();
  words.views = std::move(pieces);
}

void Split::split(std::string_view text, Regex::Searcher& searcher,
                  std::vector<std::string_view>& pieces) const {
  const bool isolated = behavior_ == SplitBehavior::kIsolated;
  std::vector<SplitPart> parts;
  const auto add = [&](size_t begin, size_t end, bool is_match) {
    const std::string_view part = text.substr(begin, end - begin);
    // What most tokenizers do needs no second look at the parts.
    if (isolated) {
      pieces.push_back(part);
    } else {
      parts.push_back({part, is_match != invert_});
    }
  };
  size_t done = 0;
  while (done < text.size()) {
    const auto match = searcher.find(text, done);
    const size_t gap_end = match ? match->begin : text.size();
    if (gap_end > done) add(done, gap_end, false);
    if (!match) break;
    add(match->begin, match->end, true);
    done = match->end;
  }
  if (!isolated) merge_parts(parts, behavior_, pieces);
}

}  // namespace foregate::text
