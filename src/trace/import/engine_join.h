#pragma once

// Internal to trace/: the parts of a request's record put together.

#include <cstdint>
#include <vector>

#include "trace/import/engine_record.h"
#include "trace/import/routing_block.h"
#include "trace/import/routing_value.h"

namespace foregate::trace {

/// A text of a record: its routing, and the tokens that it is of.
struct JoinedText {
  RoutingBlock block;
  TokenList tokens;             ///< one for each of the block's; kUnique if they are not known
  int64_t prompt = 0;           ///< how many of them belong to the prompt
  int64_t unrun = 0;            ///< the last token, sampled but never run: 0 or 1
  int64_t unrouted_prompt = 0;  ///< tokens of the prompt that the record has no rows for
  bool misfit = false;          ///< a response with more rows than it names tokens
};

/// Engines return the rows of the tokens that ran: all of the prompt and all generated but the
/// last; of all of them together, of the prompt and the generation apart, of the generation alone,
/// or from some token on. Throws DataError if the rows are not explained by any of these.
JoinedText join_text(const EngineText& text, const ArrayForm& form);

/// How many rows an array without a shape may have, the likeliest first.
std::vector<int64_t> possible_rows(const EngineText& text);

}  // namespace foregate::trace
