#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "arrays.h"
#include "trace/reader.h"
#include "trace/trace.h"

namespace foregate::python {

/// A column of lists: the values of row i are [offsets[i], offsets[i + 1]).
template <typename T>
struct ListColumn {
  List<int64_t> offsets;
  List<T> values;

  std::span<const T> row(size_t i) const {
    const auto first = static_cast<size_t>(offsets(i));
    return span_of(values).subspan(first, static_cast<size_t>(offsets(i + 1)) - first);
  }
};

/// Some texts as their columns lie in memory, NumPy's or Arrow's.
struct Rows {
  std::vector<std::string> datasets;  ///< names
  List<int32_t> dataset_of;           ///< [rows] index into the names
  List<int64_t> samples;              ///< [rows]
  List<int64_t> num_tokens;           ///< [rows]
  List<int64_t> prompt_tokens;        ///< [rows]
  std::optional<ListColumn<int32_t>> token_ids;
  std::optional<ListColumn<uint8_t>> narrow_experts;  ///< one of the two, if any
  std::optional<ListColumn<uint16_t>> wide_experts;
  std::optional<ListColumn<uint16_t>> gate_weights;  ///< binary16 bits
  std::optional<ListColumn<uint16_t>> router_logits;
  bool checked = false;  ///< against a geometry: accumulators index by what is read

  size_t size() const { return samples.shape(0); }
  trace::TraceColumns columns() const;
  /// Throws UsageError unless they were checked.
  void require_checked() const;
  /// Fills in text `i`.
  void read(size_t i, trace::Trace& trace) const;
  /// Calls visit(trace) for the texts `chosen`, or for all.
  void visit(const std::optional<List<int64_t>>& chosen,
             const std::function<void(const trace::Trace&)>& visit) const;
};

/// Throws UsageError if the columns are not of one length or lists lie outside their values.
void check_layout(const Rows& rows);

}  // namespace foregate::python
