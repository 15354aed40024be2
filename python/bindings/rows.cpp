#include "rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <climits>

#include "base/error.h"

namespace foregate::python {
namespace {

template <typename T>
void check_column(const std::optional<ListColumn<T>>& column, size_t rows, const char* name) {
  if (!column) return;
  const auto offsets = span_of(column->offsets);
  const bool fits = offsets.size() == rows + 1 && offsets.front() >= 0 &&
                    std::is_sorted(offsets.begin(), offsets.end()) &&
                    static_cast<size_t>(offsets.back()) <= column->values.shape(0);
  if (!fits)
    throw UsageError(
        fmt::format("column {}: offsets that do not fit {} rows of values", name, rows));
}

template <typename To, typename T>
void copy_row(const std::optional<ListColumn<T>>& column, size_t i, std::vector<To>& values) {
  if (!column) return;
  const auto row = column->row(i);
  values.assign(row.begin(), row.end());
}

}  // namespace

void check_layout(const Rows& rows) {
  const size_t size = rows.size();
  if (rows.dataset_of.shape(0) != size || rows.num_tokens.shape(0) != size ||
      rows.prompt_tokens.shape(0) != size) {
    throw UsageError("columns of different lengths");
  }
  for (const int32_t index : span_of(rows.dataset_of)) {
    if (index < 0 || static_cast<size_t>(index) >= rows.datasets.size()) {
      throw UsageError(fmt::format("dataset {} of {}", index, rows.datasets.size()));
    }
  }
  check_column(rows.token_ids, size, "token_ids");
  check_column(rows.narrow_experts, size, "experts");
  check_column(rows.wide_experts, size, "experts");
  check_column(rows.gate_weights, size, "gate_weights");
  check_column(rows.router_logits, size, "router_logits");
}

void Rows::require_checked() const {
  if (!checked) throw UsageError("rows are to be checked before they are counted");
}

trace::TraceColumns Rows::columns() const {
  return {.token_ids = token_ids.has_value(),
          .experts = narrow_experts.has_value() || wide_experts.has_value(),
          .gate_weights = gate_weights.has_value(),
          .router_logits = router_logits.has_value()};
}

void Rows::read(size_t i, trace::Trace& trace) const {
  trace.dataset = datasets[static_cast<size_t>(dataset_of(i))];
  trace.sample = samples(i);
  // Narrowed for the struct; what does not fit is out of range for the checks too.
  trace.prompt_tokens = static_cast<int32_t>(std::clamp<int64_t>(prompt_tokens(i), -1, INT_MAX));
  copy_row(token_ids, i, trace.token_ids);
  copy_row(narrow_experts, i, trace.experts);
  copy_row(wide_experts, i, trace.experts);
  copy_row(gate_weights, i, trace.gate_weights);
  copy_row(router_logits, i, trace.router_logits);
}

void Rows::visit(const std::optional<List<int64_t>>& chosen,
                 const std::function<void(const trace::Trace&)>& visit) const {
  trace::Trace trace;
  const size_t count = chosen ? chosen->shape(0) : size();
  for (size_t i = 0; i < count; ++i) {
    const int64_t row = chosen ? (*chosen)(i) : static_cast<int64_t>(i);
    if (row < 0 || static_cast<size_t>(row) >= size())
      throw UsageError(fmt::format("row {} of {}", row, size()));
    read(static_cast<size_t>(row), trace);
    visit(trace);
  }
}

}  // namespace foregate::python
