#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "text/tokenizer/tokenizer_file.h"

namespace foregate::text {

/// A token and its rank: of two neighbours whose joint text has the lowest rank are merged first,
/// the leftmost of equals first.
struct RankedToken {
  std::string text;  ///< valid UTF-8
  uint32_t rank = 0;
};

/// Sets the file's merges to those that vocabularies without merges mean (tiktoken's ranks,
/// SentencePiece's scores): any two of `tokens` that make a third one, wherever they are cut.
void set_ranked_merges(const std::vector<RankedToken>& tokens, TokenizerFile& file);

}  // namespace foregate::text
