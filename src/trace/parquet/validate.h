#pragma once

#include <cstdint>
#include <string>

#include "trace/reader.h"
#include "trace/trace.h"

namespace foregate::trace {

/// Whether the lists of a trace of `num_tokens` tokens are as long as the geometry says, for the
/// given columns. Returns what is wrong ("'experts' has 95 values; expected 96 (...)"), or nothing.
std::string size_problem(const Trace& trace, int64_t num_tokens, const Geometry& geometry,
                         TraceColumns columns);

/// Whether the values of a trace whose sizes fit can be meant: token ids inside the vocabulary,
/// different experts below E in each decision, gate weights finite and largest first, logits
/// finite. Columns that are empty pass.
std::string value_problem(const Trace& trace, const Geometry& geometry);

}  // namespace foregate::trace
