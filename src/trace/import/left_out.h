#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/run_context.h"

namespace foregate::trace {

/// What an import left out of a record, and why: nothing goes missing without a count.
struct LeftOut {
  int64_t broken_lines = 0;      ///< that are not JSON, with --allow-missing
  int64_t records = 0;           ///< that cannot be meant, with --allow-missing
  std::string first_problem;     ///< of those two
  int64_t without_routing = 0;   ///< aborted requests, and lines that are something else
  int64_t unrun = 0;             ///< last tokens, sampled but never run
  int64_t unrouted = 0;          ///< tokens without routing at the beginning or end of a text
  int64_t unrouted_prompts = 0;  ///< tokens of prompts that the record has no rows for
  int64_t unnamed = 0;           ///< texts that do not say which tokens were routed
  int64_t misfits = 0;           ///< of those: responses with more rows than they name tokens
  int64_t uncovered = 0;         ///< rows of stacked arrays that belong to no text
  int64_t other_blocks = 0;      ///< Megatron's records of layers outside of the decoder
  int64_t unlisted_files = 0;    ///< arrays in the folder that no line names
  int64_t ambiguous = 0;         ///< token strings of several ids, of which the lowest was taken
  std::vector<int> dense_layers;
  std::map<std::string, int64_t> unread;  ///< keys that hold routing, and how many texts have them

  void problem(const std::string& what);  ///< of a record
  void say(Logger& log) const;
  Json to_json() const;
};

}  // namespace foregate::trace
