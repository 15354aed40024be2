#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "trace/manifest.h"
#include "trace/parquet/arrow_fwd.h"

namespace foregate::trace {

/// Traces on their way into one Parquet row group, column by column. Internal to trace/.
class RowGroup {
 public:
  explicit RowGroup(const Manifest& manifest);

  /// The trace has been checked to fit the geometry.
  void add(const Trace& trace);
  /// Whether the group is as large as it should get: bounded in rows, tokens and bytes, so that
  /// memory is bounded for writers and readers whatever is recorded.
  bool full() const;
  int64_t rows() const { return static_cast<int64_t>(samples_.size()); }
  /// A table over this object's memory; valid until the next add() or clear().
  std::shared_ptr<arrow::Table> table(const std::shared_ptr<arrow::Schema>& schema) const;
  void clear();

 private:
  /// A column of lists: the values of row i are [offsets[i], offsets[i + 1]).
  template <typename T>
  struct Lists {
    std::vector<int32_t> offsets = {0};
    std::vector<T> values;

    template <typename Row>
    void add(const Row& row);
    void clear();
    std::shared_ptr<arrow::Array> array(const arrow::Field& field) const;
    int64_t bytes() const { return static_cast<int64_t>(values.size() * sizeof(T)); }
  };

  bool experts_in_bytes_;
  bool has_gate_weights_;
  bool has_router_logits_;
  Lists<char> datasets_;
  std::vector<int64_t> samples_;
  std::vector<int32_t> num_tokens_;
  std::vector<int32_t> prompt_tokens_;
  Lists<int32_t> token_ids_;
  Lists<uint8_t> narrow_experts_;
  Lists<uint16_t> wide_experts_;
  Lists<uint16_t> gate_weights_;
  Lists<uint16_t> router_logits_;
};

}  // namespace foregate::trace
