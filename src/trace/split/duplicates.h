#pragma once

#include <cstddef>
#include <vector>

#include "trace/split/split.h"

namespace foregate::trace {

/// Groups texts that must not be split apart: for each text the index of its group's first text.
/// Two texts are joined, directly or through others, if
///  1. their tokens are the same, or
///  2. their first 64 tokens are the same: a causal model routes them the same, to the bit, or
///  3. about 70% of their 8-token shingles are shared (Jaccard similarity estimated by MinHash).
/// For 2 and 3 a template is left out first: the beginning that at least 20 texts and 5% of the
/// dataset share (a chat header, a system prompt), which says nothing about a text.
/// Cost is linear in the tokens.
std::vector<size_t> duplicate_groups(const std::vector<SplitText>& texts);

}  // namespace foregate::trace
